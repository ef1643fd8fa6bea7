"""What a page shows of a text, as files to keep: CSV with every number, HTML that stands alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from html import escape

from lmsteer_core.analysis.evidence import Weighed
from lmsteer_core.analysis.spans import UnitKind, strongest_spans
from lmsteer_core.ui.markup.format import epsilon_text
from lmsteer_core.ui.markup.standalone import plain_cell, standalone
from lmsteer_core.ui.tabs.highlight import markup as draw
from lmsteer_core.ui.tabs.highlight.analysis import Analysis, Shown

_FILE_ROWS = 5_000
"""Rows of a saved page's table of units; the CSV has all."""

_WIDTH, _HEIGHT = 640, 200


def csv_of(shown: Shown) -> str:
    """Return a row per token: document (1 or 2), index, start, end, text, nats per steer.

    Start and end count characters. A cell is empty where a steer weighed only a text's beginning,
    and text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    names = [card.name for card in shown.cards] or [shown.card.name]
    writer.writerow(["document", "index", "start", "end", "text", *map(plain_cell, names)])
    for document, text in enumerate(shown.texts, 1):
        columns = list(_columns(shown, text, names))
        start = 0
        for i, piece in enumerate(text.token_texts):
            numbers = [f"{column[i]:.6f}" if i < len(column) else "" for column in columns]
            writer.writerow([document, i, start, start + len(piece), plain_cell(piece), *numbers])
            start += len(piece)
    # Without this mark some spreadsheets read UTF-8 as an older code page.
    return "\ufeff" + out.getvalue()


def _columns(shown: Shown, text: Analysis, names: Sequence[str]) -> Iterator[list[float]]:
    profile = {weighed.name: weighed.evidence for weighed in text.profile}
    for name in names:
        yield text.weighed.evidence if name == shown.card.name else profile.get(name, [])


def html_of(shown: Shown, kind: UnitKind, n_spans: int, max_tokens: int) -> str:
    """Return a page that needs no other file, no script and no network."""
    title = f"{shown.card.name}: {shown.card.negative} ↔ {shown.card.positive}"
    several = len(shown.texts) > 1
    parts = []
    for name, text in zip(draw.NAMES, shown.texts, strict=False):
        found = draw.units_of(text, kind)
        spans = strongest_spans(
            text.token_texts, text.weighed.evidence, n_spans=n_spans, max_tokens=max_tokens
        )
        parts.append(
            (f"<h2>The {name}</h2>" if several else "")
            + draw.highlighted("".join(text.token_texts), found, shown.poles, kind)
            + f"<h3>Strongest spans</h3>{draw.spans_list(spans, shown.poles)}"
            + f"<h3>P(ε | text)</h3>{_curve(text.weighed)}"
            + f"<details><summary>Evidence of the {kind}</summary>"
            + f"{draw.units_table(found, kind, limit=_FILE_ROWS)}</details>"
        )
    profile = draw.profile_table(shown)
    return standalone(
        title,
        f"<p>{'<br>'.join(map(escape, draw.summary(shown)))}</p>"
        f"{draw.legend(shown.poles, kind)}{''.join(parts)}"
        + (f"<h2>All steers</h2>{profile}" if profile else "")
        + (
            "<p>Evidence is log P(token | +ε) − log P(token | −ε) at ε = 1, in nats, under the "
            f"language model {escape(shown.card.model_id)}. Made with LM-Steer Workbench.</p>"
        ),
    )


def _curve(weighed: Weighed) -> str:
    """Return the posterior as a small drawing, its best ε marked."""
    low, high, top = weighed.epsilons[0], weighed.epsilons[-1], max(weighed.posterior)

    def at(epsilon: float, probability: float) -> tuple[float, float]:
        x = 20 + (_WIDTH - 40) * (epsilon - low) / (high - low)
        return x, _HEIGHT - 30 - (_HEIGHT - 70) * probability / top

    line = " ".join(
        "{:.1f},{:.1f}".format(*at(*point))
        for point in zip(weighed.epsilons, weighed.posterior, strict=True)
    )
    best = epsilon_text(weighed.best_epsilon)
    x, y = at(weighed.best_epsilon, top)
    ticks = "".join(
        f'<text x="{at(tick, 0)[0]:.1f}" y="{_HEIGHT - 8}" '
        f'text-anchor="middle">{epsilon_text(tick)}</text>'
        for tick in range(int(low), int(high) + 1)
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" fill="currentColor" '
        f'font-size="14" aria-label="Probability of each ε given the text; most likely {best}">'
        f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="2"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5"/>'
        f'<text x="{x:.1f}" y="{y - 12:.1f}" text-anchor="middle">best ε {best}: {top:.0%}</text>'
        f"{ticks}</svg>"
    )
