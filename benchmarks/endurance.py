"""A thousand requests in a row, and what they leave behind in the server's process.

    python -m benchmarks.endurance [--requests N] [--port N]

Starts the app in a process of its own. Eight callers ask for short completions with an ε of their
own; of every fifty one is a stream whose reader leaves. Memory, threads and open connections are
read after a first tenth of them, which fills caches, and after all of them.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil

from benchmarks.load import PROMPTS, STEER, app

N_CALLERS = 8
ONE_LEAVES_OF = 50


def main() -> None:
    """Print each figure before and after, and the ratio of memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--port", type=int, default=7897)
    options = parser.parse_args()
    with app(options.port) as (url, pid), ThreadPoolExecutor(N_CALLERS) as callers:
        server = psutil.Process(pid)

        def ask_all(indices: range) -> tuple[float, int, int]:
            failed = sum(not fine for fine in callers.map(lambda i: ask(url, i), indices))
            if failed:
                raise SystemExit(f"{failed} requests failed.")
            time.sleep(5)
            return (
                server.memory_info().rss / 2**20,
                server.num_threads(),
                len(server.net_connections()),
            )

        first = options.requests // 10
        before = ask_all(range(first))
        after = ask_all(range(first, options.requests))
    for name, a, b in zip(("memory in MiB", "threads", "connections"), before, after, strict=True):
        print(f"{name}: {a:.0f} after {first} requests, {b:.0f} after {options.requests}")
    print(f"memory after / before: {after[0] / before[0]:.3f} (target ≤ 1.10)")


def ask(url: str, i: int) -> bool:
    """Ask for a completion, or begin a stream and leave; return whether it was answered."""
    body = {
        "prompt": PROMPTS[i % len(PROMPTS)],
        "max_tokens": 4,
        "steer": {STEER: -3 + i % 7},
        "seed": i,
    }
    with httpx.Client(timeout=300) as client:
        if i % ONE_LEAVES_OF:
            return client.post(f"{url}/v1/completions", json=body).is_success
        with client.stream(
            "POST", f"{url}/v1/completions", json={**body, "max_tokens": 500, "stream": True}
        ) as s:
            return bool(next(s.iter_lines()))


if __name__ == "__main__":
    main()
