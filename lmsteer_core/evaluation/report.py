"""A summary as sentences and tables, for a terminal and in Markdown; page.py makes a page of them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lmsteer_core.evaluation.summary import AT_RATIO, BOTH, Summary

INPUT_STEER = "Input-Steer: is its control continuous, composable and stable?"

_HEAD_WIDTH = 20

_Heads = dict[tuple[str, ...], str]
"""Columns' titles by what is told in them."""


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
    headline, *details = verdict(summary)
    parts = [f"# {title(summary)}", *about(summary), f"**{_markdown_cell(headline)}**", _bullets(details)]
    for table in tables(summary):
        parts += [f"## {table.title}", table.note]
        if table.rows:
            header = [table.header, ["---", *["---:"] * (len(table.header) - 1)], *table.rows]
            parts.append("\n".join("| " + " | ".join(map(_markdown_cell, line)) + " |" for line in header))
    parts += [f"## {INPUT_STEER}", _bullets(input_steer(summary))]
    return "\n\n".join(filter(None, parts)) + "\n"


def verdict(summary: Summary) -> list[str]:
    """Return whether a method has both more control and lower perplexity than ours: in all, by measure."""
    rivals: dict[tuple[str, str, str], list[Summary]] = {}
    for p in summary["frontier"]:
        rivals.setdefault((p["judge"], p["model"], p["side"]), []).append(p)
    if not rivals:
        return ["There is no LM-Steer in this run, or nothing to set beside it."]
    details, n_led, n_unsure = [], 0, 0
    for measure, found in rivals.items():
        best: dict[str, Summary] = {}  # a method's own point that is farthest beyond our curve
        for p in sorted(_compared(found), key=_gap):
            best[p["method"]] = p
        ahead = [p for p in sorted(best.values(), key=_gap, reverse=True) if _gap(p) > 0]
        n_led += any(_is_sure(p) for p in ahead)
        n_unsure += bool(ahead) and not any(_is_sure(p) for p in ahead)
        leads = "; ".join(
            f"{p['method']} at {p['side']}{p['strength']:g} has {span(p['gap'])} more control than LM-Steer "
            f"at no more perplexity ({_plain(p['perplexity_ratio'])} × unsteered)"
            + ("" if _is_sure(p) else ", which is within the noise")
            for p in ahead
        )
        none = "no method has more control than LM-Steer at the same or lower perplexity"
        details.append(f"{by_measure(summary, *measure)}: {leads or none}.")
    n = len(rivals)
    headline = (
        f"By {n - n_led - n_unsure} of {n} measures no method has both more control and lower perplexity "
        f"than LM-Steer; by {n_unsure} a lead is within the noise, by {n_led} a method leads."
    )
    return [headline, *details]


def input_steer(summary: Summary) -> list[str]:
    """Return, with figures, whether Input-Steer's control is continuous, composable and stable."""
    method = next((m for m in summary["methods"] if m["key"] == "input-steer"), None)
    if method is None or not method["curves"]:
        return ["Not run. It is the method input-steer and takes labelled text."]
    found = []
    for judge, own in method["continuity"].items():
        first, *_, last = own["strengths"]
        found.append(
            f"Continuous? By {by(summary, judge)}, over {len(own['means'])} strengths from {_plain(first)} "
            f"to {_plain(last)}: rank correlation with the mean score {_plain(own['spearman'])} (1 is "
            f"monotone), R² of a line {_plain(own['r2'])}, largest step {_plain(own['largest_step'])} × the "
            "mean slope."
        )
    grids = [g for g in summary["composition"] if g["method"] == method["name"]]
    found += [
        f"Composable? By {by(summary, g['judge'])}, a row effect plus a column effect is "
        f"{_plain(g['additivity'])} of the variance of its {len(g['means'])} × {len(g['held'])} grid (1 is "
        f"additive), whose means span {_plain(np.ptp(g['means']))}."
        for g in grids
    ] or ["Composable? Not run: --sections composition."]
    for curve in method["curves"]:
        last = curve["points"][-1]
        widths = [
            p["control"]["high"] - p["control"]["low"] for p in curve["points"] if p["control"]["value"]
        ]
        found.append(
            f"Stable? {by_measure(summary, curve['judge'], curve['model'], curve['side'])}: at "
            f"{curve['side']}{last['strength']:g} perplexity is {span(last['perplexity_ratio'])} × unsteered "
            f"at a control of {span(last['control'])}; the widest interval of control is "
            f"{_plain(max(widths, default=None))}. One training was run: other seeds are not measured."
        )
    return found


