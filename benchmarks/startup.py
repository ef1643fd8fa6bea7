"""First start of the app (the model is converted) against the second.

    python -m benchmarks.startup [--port N]

Two times are taken of each start: until the address shows a page, which at the second start has the
example of the first, and until the app is there, its API listing its components.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import wait_for


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=7899)
    port = parser.parse_args().port
    with tempfile.TemporaryDirectory() as cache:
        (_, first), (page, second) = _start(port, cache), _start(port, cache)
    print(
        f"second start / first: {second / first:.2f} (target ≤ 0.33; {first:.1f} "
        f"s, then {second:.1f} s); a page after {page:.1f} s (target ≤ 4)"
    )


def _start(port: int, cache: str) -> tuple[float, float]:
    """Return the seconds to a page and to the app, which runs on until its example is kept."""
    environment = {**os.environ, "LMSTEER_CACHE": cache}
    start = time.perf_counter()
    app = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}", app, or_starting=True)
        page = time.perf_counter() - start
        wait_for(f"http://127.0.0.1:{port}/config", app)
        whole = time.perf_counter() - start
        while not (Path(cache) / "example.json").exists():
            time.sleep(0.1)
        return page, whole
    finally:
        app.terminate()
        app.wait()


if __name__ == "__main__":
    main()
