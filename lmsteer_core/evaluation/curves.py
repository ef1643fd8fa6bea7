"""Control and its cost as curves over the strengths, with bootstrap draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmsteer_core.evaluation import metrics
from lmsteer_core.evaluation.cells import UNSTEERED, Cell
from lmsteer_core.evaluation.metrics import Array, Figure
from lmsteer_core.evaluation.run import Run

BOTH, PLUS = "±", "+"
"""Sides of a sweep."""

_POINTS_PER_SEGMENT = 20
"""Points between two measured strengths; drawing texts from either at random would reach them."""


REPETITION = ", repetition counted"
"""Ends the name of a cost that is perplexity × the unsteered text's dist-2 over the text's: a text
that says a thing twice is cheap to a model and worth less to a reader."""


@dataclass(frozen=True)
class Measure:
    """What control and its cost are measured by.

    Attributes:
        judge: Its name.
        model: Under which perplexity is taken, and `REPETITION` where that counts too.
        side: Of the sweep.
    """

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
    """Return the most control of any curve at no more than a perplexity ratio.

    Below every curve's ratio it is 0.
    """
    control, ratio = (
        np.concatenate(side) for side in zip(*(c.dense() for c in curves), strict=True)
    )
    reachable = np.where(ratio <= cost, control, -np.inf).max(axis=0)
    return np.where(np.isfinite(reachable), reachable, 0.0)


class Scores:
    """The scored cells of a run, read once."""

    def __init__(self, run: Run, cells: Sequence[Cell]) -> None:
        """Read them, and keep what every cell was scored by."""
        self._signs = run.task.signs
        self._generations = run.generations
        read = {cell: run.scores(cell) for cell in cells}
        names = set.intersection(
            *(set(scored) for cell, scored in read.items() if cell.section != "composition")
        )
        self._by_cell = {
            cell: {name: scores for name, scores in scored.items() if name in names}
            for cell, scored in read.items()
        }
        unsteered = self._by_cell[Cell(UNSTEERED, 0.0)]
        self.judges = [name for name, scored in unsteered.items() if "scores" in scored]
        self.models = [name for name, scored in unsteered.items() if "nll" in scored]
        self.poles = {judge: unsteered[judge]["pole"] for judge in self.judges}
        self.own_judges = [judge for judge in self.judges if self.poles[judge] == run.task.pole]
        self.versions = {name: scored["by"] for name, scored in unsteered.items()}

    def measures(self) -> list[Measure]:
        """Return every pair of a judge of the task's pole and a cost.

        Other judges read the grids too, and repetition counts under the last model.
        """
        side = BOTH if -1 in self._signs else PLUS
        costs = [*self.models, self.models[-1] + REPETITION]
        return [Measure(j, cost, side) for j in self.own_judges for cost in costs]

    def __getitem__(self, cell: Cell) -> dict[str, Any]:
        """Return what was said of a cell."""
        return self._by_cell[cell]

    def strengths(self, method: str) -> list[float]:
        """Return the strengths of a method's sweep that have every sign of the task, ascending."""
        strengths_written = {
            cell.strength
            for cell in self._by_cell
            if (cell.method, cell.section) == (method, "curves")
        }
        return sorted(
            s
            for s in strengths_written
            if s > 0 and strengths_written >= {sign * s for sign in self._signs}
        )

    def sweep(self, method: str) -> list[Cell]:
        """Return the cells of a method's curve with the unsteered one in its place, ascending."""
        cells = [Cell(method, sign * s) for s in self.strengths(method) for sign in self._signs]
        return sorted([Cell(UNSTEERED, 0.0), *cells], key=lambda cell: cell.strength)

    def mean(self, cell: Cell, judge: str, n: tuple[int, int] | None = None) -> Figure:
        """Return the judge's mean towards the + pole, of the first (prompts, samples) if given."""
        figure = metrics.mean_score(_first(padded(self[cell][judge]["scores"]), n))
        return dataclasses.replace(figure, numerator=self.poles[judge] * figure.numerator)

    def perplexity(self, cell: Cell, model: str, n: tuple[int, int] | None = None) -> Figure:
        """Return the corpus perplexity under a model, of the first (prompts, samples) if given."""
        nll, n_tokens = (padded(self[cell][model][key]) for key in ("nll", "n_tokens"))
        return metrics.corpus_perplexity(_first(nll, n), np.nan_to_num(_first(n_tokens, n)))

    def distinct(self, cell: Cell, n: tuple[int, int] | None = None) -> Figure:
        """Return dist-2, of the first (prompts, samples) if given."""
        n_prompts, n_samples = n or (None, None)
        lines = self._generations(cell)[:n_prompts]
        return metrics.distinct([line.texts[:n_samples] for line in lines], 2)

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
        model, counted, _ = measure.model.partition(REPETITION)
        cells = plus, minus if measure.side == BOTH else plus, base
        larger, other, least = (self.perplexity(cell, model, n).at(weights) for cell in cells)
        ratio = np.sqrt(larger * other) / least
        if counted:
            some, others, most = (self.distinct(cell, n).at(weights) for cell in cells)
            ratio = ratio * most / np.sqrt(some * others)
        return above - below, ratio

    def _weights(self, n_prompts: int | None = None) -> Array:
        """Return weights of prompts: the data itself, then the bootstrap draws."""
        n = n_prompts or len(self[Cell(UNSTEERED, 0.0)][self.judges[0]]["scores"])
        return np.vstack([np.ones(n), metrics.resampled(n)])


def padded(rows: Sequence[Sequence[float]]) -> Array:
    """Return rows of like or unlike length as one array, NaN where one is shorter."""
    table = np.full((len(rows), max(map(len, rows))), np.nan)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return table


def _first(table: Array, n: tuple[int, int] | None) -> Array:
    return table if n is None else table[: n[0], : n[1]]
