"""What a text says about steers → HTML, for the page and for the file that is saved."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from markupsafe import Markup

from lmsteer_core.analysis.spans import Span, Unit, UnitKind, strongest_spans, units
from lmsteer_core.analysis.style_reading import CLEAR, StyleReading
from lmsteer_core.analysis.word_effects import WordEffect
from lmsteer_core.steers.card import SteerCard
from lmsteer_core.ui.markup import tokens as token_markup
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.format import epsilon_text, signed
from lmsteer_core.ui.tabs.highlight.analysis import ORDINARY, Analysis, Measure, Shown
from lmsteer_core.ui.tabs.highlight.inspection import tokens_of

PAGE_UNITS = 2_000
"""Units that a page tints and lists; more would make it slow to scroll. Saved files hold more."""

PAGE_ROWS = 500
"""Rows of the page's table of units."""

KINDS: tuple[UnitKind, ...] = ("tokens", "words", "sentences")

_FULL_BAR = 8.0
"""Strength in σ at which a bar of the profile is full, unless a stronger one is shown."""

NAMES, SHORT_NAMES = ("first text", "second text"), ("1st", "2nd")


def units_of(analysis: Analysis, kind: UnitKind, measure: Measure = ORDINARY) -> list[Unit]:
    """Return a text's units for the chosen steer; a character of several tokens is one of them."""
    texts: list[str] = []
    values: list[float] = []
    for text, value in zip(analysis.token_texts, measure.values(analysis), strict=True):
        if not text and texts:
            values[-1] += value
        else:
            texts.append(text)
            values.append(value)
    return units(texts, values, kind)


def marked_texts(shown: Shown, kind: UnitKind, measure: Measure) -> list[Markup]:
    """Return each text tinted, as far as `PAGE_UNITS`, with its name if there are two."""
    marked = []
    for text, title in zip(shown.texts, titles(shown, "h2"), strict=True):
        text_units = units_of(text, kind, measure)
        places = [tokens[-1] for tokens in tokens_of(text.token_texts, text_units)]
        html = highlighted(
            "".join(text.token_texts),
            text_units,
            shown.poles,
            kind,
            measure,
            limit=PAGE_UNITS,
            places=() if kind == "sentences" else places,
        )
        n_units = len(text_units)
        cut = f"Shown are the first {PAGE_UNITS:,} of {n_units:,} {kind}; the saved HTML has all."
        marked.append(title + html + widgets.note(cut if n_units > PAGE_UNITS else ""))
    return marked


def units_tables(shown: Shown, kind: UnitKind, measure: Measure, *, by_strength: bool) -> Markup:
    """Return the tables of both texts' units, side by side."""
    tables = Markup().join(
        Markup("<div>{}{}</div>").format(
            title,
            units_table(units_of(text, kind, measure), kind, measure, by_strength=by_strength),
        )
        for text, title in zip(shown.texts, titles(shown, "h2"), strict=True)
    )
    return Markup('<div class="side-by-side">{}</div>').format(tables)


def spans_of(shown: Shown, n_spans: int, max_tokens: int, measure: Measure) -> Markup:
    """Return the strongest spans of each text."""
    return Markup().join(
        title + spans_list(text_spans(text, n_spans, max_tokens, measure), shown.poles, measure)
        for text, title in zip(shown.texts, titles(shown, "h3"), strict=True)
    )


def text_spans(text: Analysis, n_spans: int, max_tokens: int, measure: Measure) -> list[Span]:
    """Return a text's strongest spans for the chosen steer."""
    return strongest_spans(
        text.token_texts, measure.values(text), n_spans=n_spans, max_tokens=max_tokens
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
    measure: Measure = ORDINARY,
    *,
    limit: int | None = None,
    places: Sequence[int] = (),
) -> Markup:
    """Return a text with every unit tinted by its value, as far as `limit` units.

    `places` are those of the units' last tokens, where the page can ask about a unit.
    """
    parts, at = [], 0
    shown = text_units[:limit]
    for unit, place in zip_longest(shown, places[: len(shown)]):
        parts.append(text[at : unit.start])
        tip = f"{_number(unit.evidence)} {measure.unit} towards {poles[unit.evidence > 0]}"
        tint = unit.evidence * token_markup.FULL_TINT_NATS / measure.full_tint[kind]
        parts.append(token_markup.tinted(text[unit.start : unit.end], tint, tip, place))
        at = unit.end
    parts.append(" …" if len(shown) < len(text_units) else text[at:])
    return token_markup.text_html(parts)


