"""What a text says about steers → HTML, for the page and for the file that is saved."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from lmsteer_core.analysis.evidence import Weighed
from lmsteer_core.analysis.spans import Span, Unit, UnitKind, strongest_spans, units
from lmsteer_core.steers.card import SteerCard
from lmsteer_core.ui.markup import tokens as token_markup
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.format import epsilon_text, signed
from lmsteer_core.ui.tabs.highlight.analysis import PROFILE_TOKENS, Analysis, Shown

PAGE_UNITS = 2_000
"""Units that a page tints and lists; more would make it slow to scroll. Saved files hold more."""

PAGE_ROWS = 500
"""Rows of the page's table of units."""

FULL_TINT: dict[UnitKind, float] = {"tokens": 4.0, "words": 4.0, "sentences": 12.0}
"""|nats| at which a unit's tint is at its strongest."""

LEAST_NATS = 1.0
"""Weaker spans are not listed: they are noise."""

NAMES, SHORT_NAMES = ("first text", "second text"), ("1st", "2nd")


def units_of(analysis: Analysis, kind: UnitKind) -> list[Unit]:
    """Return a text's units for the chosen steer; a character of several tokens is one of them."""
    texts: list[str] = []
    values: list[float] = []
    for text, value in zip(analysis.token_texts, analysis.weighed.evidence, strict=True):
        if not text and texts:
            values[-1] += value
        else:
            texts.append(text)
            values.append(value)
    return units(texts, values, kind)


def marked_texts(shown: Shown, kind: UnitKind) -> list[Markup]:
    """Return each text tinted, as far as `PAGE_UNITS`, with its name if there are two."""
    marked = []
    for text, title in zip(shown.texts, titles(shown, "h2"), strict=True):
        text_units = units_of(text, kind)
        html = highlighted(
            "".join(text.token_texts), text_units, shown.poles, kind, limit=PAGE_UNITS
        )
        n_units = len(text_units)
        cut = f"Shown are the first {PAGE_UNITS:,} of {n_units:,} {kind}; the saved HTML has all."
        marked.append(title + html + widgets.note(cut if n_units > PAGE_UNITS else ""))
    return marked


def units_tables(shown: Shown, kind: UnitKind, *, by_strength: bool) -> Markup:
    """Return the tables of both texts' units, side by side."""
    tables = Markup().join(
        Markup("<div>{}{}</div>").format(
            title, units_table(units_of(text, kind), kind, by_strength=by_strength)
        )
        for text, title in zip(shown.texts, titles(shown, "h2"), strict=True)
    )
    return Markup('<div class="side-by-side">{}</div>').format(tables)


def spans_of(shown: Shown, n_spans: int, max_tokens: int) -> Markup:
    """Return the strongest spans of each text."""
    return Markup().join(
        title + spans_list(text_spans(text, n_spans, max_tokens), shown.poles)
        for text, title in zip(shown.texts, titles(shown, "h3"), strict=True)
    )


def text_spans(text: Analysis, n_spans: int, max_tokens: int) -> list[Span]:
    """Return a text's strongest spans for the chosen steer."""
    return strongest_spans(
        text.token_texts, text.weighed.evidence, n_spans=n_spans, max_tokens=max_tokens
    )


def titles(shown: Shown, tag: str) -> list[Markup]:
    """Return a heading for each of two texts; one alone needs none."""
    if len(shown.texts) == 1:
        return [Markup()]
    return [Markup("<{0}>The {1}</{0}>").format(tag, name) for name in NAMES]


def highlighted(
    text: str,
    text_units: Sequence[Unit],
    poles: tuple[str, str],
    kind: UnitKind,
    *,
    limit: int | None = None,
) -> Markup:
    """Return a text with every unit tinted by its evidence in nats, as far as `limit` units."""
    parts, at = [], 0
    shown = text_units[:limit]
    for unit in shown:
        parts.append(text[at : unit.start])
        tip = f"{_nats(unit.evidence)} nats towards {poles[unit.evidence > 0]}"
        tint = unit.evidence * token_markup.FULL_TINT_NATS / FULL_TINT[kind]
        parts.append(token_markup.tinted(text[unit.start : unit.end], tint, tip))
        at = unit.end
    parts.append(" …" if len(shown) < len(text_units) else text[at:])
    return token_markup.text_html(parts)


def spans_list(spans: Sequence[Span], poles: tuple[str, str]) -> Markup:
    """Return the strongest spans as a list with scores."""
    item = Markup('<li class="{}"><b>{} nats</b> towards {}: <q>{}</q></li>')
    items = Markup().join(
        item.format(_side(span.evidence), _nats(span.evidence), poles[span.evidence > 0], span.text)
        for span in spans
        if abs(span.evidence) >= LEAST_NATS
    )
    if not items:
        return Markup("<p>No span reaches {:g} nat.</p>").format(LEAST_NATS)
    return Markup('<ul class="spans">{}</ul>').format(items)


def units_table(
    text_units: Sequence[Unit], kind: UnitKind, *, by_strength: bool = False, limit: int = PAGE_ROWS
) -> Markup:
    """Return a table of units with their numbers, in the text's order or the strongest first."""
    numbered = list(enumerate(text_units, 1))
    if by_strength:
        numbered.sort(key=lambda row: -abs(row[1].evidence))
    row = Markup('<tr><td class="num">{}</td><td>{}</td><td class="num {}">{}</td></tr>')
    rows = Markup().join(
        row.format(i, _visible(unit.text), _side(unit.evidence), _nats(unit.evidence))
        for i, unit in numbered[:limit]
    )
    cut = Markup("<p>{:,} of {:,} {}; the CSV holds every token.</p>").format(
        limit, len(text_units), kind
    )
    return Markup(
        '<div class="numbers" tabindex="0" role="region" aria-label="Evidence of the '
        '{kind}"><table><thead><tr><th scope="col" class="num">#</th><th '
        'scope="col">{unit}</th><th scope="col" class="num">nats</th></tr></thead>'
        "<tbody>{rows}</tbody></table></div>{cut}"
    ).format(
        kind=kind,
        unit=kind.removesuffix("s"),
        rows=rows,
        cut=cut if len(text_units) > limit else "",
    )


