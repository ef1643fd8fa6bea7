"""How well steers read: the task `reading`, on labelled texts and on marked texts of our own.

Labelled texts ask for the pole of a whole text. `assets/evaluation/reading_texts.jsonl` holds short
texts of ours, written with the words that a reader would mark before any of them was read: they ask
which word is strongest, whether the right steer is, and whether neutral text stays plain.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmsteer_core.analysis.evidence import evidence
from lmsteer_core.analysis.reading import ReadText, read_text
from lmsteer_core.analysis.spans import units
from lmsteer_core.analysis.style_reading import read_styles
from lmsteer_core.errors import InputError
from lmsteer_core.evaluation.methods.budget import BUDGETS
from lmsteer_core.evaluation.methods.kept import kept_steer
from lmsteer_core.evaluation.report.tables import Table
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress
from lmsteer_core.resources import ASSETS
from lmsteer_core.steers.steer import Steer
from lmsteer_core.training.labelled_file import read_labelled
from lmsteer_core.training.official_recipe import train_official
from lmsteer_core.training.sources.descriptions import Descriptions
from lmsteer_core.training.sources.labelled_text import LabelledText
from lmsteer_core.training.sources.source import StyleScore

MARKED_TEXTS = ASSETS / "evaluation" / "reading_texts.jsonl"
NEUTRAL = "neutral"
_N_TEXTS = 400
_WORD = re.compile(r"[\w'’-]+")
_N_BINS = 10

READER, W, PAPER = "shipped reading", "W against ordinary text", "log P₊ − log P₋ of W"
OFFICIAL, CONTRAST, TFIDF = "official recipe", "contrast in context", "TF-IDF classifier"
_OFFICIAL_BUDGET = BUDGETS["lm-steer-official"]

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class MarkedText:
    """One of our texts: its style, pole (0 if neutral), and the words a reader would mark."""

    style: str
    pole: int
    text: str
    marked: tuple[str, ...]


def marked_texts(file: Path = MARKED_TEXTS) -> list[MarkedText]:
    """Return our own texts."""
    lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [
        MarkedText(line["style"], line.get("pole", 0), line["text"], tuple(line.get("marked", ())))
        for line in lines
    ]


@dataclass(frozen=True)
class Rivals:
    """What one style is read with besides its steer.

    Attributes:
        official: The published recipe's steer, by how it is called.
        judges: Log-odds of texts, by how they are called.
    """

    official: Mapping[str, Steer]
    judges: Mapping[str, StyleScore]


def evaluate_reading(
    lm: LanguageModel,
    steers: Sequence[Steer],
    data: Path | None,
    progress: Progress,
    n_texts: int | None = None,
    *,
    official: Path | None = None,
    n_steps: int | None = None,
) -> dict[str, Any]:
    """Return the figures of the task.

    Args:
        lm: The language model.
        steers: Its steers.
        data: A folder whose folders are named like steers and hold dev.jsonl, with labels; where
            train.jsonl lies beside it, a TF-IDF classifier learns from it. None for our texts only.
        progress: Told how far it is.
        n_texts: Labelled texts of a style, 400 if None.
        official: Where steers of the official recipe are kept, and made from each train.jsonl if
            they are not there (a quarter of an hour each); None to leave the recipe out.
        n_steps: Adam steps of the official recipe, 300 if None.

    Raises:
        InputError: If `data` has texts for none of the steers.
    """
    styles = [s.name for s in steers if data and (data / s.name / "dev.jsonl").is_file()]
    if data and not styles:
        raise InputError(f"{data} has no folder named like a steer with a dev.jsonl in it.")
    rivals = {}
    for i, steer in enumerate(steers):
        progress(i / len(steers) / 2, f"making what {steer.name} is compared with")
        made = official / steer.name if official else None
        train = data / steer.name / "train.jsonl" if data and steer.name in styles else None
        rivals[steer.name] = _rivals(lm, steer, train, made, n_steps)
    progress(0.5, "reading marked texts")
    result: dict[str, Any] = {
        "model": lm.model_id,
        "marked": _marked(lm, steers, rivals),
        "labelled": [],
    }
    for i, steer in enumerate(steer for steer in steers if steer.name in styles):
        assert data
        progress(0.6 + 0.4 * i / len(styles), f"reading labelled texts of {steer.name}")
        file = data / steer.name / "dev.jsonl"
        result["labelled"] += _labelled(lm, steer, rivals[steer.name], file, n_texts or _N_TEXTS)
    progress(1, "done")
    return result


def _rivals(
    lm: LanguageModel,
    steer: Steer,
    train: Path | None,
    official: Path | None,
    n_steps: int | None,
) -> Rivals:
    described = Descriptions(steer.card.positive, steer.card.negative)
    judges = {CONTRAST: described.style_score(lm)}
    if not train or not train.is_file():
        return Rivals({}, judges)
    file = read_labelled(train)
    judges[TFIDF] = LabelledText(file.texts, file.labels).style_score(lm)
    if not official:
        return Rivals({}, judges)
    budget = dataclasses.replace(_OFFICIAL_BUDGET, n_steps=n_steps or _OFFICIAL_BUDGET.n_steps)

    def make() -> Steer:
        return train_official(
            lm.for_batches,
            steer.name,
            file.texts,
            file.labels,
            snapshots=[budget.n_steps],
            learning_rate=budget.learning_rate,
            batch_size=budget.batch_size,
            seed=budget.seed,
            max_tokens=budget.max_tokens,
        )[budget.n_steps]

    made, _seconds = kept_steer(official, make)
    return Rivals({f"{OFFICIAL}, {budget.n_steps} steps": made}, judges)


def _marked(
    lm: LanguageModel, steers: Sequence[Steer], rivals: Mapping[str, Rivals]
) -> list[dict[str, Any]]:
    texts = marked_texts()
    reads = [read_text(lm, text.text) for text in texts]
    readings = [read_styles(lm, read, steers) for read in reads]
    strengths = np.array([[style.strength for style in row] for row in readings])
    neutral = np.abs(strengths[[text.style == NEUTRAL for text in texts]])
    figures = []
    for i, steer in enumerate(steers):
        own = [j for j, text in enumerate(texts) if text.style == steer.name]
        if not own:
            continue
        poles = np.array([texts[j].pole for j in own])
        towards = strengths[own, i] * poles
        weakest_tenth = float(np.quantile(towards, 0.1))
        hits = [_is_hit(texts[j], reads[j], readings[j][i].scores) for j in own]
        own_texts, own_reads = [texts[j] for j in own], [reads[j] for j in own]
        figures.append(
            {
                "steer": steer.name,
                "n": len(own),
                "sign": float((towards > 0).mean()),
                "hits": float(np.mean(hits)),
                "strongest": float((np.abs(strengths[own]).argmax(axis=1) == i).mean()),
                "strongest_neutral": float(neutral[:, i].max()),
                "weakest_tenth": weakest_tenth,
                "neutral_beyond": float((neutral[:, i] > weakest_tenth).mean()),
                "rivals": _marked_by_rivals(lm, steer, rivals[steer.name], own_texts, own_reads),
            }
        )
    return figures


def _marked_by_rivals(
    lm: LanguageModel,
    steer: Steer,
    rivals: Rivals,
    texts: Sequence[MarkedText],
    reads: Sequence[ReadText],
) -> dict[str, dict[str, float]]:
    """Return sign and hits of each other way to read one style's marked texts."""
    with_w = dataclasses.replace(steer, reader=None)
    scores = {W: [read_styles(lm, read, [with_w])[0].scores for read in reads]}
    for method, each in {PAPER: steer, **rivals.official}.items():
        scores[method] = [evidence(lm, read, each) for read in reads]
    found = {
        method: [
            (sum(row) * text.pole > 0, _is_hit(text, read, row))
            for text, read, row in zip(texts, reads, rows, strict=True)
        ]
        for method, rows in scores.items()
    }
    for method, judge in rivals.judges.items():
        found[method] = [_judged(text, judge) for text in texts]
    return {
        method: dict(zip(("sign", "hits"), np.mean(pairs, axis=0).tolist(), strict=True))
        for method, pairs in found.items()
    }


