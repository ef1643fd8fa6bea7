"""Scores → the figures of a report: per cell, per method, and against our own steers.

Control is a judge's mean at +s minus at −s, towards the + pole. Perplexity at a strength is the
geometric mean of both signs' corpus perplexity over the unsteered text's. Where toxicity is measured
there is the + side alone, as published: the mean at +s minus the unsteered text's, at the cost of +s.
All are taken of the same prompts, so one draw of prompts resamples everything at once.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmsteer_core.evaluation import metrics
from lmsteer_core.evaluation.methods import OURS
from lmsteer_core.evaluation.metrics import Array, Figure, Interval
from lmsteer_core.evaluation.prompts import Generations
from lmsteer_core.evaluation.run import DATA_SIZES, UNSTEERED, Cell, Run

Summary = dict[str, Any]
"""What `report.py` shows and `table.json` holds; JSON throughout."""

BOTH, PLUS = "±", "+"
"""Sides of a sweep."""

AT_RATIO = 1.25
"""Perplexity ratio at which methods are set side by side: text as fluent, to a reader, as unsteered."""

_POINTS_PER_SEGMENT = 20
"""Points between two measured strengths; drawing texts from either at random would reach them."""


def figures(lines: Sequence[Generations], scores: dict[str, Any], pole: int) -> dict[str, Figure]:
    """Return the protocol's figures of a cell by label.

    Args:
        lines: The cell's texts.
        scores: What judges and models said of them, see `run.Scorer`.
        pole: The pole that the task measures: judges that speak for it also give the protocol's
            shares and maxima.
    """
    found: dict[str, Figure] = {}
    for name, given in scores.items():
        if "nll" in given:
            nll, n_tokens = _padded(given["nll"]), np.nan_to_num(_padded(given["n_tokens"]))
            found[f"perplexity, {name}"] = metrics.conditional_perplexity(nll, n_tokens)
            found[f"corpus perplexity, {name}"] = metrics.corpus_perplexity(nll, n_tokens)
            continue
        table, threshold = _padded(given["scores"]), given["threshold"]
        found[f"mean score, {name}"] = metrics.mean_score(table)
        if given["pole"] == pole == -1:
            found[f"max toxicity, {name}"] = metrics.mean_of_max(table)
            found[f"toxicity probability, {name}"] = metrics.share_of_prompts(table, threshold)
        elif given["pole"] == pole:
            found[f"positivity, {name}"] = metrics.share_of_texts(table, threshold)
    texts = [line.texts for line in lines]
    return {**found, **{f"dist-{n}": metrics.distinct(texts, n) for n in (1, 2, 3)}}


def shown(found: dict[str, Figure]) -> dict[str, dict[str, float | None]]:
    """Return figures with their intervals, as JSON has them."""
    return {label: _json(figure.interval()) for label, figure in found.items()}


@dataclass(frozen=True)
class Measure:
    """What control and its cost are measured by."""

    judge: str
    model: str
    side: str


@dataclass(frozen=True)
class Curve:
    """One method's control and cost over its strengths, from 0 on.

    Attributes:
        strengths: Ascending from 0, n_strengths of them.
        control: (n_strengths, 1 + n_draws); column 0 is the data itself.
        ratio: Perplexity over the unsteered text's, the same shape.
    """

    strengths: list[float]
    control: Array
    ratio: Array

    def dense(self) -> tuple[Array, Array]:
        """Return control and ratio with points interpolated between the strengths."""
        last = len(self.strengths) - 1
        at = np.linspace(0, last, last * _POINTS_PER_SEGMENT + 1)
        below = np.minimum(at.astype(int), max(last - 1, 0))
        share = (at - below)[:, None]

        def between(values: Array) -> Array:
            above = values[np.minimum(below + 1, last)]
            return np.asarray(values[below] * (1 - share) + above * share)

        return between(self.control), np.exp(between(np.log(self.ratio)))


def most_control(curves: Sequence[Curve], cost: Array | float) -> Array:
    """Return the most control of any curve at no more than a perplexity ratio; 0 below every curve's."""
    control, ratio = (np.concatenate(side) for side in zip(*(c.dense() for c in curves), strict=True))
    reachable = np.where(ratio <= cost, control, -np.inf).max(axis=0)
    return np.where(np.isfinite(reachable), reachable, 0.0)


