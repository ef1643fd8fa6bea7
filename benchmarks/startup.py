"""First start of the app (the model is converted) against the second, to a usable page.

    python -m benchmarks.startup [--port N]

Usable means that the page answers and its API lists the app's components.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

from benchmarks.measure import wait_for


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=7899)
    port = parser.parse_args().port
    with tempfile.TemporaryDirectory() as cache:
        first, second = _seconds_to_page(port, cache), _seconds_to_page(port, cache)
    print(
        f"second start / first: {second / first:.2f} (target ≤ 0.33; {first:.1f} "
        f"s, then {second:.1f} s)"
    )


def _seconds_to_page(port: int, cache: str) -> float:
    environment = {**os.environ, "LMSTEER_CACHE": cache}
    start = time.perf_counter()
    app = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/config", app)
        return time.perf_counter() - start
    finally:
        app.terminate()
        app.wait()


if __name__ == "__main__":
    main()
