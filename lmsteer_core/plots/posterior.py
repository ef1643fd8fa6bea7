"""How likely each ε is, given a text."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from lmsteer_core.plots.look import NEGATIVE, POSITIVE, dressed


def posterior_bars(epsilons: Sequence[float], probability: Sequence[float]) -> go.Figure:
    """Draw P(ε | text) as bars, the − side and the + side in their own colours."""
    colours = [NEGATIVE if e < 0 else POSITIVE if e > 0 else "#808a99" for e in epsilons]
    figure = go.Figure(
        go.Bar(
            x=list(epsilons),
            y=list(probability),
            marker={"color": colours},
            hovertemplate="ε = %{x:+g}<br>probability %{y:.1%}<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"width": 1, "color": "#808a99"})
    figure.update_layout(bargap=0.12)
    return dressed(figure, x="ε", y="P(ε | text)", height=260)