class Scores:
    """The scored cells of a run, read once."""

    def __init__(self, run: Run, cells: Sequence[Cell]) -> None:
        """Read them, and keep what every cell was scored by."""
        self._signs = run.task.signs
        read = {cell: run.scores(cell) for cell in cells}
        names = set.intersection(
            *(set(found) for cell, found in read.items() if cell.section != "composition")
        )
        self._by_cell = {
            cell: {name: given for name, given in found.items() if name in names}
            for cell, found in read.items()
        }
        given = self._by_cell[Cell(UNSTEERED, 0.0)]
        self.judges = [name for name, found in given.items() if "scores" in found]
        self.models = [name for name, found in given.items() if "nll" in found]
        self.poles = {judge: given[judge]["pole"] for judge in self.judges}
        self.own_judges = [judge for judge in self.judges if self.poles[judge] == run.task.pole]
        self.versions = {name: found["by"] for name, found in given.items()}

    def measures(self) -> list[Measure]:
        """Return every pair of a judge of the task's pole and a model; other judges read the grids too."""
        side = BOTH if -1 in self._signs else PLUS
        return [Measure(j, m, side) for j in self.own_judges for m in self.models]

    def __getitem__(self, cell: Cell) -> dict[str, Any]:
        """Return what was said of a cell."""
        return self._by_cell[cell]

    def strengths(self, method: str) -> list[float]:
        """Return the strengths of a method's sweep that have every sign of the task, ascending."""
        mine = {cell.strength for cell in self._by_cell if (cell.method, cell.section) == (method, "curves")}
        return sorted(s for s in mine if s > 0 and mine >= {sign * s for sign in self._signs})

    def sweep(self, method: str) -> list[Cell]:
        """Return the cells of a method's curve with the unsteered one in its place, ascending."""
        cells = [Cell(method, sign * s) for s in self.strengths(method) for sign in self._signs]
        return sorted([Cell(UNSTEERED, 0.0), *cells], key=lambda cell: cell.strength)

    def mean(self, cell: Cell, judge: str, n: tuple[int, int] | None = None) -> Figure:
        """Return the judge's mean, signed towards the + pole, of the first (prompts, samples) if given."""
        figure = metrics.mean_score(_first(_padded(self[cell][judge]["scores"]), n))
        return dataclasses.replace(figure, numerator=self.poles[judge] * figure.numerator)

    def perplexity(self, cell: Cell, model: str, n: tuple[int, int] | None = None) -> Figure:
        """Return the corpus perplexity under a model, of the first (prompts, samples) if given."""
        nll, n_tokens = (_padded(self[cell][model][key]) for key in ("nll", "n_tokens"))
        return metrics.corpus_perplexity(_first(nll, n), np.nan_to_num(_first(n_tokens, n)))

    def curve(self, method: str, measure: Measure) -> Curve:
        """Return a method's curve."""
        strengths = self.strengths(method)
        pairs = [(Cell(method, s), Cell(method, -s)) for s in strengths]
        points = [self.point(plus, minus, measure) for plus, minus in pairs]
        start = np.zeros_like(self._weights()[:, 0]), np.ones_like(self._weights()[:, 0])
        control, ratio = zip(start, *points, strict=True)
        return Curve([0.0, *strengths], np.array(control), np.array(ratio))

    def point(
        self, plus: Cell, minus: Cell, measure: Measure, n: tuple[int, int] | None = None
    ) -> tuple[Array, Array]:
        """Return control and perplexity ratio of a pair of cells, (1 + n_draws,) each."""
        weights, base = self._weights(n[0] if n else None), Cell(UNSTEERED, 0.0)
        low = minus if measure.side == BOTH else base
        above, below = (self.mean(cell, measure.judge, n).at(weights) for cell in (plus, low))
        dear, other, least = (
            self.perplexity(cell, measure.model, n).at(weights)
            for cell in (plus, minus if measure.side == BOTH else plus, base)
        )
        return above - below, np.sqrt(dear * other) / least

    def _weights(self, n_prompts: int | None = None) -> Array:
        """Return weights of prompts: the data itself, then the bootstrap draws."""
        n = n_prompts or len(self[Cell(UNSTEERED, 0.0)][self.judges[0]]["scores"])
        return np.vstack([np.ones(n), metrics.resampled(n)])


