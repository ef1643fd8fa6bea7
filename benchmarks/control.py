"""Control against fluency of one steer, one row per ε.

    python -m benchmarks.control --steer sentiment --judge vader --prompts neutral.jsonl
    python -m benchmarks.control --steer detoxification --judge profanity --prompts dev.jsonl
    python -m benchmarks.control --steer shakespeare --judge tfidf --data shakespeare
        --prompts neutral.jsonl

Prompts are JSON lines with `prompt`; where a line has `text` and `label` instead, the prompt is the
first half of the words of a text whose label is below 0. All ε continue the same prompts with the
same dice, and every figure is of the continuation without its prompt.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmsteer_core import Generated, LanguageModel, Row, Sampling, Steer, generate, load_model
from lmsteer_core.evaluation.judges import Judge, load_judge
from lmsteer_core.evaluation.prompts import read_prompts
from lmsteer_core.resources import PRETRAINED_STEERS
from lmsteer_core.training.calibration import perplexity, repetition

PRETRAINED = PRETRAINED_STEERS / "smollm2-135m-instruct"
SAMPLING = Sampling(temperature=1.0, top_p=0.9, max_new_tokens=20)
ROWS_PER_BATCH = 64


@dataclass(frozen=True)
class Control:
    """What one ε did.

    Attributes:
        epsilon: Strength of the steer.
        score: Mean judge score.
        error: Its standard error.
        share: Share of continuations at or above the judge's threshold.
        perplexity: exp(−mean log-probability of a token under the unsteered model).
        distinct_2: Distinct pairs of words or marks over all pairs.
        repeated: Share of words that the same continuation already used.
        tokens: Mean length in tokens.
        ended: Share that ended before they were cut off.
    """

    epsilon: float
    score: float
    error: float
    share: float
    perplexity: float
    distinct_2: float
    repeated: float
    tokens: float
    ended: float


def judge_by_name(name: str, data: Path | None = None) -> Judge:
    """Return a judge; tfidf learns from the file train.jsonl of the folder `data`."""
    if name == "tfidf" and data is None:
        raise SystemExit("--judge tfidf needs --data, a folder with train.jsonl.")
    return load_judge(f"tfidf:{data}/train.jsonl" if name == "tfidf" else name)


def read_results(path: Path) -> list[dict[str, Any]]:
    """Return the results that stand in a file of JSON lines.

    A line cut off by a killed run is dropped.
    """
    content = path.read_text(encoding="utf-8") if path.is_file() else ""
    whole = content[: content.rfind("\n") + 1]
    if whole != content:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.split("\n") if line]


def append_result(path: Path, result: dict[str, Any]) -> None:
    """Add one line to a file of results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result, ensure_ascii=False) + "\n")


def continuations(
    lm: LanguageModel,
    steer: Steer,
    prompts: Sequence[str],
    epsilon: float,
    sampling: Sampling = SAMPLING,
) -> list[Generated]:
    """Continue every prompt at one ε; prompt i has its own dice, the same for every ε."""
    rows = [Row(prompt, {"steer": epsilon}, seed_offset=i) for i, prompt in enumerate(prompts)]
    done: list[Generated] = []
    for start in range(0, len(rows), ROWS_PER_BATCH):
        done += generate(lm, rows[start : start + ROWS_PER_BATCH], {"steer": steer}, sampling)
    return done


def measure(done: Sequence[Generated], judge: Judge, epsilon: float) -> Control:
    """Return the figures of finished continuations."""
    texts = [row.text for row in done]
    scores = np.asarray(judge.score(texts), dtype=float)
    repeated, distinct_2 = repetition(texts)
    lengths = np.asarray([len(row.tokens) for row in done])
    return Control(
        epsilon,
        float(scores.mean()),
        float(scores.std(ddof=1)) / math.sqrt(len(scores)),
        float((scores >= judge.threshold).mean()),
        perplexity(done),
        distinct_2,
        repeated,
        float(lengths.mean()),
        float((lengths < SAMPLING.max_new_tokens).mean()),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--steer", required=True, help="name of a pretrained steer, or a steer's folder"
    )
    parser.add_argument("--judge", required=True, choices=["vader", "tfidf", "profanity"])
    parser.add_argument("--prompts", required=True, type=Path, help="JSON lines, see above")
    parser.add_argument("--epsilons", type=float, nargs="+", default=[-3, -2, -1, 1, 2, 3])
    parser.add_argument("--n-prompts", type=int, default=320)
    parser.add_argument(
        "--data", type=Path, help="folder whose train.jsonl the tf-idf judge learns from"
    )
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--samples", type=int, default=0, help="continuations to show per ε")
    options = parser.parse_args()

    named = PRETRAINED / options.steer
    steer = Steer.load(named if named.is_dir() else options.steer)
    judge = judge_by_name(options.judge, options.data)
    prompts = read_prompts(options.prompts, options.n_prompts)
    lm = load_model(options.model, dtype="bfloat16")
    print(f"{steer.name}, {len(prompts)} prompts, judge {options.judge}")
    print(
        f"    ε  {'score':>15}  share ≥ {judge.threshold:g}  perplexity   ratio  dist-2  repeated"
        "  tokens  ended"
    )
    unsteered = 0.0
    for epsilon in [0.0, *(e for e in options.epsilons if e)]:
        done = continuations(lm, steer, prompts, epsilon)
        row = measure(done, judge, epsilon)
        unsteered = unsteered or row.perplexity
        print(
            f"{epsilon:+5.2f}  {row.score:+.3f} ± {row.error:.3f}  {row.share:12.3f}  "
            f"{row.perplexity:10.2f}  {row.perplexity / unsteered:6.2f}  "
            f"{row.distinct_2:6.3f}  {row.repeated:8.3f}  {row.tokens:6.1f}  {row.ended:5.2f}",
            flush=True,
        )
        for sample in done[: options.samples]:
            print("      ", repr(f"{sample.row.prompt} |{sample.text}"))


if __name__ == "__main__":
    main()