def _compared(rivals: Sequence[Summary]) -> list[Summary]:
    """Return the other methods' points at which our curves were measured too."""
    return [p for p in rivals if not p["beyond"] and None not in (p["gap"]["value"], p["perplexity_ratio"])]


def _gap(point: Summary) -> float:
    return float(point["gap"]["value"])


def _is_sure(point: Summary) -> bool:
    return float(point["gap"]["low"]) > 0


def by_measure(summary: Summary, judge: str, model: str, side: str) -> str:
    """Return what control and its cost are measured by."""
    alone = "" if side == BOTH else ", the + side alone"
    return f"By {by(summary, judge)}, perplexity under {model}{alone}"


def tables(summary: Summary) -> list[Table]:
    """Return every table of the report; one without rows says how to get them."""
    return [
        glance_table(summary), methods_table(summary), _curve_table(summary), _frontier_table(summary),
        _continuity_table(summary), *_composition_tables(summary), _data_table(summary),
    ]  # fmt: skip


def glance_table(summary: Summary) -> Table:
    """Return a row per method: how much control it gives at about the model's own fluency, and its price."""
    measures = list(dict.fromkeys(
        (c["judge"], c["model"], c["side"]) for m in summary["methods"] for c in m["curves"]
    ))  # fmt: skip
    rows = []
    for m in summary["methods"]:
        at = {(c["judge"], c["model"], c["side"]): span(c["at_ratio"]) for c in m["curves"]}
        rows.append([
            m["name"], *(at.get(measure, "–") for measure in measures), f"{m['n_parameters']:,}",
            f"{m['share_of_model']:.3%}", f"{m['steps'] or '–'}", f"{m['training_seconds']:.0f} s",
            f"{m['decoding_time_ratio']:.2f}",
        ])  # fmt: skip
    header = [
        "method",
        *(f"control, {by(summary, judge)}, {side}, {model}" for judge, model, side in measures),
        "parameters", "of the model", "Adam steps", "training", "decoding time / base",
    ]  # fmt: skip
    note = (
        f"The most control at no more than {AT_RATIO:g} × the unsteered text's perplexity, read off the "
        "curves, with 95 % bootstrap intervals over prompts. "
        f"Shares are of the model's {summary['settings']['model_parameters']:,} parameters; steps are each "
        "pole's where poles are learned one by one; training includes calibration; decoding is timed on the "
        "same rows, in turn with the model's own."
    )
    return Table("At a glance", note, header, rows)


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
    found = [
        ((m["name"], f"{c['side']}{p['strength']:g}"), c, p)
        for m in summary["methods"] for c in m["curves"] for p in c["points"] if p["strength"]
    ]  # fmt: skip
    note = (
        "Control is the judge's mean at +s minus at −s, towards the + pole; the perplexity ratio is the "
        "geometric mean of both signs' perplexity (all nats over all tokens) over the unsteered text's. "
        "Where toxicity is measured only +s is written, and set against the unsteered text."
    )
    return Table("Control and its cost", note, *_control_and_cost(summary, ["method", "strength"], found))


def _control_and_cost(
    summary: Summary, header: Sequence[str], found: Sequence[tuple[tuple[str, ...], Summary, Summary]]
) -> tuple[list[str], list[list[str]]]:
    """Return a header and a row per point: control by every judge, its cost under every model.

    Args:
        summary: Where judges and models are told.
        header: Of what names a row.
        found: What names its row, whose judge and model it is, and its control and perplexity ratio.
    """
    measures = [m for _, m, _ in found]
    heads: _Heads = {("control", m["judge"]): f"control, {by(summary, m['judge'])}" for m in measures}
    heads |= {("cost", m["model"]): f"perplexity ratio, {m['model']}" for m in measures}
    control = [(names, ("control", m["judge"]), span(p["control"])) for names, m, p in found]
    cost = [(names, ("cost", m["model"]), span(p["perplexity_ratio"])) for names, m, p in found]
    return _pivot(header, heads, control + cost)


