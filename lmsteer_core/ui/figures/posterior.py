"""How likely each ε is, given a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from lmsteer_core.ui.colours import NEGATIVE, NEUTRAL, POSITIVE
from lmsteer_core.ui.figures.look import dressed
from lmsteer_core.ui.markup.format import signed

_DASHES = ("solid", "dash")
_MARKS = ("circle", "diamond")


def posterior_curves(
    epsilons: Sequence[float], curves: Mapping[str, tuple[Sequence[float], float]]
) -> go.Figure:
    """Draw P(ε | text) over ε, one curve per text, with the likeliest ε marked and written out.

    Args:
        epsilons: The grid.
        curves: Per text its name, "" where there is one text, with its posterior and its best ε.
    """
    figure = go.Figure()
    colours = [NEGATIVE if e < 0 else POSITIVE if e > 0 else NEUTRAL for e in epsilons]
    peaks = [best for _, best in curves.values()]
    for nth, (name, (probability, best)) in enumerate(curves.items()):
        prefix = f"{name}: " if name else ""
        figure.add_trace(
            go.Scatter(
                x=list(epsilons),
                y=list(probability),
                mode="lines+markers",
                line={"color": NEUTRAL, "width": 2.5, "dash": _DASHES[nth]},
                marker={"size": 7, "color": colours, "symbol": _MARKS[nth]},
                hovertemplate=f"{prefix}ε = %{{x:+g}}<br>probability %{{y:.1%}}<extra></extra>",
            )
        )
        figure.add_annotation(
            x=best,
            y=max(probability),
            text=f"<b>{_peak(probability, best, prefix)}</b>",
            showarrow=True,
            arrowhead=2,
            arrowcolor=NEUTRAL,
            ax=0,
            ay=-26 - 26 * nth,
            font={"size": 15},
            xanchor=_side(best, peaks),
        )
    # A flat curve, of a text that says nothing, must not look like a ceiling.
    highest = max(0.1, *(max(probability) for probability, _ in curves.values()))
    dressed(figure, x="ε", y="P(ε | text)", height=300)
    figure.update_yaxes(range=[0, highest * 1.4], tickformat=".0%")
    figure.update_xaxes(zeroline=True, dtick=1, range=[epsilons[0] - 0.4, epsilons[-1] + 0.4])
    return figure


def _side(best: float, peaks: Sequence[float]) -> str:
    """Return which end of a peak's label sits on it: two labels part and none leaves the chart."""
    if best == max(peaks) > min(peaks):
        return "left" if best < 2 else "center"
    return "right" if best == min(peaks) < max(peaks) and best > -2 else "center"


def _peak(probability: Sequence[float], best: float, prefix: str) -> str:
    if max(probability) - min(probability) < 1e-6:
        return f"{prefix}every ε alike"
    return f"{prefix or 'best '}ε {signed(best, '+g')}"  # two labels must fit a phone
