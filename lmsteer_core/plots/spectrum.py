"""Singular values of a steer as bars."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from lmsteer_core.plots.look import POSITIVE, dressed


def spectrum(singular_values: Sequence[float]) -> go.Figure:
    """Draw σ_i against i; hovering tells each dimension's share of Σ σ²."""
    total = sum(sigma**2 for sigma in singular_values) or 1.0
    figure = go.Figure(
        go.Bar(
            x=list(range(1, len(singular_values) + 1)),
            y=list(singular_values),
            customdata=[sigma**2 / total for sigma in singular_values],
            marker={"color": POSITIVE},
            hovertemplate="dimension %{x}<br>σ = %{y:.3g}<br>%{customdata:.1%} of the energy<extra></extra>",
        )
    )
    return dressed(figure, x="dimension", y="singular value σ", height=260)