def _judged(text: MarkedText, judge: StyleScore) -> tuple[bool, bool]:
    """Return whether a judge has the text's pole, and whether it leans most on a marked word.

    A word's part is how much the text's score falls when the word is left out.
    """
    words = text.text.split()
    without = [" ".join(words[:i] + words[i + 1 :]) for i in range(len(words))]
    whole, *rest = judge([text.text, *without])
    strongest = words[int(np.argmin(np.array(rest) * text.pole))]
    return whole * text.pole > 0, _is_marked(strongest, text)


def _is_hit(text: MarkedText, read: ReadText, scores: Sequence[float]) -> bool:
    """Return whether the word that speaks most for the text's pole is a marked one."""
    words = units(read.token_texts, scores, "words")
    strongest = max(words, key=lambda word: word.evidence * text.pole)
    return _is_marked(strongest.text, text)


def _is_marked(word: str, text: MarkedText) -> bool:
    return bool(set(_WORD.findall(word)) & set(text.marked))


def _labelled(
    lm: LanguageModel, steer: Steer, rivals: Rivals, dev: Path, n_texts: int
) -> Iterator[dict[str, Any]]:
    file = read_labelled(dev)
    pairs = [(t, label) for t, label in zip(file.texts, file.labels, strict=True) if label]
    picked = np.linspace(0, len(pairs) - 1, min(n_texts, len(pairs))).astype(int)
    texts, labels = [pairs[i][0] for i in picked], np.array([pairs[i][1] for i in picked])
    totals = _totals(lm, steer, texts, rivals.official)
    totals |= {method: np.array(judge(texts)) for method, judge in rivals.judges.items()}
    for method, scores in totals.items():
        yield {"steer": steer.name, "method": method, "n": len(texts), **_figures(scores, labels)}


