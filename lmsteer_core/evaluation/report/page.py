"""A report as one self-contained page: its charts are SVG, and it asks nobody for anything."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from lmsteer_core.evaluation.report import verdict, wording
from lmsteer_core.evaluation.report.tables import Table, tables
from lmsteer_core.evaluation.summary import Summary

_COLOURS = (
    "#0077bb",
    "#ee7733",
    "#009988",
    "#cc3311",
    "#8855cc",
    "#999933",
    "#33bbee",
    "#ee3377",
    "#aa7744",
    "#777777",
)
_DASHES = ("", "6 3", "2 3")

_WIDTH, _HEIGHT = 400, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 10, 36
_MOST_RATIO = 4.0
"""Perplexity ratio at which a chart ends: text beyond is broken."""
_RATIO_TICKS = (0.5, 0.75, 1, 1.1, 1.25, 1.5, 2, 3, 4)

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #d5d5d5; --faint: #666; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eee; --paper: #16181c; --line: #3a3d42; --faint: #a5a5a5; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
p, li { margin: .4rem 0; overflow-wrap: anywhere; }
.verdict { font-weight: 600; border-left: 4px solid #0077bb; padding-left: .8rem; margin: 1rem 0; }
.note { color: var(--faint); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem;
  text-align: right; white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; min-width: 7rem; }
th:first-child, td:first-child { text-align: left; }
.charts { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); }
figure { margin: 0; }
figure svg { width: 100%; height: auto; }
svg text { fill: var(--ink); font-size: 11px; }
.axis { stroke: var(--line); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; list-style: none; }
.legend svg { width: 28px; height: 10px; margin-right: .4rem; }
"""

Look = tuple[str, str]
"""A line's colour and dashes."""

Drawn = tuple[str, list[dict[str, Any]], bool]
"""A method's name, its points, and whether it is ours."""


def html(summary: Summary) -> str:
    """Return the page."""
    title = escape(wording.title(summary))
    headline, *details = verdict.verdict(summary)
    parts = [
        f"<h1>{title}</h1>",
        *(f'<p class="verdict">{escape(line)}</p>' for line in verdict.plain(summary)),
        _list(wording.TERMS),
        *_charts(summary),
        f"<p>{escape(headline)}</p>",
        _list(details),
    ]
    for table in tables(summary):
        parts += [f"<h2>{escape(table.title)}</h2>", f'<p class="note">{escape(table.note)}</p>']
        parts += [_table(table)] if table.rows else []
    parts += [f"<h2>{escape(verdict.INPUT_STEER)}</h2>", _list(verdict.input_steer(summary))]
    parts += ["<h2>How it was made</h2>"]
    parts += [f"<p>{escape(line)}</p>" for line in wording.about(summary)]
    return _page(title, parts)


def tables_html(title: str, about: Sequence[str], tables: Sequence[Table]) -> str:
    """Return a page of tables alone."""
    parts = [f"<h1>{escape(title)}</h1>", *(f"<p>{escape(line)}</p>" for line in about)]
    for table in filter(lambda table: table.rows, tables):
        parts += [f"<h2>{escape(table.title)}</h2>", f'<p class="note">{escape(table.note)}</p>']
        parts.append(_table(table))
    return _page(escape(title), parts)