def spans_list(
    spans: Sequence[Span], poles: tuple[str, str], measure: Measure = ORDINARY
) -> Markup:
    """Return the strongest spans as a list with scores."""
    item = Markup('<li class="{}"><b>{} {}</b> towards {}: <q>{}</q></li>')
    items = Markup().join(
        item.format(
            _side(span.evidence),
            _number(span.evidence),
            measure.unit,
            poles[span.evidence > 0],
            span.text,
        )
        for span in spans
        if abs(span.evidence) >= measure.least
    )
    if not items:
        return Markup("<p>No span reaches {:g} {}.</p>").format(measure.least, measure.unit)
    return Markup('<ul class="spans">{}</ul>').format(items)


def units_table(
    text_units: Sequence[Unit],
    kind: UnitKind,
    measure: Measure = ORDINARY,
    *,
    by_strength: bool = False,
    limit: int = PAGE_ROWS,
) -> Markup:
    """Return a table of units with their numbers, in the text's order or the strongest first."""
    numbered = list(enumerate(text_units, 1))
    if by_strength:
        numbered.sort(key=lambda row: -abs(row[1].evidence))
    row = Markup('<tr><td class="num">{}</td><td>{}</td><td class="num {}">{}</td></tr>')
    rows = Markup().join(
        row.format(i, _visible(unit.text), _side(unit.evidence), _number(unit.evidence))
        for i, unit in numbered[:limit]
    )
    cut = Markup("<p>{:,} of {:,} {}; the CSV holds every token.</p>").format(
        limit, len(text_units), kind
    )
    return Markup(
        '<div class="numbers" tabindex="0" role="region" aria-label="Evidence of the '
        '{kind}"><table><thead><tr><th scope="col" class="num">#</th><th '
        'scope="col">{unit}</th><th scope="col" class="num">{measure}</th></tr></thead>'
        "<tbody>{rows}</tbody></table></div>{cut}"
    ).format(
        kind=kind,
        unit=kind.removesuffix("s"),
        measure=measure.unit,
        rows=rows,
        cut=cut if len(text_units) > limit else "",
    )


def effects_tables(shown: Shown, effects: Sequence[Sequence[WordEffect]]) -> Markup:
    """Return what each word of either text does, and which does most to the words after it."""
    tables = Markup().join(
        Markup("<div>{}{}</div>").format(
            title, _effects_table(text_effects, text.style.base_rate.deviation or 1.0, shown.poles)
        )
        for text, text_effects, title in zip(shown.texts, effects, titles(shown, "h3"), strict=True)
    )
    return Markup('<div class="side-by-side">{}</div>').format(tables)


def _effects_table(effects: Sequence[WordEffect], spread: float, poles: tuple[str, str]) -> Markup:
    cell = Markup('<td class="num {}">{}</td>')
    rows = Markup().join(
        Markup('<tr><td class="num">{}</td><td>{}</td>{}</tr>').format(
            i,
            effect.text,
            Markup().join(
                cell.format(_side(nats), _number(nats / spread, 1))
                for nats in (effect.own, effect.on_later, effect.own + effect.on_later)
            ),
        )
        for i, effect in enumerate(effects, 1)
    )
    head = Markup().join(
        Markup('<th scope="col" class="num">{}</th>').format(name)
        for name in ("itself, σ", "on later words, σ", "both, σ")
    )
    return Markup(
        '<p>{}</p><div class="numbers" tabindex="0" role="region" aria-label="What each word '
        'does"><table><thead><tr><th scope="col" class="num">#</th><th scope="col">word</th>{}'
        "</tr></thead><tbody>{}</tbody></table></div>"
    ).format(_strongest_effect(effects, spread, poles), head, rows)


def _strongest_effect(
    effects: Sequence[WordEffect], spread: float, poles: tuple[str, str]
) -> Markup:
    """Return a sentence on the word that does most to those after it."""
    word = max(effects, key=lambda effect: abs(effect.on_later))
    later, own = (abs(nats) / spread for nats in (word.on_later, word.own))
    if later < 1:
        return Markup("Without any of its words, the others would read the same within 1 σ.")
    return Markup(
        "Most is done to later words by <b>{}</b>: it moves them {:.1f} σ towards {}, and adds "
        "{:.1f} σ towards {} itself."
    ).format(word.text, later, poles[word.on_later > 0], own, poles[word.own > 0])


