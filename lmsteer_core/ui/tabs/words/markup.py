"""What the Words tab shows → HTML."""

from __future__ import annotations

import json
from collections.abc import Sequence

from markupsafe import Markup
from torch import Tensor

from lmsteer_core.analysis.dimensions import Place
from lmsteer_core.steers.card import SteerCard
from lmsteer_core.ui.markup.format import signed, visible


def about(card: SteerCard, rank: int, reading: str, meaning: str) -> Markup:
    """Return which steer is shown and how it is read."""
    return Markup('<p class="about"><b>{}</b>, {} ↔ {}, rank {}. <b>{}</b>: {}</p>').format(
        card.name, card.negative, card.positive, rank, reading, meaning
    )


def place_table(
    places: Sequence[Place], shifts: Sequence[float], extremes: Sequence[float]
) -> Markup:
    """Return where words sit: per dimension the score, a bar from 0 and the rank.

    Args:
        places: One per word.
        shifts: The words' style scores.
        extremes: The largest |score| of any word, per dimension; there a bar is full.
    """
    if not places:
        return Markup()
    head = Markup('<th scope="col" aria-label="dimension {}">{}</th>')
    heads = Markup().join(head.format(i, i) for i in range(1, len(extremes) + 1))
    row = Markup('<tr><th scope="row">{}</th><td class="num">{}</td>{}</tr>')
    rows = Markup().join(
        row.format(visible(place.word), signed(shift), _place_cells(place, extremes))
        for place, shift in zip(places, shifts, strict=True)
    )
    return Markup(
        '<div class="scroll"><table class="places"><caption>Logit shift: what ε = 1 adds to the '
        "word in ordinary text, in nats. Then for each dimension the score, and below its bar the "
        "rank among {:,}: 1 is the + end.</caption>"
        '<thead><tr><th scope="col">word</th><th scope="col">logit shift</th>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(places[0].n_words, heads, rows)


def _place_cells(place: Place, extremes: Sequence[float]) -> Markup:
    cell = Markup(
        '<td class="num">{}<span class="sits {}" style="--s:{:.3f}"></span><small>{:,}</small></td>'
    )
    return Markup().join(
        cell.format(
            signed(score),
            "plus" if score > 0 else "minus",
            min(1.0, abs(score) / (extreme or 1.0)),
            rank,
        )
        for score, rank, extreme in zip(place.scores, place.ranks, extremes, strict=True)
    )


def pins(key: str, words: Sequence[str], places: Sequence[Sequence[float]]) -> Markup:
    """Return what the page draws on the map `key`: each word with (x, y, Δx, Δy, style score)."""
    pinned = [
        [visible(word), *(round(v, 5) for v in place)]
        for word, place in zip(words, places, strict=True)
    ]
    return Markup('<div hidden data-map="{}" data-pins="{}"></div>').format(key, json.dumps(pinned))


def overlap_table(names: Sequence[str], cosines: Tensor) -> Markup:
    """Return the cosines between steers as a tinted table, and who is nearest and farthest."""
    heads = Markup().join(map(Markup('<th scope="col"><span>{}</span></th>').format, names))
    row, cell = (
        Markup('<tr><th scope="row">{}</th>{}</tr>'),
        Markup('<td class="num tok {}" style="--t:{:.2f}">{}</td>'),
    )
    rows = Markup().join(
        row.format(
            name,
            Markup().join(
                cell.format("plus" if value > 0 else "minus", abs(value), signed(value))
                for value in values
            ),
        )
        for name, values in zip(names, cosines.tolist(), strict=True)
    )
    return Markup(
        '<div class="scroll"><table class="overlap"><thead><tr><td></td>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>{}"
    ).format(heads, rows, _nearest_and_farthest(names, cosines))


def _nearest_and_farthest(names: Sequence[str], cosines: Tensor) -> Markup:
    pairs = sorted(
        (float(cosines[a, b]), f"{names[a]} and {names[b]}")
        for a in range(len(names))
        for b in range(a)
    )
    if not pairs:
        return Markup()
    (low, opposed), (high, alike) = pairs[0], pairs[-1]
    return Markup(
        "<p>The nearest to each other are {} ({}), the farthest apart {} ({}).</p>"
    ).format(alike, signed(high), opposed, signed(low))


def tried(card: SteerCard) -> Markup:
    """Return the note about a dimension that became a steer, with a way to its slider."""
    return Markup(
        '<p class="note" role="status"><b>{}</b> has a slider on the Steer tab now: {} ↔ {}. '
        '<button type="button" class="try" data-open-tab="Steer">Go to its slider</button> '
        "To remove it, choose it under Your steers on the New steer tab.</p>"
    ).format(card.name, card.negative, card.positive)
