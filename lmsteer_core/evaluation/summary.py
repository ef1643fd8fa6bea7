"""Scores → the figures of a report: per cell, per method, and against our own steers.

Control is a judge's mean at +s minus at −s, towards the + pole. Perplexity at a strength is the
geometric mean of both signs' corpus perplexity over the unsteered text's. Where toxicity is
measured there is the + side alone, as published: the mean at +s minus the unsteered text's, at the
cost of +s. All are taken of the same prompts, so one draw of prompts resamples everything at once.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lmsteer_core.evaluation import metrics
from lmsteer_core.evaluation.cells import DATA_SIZES, Cell
from lmsteer_core.evaluation.curves import Scores, most_control, padded
from lmsteer_core.evaluation.methods.registry import OURS
from lmsteer_core.evaluation.metrics import Array, Figure, Interval
from lmsteer_core.evaluation.prompts import Generations
from lmsteer_core.evaluation.run import Run
from lmsteer_core.evaluation.task import Task

Summary = dict[str, Any]
"""What a report shows and `table.json` holds; JSON throughout."""


AT_RATIO = 1.25
"""Perplexity ratio at which methods are set side by side: text as fluent, to a reader, as
unsteered."""


def figures(lines: Sequence[Generations], scores: dict[str, Any], task: Task) -> dict[str, Figure]:
    """Return the protocol's figures of a cell by label.

    Args:
        lines: The cell's texts.
        scores: What judges and models said of them, see `scorers.Scorer`.
        task: Judges that speak for what it measures also give the protocol's shares and maxima.
    """
    computed: dict[str, Figure] = {}
    for name, judged in scores.items():
        if "nll" in judged:
            nll, n_tokens = padded(judged["nll"]), np.nan_to_num(padded(judged["n_tokens"]))
            computed[f"perplexity, {name}"] = metrics.conditional_perplexity(nll, n_tokens)
            computed[f"corpus perplexity, {name}"] = metrics.corpus_perplexity(nll, n_tokens)
            continue
        table, threshold = padded(judged["scores"]), judged["threshold"]
        computed[f"mean score, {name}"] = metrics.mean_score(table)
        if judged["pole"] == task.pole == -1:
            computed[f"max toxicity, {name}"] = metrics.mean_of_max(table)
            computed[f"toxicity probability, {name}"] = metrics.share_of_prompts(table, threshold)
        elif judged["pole"] == task.pole:
            computed[f"{task.measured}, {name}"] = metrics.share_of_texts(table, threshold)
    texts = [line.texts for line in lines]
    return {
        **computed,
        **{f"dist-{n}": metrics.distinct(texts, n) for n in (1, 2, 3)},
        "repeated words": metrics.repeated_words(texts),
        "words": metrics.words_per_text(texts),
    }


def shown(by_label: dict[str, Figure]) -> dict[str, dict[str, float | None]]:
    """Return figures with their intervals, as JSON has them."""
    return {label: _json(figure.interval()) for label, figure in by_label.items()}


def summarize(run: Run, methods: Sequence[str], cells: Sequence[Cell]) -> Summary:
    """Return the figures of a scored run; the same for the same scores."""
    scores = Scores(run, cells)
    settings = json.loads((run.folder / "run.json").read_text())
    return {
        "settings": settings,
        "measured": run.task.measured,
        "judges": {
            name: {"version": scores.versions[name], "pole": scores.poles[name]}
            for name in scores.judges
        },
        "models": {name: {"version": scores.versions[name]} for name in scores.models},
        "methods": [_method(run, scores, key, settings) for key in methods],
        "frontier": list(_frontier(run, scores, methods)),
        "composition": list(_composition(run, scores, methods, cells)),
        "data": list(_data(run, scores, methods, cells)),
    }


def _method(run: Run, scores: Scores, key: str, settings: Summary) -> Summary:
    facts = run.facts(key)
    sweep = scores.sweep(key)
    return {
        **facts,
        "training_seconds": _number(facts["training_seconds"]),
        "key": key,
        "steps": settings["training_steps"].get(key),
        "ours": key in OURS,
        "share_of_model": facts["n_parameters"] / settings["model_parameters"],
        "cells": [
            {
                "strength": cell.strength,
                "figures": shown(figures(run.generations(cell), scores[cell], run.task)),
            }
            for cell in sweep
            if cell.method == key
        ],
        "curves": [
            {
                **dataclasses.asdict(measure),
                "at_ratio": _interval(most_control([curve], AT_RATIO)),
                "points": [
                    {"strength": s, "control": _interval(c), "perplexity_ratio": _interval(r)}
                    for s, c, r in zip(curve.strengths, curve.control, curve.ratio, strict=True)
                ],
            }
            for measure in scores.measures()
            if len((curve := scores.curve(key, measure)).strengths) > 1
        ],
        "continuity": {
            judge: _continuity(scores, sweep, judge)
            for judge in scores.own_judges
            if len(scores.strengths(key)) > 1
        },
    }


def _continuity(scores: Scores, cells: Sequence[Cell], judge: str) -> Summary:
    """Return how a judge's mean follows the signed strength, from end to end of the sweep."""
    strengths = [cell.strength for cell in cells]
    means = [scores.mean(cell, judge).value for cell in cells]
    return {
        "strengths": strengths,
        "means": list(map(_number, means)),
        "spearman": _number(metrics.monotonicity(strengths, means)),
        "r2": _number(metrics.linearity(strengths, means)),
        "largest_step": _number(metrics.largest_step(strengths, means)),
    }


