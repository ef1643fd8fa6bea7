"""The tables of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmsteer_core.evaluation.report.wording import (
    by,
    comparable_points,
    label_with_judge,
    plain_number,
    span,
)
from lmsteer_core.evaluation.summary import AT_RATIO, Summary

_Heads = dict[tuple[str, ...], str]
"""Columns' titles by what stands in them."""


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column names the row."""

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(summary: Summary) -> list[Table]:
    """Return every table of the report; one without rows says how to get them."""
    return [
        glance_table(summary),
        methods_table(summary),
        _curve_table(summary),
        _frontier_table(summary),
        _continuity_table(summary),
        *_composition_tables(summary),
        _data_table(summary),
    ]


def glance_table(summary: Summary) -> Table:
    """Return a row per method: its control at about the model's own fluency, and its price."""
    measures = list(
        dict.fromkeys(
            (c["judge"], c["model"], c["side"]) for m in summary["methods"] for c in m["curves"]
        )
    )
    rows = []
    for m in summary["methods"]:
        at = {(c["judge"], c["model"], c["side"]): span(c["at_ratio"]) for c in m["curves"]}
        rows.append(
            [
                m["name"],
                *(at.get(measure, "–") for measure in measures),
                f"{m['n_parameters']:,}",
                f"{m['share_of_model']:.3%}",
                f"{m['steps'] or '–'}",
                "–" if m["training_seconds"] is None else f"{m['training_seconds']:.0f} s",
                f"{m['decoding_time_ratio']:.2f}",
            ]
        )
    header = [
        "method",
        *(f"control, {by(summary, judge)}, {side}, {model}" for judge, model, side in measures),
        "parameters",
        "of the model",
        "Adam steps",
        "training",
        "decoding time / base",
    ]
    note = (
        f"The most control at no more than {AT_RATIO:g} × the unsteered text's perplexity, read "
        "off the curves, with 95 % bootstrap intervals over prompts. Shares are of the model's "
        f"{summary['settings']['model_parameters']:,} parameters; steps are each pole's where "
        "poles are learned one by one; training includes calibration; decoding is timed on the "
        "same rows, in turn with the model's own."
    )
    return Table("At a glance", note, header, rows)


def methods_table(summary: Summary) -> Table:
    """Return method × strength × figure."""
    labels = list(
        dict.fromkeys(
            label
            for m in summary["methods"]
            for cell in m["cells"]
            for label in cell["figures"]
            if not label.startswith("corpus")
        )
    )
    rows = [
        [
            m["name"],
            f"{cell['strength']:+g}" if cell["strength"] else "0",
            *(span(cell["figures"][label]) for label in labels),
        ]
        for m in summary["methods"]
        for cell in m["cells"]
    ]
    note = (
        "95 % bootstrap intervals over prompts. Perplexity is that of a continuation given its "
        "prompt, averaged over continuations."
    )
    return Table(
        "Methods",
        note,
        ["method", "strength", *(label_with_judge(summary, label) for label in labels)],
        rows,
    )


def _curve_table(summary: Summary) -> Table:
    points = [
        ((m["name"], f"{c['side']}{p['strength']:g}"), c, p)
        for m in summary["methods"]
        for c in m["curves"]
        for p in c["points"]
        if p["strength"]
    ]
    note = (
        "Control is the judge's mean at +s minus at −s, towards the + pole; the perplexity "
        "ratio is the geometric mean of both signs' perplexity (all nats over all tokens) "
        "over the unsteered text's. Where toxicity is measured only +s is written, and set "
        "against the unsteered text."
    )
    return Table(
        "Control and its cost", note, *_control_and_cost(summary, ["method", "strength"], points)
    )


