"""Words of the vocabulary as points on two axes.

The browser moves them with ε (assets/js/words.js).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from lmsteer_core.ui.figures.look import DIVERGING, dressed

EXTENT = 3.0
"""The axes reach as far as the words do for ε from −EXTENT to EXTENT."""

_STRONG = 0.25
"""Share of the strongest style score from which a point is a
triangle: ▲ gains with +ε, ▼ with −ε."""


def word_map(
    words: Sequence[str],
    at: Sequence[tuple[float, float]],
    moves: Sequence[tuple[float, float]],
    style: Sequence[float],
    titles: tuple[str, str],
    key: str,
) -> go.Figure:
    """Draw one point per word at ε = 0, coloured by its style score.

    Args:
        words: Spellings, n_words of them.
        at: Where each is at ε = 0.
        moves: How ε = 1 moves it; both go to the page as `customdata`, (x, y, Δx, Δy).
        style: Logit shift at ε = 1 in ordinary text, per word.
        titles: Names of the two axes.
        key: Tells this map from others, so that the page draws only its pins on it; `layout.meta`.
    """
    bound = max(map(abs, style), default=1.0) or 1.0
    order = sorted(range(len(words)), key=lambda i: abs(style[i]))  # the strongest lie on top
    places = [[round(value, 4) for value in (*at[i], *moves[i])] for i in order]
    strength = [style[i] / bound for i in order]
    # A mapping is checked once; a trace would be checked again on its way into the figure.
    points = {
        "type": "scattergl",
        "x": [place[0] for place in places],
        "y": [place[1] for place in places],
        "customdata": places,
        "text": [escape(words[i]) for i in order],
        "mode": "markers",
        "marker": {
            "size": [6 + 6 * abs(s) for s in strength],
            "symbol": [
                "circle" if abs(s) < _STRONG else "triangle-up" if s > 0 else "triangle-down"
                for s in strength
            ],
            "color": [round(style[i], 4) for i in order],
            "colorscale": DIVERGING,
            "cmin": -bound / 2,
            "cmax": bound / 2,
            "opacity": 0.8,
            "line": {"width": 0},
        },
        "hovertemplate": "<b>%{text}</b><br>across %{x:+.3f}<br>up %{y:+.3f}<br>"
        "logit shift at ε = 1: %{marker.color:+.2f}<extra></extra>",
    }
    figure = go.Figure({"data": [points]})
    dressed(figure, x=titles[0], y=titles[1], height=480)
    figure.update_layout(meta=key, dragmode="pan", xaxis=_axis(places, 0), yaxis=_axis(places, 1))
    return figure


def _axis(places: Sequence[Sequence[float]], i: int) -> dict[str, object]:
    ends = [
        place[i] + epsilon * place[i + 2] for place in places for epsilon in (-EXTENT, 0, EXTENT)
    ]
    low, high = min(ends, default=-1.0), max(ends, default=1.0)
    margin = 0.06 * (high - low) or 1.0
    return {"range": [low - margin, high + margin], "autorange": False}