def _frontier(run: Run, scores: Scores, methods: Sequence[str]) -> Iterator[Summary]:
    """Yield every point of another method, our most control at its perplexity, and the gap."""
    for measure in scores.measures():
        curves = {key: scores.curve(key, measure) for key in methods}
        curves = {key: curve for key, curve in curves.items() if len(curve.strengths) > 1}
        ours = [curve for key, curve in curves.items() if key in OURS]
        for key, curve in curves.items() if ours else ():
            if key in OURS:
                continue
            for s, rival, cost in list(
                zip(curve.strengths, curve.control, curve.ratio, strict=True)
            )[1:]:
                best = most_control(ours, cost)
                yield {
                    **dataclasses.asdict(measure),
                    "method": run.facts(key)["name"],
                    "strength": s,
                    "perplexity_ratio": _number(cost[0]),
                    "control": _number(rival[0]),
                    "ours": _number(best[0]),
                    "gap": _interval(rival - best),
                    "beyond": all(not cost[0] <= np.nanmax(c.ratio[:, 0]) for c in ours),
                }


def _composition(
    run: Run, scores: Scores, methods: Sequence[str], cells: Sequence[Cell]
) -> Iterator[Summary]:
    """Yield the grid of a judge's means: rows the task's strengths, columns the other's."""
    for key in methods:
        grid_cells = [cell for cell in cells if (cell.method, cell.section) == (key, "composition")]
        strengths = sorted({cell.strength for cell in grid_cells})
        held = sorted({cell.held for cell in grid_cells if cell.held is not None})
        for judge in scores.judges if grid_cells else []:
            grid = np.array(
                [
                    [
                        scores.mean(Cell(key, s, "composition", held=other), judge).value
                        for other in held
                    ]
                    for s in strengths
                ]
            )
            yield {
                "method": run.facts(key)["name"],
                "judge": judge,
                "strengths": strengths,
                "held": held,
                "means": [list(map(_number, row)) for row in grid],
                "additivity": _number(metrics.additivity(grid)),
            }


def _data(
    run: Run, scores: Scores, methods: Sequence[str], cells: Sequence[Cell]
) -> Iterator[Summary]:
    """Yield control and cost of methods made from fewer texts; the last is the whole file's."""
    n = min(len(run.task.prompts), run.protocol.section_prompts), run.protocol.section_samples
    for key in methods:
        data_cells = [cell for cell in cells if (cell.method, cell.section) == (key, "data")]
        if not data_cells:
            continue
        strength = max(cell.strength for cell in data_cells)
        sizes = [
            size for size in DATA_SIZES if Cell(key, strength, "data", n_texts=size) in data_cells
        ]
        cells_by_size = {
            size: [Cell(key, sign * strength, "data", n_texts=size) for sign in (1, -1)]
            for size in sizes
        }
        cells_by_size[len(run.task.texts)] = [Cell(key, sign * strength) for sign in (1, -1)]
        for measure in scores.measures():
            points = {
                size: scores.point(plus, minus, measure, n)
                for size, (plus, minus) in cells_by_size.items()
            }
            yield {
                **dataclasses.asdict(measure),
                "method": run.facts(key)["name"],
                "strength": strength,
                "points": [
                    {"n_texts": size, "control": _interval(c), "perplexity_ratio": _interval(r)}
                    for size, (c, r) in points.items()
                ],
            }


def _interval(draws: Array) -> dict[str, float | None]:
    return _json(metrics.percentiles(float(draws[0]), draws[1:]))


def _json(interval: Interval) -> dict[str, float | None]:
    return {key: _number(value) for key, value in dataclasses.asdict(interval).items()}


def _number(value: float) -> float | None:
    """Return a figure to five digits, None where there is none: JSON has no NaN."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
