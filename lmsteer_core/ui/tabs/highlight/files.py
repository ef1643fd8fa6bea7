"""What a page shows of a text, as files to keep: CSV with every number, HTML that stands alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from lmsteer_core.analysis.evidence import Weighed
from lmsteer_core.analysis.spans import UnitKind
from lmsteer_core.ui.markup.format import epsilon_text
from lmsteer_core.ui.markup.standalone import plain_cell, standalone
from lmsteer_core.ui.tabs.highlight import markup
from lmsteer_core.ui.tabs.highlight.analysis import PAPER, Analysis, Measure, Shown

_FILE_ROWS = 5_000
"""Rows of a saved page's table of units; the CSV has all."""

_WIDTH, _HEIGHT = 640, 200


def csv_of(shown: Shown) -> str:
    """Return a row per token: document (1 or 2), index, start, end, text, nats per steer.

    The nats are the scores against ordinary text; the last column is the chosen steer's evidence
    log P₊ − log P₋. Start and end count characters, and text that a spreadsheet would take for a
    formula begins with an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    names = [card.name for card in shown.cards] or [shown.card.name]
    writer.writerow(
        ["document", "index", "start", "end", "text", *map(plain_cell, names), PAPER.name]
    )
    for document, text in enumerate(shown.texts, 1):
        columns = list(_columns(text, names))
        start = 0
        for i, piece in enumerate(text.token_texts):
            numbers = [f"{column[i]:.6f}" for column in columns]
            writer.writerow([document, i, start, start + len(piece), plain_cell(piece), *numbers])
            start += len(piece)
    # Without this mark some spreadsheets read UTF-8 as an older code page.
    return "\ufeff" + out.getvalue()


def _columns(text: Analysis, names: Sequence[str]) -> Iterator[list[float]]:
    profile = {style.name: style.scores for style in (text.style, *text.profile)}
    yield from (profile[name] for name in names)
    yield text.weighed.evidence


def html_of(
    shown: Shown, kind: UnitKind, n_spans: int, max_tokens: int, measure: Measure
) -> Markup:
    """Return a page that needs no other file, no script and no network."""
    profile = markup.profile_table(shown)
    parts = [
        Markup("<p>{}</p>").format(Markup("<br>").join(markup.summary(shown))),
        markup.legend(shown.poles, kind, measure),
        *_text_parts(shown, kind, n_spans, max_tokens, measure),
        Markup("<h2>All steers</h2>{}").format(profile) if profile else Markup(),
        Markup(
            "<p>{}: {} Read with the language model {}; made with LM-Steer Workbench.</p>"
        ).format(measure.name, measure.tip, shown.card.model_id),
    ]
    title = f"{shown.card.name}: {shown.card.negative} ↔ {shown.card.positive}"
    return standalone(title, Markup().join(parts))


def _text_parts(
    shown: Shown, kind: UnitKind, n_spans: int, max_tokens: int, measure: Measure
) -> Iterator[Markup]:
    """Yield what the page has of each text."""
    part = Markup(
        "{title}{text}<h3>Strongest spans</h3>{spans}<h3>P(ε | text)</h3>{curve}"
        "<details><summary>Evidence of the {kind}</summary>{table}</details>"
    )
    for title, text in zip(markup.titles(shown, "h2"), shown.texts, strict=True):
        units = markup.units_of(text, kind, measure)
        spans = markup.text_spans(text, n_spans, max_tokens, measure)
        yield part.format(
            title=title,
            text=markup.highlighted("".join(text.token_texts), units, shown.poles, kind, measure),
            spans=markup.spans_list(spans, shown.poles, measure),
            curve=_curve(text.weighed),
            kind=kind,
            table=markup.units_table(units, kind, measure, limit=_FILE_ROWS),
        )


def _curve(weighed: Weighed) -> Markup:
    """Return the posterior as a small drawing, its best ε marked."""
    low, high, top = weighed.epsilons[0], weighed.epsilons[-1], max(weighed.posterior)

    def at(epsilon: float, probability: float) -> tuple[float, float]:
        x = 20 + (_WIDTH - 40) * (epsilon - low) / (high - low)
        return x, _HEIGHT - 30 - (_HEIGHT - 70) * probability / top

    line = " ".join(
        "{:.1f},{:.1f}".format(*at(*point))
        for point in zip(weighed.epsilons, weighed.posterior, strict=True)
    )
    tick = Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>')
    ticks = Markup().join(
        tick.format(at(epsilon, 0)[0], _HEIGHT - 8, epsilon_text(epsilon))
        for epsilon in range(int(low), int(high) + 1)
    )
    x, y = at(weighed.best_epsilon, top)
    return Markup(
        '<svg viewBox="0 0 {width} {height}" width="{width}" role="img" fill="currentColor" '
        'font-size="14" aria-label="Probability of each ε given the text; most likely {best}">'
        '<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="2"/>'
        '<circle cx="{x:.1f}" cy="{y:.1f}" r="5"/>'
        '<text x="{x:.1f}" y="{label_y:.1f}" text-anchor="middle">best ε {best}: {top:.0%}</text>'
        "{ticks}</svg>"
    ).format(
        width=_WIDTH,
        height=_HEIGHT,
        best=epsilon_text(weighed.best_epsilon),
        line=line,
        x=x,
        y=y,
        label_y=y - 12,
        top=top,
        ticks=ticks,
    )