def _page(title: str, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _table(table: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    rows = "\n".join([row(table.header, "th"), *(row(cells, "td") for cells in table.rows)])
    return f'<div class="scroll" tabindex="0"><table>\n{rows}\n</table></div>'


def _charts(summary: Summary) -> Iterator[str]:
    names = [m["name"] for m in summary["methods"] if m["curves"]]
    n = len(_COLOURS)
    looks = {
        name: (_COLOURS[i % n], _DASHES[i // n % len(_DASHES)]) for i, name in enumerate(names)
    }
    yield '<div class="charts">'
    charts: dict[str, list[Drawn]] = {}
    for m in summary["methods"]:
        for c in m["curves"]:
            measure = wording.by_measure(summary, c["judge"], c["model"], c["side"])
            charts.setdefault(measure, []).append((m["name"], c["points"], m["ours"]))
    for measure, curves in charts.items():
        caption = f"{measure}, up to {_MOST_RATIO:g} × unsteered. Thick lines are ours."
        figure_caption = f'<figcaption class="note">{escape(caption)}</figcaption>'
        yield f"<figure>{_chart(caption, curves, looks)}{figure_caption}</figure>"
    yield '</div><ul class="legend">'
    for name, (colour, dash) in looks.items():
        line = f'<path d="M0 5H28" stroke="{colour}" stroke-width="3" stroke-dasharray="{dash}"/>'
        yield f'<li><svg viewBox="0 0 28 10" aria-hidden="true">{line}</svg>{escape(name)}</li>'
    yield "</ul>"


def _chart(caption: str, curves: Sequence[Drawn], looks: dict[str, Look]) -> str:
    """Return an SVG of control over the logarithm of the perplexity ratio."""
    shown = [(name, [p for p in points if _is_shown(p)], ours) for name, points, ours in curves]
    ratios = [p["perplexity_ratio"]["value"] for _, points, _ in shown for p in points]
    controls = [p["control"]["value"] for _, points, _ in shown for p in points]
    left, right = min(1.0, *ratios), max(1.2, *ratios)
    low, high = min(0.0, *controls), max(0.1, *controls)

    def x(ratio: float) -> float:
        share = math.log(ratio / left) / math.log(right / left)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(control: float) -> float:
        return float(_TOP + (high - control) / (high - low) * (_HEIGHT - _BOTTOM - _TOP))

    foot = _HEIGHT - _BOTTOM
    drawn = []
    for ratio in (tick for tick in _RATIO_TICKS if left <= tick <= right):
        drawn.append(f'<path class="axis" d="M{x(ratio):.1f} {_TOP}V{foot}"/>')
        drawn.append(
            f'<text x="{x(ratio):.1f}" y="{foot + 14}" text-anchor="middle">{ratio:g}</text>'
        )
    for control in _ticks(low, high):
        drawn.append(f'<path class="axis" d="M{_LEFT} {y(control):.1f}H{_WIDTH - _RIGHT}"/>')
        drawn.append(
            f'<text x="{_LEFT - 5}" y="{y(control) + 4:.1f}" text-anchor="end">{control:.2f}</text>'
        )
    for name, points, ours in shown:
        colour, dash = looks[name]
        places = [(x(p["perplexity_ratio"]["value"]), y(p["control"]["value"])) for p in points]
        path = "L".join(f"{px:.1f} {py:.1f}" for px, py in places)
        drawn.append(
            f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{3 if ours else 1.5}" '
            f'stroke-dasharray="{dash}"/>'
        )
        for (px, py), point in zip(places, points, strict=True):
            tooltip = (
                f"{name}, ±{point['strength']:g}: control {wording.span(point['control'])}, "
                f"perplexity ratio {wording.span(point['perplexity_ratio'])}"
            )
            drawn.append(
                f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{3.5 if ours else 2.5}" fill="{colour}">'
                f"<title>{escape(tooltip)}</title></circle>"
            )
    centre = (_LEFT + _WIDTH - _RIGHT) / 2
    drawn.append(
        f'<text x="{centre}" y="{_HEIGHT - 4}" text-anchor="middle">perplexity / unsteered</text>'
    )
    drawn.append(f'<text x="{_LEFT + 5}" y="{_TOP + 10}">control</text>')
    label = f'role="img" aria-label="{escape(caption)}"'
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" {label}>{"".join(drawn)}</svg>'


def _ticks(low: float, high: float) -> list[float]:
    """Return at most eight round numbers from `low` to `high`."""
    step = next(s for s in (0.05, 0.1, 0.2, 0.25, 0.5, 1.0, math.inf) if (high - low) / s < 7)
    if step == math.inf:
        return [low, high]
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _is_shown(point: dict[str, Any]) -> bool:
    ratio, control = point["perplexity_ratio"]["value"], point["control"]["value"]
    return ratio is not None and control is not None and 0 < ratio <= _MOST_RATIO