def _pivot(
    header: Sequence[str],
    heads: _Heads,
    found: Sequence[tuple[tuple[str, ...], tuple[str, ...], str]],
) -> tuple[list[str], list[list[str]]]:
    """Return a header and rows of what is found by row and column; a dash where nothing is."""
    rows: dict[tuple[str, ...], dict[tuple[str, ...], str]] = {}
    for names, column, told in found:
        rows.setdefault(names, {})[column] = told
    lines = [[*names, *(row.get(column, "–") for column in heads)] for names, row in rows.items()]
    return [*header, *heads.values()], lines


def _frontier_table(summary: Summary) -> Table:
    heads: _Heads = {
        (p["judge"], p["model"], p["side"]): f"lead over ours, {by(summary, p['judge'])}, {p['model']}"
        for p in summary["frontier"]
    }
    found = [
        ((p["method"], f"{p['side']}{p['strength']:g}"), (p["judge"], p["model"], p["side"]), span(p["gap"]))
        for p in _compared(summary["frontier"])
    ]
    note = (
        "A method's control less the most control of any LM-Steer from labels or descriptions at no more "
        "perplexity, read off the curves between measured strengths; below 0 ours leads. Points dearer than "
        "all of ours are left out."
    )
    return Table("Against ours at equal perplexity", note, *_pivot(["method", "strength"], heads, found))


def _continuity_table(summary: Summary) -> Table:
    rows = [
        [m["name"], by(summary, judge), *(_plain(found[key]) for key in ("spearman", "r2", "largest_step"))]
        for m in summary["methods"]
        for judge, found in m["continuity"].items()
    ]
    note = (
        "Over all strengths and the unsteered text. The largest step is the steepest change between "
        "neighbours over the mean slope: 1 on a line."
    )
    header = ["method", "judge", "Spearman", "R² of a line", "largest step"]
    return Table("Is control monotone and linear in the strength?", note, header, rows)


def _composition_tables(summary: Summary) -> Iterator[Table]:
    if not summary["composition"]:
        yield Table("Composition", "Not run: --sections composition.", [], [])
    for found in summary["composition"]:
        own, other = ([f"{s:+g}" if s else "0" for s in found[axis]] for axis in ("strengths", "held"))
        rows = [[f"ε₁ {s}", *map(_plain, row)] for s, row in zip(own, found["means"], strict=True)]
        note = (
            f"Mean score towards the + pole by {by(summary, found['judge'])}; rows are this task's strength, "
            f"columns the other task's. A row effect plus a column effect is {_plain(found['additivity'])} "
            "of the variance."
        )
        yield Table(f"Composition: {found['method']}", note, ["", *(f"ε₂ {s}" for s in other)], rows)


def _data_table(summary: Summary) -> Table:
    found = [
        ((m["method"], f"{p['n_texts']:,}", f"{m['side']}{m['strength']:g}"), m, p)
        for m in summary["data"] for p in m["points"]
    ]  # fmt: skip
    header, rows = _control_and_cost(summary, ["method", "training texts", "strength"], found)
    note = "The first prompts and samples only; the last row of a method is made of all texts."
    return Table("How many training texts?", note if rows else "Not run: --sections data.", header, rows)


def title(summary: Summary) -> str:
    """Return the report's title."""
    return f"Evaluation: {summary['settings']['task']} with {summary['settings']['model']}"


def about(summary: Summary) -> list[str]:
    """Return what was done, a paragraph each: how much text, from what, judged by whom."""
    settings = summary["settings"]
    judges, models = (
        "; ".join(f"{name} ({m['version']})" for name, m in summary[kind].items())
        for kind in ("judges", "models")
    )
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
    """Return a judge's name with its version; `about` tells the rest, such as what it learned from."""
    return f"{judge} ({summary['judges'][judge]['version'].partition(',')[0]})"


def span(found: dict[str, float | None]) -> str:
    """Return a figure with its interval."""
    value, low, high = (_plain(found[key]) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _plain(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {_markdown_cell(sentence)}" for sentence in sentences)


def _markdown_cell(cell: str) -> str:
    return cell.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
