"""The lengths of a steer's dimensions as bars, with the share of it that they hold together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import plotly.graph_objects as go

from lmsteer_core.ui.colours import NEUTRAL, POSITIVE
from lmsteer_core.ui.figures.look import dressed

_MANY = 10
"""Bars of which only the tall carry a number: the others' would run into each other."""


def spectrum(
    values: Sequence[float], shares: Sequence[float] | None = None, most: int = 32
) -> go.Figure:
    """Draw value i against i as bars, and the share up to i as a line.

    Args:
        values: Lengths of dimensions.
        shares: Their shares of the steer; of Σ value² by default.
        most: Only so many of them are drawn; the shares are of all.
    """
    total = sum(value**2 for value in values) or 1.0
    shares = shares or [value**2 / total for value in values]
    shares_up_to = list(accumulate(shares))
    least_labelled = 0.1 if len(values) > _MANY else 0.02
    x = list(range(1, len(values) + 1))[:most]
    figure = go.Figure(
        go.Bar(
            x=x,
            y=list(values)[:most],
            customdata=list(zip(shares, shares_up_to, strict=True))[:most],
            text=[f"{share:.0%}" if share >= least_labelled else "" for share in shares[:most]],
            textposition="outside",
            constraintext="none",
            textangle=0,
            textfont={"size": 14},
            cliponaxis=False,
            marker={"color": POSITIVE},
            hovertemplate="dimension %{x}<br>%{y:.3g} long<br>%{customdata[0]:.1%} of the steer<br>"
            "%{customdata[1]:.1%} up to here<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=x,
            y=shares_up_to[:most],
            yaxis="y2",
            mode="lines+markers",
            line={"color": NEUTRAL, "width": 2, "dash": "dot"},
            marker={"size": 7},
            hoverinfo="skip",
        )
    )
    dressed(figure, x="dimension", y="length", height=300)
    figure.update_layout(
        margin={"t": 28},
        bargap=0.25,
        xaxis={"dtick": 1 if len(x) <= _MANY else 5},
        yaxis={"showgrid": False, "rangemode": "tozero"},
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "range": [0, 1.04],
            "tickformat": ".0%",
            "automargin": True,
            "title": {"text": "share up to here"},
            "gridcolor": "rgba(128,138,153,0.22)",
        },
    )
    return figure
