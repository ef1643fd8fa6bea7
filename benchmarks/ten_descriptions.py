"""Ten pairs of descriptions that nobody tuned anything for: does each make a usable steer?

    python -m benchmarks.ten_descriptions --out FILE.jsonl [--judge-model gemma]
    python -m benchmarks.ten_descriptions --out FILE.jsonl --report

The pairs, the prompts and the criterion below were committed before the first run; none has been
changed since. Each pair is trained once with the defaults and measured on prompts that no
calibration reads, at ε = 0, at two thirds of either limit of its useful range, and at both limits.

    visible   the style's difference between the two signs is at least 4 standard errors, paired
              over the prompts, with the sign that the descriptions ask for
    fluent    the pair's perplexity (geometric mean of both signs) is at most 1.5 × the unsteered,
              and neither sign repeats more than 10 % more words

A pair of descriptions passes if it is visible and fluent at two thirds of its limits. The limits
themselves are where the calibration, on 14 prompts, found exactly these costs, so that new prompts
fall to either side of them by chance; they are reported beside. Style is the log-odds of the two
descriptions under the model itself and, with --judge-model, under another model as well.

One line a pair is written when it is done; a second call goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.control import append_result, read_results
from benchmarks.quality import continue_all
from lmsteer_core import (
    Descriptions,
    LanguageModel,
    Row,
    Sampling,
    Steer,
    generate,
    load_model,
    train,
)
from lmsteer_core.training.calibration import perplexity, repetition

PAIRS = {
    "sailor": (
        "a weathered fisherman talking about the sea",
        "an accountant talking about the office",
    ),
    "noir": (
        "a hard-boiled detective story full of shadows and rain",
        "a sunny picture book for toddlers",
    ),
    "science": (
        "a careful scientific report with measurements",
        "a fairy tale with magic and dragons",
    ),
    "anxious": (
        "the thoughts of a nervous, worried person",
        "the thoughts of a calm, relaxed person",
    ),
    "victorian": (
        "a letter from a Victorian lady to her cousin",
        "a text message from a teenager today",
    ),
    "command": (
        "a drill sergeant shouting short orders",
        "a gentle yoga teacher inviting you to breathe",
    ),
    "nostalgia": (
        "an old man remembering his childhood",
        "an engineer predicting the distant future",
    ),
    "doubt": (
        "cautious words that hedge every claim",
        "bold words that are certain of every claim",
    ),
    "kitchen": ("a passionate chef describing a dish", "a lawyer describing a contract"),
    "legend": (
        "an ancient epic about heroes, gods and war",
        "a modern manual for a washing machine",
    ),
}
"""(+ pole, − pole) by the steer's name."""

SAMPLE_PROMPT = "When the door opened,"
"""What the samples for a reader continue, always with seed 0."""

_SUBJECTS = (
    "My neighbour",
    "Her brother",
    "Their new manager",
    "Somebody from the village",
    "Our teacher",
    "A young couple",
    "Two strangers",
    "Nobody in the room",
)
_BEGINNINGS = (
    "had decided that",
    "told me about",
    "was looking at",
    "could not find",
    "came back with",
    "wanted to",
)
PROMPTS = [f"{subject} {beginning}" for subject in _SUBJECTS for beginning in _BEGINNINGS]
"""48 beginnings; the calibration's are sampled from the model."""

MIN_STANDARD_ERRORS = 4.0
MAX_PERPLEXITY_RATIO = 1.5
MAX_MORE_REPETITION = 0.1

STEPS = {"two thirds": 2 / 3, "limits": 1.0}
"""Shares of the limits at which a steer is measured."""

SAMPLE = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=30)


