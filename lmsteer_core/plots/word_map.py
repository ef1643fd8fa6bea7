"""Words of the vocabulary as points on two dimensions of a steer."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from lmsteer_core.plots.look import DIVERGING, dressed


def word_map(
    words: Sequence[str],
    x: Sequence[float],
    y: Sequence[float],
    style: Sequence[float],
    named: Sequence[int],
    titles: tuple[str, str],
) -> go.Figure:
    """Draw one point per word, coloured by its style score.

    Args:
        words: Spellings, n_words of them.
        x: Coordinates on the first dimension.
        y: Coordinates on the second.
        style: Logit shift at ε = 1 in ordinary text, per word.
        named: Indices of the words written out beside their points.
        titles: Names of the two axes.
    """
    bound = max(map(abs, style), default=1.0) or 1.0
    figure = go.Figure(
        go.Scatter(
            x=list(x),
            y=list(y),
            text=list(words),
            mode="markers",
            marker={
                "size": 7,
                "color": list(style),
                "colorscale": DIVERGING,
                "cmin": -bound,
                "cmax": bound,
                "opacity": 0.75,
                "colorbar": {"title": {"text": "logit shift at ε = 1"}, "thickness": 12},
            },
            hovertemplate="<b>%{text}</b><br>"
            + f"{titles[0]}: %{{x:.3g}}<br>{titles[1]}: %{{y:.3g}}<br>"
            + "logit shift: %{marker.color:+.3g}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[x[i] for i in named],
            y=[y[i] for i in named],
            text=[words[i] for i in named],
            mode="text",
            textposition="top center",
            textfont={"size": 14},
            hoverinfo="skip",
        )
    )
    return dressed(figure, x=titles[0], y=titles[1], height=520)
