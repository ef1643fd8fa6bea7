"""Tables as text for a terminal, and a report in Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from lmsteer_core.evaluation.report.tables import Table, tables
from lmsteer_core.evaluation.report.verdict import INPUT_STEER, input_steer, plain, verdict
from lmsteer_core.evaluation.report.wording import TERMS, about, title
from lmsteer_core.evaluation.summary import Summary

_HEAD_WIDTH = 20


def text(table: Table) -> str:
    """Return a table for a terminal; long headers take several lines."""
    heads = [textwrap.wrap(cell, _HEAD_WIDTH) for cell in table.header]
    height = max(map(len, heads))
    lines = [
        [*zip(*([""] * (height - len(h)) + h for h in heads), strict=True)][k]
        for k in range(height)
    ]
    lines += [tuple(row) for row in table.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    shown = [
        "  ".join(
            [
                line[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)),
            ]
        )
        for line in lines
    ]
    return "\n".join(
        [table.title, *textwrap.wrap(table.note, 100), "", *(line.rstrip() for line in shown)]
    )


def markdown(summary: Summary) -> str:
    """Return the report as Markdown."""
    headline, *details = verdict(summary)
    parts = [
        f"# {title(summary)}",
        *(f"**{_markdown_cell(line)}**" for line in plain(summary)),
        _bullets(TERMS),
        _markdown_cell(headline),
        _bullets(details),
    ]
    for table in tables(summary):
        parts += [f"## {table.title}", table.note]
        if table.rows:
            header = [table.header, ["---", *["---:"] * (len(table.header) - 1)], *table.rows]
            parts.append(
                "\n".join("| " + " | ".join(map(_markdown_cell, line)) + " |" for line in header)
            )
    parts += [f"## {INPUT_STEER}", _bullets(input_steer(summary))]
    parts += ["## How it was made", *about(summary)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {_markdown_cell(sentence)}" for sentence in sentences)


def _markdown_cell(cell: str) -> str:
    return cell.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
