"""What a text says about steers → HTML, for the page and for the file that is saved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from lmsteer_core.analysis.evidence import Weighed
from lmsteer_core.analysis.spans import Span, Unit, UnitKind, units
from lmsteer_core.steers.card import SteerCard
from lmsteer_core.ui.markup import tokens as token_markup
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


def highlighted(
    text: str,
    found: Sequence[Unit],
    poles: tuple[str, str],
    kind: UnitKind,
    *,
    limit: int | None = None,
) -> str:
    """Return a text with every unit tinted by its evidence in nats, as far as `limit` units."""
    parts, at = [], 0
    shown = found[:limit]
    for unit in shown:
        parts.append(escape(text[at : unit.start]))
        tip = f"{_nats(unit.evidence)} nats towards {poles[unit.evidence > 0]}"
        tint = unit.evidence * token_markup.FULL_TINT_NATS / FULL_TINT[kind]
        parts.append(token_markup.tinted(text[unit.start : unit.end], tint, tip))
        at = unit.end
    parts.append(" …" if len(shown) < len(found) else escape(text[at:]))
    return f'<div class="gen" dir="auto">{"".join(parts)}</div>'


def spans_list(spans: Sequence[Span], poles: tuple[str, str]) -> str:
    """Return the strongest spans as a list with scores."""
    items = "".join(
        f'<li class="{_side(span.evidence)}"><b>{_nats(span.evidence)} nats</b> '
        f"towards {escape(poles[span.evidence > 0])}: <q>{escape(span.text)}</q></li>"
        for span in spans
        if abs(span.evidence) >= LEAST_NATS
    )
    none = f"<p>No span reaches {LEAST_NATS:g} nat.</p>"
    return f'<ul class="spans">{items}</ul>' if items else none


def units_table(
    found: Sequence[Unit], kind: UnitKind, *, by_strength: bool = False, limit: int = PAGE_ROWS
) -> str:
    """Return a table of units with their numbers, in the text's order or the strongest first."""
    rows = list(enumerate(found, 1))
    if by_strength:
        rows.sort(key=lambda row: -abs(row[1].evidence))
    body = "".join(
        f'<tr><td class="num">{i}</td><td>{_visible(unit.text)}</td>'
        f'<td class="num {_side(unit.evidence)}">{_nats(unit.evidence)}</td></tr>'
        for i, unit in rows[:limit]
    )
    cut = (
        f"<p>{limit:,} of {len(rows):,} {kind}; the CSV holds every token.</p>"
        if len(rows) > limit
        else ""
    )
    return (
        '<div class="numbers" tabindex="0" role="region" aria-label="Evidence of the '
        f'{kind}"><table><thead><tr><th scope="col" class="num">#</th><th '
        f'scope="col">{kind.removesuffix("s")}</th><th scope="col" '
        f'class="num">nats</th></tr></thead><tbody>{body}</tbody></table></div>{cut}'
    )


def profile_table(shown: Shown) -> str:
    """Return every steer with its best ε, its evidence and a bar for the evidence per token."""
    texts = [text for text in shown.texts if text.profile]
    if not texts:
        return ""
    largest = max((abs(_per_token(w)) for text in texts for w in text.profile), default=0) or 1.0
    rows = "".join(
        _profile_rows(
            card, [text.profile[i] for text in texts], largest, chosen=card.name == shown.card.name
        )
        for i, card in enumerate(shown.cards)
    )
    parts = ['<th scope="col">steer</th>', '<th scope="col">text</th>' if len(texts) > 1 else ""]
    parts += [
        f'<th scope="col" class="num">{name}</th>' for name in ("best ε", "nats", "per token")
    ]
    parts.append('<th scope="col" class="share"><span>−</span><span>+</span></th>')
    cut = any(text.n_tokens > text.n_profiled for text in texts)
    note = f"<p>The profile is of the first {PROFILE_TOKENS:,} tokens.</p>" if cut else ""
    return (
        "<table "
        f'class="profile"><thead><tr>{"".join(parts)}</tr></thead><tbody>{rows}</tbody></table>{note}'
    )


def _profile_rows(
    card: SteerCard, found: Sequence[Weighed], largest: float, *, chosen: bool
) -> str:
    lines = []
    for nth, weighed in enumerate(found):
        name = (
            f'<th scope="rowgroup" rowspan="{len(found)}"><b>{escape(card.name)}</b>'
            f"<small>{escape(card.negative)} ↔ {escape(card.positive)}</small></th>"
            if nth == 0
            else ""
        )
        which = f'<td class="which">{SHORT_NAMES[nth]}</td>' if len(found) > 1 else ""
        value = _per_token(weighed)
        width = 50 * abs(value) / largest
        lines.append(
            f"<tr{' class=chosen aria-current=true' if chosen else ''}>{name}{which}"
            f'<td class="num" data-name="best ε">{epsilon_text(weighed.best_epsilon)}</td>'
            f'<td class="num" data-name="nats">{_nats(weighed.total, 1)}</td>'
            f'<td class="num" data-name="per token">{_nats(value, 3)}</td>'
            '<td class="share"><span class="track" aria-hidden="true">'
            f'<i class="{_side(value)}" style="width:{width:.1f}%"></i></span></td></tr>'
        )
    return "".join(lines)


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
    found = text.weighed
    cut = f"Only the first {text.n_tokens:,} tokens were read. " if text.cut else ""
    if text.n_tokens < 2:
        return f"{cut}A single token has no context, so it speaks for no pole."
    edge = (
        " (the end of the grid)"
        if found.best_epsilon in (found.epsilons[0], found.epsilons[-1])
        else ""
    )
    best = f"{cut}Most likely ε: {epsilon_text(found.best_epsilon)}{edge}"
    if not found.total:
        return f"{best}; no evidence for either pole."
    return (
        f"{best}. Total evidence: {abs(found.total):.1f} nats towards {poles[found.total > 0]}, "
        f"{abs(_per_token(found)):.3f} per token over {text.n_tokens:,} tokens."
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


def legend(poles: tuple[str, str], kind: UnitKind) -> str:
    """Return the key to the tints."""
    times = f"{math.exp(FULL_TINT[kind]):,.0f}"
    return (
        f'<p class="legend"><span class="tok minus" style="--t:1">− {escape(poles[0])}</span> '
        '<span class="tok">no evidence</span> <span class="tok plus" '
        f'style="--t:1">{escape(poles[1])} +'
        f"</span> Full tint, dashed underline − and solid underline +: {FULL_TINT[kind]:g} nats, "
        f"{times} times likelier under that pole.</p>"
    )


def _visible(text: str) -> str:
    """Return a token's text with a sign for a line's end, or for spaces where alone."""
    return escape(text.replace("\n", "⏎")) if text.strip(" ") else "␣"


def _per_token(weighed: Weighed) -> float:
    return weighed.total / max(1, len(weighed.evidence))


def _nats(value: float, digits: int = 2) -> str:
    return signed(value, f"+.{digits}f")


def _side(value: float) -> str:
    return "plus" if value > 0 else "minus" if value < 0 else "zero"
