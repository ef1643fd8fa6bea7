"""Who should write for a class: our padded batch, or transformers' continuous batching.

    python -m benchmarks.batching [--rows N …] [--tokens N] [--repeats N]

Unsteered and without log-probabilities, which continuous batching does not give: the same prompts,
sampled at temperature 0.9 and top-p 0.95, in float32, all there at the start. Its manager runs on
between calls.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

from transformers import ContinuousBatchingConfig, GenerationConfig

from benchmarks.load import PROMPTS
from benchmarks.measure import seconds
from lmsteer_core import LanguageModel, Row, Sampling, generate, load_model


def main() -> None:
    """Print the ratio of times for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for n_rows in options.rows:
        lm = load_model(dtype="float32")  # a manager keeps the size it had for its first call
        lm.__dict__["end_ids"] = frozenset()
        ours, theirs = writers(lm, n_rows, options.tokens)
        ours(), theirs()
        ratios = [seconds(theirs) / seconds(ours) for _ in range(options.repeats)]
        print(
            f"{n_rows} rows, time of continuous batching / ours: {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f}–{max(ratios):.2f})",
            flush=True,
        )


def writers(
    lm: LanguageModel, n_rows: int, n_tokens: int
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return what writes the same number of tokens, ours and transformers'."""
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(n_rows)]
    rows = [Row(prompt, seed_offset=i) for i, prompt in enumerate(prompts)]
    sampling = Sampling(0.9, 0.95, n_tokens, 0)
    settings = GenerationConfig(
        max_new_tokens=n_tokens,
        do_sample=True,
        temperature=0.9,
        top_p=0.95,
        top_k=0,
        eos_token_id=-1,
        pad_token_id=0,
    )
    # Left to itself it takes most of the machine's memory for its cache.
    cache = ContinuousBatchingConfig(page_size=32, num_blocks=4 * n_rows, max_batch_tokens=512)
    ids = [lm.encode(prompt)[0] for prompt in prompts]

    model: Any = lm.model

    def theirs() -> None:
        found = model.generate_batch(ids, settings, cache, persistent_manager=True)
        assert all(len(each.generated_tokens) == n_tokens for each in found.values())

    return lambda: generate(lm, rows, {}, sampling, logprobs=False), theirs


if __name__ == "__main__":
    main()