def summarize(run: Run, methods: Sequence[str], cells: Sequence[Cell]) -> Summary:
    """Return the figures of a scored run; the same for the same scores."""
    scores = Scores(run, cells)
    settings = json.loads((run.folder / "run.json").read_text())
    return {
        "settings": settings,
        "measured": run.task.measured,
        "judges": {
            name: {"version": scores.versions[name], "pole": scores.poles[name]} for name in scores.judges
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
        "key": key,
        "steps": settings["training_steps"].get(key),
        "ours": key in OURS,
        "share_of_model": facts["n_parameters"] / settings["model_parameters"],
        "cells": [
            {
                "strength": cell.strength,
                "figures": shown(figures(run.generations(cell), scores[cell], run.task.pole)),
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
    """Yield every point of another method with our most control at no more perplexity, and the gap."""
    for measure in scores.measures():
        curves = {key: scores.curve(key, measure) for key in methods}
        curves = {key: curve for key, curve in curves.items() if len(curve.strengths) > 1}
        ours = [curve for key, curve in curves.items() if key in OURS]
        for key, curve in curves.items() if ours else ():
            if key in OURS:
                continue
            for s, rival, cost in list(zip(curve.strengths, curve.control, curve.ratio, strict=True))[1:]:
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
    """Yield the grid of a judge's means over two strengths, rows the task's and columns the other's."""
    for key in methods:
        mine = [cell for cell in cells if (cell.method, cell.section) == (key, "composition")]
        strengths = sorted({cell.strength for cell in mine})
        held = sorted({cell.held for cell in mine if cell.held is not None})
        for judge in scores.judges if mine else []:
            grid = np.array([
                [scores.mean(Cell(key, s, "composition", held=other), judge).value for other in held]
                for s in strengths
            ])  # fmt: skip
            yield {
                "method": run.facts(key)["name"],
                "judge": judge,
                "strengths": strengths,
                "held": held,
                "means": [list(map(_number, row)) for row in grid],
                "additivity": _number(metrics.additivity(grid)),
            }


def _data(run: Run, scores: Scores, methods: Sequence[str], cells: Sequence[Cell]) -> Iterator[Summary]:
    """Yield control and cost of methods made from fewer texts; the last is the whole file's."""
    n = min(len(run.task.prompts), run.protocol.section_prompts), run.protocol.section_samples
    for key in methods:
        mine = [cell for cell in cells if (cell.method, cell.section) == (key, "data")]
        if not mine:
            continue
        strength = max(cell.strength for cell in mine)
        sizes = [size for size in DATA_SIZES if Cell(key, strength, "data", n_texts=size) in mine]
        made = {
            size: [Cell(key, sign * strength, "data", n_texts=size) for sign in (1, -1)] for size in sizes
        }
        made[len(run.task.texts)] = [Cell(key, sign * strength) for sign in (1, -1)]
        for measure in scores.measures():
            points = {size: scores.point(plus, minus, measure, n) for size, (plus, minus) in made.items()}
            yield {
                **dataclasses.asdict(measure),
                "method": run.facts(key)["name"],
                "strength": strength,
                "points": [
                    {"n_texts": size, "control": _interval(c), "perplexity_ratio": _interval(r)}
                    for size, (c, r) in points.items()
                ],
            }


def _padded(rows: Sequence[Sequence[float]]) -> Array:
    """Return rows of like or unlike length as one array, NaN where one is shorter."""
    table = np.full((len(rows), max(map(len, rows))), np.nan)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return table


def _first(table: Array, n: tuple[int, int] | None) -> Array:
    return table if n is None else table[: n[0], : n[1]]


def _interval(draws: Array) -> dict[str, float | None]:
    return _json(metrics.percentiles(float(draws[0]), draws[1:]))


def _json(interval: Interval) -> dict[str, float | None]:
    return {key: _number(value) for key, value in dataclasses.asdict(interval).items()}


def _number(value: float) -> float | None:
    """Return a figure to five digits, None where there is none: JSON has no NaN."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