def _totals(
    lm: LanguageModel, steer: Steer, texts: Sequence[str], official: Mapping[str, Steer]
) -> dict[str, Scores]:
    """Return each text's total: as the steer reads it, as its W does, by the paper's formula."""
    with_w = dataclasses.replace(steer, reader=None)
    rows = []
    for text in texts:
        read = read_text(lm, text)
        styles = read_styles(lm, read, [steer, with_w])
        by_formula = [sum(evidence(lm, read, each)) for each in (steer, *official.values())]
        rows.append([*(style.total for style in styles), *by_formula])
    columns = np.array(rows).T
    named = dict(zip((READER, W, PAPER, *official), columns, strict=True))
    if steer.reader is None:
        del named[READER]
    return named


def _figures(scores: Scores, labels: Scores) -> Mapping[str, float]:
    """Return accuracy at 0 and its standard error, AUC, and the calibration error of σ(total)."""
    from sklearn.metrics import roc_auc_score

    truth = labels > 0
    accuracy = float(((scores > 0) == truth).mean())
    p = 1 / (1 + np.exp(-np.clip(scores, -50, 50)))
    bins = np.minimum((p * _N_BINS).astype(int), _N_BINS - 1)
    gaps = [abs((p[bins == b] - truth[bins == b]).sum()) for b in range(_N_BINS)]
    return {
        "accuracy": accuracy,
        "error": float(np.sqrt(accuracy * (1 - accuracy) / len(labels))),
        "auc": float(roc_auc_score(truth, scores)),
        "calibration_error": float(sum(gaps) / len(labels)),
    }


def tables(result: Mapping[str, Any]) -> list[Table]:
    """Return the tables of the report."""
    labelled = [
        [
            row["steer"],
            row["method"],
            str(row["n"]),
            f"{row['accuracy']:.3f} ± {row['error']:.3f}",
            f"{row['auc']:.3f}",
            f"{row['calibration_error']:.2f}",
        ]
        for row in result["labelled"]
    ]
    marked = [
        [
            row["steer"],
            str(row["n"]),
            f"{row['sign']:.2f}",
            f"{row['hits']:.2f}",
            f"{row['strongest']:.2f}",
            f"{row['strongest_neutral']:.1f} / {row['weakest_tenth']:.1f}",
            f"{row['neutral_beyond']:.2f}",
        ]
        for row in result["marked"]
    ]
    rivals = [
        [row["steer"], method, f"{figures['sign']:.2f}", f"{figures['hits']:.2f}"]
        for row in result["marked"]
        for method, figures in row["rivals"].items()
    ]
    return [
        Table(
            "Labelled texts that nobody trained on",
            "Accuracy with the threshold at 0 ± its standard error, the area under the ROC curve, "
            "and the calibration error of σ(total), the mean distance of probability and share in "
            "ten bins. Log-odds of the contrast are nats a token, so it is not calibrated.",
            ["steer", "read by", "texts", "accuracy at 0", "AUC", "calibration error"],
            labelled,
        ),
        Table(
            "Our own short texts, marked before any was read",
            "Sign: the text's pole is right. Hits: the strongest word is a marked one. Strongest: "
            "of all steers the text's own speaks most. Then the strongest of 40 neutral texts "
            "against the weakest tenth of the styled ones, in σ, and the share of neutral texts "
            "beyond that tenth.",
            ["steer", "texts", "sign", "hits", "strongest", "neutral / weakest tenth", "beyond"],
            marked,
        ),
        Table(
            "The same texts, read in other ways",
            "A classifier's and the contrast's strongest word is the one whose leaving out costs "
            "the text's pole most; the other ways give every word a number.",
            ["steer", "read by", "sign", "hits"],
            rivals,
        ),
    ]