def profile_table(shown: Shown) -> Markup:
    """Return every steer with its strength, in units that compare, and a bar for it."""
    texts = [text for text in shown.texts if text.profile]
    if not texts:
        return Markup()
    full = max([_FULL_BAR, *(abs(style.strength) for text in texts for style in text.profile)])
    rows = Markup().join(
        _profile_rows(
            card, [text.profile[i] for text in texts], full, chosen=card.name == shown.card.name
        )
        for i, card in enumerate(shown.cards)
    )
    return Markup(
        '<table class="profile"><thead><tr><th scope="col">steer</th>{}'
        '<th scope="col" class="num">strength, σ</th><th scope="col" class="num">stronger than</th>'
        '<th scope="col" class="num">nats</th>'
        '<th scope="col" class="share"><span>−</span><span>+</span></th>'
        "</tr></thead><tbody>{}</tbody></table>"
    ).format(Markup('<th scope="col">text</th>') if len(texts) > 1 else "", rows)


def _profile_rows(
    card: SteerCard, styles: Sequence[StyleReading], full: float, *, chosen: bool
) -> Markup:
    row = Markup(
        '<tr{}>{}{}<td class="num" data-name="strength, σ">{}</td>'
        '<td class="num" data-name="stronger than">{}</td>'
        '<td class="num" data-name="nats">{}</td>'
        '<td class="share"><span class="track" aria-hidden="true">'
        '<i class="{}" style="width:{:.1f}%"></i></span></td></tr>'
    )
    mark = Markup(" class=chosen aria-current=true") if chosen else ""
    head = Markup('<th scope="rowgroup" rowspan="{}"><b>{}</b><small>{} ↔ {}</small></th>').format(
        len(styles), card.name, card.negative, card.positive
    )
    which = [Markup('<td class="which">{}</td>').format(name) for name in SHORT_NAMES]
    return Markup().join(
        row.format(
            mark,
            head if i == 0 else "",
            which[i] if len(styles) > 1 else "",
            _number(style.strength, 1),
            _percent(style),
            _number(style.total, 1),
            _side(style.strength),
            50 * abs(style.strength) / full,
        )
        for i, style in enumerate(styles)
    )


def _percent(style: StyleReading) -> str:
    return f"{min(style.share_weaker, 0.999):.1%}".replace(".0%", "%").replace("%", " %")


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
    style, weighed = text.style, text.weighed
    cut = f"Only the first {text.n_tokens:,} tokens were read. " if text.cut else ""
    if not style.n_words:
        return f"{cut}There is no word in it, so it speaks for no pole."
    strength = f"{_number(style.strength, 1)} σ, {_number(style.total, 1)} nats"
    pole = poles[style.total > 0]
    if style.is_clear:
        seen = (
            f"Reads as {pole}, more clearly than {_percent(style)} of ordinary text of this "
            f"length ({strength})."
        )
    else:
        seen = (
            f"Reads like ordinary text: {abs(style.strength):.1f} σ towards {pole}, where up to "
            f"{CLEAR:g} σ are common ({_number(style.total, 1)} nats)."
        )
    edge = (
        " (the end of the grid)"
        if weighed.best_epsilon in (weighed.epsilons[0], weighed.epsilons[-1])
        else ""
    )
    return (
        f"{cut}{seen} Log P₊ − log P₋ has it {abs(weighed.total):.1f} nats towards "
        f"{poles[weighed.total > 0]}, and its likeliest ε is {epsilon_text(weighed.best_epsilon)}"
        f"{edge}. {text.n_tokens:,} token{'s' * (text.n_tokens != 1)}."
    )


def _difference(shown: Shown) -> str:
    first, second = (text.style.strength for text in shown.texts)
    if round(first, 1) == round(second, 1):
        return "Both texts speak equally."
    further = NAMES[second > first]
    return (
        f"The {further} speaks more for {shown.poles[1]} ({_number(first, 1)} σ against "
        f"{_number(second, 1)} σ)."
    )


def legend(poles: tuple[str, str], kind: UnitKind, measure: Measure = ORDINARY) -> Markup:
    """Return the key to the tints."""
    return Markup(
        '<p class="legend"><span class="tok minus" style="--t:1">− {}</span> '
        '<span class="tok">no evidence</span> <span class="tok plus" style="--t:1">{} +'
        "</span> Full tint, dashed underline − and solid underline +: {:g} {}. {}</p>"
    ).format(*poles, measure.full_tint[kind], measure.unit, measure.tip)


def _visible(text: str) -> str:
    """Return a token's text with a sign for a line's end, or for spaces where alone."""
    return text.replace("\n", "⏎") if text.strip(" ") else "␣"


def _number(value: float, digits: int = 2) -> str:
    return signed(value, f"+.{digits}f")


def _side(value: float) -> str:
    return "plus" if value > 0 else "minus" if value < 0 else "zero"
