"""Judges and language models as scorers of generations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmsteer_core.evaluation.judges import Judge
from lmsteer_core.evaluation.likelihood import continuation_nll
from lmsteer_core.evaluation.prompts import Generations
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.fingerprint import fingerprint_digest


@dataclass(frozen=True)
class Scorer:
    """A judge or a language model.

    Attributes:
        name: Its key in a file of scores.
        version: What exactly gave the numbers; another version scores anew.
        score: What it says of texts, a number per prompt and sample.
    """

    name: str
    version: str
    score: Callable[[Sequence[Generations]], dict[str, Any]]


def judge_scorer(judge: Judge) -> Scorer:
    """Return a judge as a scorer: as published, what speaks for the + pole reads the prompt too."""
    with_prompt = judge.pole > 0

    def score(lines: Sequence[Generations]) -> dict[str, Any]:
        read = [line.prompt * with_prompt + text for line in lines for text in line.texts]
        judged = judge.score(read)
        scores = _by_prompt([round(float(s), 5) for s in judged], lines)
        return {"pole": judge.pole, "threshold": judge.threshold, "scores": scores}

    return Scorer(judge.name, judge.version + ", prompt read too" * with_prompt, score)


def model_scorer(lm: LanguageModel, n_samples: int | None = None) -> Scorer:
    """Return a language model as a scorer: nats and tokens of a prompt's first texts, or of all."""

    def score(lines: Sequence[Generations]) -> dict[str, Any]:
        lines = [dataclasses.replace(line, texts=line.texts[:n_samples]) for line in lines]
        prompts = [line.prompt for line in lines for _ in line.texts]
        nll, n_tokens = continuation_nll(
            lm, prompts, [text for line in lines for text in line.texts]
        )
        nats = [round(x, 3) if n else 0.0 for x, n in zip(nll, n_tokens, strict=True)]
        return {"nll": _by_prompt(nats, lines), "n_tokens": _by_prompt(n_tokens, lines)}

    few = f", of a prompt's texts the first {n_samples}" if n_samples else ""
    return Scorer(lm.model_id, f"sha256 {fingerprint_digest(lm.fingerprint_rows)}{few}", score)


def _by_prompt(values: Sequence[Any], lines: Sequence[Generations]) -> list[list[Any]]:
    ends = np.cumsum([len(line.texts) for line in lines])
    return [
        list(values[end - len(line.texts) : end]) for end, line in zip(ends, lines, strict=True)
    ]
