"""Memory of the served app, writing with torch alone and with a faster decoder beside it.

    python -m benchmarks.memory [--port N]

Proportional set size, as Linux counts it, of a process that has served one request; with `auto`,
once the decoder has been chosen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gradio_client import Client

from benchmarks.load import PROMPTS, Answer, app


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=7896)
    port = parser.parse_args().port
    for decoder in ("torch", "auto"):
        with app(port, decoder) as (url, process):
            Answer(PROMPTS[0], 1.0).ask(Client(url, verbose=False), 32, 0)
            print(f"--decoder {decoder}: {_megabytes(process):.0f} MB", flush=True)


def _megabytes(process: int) -> float:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    (kilobytes,) = (int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes * 1024 / 1e6


if __name__ == "__main__":
    main()
