"""What the Words tab shows → HTML; every name and word passes through `escape`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from torch import Tensor

from lmsteer_core.analysis.dimensions import Place
from lmsteer_core.ui.markup.format import signed, visible


def place_table(
    places: Sequence[Place], shifts: Sequence[float], extremes: Sequence[float], kind: str
) -> str:
    """Return where words sit: per dimension the score, a bar from 0 and the rank.

    Args:
        places: One per word.
        shifts: The words' style scores.
        extremes: The largest |score| of any word, per dimension; there a bar is full.
        kind: What the dimensions are called.
    """
    if not places:
        return ""
    heads = "".join(
        f'<th scope="col" aria-label="{kind} {i}">{i}</th>' for i in range(1, len(extremes) + 1)
    )
    rows = "".join(
        (
            f'<tr><th scope="row">{escape(visible(place.word))}</th><td '
            f'class="num">{signed(shift)}</td>'
        )
        + "".join(
            f'<td class="num">{signed(score)}<span class="sits {"plus" if score > 0 else "minus"}" '
            f'style="--s:{min(1.0, abs(score) / (extreme or 1.0)):.3f}"></span>'
            f"<small>{rank:,}</small></td>"
            for score, rank, extreme in zip(place.scores, place.ranks, extremes, strict=True)
        )
        + "</tr>"
        for place, shift in zip(places, shifts, strict=True)
    )
    return (
        '<div class="scroll"><table class="places"><caption>Logit shift: what ε = 1 adds to the '
        "word in "
        f"ordinary text, in nats. Then for each {kind} the score, and below its bar the rank among "
        f"{places[0].n_words:,}: 1 is the + end.</caption>"
        f'<thead><tr><th scope="col">word</th><th scope="col">logit shift</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def pins(key: str, words: Sequence[str], places: Sequence[Sequence[float]]) -> str:
    """Return what the page draws on the map `key`: each word with (x, y, Δx, Δy, style score)."""
    told = [
        [visible(word), *(round(v, 5) for v in place)]
        for word, place in zip(words, places, strict=True)
    ]
    return f'<div hidden data-map="{escape(key)}" data-pins="{escape(json.dumps(told))}"></div>'


def overlap_table(names: Sequence[str], cosines: Tensor) -> str:
    """Return the cosines between steers as a tinted table, and who is nearest and farthest."""
    heads = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(
            f'<td class="num tok {"plus" if value > 0 else "minus"}" style="--t:{abs(value):.2f}">'
            f"{signed(value)}</td>"
            for value in row
        )
        + "</tr>"
        for name, row in zip(names, cosines.tolist(), strict=True)
    )
    pairs = sorted(
        (float(cosines[a, b]), f"{names[a]} and {names[b]}")
        for a in range(len(names))
        for b in range(a)
    )
    told = ""
    if pairs:
        (low, opposed), (high, alike) = pairs[0], pairs[-1]
        told = (
            f"<p>The nearest to each other are {escape(alike)} ({signed(high)}), "
            f"the farthest apart {escape(opposed)} ({signed(low)}).</p>"
        )
    return (
        f'<div class="scroll"><table class="overlap"><thead><tr><td></td>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{told}"
    )


def tried(name: str, told: str) -> str:
    """Return the note about a dimension that became a steer, with a way to its slider."""
    return (
        f'<p class="note" role="status"><b>{escape(name)}</b> has a slider on the Steer tab now: '
        f'{escape(told)}. <button type="button" class="try" data-open-tab="Steer">Go to its '
        "slider</button> "
        "To remove it, choose it under Your steers on the New steer tab.</p>"
    )