def profile_table(shown: Shown) -> Markup:
    """Return every steer with its best ε, its evidence and a bar for the evidence per token."""
    texts = [text for text in shown.texts if text.profile]
    if not texts:
        return Markup()
    largest = max((abs(_per_token(w)) for text in texts for w in text.profile), default=0) or 1.0
    rows = Markup().join(
        _profile_rows(
            card, [text.profile[i] for text in texts], largest, chosen=card.name == shown.card.name
        )
        for i, card in enumerate(shown.cards)
    )
    cut = any(text.n_tokens > text.n_profiled for text in texts)
    note = Markup("<p>The profile is of the first {:,} tokens.</p>").format(PROFILE_TOKENS)
    return Markup(
        '<table class="profile"><thead><tr><th scope="col">steer</th>{}'
        '<th scope="col" class="num">best ε</th><th scope="col" class="num">nats</th>'
        '<th scope="col" class="num">per token</th>'
        '<th scope="col" class="share"><span>−</span><span>+</span></th>'
        "</tr></thead><tbody>{}</tbody></table>{}"
    ).format(
        Markup('<th scope="col">text</th>') if len(texts) > 1 else "", rows, note if cut else ""
    )


def _profile_rows(
    card: SteerCard, weighed: Sequence[Weighed], largest: float, *, chosen: bool
) -> Markup:
    row = Markup(
        '<tr{}>{}{}<td class="num" data-name="best ε">{}</td>'
        '<td class="num" data-name="nats">{}</td><td class="num" data-name="per token">{}</td>'
        '<td class="share"><span class="track" aria-hidden="true">'
        '<i class="{}" style="width:{:.1f}%"></i></span></td></tr>'
    )
    mark = Markup(" class=chosen aria-current=true") if chosen else ""
    head = Markup('<th scope="rowgroup" rowspan="{}"><b>{}</b><small>{} ↔ {}</small></th>').format(
        len(weighed), card.name, card.negative, card.positive
    )
    which = [Markup('<td class="which">{}</td>').format(name) for name in SHORT_NAMES]
    return Markup().join(
        row.format(
            mark,
            head if i == 0 else "",
            which[i] if len(weighed) > 1 else "",
            epsilon_text(text.best_epsilon),
            _nats(text.total, 1),
            _nats(_per_token(text), 3),
            _side(_per_token(text)),
            50 * abs(_per_token(text)) / largest,
        )
        for i, text in enumerate(weighed)
    )


def summary(shown: Shown) -> list[str]:
    """Return what is seen, in a sentence per text and one for their difference."""
    if len(shown.texts) == 1:
        return [_summary(shown.texts[0], shown.poles)]
    named = zip(shown.texts, NAMES, strict=True)
    return [
        *(f"The {name}. {_summary(text, shown.poles)}" for text, name in named),
        _difference(shown),
    ]


def _summary(text: Analysis, poles: tuple[str, str]) -> str:
    weighed = text.weighed
    cut = f"Only the first {text.n_tokens:,} tokens were read. " if text.cut else ""
    if text.n_tokens < 2:
        return f"{cut}A single token has no context, so it speaks for no pole."
    edge = (
        " (the end of the grid)"
        if weighed.best_epsilon in (weighed.epsilons[0], weighed.epsilons[-1])
        else ""
    )
    best = f"{cut}Most likely ε: {epsilon_text(weighed.best_epsilon)}{edge}"
    if not weighed.total:
        return f"{best}; no evidence for either pole."
    return (
        f"{best}. Total evidence: {abs(weighed.total):.1f} nats towards "
        f"{poles[weighed.total > 0]}, {abs(_per_token(weighed)):.3f} per token over "
        f"{text.n_tokens:,} tokens."
    )


def _difference(shown: Shown) -> str:
    first, second = (_per_token(text.weighed) for text in shown.texts)
    if round(first, 3) == round(second, 3):
        return "Per token, both texts speak equally."
    further = NAMES[second > first]
    return (
        f"Per token, the {further} speaks {abs(first - second):.3f} nats more for {shown.poles[1]} "
        f"({_nats(first, 3)} against {_nats(second, 3)})."
    )


def legend(poles: tuple[str, str], kind: UnitKind) -> Markup:
    """Return the key to the tints."""
    return Markup(
        '<p class="legend"><span class="tok minus" style="--t:1">− {}</span> '
        '<span class="tok">no evidence</span> <span class="tok plus" style="--t:1">{} +'
        "</span> Full tint, dashed underline − and solid underline +: {:g} nats, "
        "{:,.0f} times likelier under that pole.</p>"
    ).format(*poles, FULL_TINT[kind], math.exp(FULL_TINT[kind]))


def _visible(text: str) -> str:
    """Return a token's text with a sign for a line's end, or for spaces where alone."""
    return text.replace("\n", "⏎") if text.strip(" ") else "␣"


def _per_token(weighed: Weighed) -> float:
    return weighed.total / max(1, len(weighed.evidence))


def _nats(value: float, digits: int = 2) -> str:
    return signed(value, f"+.{digits}f")


def _side(value: float) -> str:
    return "plus" if value > 0 else "minus" if value < 0 else "zero"
