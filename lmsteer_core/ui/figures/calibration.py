"""What a steer's strength does: style gained and fluency lost, against ε."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lmsteer_core.ui.colours import BREAKS, NEGATIVE, NEUTRAL, POSITIVE
from lmsteer_core.ui.figures.look import dressed


def calibration_curves(
    calibration: Mapping[str, Sequence[Any]],
    useful: tuple[float, float],
    breaks: tuple[float, float],
) -> go.Figure | None:
    """Draw the style score and the perplexity ratio one above the other.

    Args:
        calibration: A card's `calibration`: equally long lists `epsilon`, `style`, `perplexity`.
        useful: The useful range of ε, shaded.
        breaks: Where fluency breaks; marked where it lies on the axis.

    Returns:
        The figure, or None if the card holds no curves.
    """
    columns = _columns(calibration)
    if columns is None:
        return None
    epsilons, style, perplexity = columns
    base = perplexity[min(range(len(epsilons)), key=lambda i: abs(epsilons[i]))] or 1.0
    colours = [NEGATIVE if e < 0 else POSITIVE if e > 0 else NEUTRAL for e in epsilons]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    curves = (
        (style, "style", "%{y:.3g}"),
        ([p / base for p in perplexity], "perplexity", "%{y:.2f} × the unsteered"),
    )
    for row, (y, name, value_format) in enumerate(curves, 1):
        figure.add_trace(
            go.Scatter(
                x=epsilons,
                y=y,
                mode="lines+markers",
                line={"color": NEUTRAL, "width": 2},
                marker={"size": 9, "color": colours},
                hovertemplate=f"ε = %{{x:+.3g}}<br>{name} {value_format}<extra></extra>",
            ),
            row=row,
            col=1,
        )
    figure.add_vrect(*useful, fillcolor=NEUTRAL, opacity=0.16, line_width=0, layer="below")
    for limit in breaks:
        if epsilons[0] <= limit <= epsilons[-1]:
            _mark_break(figure, limit)
    x, y = figure.layout.xaxis.to_plotly_json(), figure.layout.yaxis.to_plotly_json()
    dressed(figure, x="", y="style", height=420)
    look = {"gridcolor": figure.layout.xaxis.gridcolor, "automargin": True, "zeroline": False}
    figure.update_layout(
        xaxis=x,
        xaxis2={**look, "title": {"text": "ε"}, "dtick": 1},
        yaxis={"domain": y["domain"], "anchor": y["anchor"]},
        yaxis2={**look, "title": {"text": "perplexity ÷ unsteered"}},
    )
    return figure


def _columns(calibration: Mapping[str, Sequence[Any]]) -> list[list[float]] | None:
    """Return ε, style and perplexity by rising ε, or None if they are not three such lists."""
    try:
        points = sorted(
            zip(*(calibration[k] for k in ("epsilon", "style", "perplexity")), strict=True)
        )
        epsilons, style, perplexity = (
            [math.nan if value is None else float(value) for value in column]
            for column in zip(*points, strict=True)
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return [epsilons, style, perplexity]


def _mark_break(figure: go.Figure, limit: float) -> None:
    """Draw where fluency breaks across both curves."""
    figure.add_vline(limit, line={"color": BREAKS, "width": 2, "dash": "dash"})
    figure.add_annotation(
        x=limit,
        y=1,
        yref="paper",
        text="breaks",
        showarrow=False,
        font={"color": BREAKS},
        xanchor="left" if limit < 0 else "right",
        yanchor="top",
    )
