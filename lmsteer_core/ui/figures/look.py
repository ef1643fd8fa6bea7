"""What all figures share: colours that survive colour blindness and either theme, no clutter."""

from __future__ import annotations

import plotly.graph_objects as go

from lmsteer_core.ui.colours import MIDDLE, NEGATIVE, NEUTRAL, POSITIVE

DIVERGING = [[0.0, NEGATIVE], [0.5, MIDDLE], [1.0, POSITIVE]]


def dressed(figure: go.Figure, *, x: str, y: str, height: int = 320) -> go.Figure:
    """Return the figure with axis titles, a transparent ground and text of projector size."""
    axis = {
        "gridcolor": "rgba(128,138,153,0.22)",
        "zerolinecolor": "rgba(128,138,153,0.6)",
        "linecolor": "rgba(128,138,153,0.4)",
        "automargin": True,
    }
    figure.update_layout(
        template="none",
        height=height,
        autosize=True,
        margin={"l": 12, "r": 12, "t": 16, "b": 12},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"size": 14, "color": NEUTRAL, "family": "system-ui, sans-serif"},
        showlegend=False,
        hoverlabel={"font": {"size": 14}},
        xaxis={**axis, "title": {"text": x}},
        yaxis={**axis, "title": {"text": y}},
    )
    return figure
