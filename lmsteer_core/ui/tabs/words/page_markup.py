"""One dimension's page and a word's neighbours → HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from lmsteer_core.analysis.dimension_page import Context, DimensionPage, TextRead
from lmsteer_core.analysis.word_space import Neighbour, Neighbours
from lmsteer_core.ui.markup.format import epsilon_text, signed
from lmsteer_core.ui.markup.tokens import FULL_TINT_NATS, tinted

_N_BARS = 25


def dimension_page(page: DimensionPage) -> Markup:
    """Return what a dimension writes and reads."""
    dimension = page.dimension
    scale = _scale(page.usual)
    return Markup(
        "<h2>Dimension {number}: {name}</h2>"
        "<p>{energy:.0%} of the steer, and {share:.0%} of what it does in ordinary text.</p>"
        "<h3>What it writes</h3>"
        '<p><b class="minus">−ε</b> {minus}</p><p><b class="plus">+ε</b> {plus}</p>'
        "<h3>What it reads</h3>"
        "<p>h · a after the token, over the places of ordinary text. Where it is positive, +ε "
        "makes the words of +ε likelier next; where it is negative, those of −ε.</p>"
        "{histogram}"
        '<div class="contexts"><div><h4>Where it is largest</h4>{strongest}</div>'
        "<div><h4>Where it is smallest</h4>{weakest}</div></div>{text}"
    ).format(
        number=page.number,
        name=dimension.name,
        energy=dimension.energy,
        share=page.share,
        minus=", ".join(dimension.negative) or "(locked)",
        plus=", ".join(dimension.positive) or "(locked)",
        histogram=_histogram(page.usual),
        strongest=_contexts(page.strongest, scale),
        weakest=_contexts(page.weakest, scale),
        text=_text(page.text, scale) if page.text else "",
    )


def neighbour_table(found: Neighbours, epsilon: float) -> Markup:
    """Return a word's nearest words before and after ε, who comes closer and who leaves."""
    head = Markup("<h3>Nearest to “{}” in the output embedding</h3>").format(found.word)
    if found.before == found.after:
        return head + _near_list(found.before, "")
    moves = Markup("<p>Come closer: <b>{}</b>. Leave: <b>{}</b>.</p>").format(
        ", ".join(found.closer) or "none", ", ".join(found.leaving) or "none"
    )
    lists = Markup('<div class="contexts">{}{}</div>').format(
        _near_list(found.before, "without steering"),
        _near_list(found.after, f"at ε = {epsilon_text(epsilon)}"),
    )
    return head + moves + lists


def _near_list(words: Sequence[Neighbour], title: str) -> Markup:
    row = Markup('<tr><th scope="row">{}</th><td class="num">{}</td><td class="num">{}</td></tr>')
    rows = Markup().join(
        row.format(
            Markup(
                '{} <small title="Near to very many words, so that it says little">hub</small>'
            ).format(each.word)
            if each.is_hub
            else each.word,
            signed(each.before),
            signed(each.after),
        )
        for each in words
    )
    return Markup(
        '<table class="places near"><caption>{}</caption><thead><tr><th scope="col">word</th>'
        '<th scope="col">ε = 0</th><th scope="col">at ε</th></tr></thead>'
        "<tbody>{}</tbody></table>"
    ).format(title, rows)


def _scale(usual: Sequence[float]) -> float:
    """Return what makes all but the strongest twentieth of ordinary places less than full."""
    falling = sorted(map(abs, usual), reverse=True)
    return FULL_TINT_NATS / (falling[len(falling) // 20] or 1.0)


def _contexts(contexts: Sequence[Context], scale: float) -> Markup:
    item = Markup("<li>{}{} <small>{}</small></li>")
    return Markup('<ul class="snippets">{}</ul>').format(
        Markup().join(
            item.format(
                place.before, tinted(place.token, place.value * scale, ""), signed(place.value)
            )
            for place in contexts
        )
    )


def _text(text: TextRead, scale: float) -> Markup:
    values = [*text.values, 0.0]  # nothing follows the last token
    tokens = Markup().join(
        tinted(token, value * scale, f"h · a = {signed(value)}")
        for token, value in zip(text.token_texts, values, strict=True)
    )
    cut = " Its end was cut off." if text.cut else ""
    return Markup(
        '<h3>In your text</h3><p>{:.0%} of what the steer does there.{}</p><p class="read">{}</p>'
    ).format(text.share, cut, tokens)


def _histogram(values: Sequence[float]) -> Markup:
    low, high = min(values), max(values)
    width = (high - low) / _N_BARS or 1.0
    counts = Counter(min(int((value - low) / width), _N_BARS - 1) for value in values)
    most = max(counts.values())
    bar = Markup('<i class="{}" style="height:{:.0%}" title="{} to {}: {} places"></i>')
    bars = Markup().join(
        bar.format(
            "plus" if low + (i + 0.5) * width > 0 else "minus",
            counts[i] / most,
            signed(low + i * width),
            signed(low + (i + 1) * width),
            counts[i],
        )
        for i in range(_N_BARS)
    )
    return Markup(
        '<figure class="histogram" role="img" aria-label="How often h · a has which value, from '
        '{0} to {1}"><div>{2}</div><figcaption><span>{0}</span><span>{1}</span></figcaption>'
        "</figure>"
    ).format(signed(low), signed(high), bars)
