"""What steering costs while decoding, on the embedded model.

    python -m benchmarks.decoding [--tokens N] [--repeats N]

Every pair runs in turn within one repeat, so that a drifting machine drifts for both; the ratio
is the median over repeats. Sampling is the app's (temperature 0.9, top-p 0.95).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from lmsteer_core import LanguageModel, Row, Sampling, Steer, SteerCard, generate, load_model

PROMPT = "The letter on the kitchen table said that"


def main() -> None:
    """Print each ratio with its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    lm = load_model("embedded", dtype="float32")
    # An id no text reaches keeps every run at full length.
    lm.model.generation_config.eos_token_id = None
    steers = {name: _random_steer(lm, name, seed) for seed, name in enumerate(("a", "b"))}
    sampling = Sampling(max_new_tokens=args.tokens)

    def run(rows: list[Row], logprobs: bool = False) -> Callable[[], object]:
        return lambda: generate(lm, rows, steers, sampling, logprobs=logprobs)

    base, one, two = Row(PROMPT), Row(PROMPT, {"a": 1.0}), Row(PROMPT, {"a": 1.0, "b": -1.0})
    grid = [Row(PROMPT, {"a": e / 2}) for e in range(-4, 5)]

    def separately() -> None:
        for row in grid:
            generate(lm, [row], steers, sampling, logprobs=False)

    pairs = [
        (
            "tokens/s per column, baseline + steered / baseline alone",
            run([base]),
            run([base, one]),
            0.9,
        ),
        ("tokens/s, two steers / none", run([base]), run([two]), 0.95),
        ("tokens/s, two steers with log-probabilities / none", run([base]), run([two], True), 0.85),
        (
            "tokens/s, baseline + two steers with log-probabilities / two base rows",
            run([base, base]),
            run([base, two], True),
            0.85,
        ),
        ("time, nine separate generations / nine-point continuum", separately, run(grid), 4.0),
    ]
    for title, reference, ours, target in pairs:
        reference(), ours()
        ratios, seconds = [], []
        for _ in range(args.repeats):
            a, b = _seconds(reference), _seconds(ours)
            ratios.append(a / b)
            seconds.append(b)
        low, high = min(ratios), max(ratios)
        print(
            f"{title}: {statistics.median(ratios):.2f} (target ≥ {target}; {low:.2f}–{high:.2f}; "
            f"{1000 * statistics.median(seconds) / args.tokens:.0f} ms a step)"
        )


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _random_steer(lm: LanguageModel, name: str, seed: int) -> Steer:
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(lm.d_model, 32, generator=generator) / lm.d_model
    right = torch.randn(32, lm.d_model, generator=generator) / 32**0.5
    return Steer(left, right, lm.fingerprint_rows, SteerCard(name, "-", "+", lm.model_id))


if __name__ == "__main__":
    main()