def _control_and_cost(
    summary: Summary,
    header: Sequence[str],
    points: Sequence[tuple[tuple[str, ...], Summary, Summary]],
) -> tuple[list[str], list[list[str]]]:
    """Return a header and a row per point: control by every judge, its cost under every model.

    Args:
        summary: Names the judges and models.
        header: Of what names a row.
        points: What names its row, whose judge and model it is, and its control and perplexity
            ratio.
    """
    measures = [m for _, m, _ in points]
    heads: _Heads = {
        ("control", m["judge"]): f"control, {by(summary, m['judge'])}" for m in measures
    }
    heads |= {("cost", m["model"]): f"perplexity ratio, {m['model']}" for m in measures}
    control = [(names, ("control", m["judge"]), span(p["control"])) for names, m, p in points]
    cost = [(names, ("cost", m["model"]), span(p["perplexity_ratio"])) for names, m, p in points]
    return _pivot(header, heads, control + cost)


def _pivot(
    header: Sequence[str],
    heads: _Heads,
    entries: Sequence[tuple[tuple[str, ...], tuple[str, ...], str]],
) -> tuple[list[str], list[list[str]]]:
    """Return a header and rows of the entries by row and column; a dash where there is none."""
    rows: dict[tuple[str, ...], dict[tuple[str, ...], str]] = {}
    for names, column, cell in entries:
        rows.setdefault(names, {})[column] = cell
    lines = [[*names, *(row.get(column, "–") for column in heads)] for names, row in rows.items()]
    return [*header, *heads.values()], lines


def _frontier_table(summary: Summary) -> Table:
    heads: _Heads = {
        (
            p["judge"],
            p["model"],
            p["side"],
        ): f"lead over ours, {by(summary, p['judge'])}, {p['model']}"
        for p in summary["frontier"]
    }
    entries = [
        (
            (p["method"], f"{p['side']}{p['strength']:g}"),
            (p["judge"], p["model"], p["side"]),
            span(p["gap"]),
        )
        for p in comparable_points(summary["frontier"])
    ]
    note = (
        "A method's control less the most control of any LM-Steer from labels or descriptions at "
        "no more perplexity, read off the curves between measured strengths; below 0 ours leads. "
        "Points dearer than all of ours are left out."
    )
    return Table(
        "Against ours at equal perplexity", note, *_pivot(["method", "strength"], heads, entries)
    )


def _continuity_table(summary: Summary) -> Table:
    rows = [
        [
            m["name"],
            by(summary, judge),
            *(plain_number(continuity[key]) for key in ("spearman", "r2", "largest_step")),
        ]
        for m in summary["methods"]
        for judge, continuity in m["continuity"].items()
    ]
    note = (
        "Over all strengths and the unsteered text. The largest step is the steepest change "
        "between neighbours over the mean slope: 1 on a line."
    )
    header = ["method", "judge", "Spearman", "R² of a line", "largest step"]
    return Table("Is control monotone and linear in the strength?", note, header, rows)


def _composition_tables(summary: Summary) -> Iterator[Table]:
    if not summary["composition"]:
        yield Table("Composition", "Not run: --sections composition.", [], [])
    for grid in summary["composition"]:
        row_labels, column_labels = (
            [f"{s:+g}" if s else "0" for s in grid[axis]] for axis in ("strengths", "held")
        )
        rows = [
            [f"ε₁ {s}", *map(plain_number, row)]
            for s, row in zip(row_labels, grid["means"], strict=True)
        ]
        note = (
            f"Mean score towards the + pole by {by(summary, grid['judge'])}; rows are this task's "
            "strength, columns the other task's. A row effect plus a column effect is "
            f"{plain_number(grid['additivity'])} of the variance."
        )
        yield Table(
            f"Composition: {grid['method']}", note, ["", *(f"ε₂ {s}" for s in column_labels)], rows
        )


def _data_table(summary: Summary) -> Table:
    points = [
        ((m["method"], f"{p['n_texts']:,}", f"{m['side']}{m['strength']:g}"), m, p)
        for m in summary["data"]
        for p in m["points"]
    ]
    header, rows = _control_and_cost(summary, ["method", "training texts", "strength"], points)
    note = "The first prompts and samples only; the last row of a method is made of all texts."
    return Table(
        "How many training texts?", note if rows else "Not run: --sections data.", header, rows
    )
