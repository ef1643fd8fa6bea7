"""How long a small request waits for its first token while somebody else is served.

    python -m benchmarks fairness

Beside nobody; beside one request of 64 texts × 440 tokens; beside a prompt of 7,500 tokens; beside
32 visitors with two texts each. The small request is two texts of 10 tokens, baseline and steered.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence

from lmsteer_core import LanguageModel, load_model
from lmsteer_core.generation.generate import Row
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.serving.engine import Job
from lmsteer_core.workbench import Workbench

PROMPT = "The new neighbours turned out to be"
N_TRIES = 5


def submit(workbench: Workbench, rows: Sequence[Row], n_tokens: int) -> Job:
    """Put rows in line."""
    sampling = Sampling(temperature=1.0, top_p=1.0, max_new_tokens=n_tokens, seed=1)
    return workbench.submit(rows, sampling)


def beside(lm: LanguageModel, requests: Sequence[tuple[Sequence[Row], int]]) -> tuple[float, float]:
    """Return median seconds to a small request's first and last token beside others."""
    workbench = Workbench(lm)
    jobs = [submit(workbench, rows, n_tokens) for rows, n_tokens in requests]
    readers = [
        threading.Thread(target=lambda job=job: list(job.steps()), daemon=True) for job in jobs
    ]
    for reader in readers:
        reader.start()
    time.sleep(1.0)
    first, last = [], []
    for i in range(N_TRIES):
        start = time.perf_counter()
        rows = [Row(f"{PROMPT} {i}"), Row(f"{PROMPT} {i}", {"sentiment": 2.0})]
        steps = submit(workbench, rows, 10).steps()
        next(steps)
        first.append(time.perf_counter() - start)
        list(steps)
        last.append(time.perf_counter() - start)
        if last[-1] > 60:
            break
    for job in jobs:
        job.cancel()
    for reader in readers:
        reader.join()
    workbench.close()
    return statistics.median(first), statistics.median(last)


def main() -> None:
    """Print one row for each neighbour."""
    lm = load_model()
    many = [Row(PROMPT, seed_offset=i) for i in range(64)]
    visitors = [
        ([Row(f"{PROMPT} {i}"), Row(f"{PROMPT} {i}", {"sentiment": 1.0})], 400) for i in range(32)
    ]
    neighbours = {
        "nobody": [],
        "64 texts of 440 tokens": [(many, 440)],
        "a prompt of 7,500 tokens": [([Row("word " * 7500)], 600)],
        "32 visitors": visitors,
    }
    print("| beside | first token, s | ten tokens, s |")
    print("|---|---|---|")
    for name, requests in neighbours.items():
        first, last = beside(lm, requests)
        print(f"| {name} | {first:.2f} | {last:.2f} |", flush=True)


if __name__ == "__main__":
    main()