def main() -> None:
    """Train and measure the pairs that the file lacks, then print all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON lines; read, then added to")
    parser.add_argument("--only", choices=list(PAIRS), nargs="+", default=list(PAIRS))
    parser.add_argument(
        "--judge-model", help="another model that judges the style as well, e.g. gemma"
    )
    parser.add_argument("--report", action="store_true", help="only print")
    options = parser.parse_args()
    known = {result["name"] for result in read_results(options.out)}
    missing = [] if options.report else [name for name in options.only if name not in known]
    if missing:
        lm = load_model(dtype="bfloat16")
        other = options.judge_model and load_model(options.judge_model, dtype="bfloat16")
        for name in missing:
            append_result(options.out, measure(lm, other or None, name))
            print(f"{name} is done", flush=True)
    results = sorted(
        read_results(options.out), key=lambda result: list(PAIRS).index(result["name"])
    )
    report(results)


def measure(lm: LanguageModel, other: LanguageModel | None, name: str) -> dict[str, Any]:
    """Return one pair's line."""
    source = Descriptions(*PAIRS[name])
    steer = train(lm, name, source)
    low, high = steer.card.epsilon_range
    epsilons = [0.0, *(share * end for share in STEPS.values() for end in (low, high))]
    done = continue_all(lm, steer, PROMPTS, epsilons)
    judges = {lm.model_id: source.style_score(lm)}
    if other:
        judges[other.model_id] = source.style_score(other)
    texts = [[row.text for row in rows] for rows in done]
    style = {judge: [np.asarray(score(some)) for some in texts] for judge, score in judges.items()}
    cost = [(perplexity(rows), repetition(some)[0]) for rows, some in zip(done, texts, strict=True)]
    steps: dict[str, Any] = {}
    for i, step in enumerate(STEPS):
        minus, plus = 2 * i + 1, 2 * i + 2
        gaps = {judge: found[plus] - found[minus] for judge, found in style.items()}
        steps[step] = {
            "epsilons": [round(epsilons[minus], 2), round(epsilons[plus], 2)],
            "style_difference": {judge: round(float(gap.mean()), 4) for judge, gap in gaps.items()},
            "standard_error": {
                judge: round(float(gap.std(ddof=1)) / math.sqrt(len(gap)), 4)
                for judge, gap in gaps.items()
            },
            "perplexity_ratios": [round(cost[j][0] / cost[0][0], 3) for j in (minus, plus)],
            "more_repetition": [round(cost[j][1] - cost[0][1], 3) for j in (minus, plus)],
        }
    return {
        "name": name,
        "rank": steer.rank,
        "calibration": dict(steer.card.calibration),
        "steps": steps,
        "samples": samples(lm, steer, (low, 0.0, high)),
    }


def samples(lm: LanguageModel, steer: Steer, epsilons: Sequence[float]) -> list[list[Any]]:
    """Return (ε, text) at each ε, with one seed."""
    rows = [Row(SAMPLE_PROMPT, {steer.name: epsilon}) for epsilon in epsilons]
    done = generate(lm, rows, {steer.name: steer}, SAMPLE, logprobs=False)
    return [[epsilon, row.text] for epsilon, row in zip(epsilons, done, strict=True)]


def visible(step: dict[str, Any], judge: str) -> bool:
    """Return whether the style differs by enough standard errors, in the right direction."""
    return bool(
        step["style_difference"][judge] >= MIN_STANDARD_ERRORS * step["standard_error"][judge]
    )


def fluent(step: dict[str, Any]) -> bool:
    """Return whether the text is worth reading at both signs."""
    pair = math.prod(step["perplexity_ratios"]) ** 0.5
    return bool(pair <= MAX_PERPLEXITY_RATIO) and bool(
        max(step["more_repetition"]) <= MAX_MORE_REPETITION
    )


def report(results: Sequence[dict[str, Any]]) -> None:
    """Print a table per step, the cards' curves and the samples."""
    for place in STEPS:
        print(f"\nAt {place} of the useful range, − / + pole\n")
        print(
            "| pair | judge | ε | style difference | 95 % | perplexity ratios | more repetition "
            "| visible | fluent |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        passed = 0
        for result in results:
            step = result["steps"][place]
            for i, judge in enumerate(step["style_difference"]):
                gap, error = step["style_difference"][judge], step["standard_error"][judge]
                seen, read = visible(step, judge), fluent(step)
                passed += i == 0 and seen and read  # the first judge is the model that was steered
                verdict = " | ".join("yes" if holds else "NO" for holds in (seen, read))
                figures = [
                    " / ".join(format(x, f) for x in step[key])
                    for key, f in (
                        ("epsilons", "+g"),
                        ("perplexity_ratios", ".2f"),
                        ("more_repetition", "+.3f"),
                    )
                ]
                print(
                    f"| {result['name']} | {judge} | {figures[0]} | {gap:.3f} "
                    f"| {gap - 1.96 * error:.3f} to {gap + 1.96 * error:.3f} | {figures[1]} "
                    f"| {figures[2]} | {verdict} |"
                )
        print(f"\n{passed} of {len(results)} visible and fluent")
    for result in results:
        positive, negative = PAIRS[result["name"]]
        curve = result["calibration"]
        print(f"\n{result['name']} (rank {result['rank']}): − {negative} / + {positive}")
        for title, key in (("ε", "epsilon"), ("style", "style"), ("perplexity", "perplexity")):
            print(
                f"  {title:>10} "
                + " ".join(f"{math.nan if value is None else value:7.2f}" for value in curve[key])
            )
        for epsilon, text in result["samples"]:
            print(f"  {epsilon:+5.2f}  {SAMPLE_PROMPT}{text!r}")


if __name__ == "__main__":
    main()
