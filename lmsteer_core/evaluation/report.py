"""A summary as sentences and tables, for a terminal and in Markdown; page.py makes a page of them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmsteer_core.evaluation.summary import Summary

_HEAD_WIDTH = 20


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column names the row."""

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def text(table: Table) -> str:
    """Return a table for a terminal; long headers take several lines."""
    heads = [textwrap.wrap(cell, _HEAD_WIDTH) for cell in table.header]
    height = max(map(len, heads))
    lines = [[*zip(*([""] * (height - len(h)) + h for h in heads), strict=True)][k] for k in range(height)]
    lines += [tuple(row) for row in table.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    shown = [
        "  ".join(
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    ]
    return "\n".join([table.title, *textwrap.wrap(table.note, 100), "", *(line.rstrip() for line in shown)])


def markdown(summary: Summary) -> str:
    """Return the report as Markdown."""
    parts = [f"# {title(summary)}", *about(summary), "## Is ours on the frontier?"]
    parts.append("\n".join(f"- {_markdown_cell(sentence)}" for sentence in verdict(summary)))
    for table in tables(summary):
        header = [table.header, ["---", *["---:"] * (len(table.header) - 1)], *table.rows]
        lines = ["| " + " | ".join(map(_markdown_cell, line)) + " |" for line in header]
        parts += [f"## {table.title}", table.note, "\n".join(lines)]
    return "\n\n".join(filter(None, parts)) + "\n"


def verdict(summary: Summary) -> list[str]:
    """Return per judge and model whether a method has both more control and lower perplexity than ours."""
    found = []
    for judge in summary["judges"]:
        for model in summary["models"]:
            rivals = [p for p in summary["frontier"] if (p["judge"], p["model"]) == (judge, model)]
            if not rivals:
                continue
            who = f"By {by(summary, judge)}, perplexity under {model}:"
            best: dict[str, Summary] = {}  # a method's own point that is farthest beyond our curve
            for p in sorted(_compared(rivals), key=_gap):
                best[p["method"]] = p
            ahead = [p for p in sorted(best.values(), key=_gap, reverse=True) if _gap(p) > 0]
            if not ahead:
                found.append(
                    f"{who} no method has more control than LM-Steer at the same or lower perplexity."
                )
            for p in ahead:
                sure = "" if p["gap"]["low"] > 0 else ", which is within the noise"
                found.append(
                    f"{who} {p['method']} at strength {p['strength']:g} has {span(p['gap'])} more control "
                    f"than LM-Steer at no more perplexity ({p['perplexity_ratio']:.2f} × unsteered){sure}."
                )
    return found or ["There is no LM-Steer in this run, or nothing to set beside it."]


def _compared(rivals: Sequence[Summary]) -> list[Summary]:
    """Return the other methods' points at which our curves were measured too."""
    return [p for p in rivals if not p["beyond"] and None not in (p["gap"]["value"], p["perplexity_ratio"])]


def _gap(point: Summary) -> float:
    return float(point["gap"]["value"])


def tables(summary: Summary) -> list[Table]:
    """Return every table of the report."""
    return [table for table in (
        methods_table(summary), _curve_table(summary), _frontier_table(summary), _cost_table(summary),
        _continuity_table(summary),
        *_composition_tables(summary), _data_table(summary),
    ) if table.rows]  # fmt: skip


def methods_table(summary: Summary) -> Table:
    """Return method × strength × figure."""
    labels = list(dict.fromkeys(
        label for m in summary["methods"] for cell in m["cells"] for label in cell["figures"]
        if not label.startswith("corpus")
    ))  # fmt: skip
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
        "95 % bootstrap intervals over prompts. Perplexity is that of a continuation given its prompt, "
        "averaged over continuations."
    )
    return Table("Methods", note, ["method", "strength", *(_label(summary, label) for label in labels)], rows)


def _curve_table(summary: Summary) -> Table:
    judges, models = list(summary["judges"]), list(summary["models"])
    rows = []
    for method in summary["methods"]:
        of = {(c["judge"], c["model"]): c["points"] for c in method["curves"]}
        for i, point in enumerate(next(iter(of.values()), [])):
            if point["strength"]:
                rows.append([
                    method["name"], f"±{point['strength']:g}",
                    *(span(of[judge, models[0]][i]["control"]) for judge in judges),
                    *(span(of[judges[0], model][i]["perplexity_ratio"]) for model in models),
                ])  # fmt: skip
    header = [
        "method", "strength", *(f"control, {by(summary, judge)}" for judge in judges),
        *(f"perplexity ratio, {model}" for model in models),
    ]  # fmt: skip
    note = (
        "Control is the judge's mean at +s minus at −s, towards the + pole; the perplexity ratio is the "
        "geometric mean of both signs' perplexity (all nats over all tokens) over the unsteered text's."
    )
    return Table("Control and its cost", note, header, rows)


def _frontier_table(summary: Summary) -> Table:
    rows = [
        [p["method"], f"±{p['strength']:g}", by(summary, p["judge"]), p["model"],
         _plain(p["perplexity_ratio"]), _plain(p["control"]), _plain(p["ours"]), span(p["gap"])]
        for p in _compared(summary["frontier"])
    ]  # fmt: skip
    header = ["method", "strength", "judge", "model", "perplexity ratio", "control", "ours", "lead over ours"]
    note = (
        "Ours is the most control of any LM-Steer from labels or descriptions at no more perplexity, read "
        "off the curves between measured strengths. Points dearer than all of ours are left out."
    )
    return Table("Against ours at equal perplexity", note, header, rows)


def _cost_table(summary: Summary) -> Table:
    rows = [
        [m["name"], f"{m['n_parameters']:,}", f"{m['share_of_model']:.3%}", f"{m['training_seconds']:.0f} s",
         f"{m['decoding_time_ratio']:.2f}"]
        for m in summary["methods"]
    ]  # fmt: skip
    note = (
        f"Shares are of the model's {summary['settings']['model_parameters']:,} parameters. Training "
        "includes calibration where a method has one; decoding is timed on the same rows, in turn with the "
        "model's own."
    )
    return Table(
        "Size and time",
        note,
        ["method", "parameters", "of the model", "training", "decoding time / base"],
        rows,
    )


def _continuity_table(summary: Summary) -> Table:
    rows = [
        [m["name"], by(summary, judge), *(_plain(found[key]) for key in ("spearman", "r2", "largest_step"))]
        for m in summary["methods"]
        for judge, found in m["continuity"].items()
    ]
    note = (
        "Over all strengths of both signs. The largest step is the steepest change between neighbours over "
        "the mean slope: 1 on a line."
    )
    header = ["method", "judge", "Spearman", "R² of a line", "largest step"]
    return Table("Is control monotone and linear in the strength?", note, header, rows)


def _composition_tables(summary: Summary) -> Iterator[Table]:
    for found in summary["composition"]:
        axis = [f"{s:+g}" if s else "0" for s in found["strengths"]]
        rows = [[f"ε₁ {s}", *map(_plain, row)] for s, row in zip(axis, found["means"], strict=True)]
        note = (
            f"Mean score towards the + pole by {by(summary, found['judge'])}; rows are this task's strength, "
            f"columns the other task's. A row effect plus a column effect is {_plain(found['additivity'])} "
            "of the variance."
        )
        yield Table(f"Composition: {found['method']}", note, ["", *(f"ε₂ {s}" for s in axis)], rows)


def _data_table(summary: Summary) -> Table:
    rows = [
        [found["method"], f"{point['n_texts']:,}", f"±{found['strength']:g}", by(summary, found["judge"]),
         span(point["control"]), found["model"], span(point["perplexity_ratio"])]
        for found in summary["data"]
        for point in found["points"]
    ]  # fmt: skip
    header = ["method", "training texts", "strength", "judge", "control", "model", "perplexity ratio"]
    return Table("How many training texts?", "The first prompts and samples only.", header, rows)


def title(summary: Summary) -> str:
    """Return the report's title."""
    return f"Evaluation: {summary['settings']['task']} with {summary['settings']['model']}"


def about(summary: Summary) -> list[str]:
    """Return what was done, a paragraph each: how much text, from what, judged by whom."""
    settings = summary["settings"]
    judges = "; ".join(by(summary, judge) for judge in summary["judges"])
    models = "; ".join(f"{name} ({m['version']})" for name, m in summary["models"].items())
    return [
        f"{settings['prompts']} prompts × {settings['samples']} continuations × at most "
        f"{settings['max_new_tokens']} tokens, temperature {settings['temperature']:g}, top-p "
        f"{settings['top_p']:g}, seed {settings['seed']}, {settings['dtype']}; the same prompts and dice for "
        "all methods.",
        f"Learned from {settings['texts']:,} labelled texts, or from “{settings['descriptions'][0]}” against "
        f"“{settings['descriptions'][1]}”.",
        f"Judges: {judges}. Perplexity under: {models}.",
    ]


def _label(summary: Summary, label: str) -> str:
    """Return a figure's label with its judge's version."""
    figure, _, name = label.partition(", ")
    return f"{figure}, {by(summary, name)}" if name in summary["judges"] else label


def by(summary: Summary, judge: str) -> str:
    """Return a judge's name with its version."""
    return f"{judge} ({summary['judges'][judge]['version']})"


def span(found: dict[str, float | None]) -> str:
    """Return a figure with its interval."""
    value, low, high = (_plain(found[key]) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _plain(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _markdown_cell(cell: str) -> str:
    return cell.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
