"""The next word's probability as curves over ε."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from lmsteer_core.ui.colours import BREAKS, NEGATIVE, NEUTRAL, POSITIVE
from lmsteer_core.ui.figures.look import dressed
from lmsteer_core.ui.markup.format import signed

DASHES = (
    "solid",
    "dash",
    "dot",
    "dashdot",
    "longdash",
    "longdashdot",
    "16px,4px,2px,4px,2px,4px",
    "4px,9px",
)
"""Told apart without colour; the browser draws the same ones beside the words (nextword.css)."""

_COLOURS = {"plus": POSITIVE, "minus": NEGATIVE, "even": NEUTRAL}
_CLEAR_CHANGE = 1.25
"""From one end to the other a word gains or loses if its probability changes by this factor."""
_LABEL_WIDTH, _LABEL_HEIGHT = 1.1, 0.07
"""Room one label takes, in ε and as a share of the chart's height."""
_STEEP = 0.04
"""Over four steps of the grid, as a share of the chart's height."""
_LEAST_SHOWN = 1e-6
"""Where the logarithmic axis ends."""


@dataclass(frozen=True)
class Line:
    """One word's curve as it is drawn.

    Attributes:
        text: What stands beside the line; the user's or the model's, so never markup.
        probability: P(word | prompt) at each ε, n_epsilons of them.
        side: "plus" if +ε makes the word likelier, "minus" if −ε does, else "even".
        dash: One of DASHES, another for each line of a side.
    """

    text: str
    probability: Sequence[float]
    side: str
    dash: str


def lines(words: Sequence[tuple[str, Sequence[float]]]) -> list[Line]:
    """Return words and their probabilities over ε with the look of each line."""
    drawn: list[Line] = []
    for text, p in words:
        side = (
            "plus"
            if p[-1] > _CLEAR_CHANGE * p[0]
            else "minus"
            if p[0] > _CLEAR_CHANGE * p[-1]
            else "even"
        )
        dash = DASHES[sum(line.side == side for line in drawn) % len(DASHES)]
        drawn.append(Line(text, p, side, dash))
    return drawn


def next_word_curves(
    drawn: Sequence[Line],
    epsilons: Sequence[float],
    *,
    title: str,
    useful: tuple[float, float],
    breaks: tuple[float, float],
    is_log: bool = False,
    height: int = 400,
) -> go.Figure:
    """Draw one line per word; the line at the slider's ε is the browser's (next_word.js).

    Args:
        drawn: The lines.
        epsilons: The grid, n_epsilons of them, rising.
        title: Title of the ε axis.
        useful: The steer's useful range of ε, shaded.
        breaks: Where its text breaks; marked where it lies on the axis.
        is_log: Whether the probability's axis is logarithmic.
        height: Of the figure, in pixels.
    """
    figure = go.Figure()
    heights = [_heights(line.probability, is_log) for line in drawn]
    places = label_places(heights, epsilons)
    top = max((max(line) for line in heights), default=0.0) or 1.0
    for line, height_of, place in zip(drawn, heights, places, strict=True):
        position = _position([h / top for h in height_of], place or 0)
        figure.add_trace(_curve(line, epsilons, place, position, is_log))
    low, high = epsilons[0], epsilons[-1]
    figure.add_vrect(
        max(low, useful[0]),
        min(high, useful[1]),
        fillcolor=NEUTRAL,
        opacity=0.13,
        line_width=0,
        layer="below",
    )
    for limit in breaks:
        if low < limit < high:
            figure.add_vline(limit, line={"color": BREAKS, "width": 2, "dash": "dash"})
    dressed(figure, x=title, y="probability of the next word", height=height)
    figure.update_layout(
        dragmode=False, margin={"t": 30, "r": 24}, modebar={"remove": ["select2d", "lasso2d"]}
    )
    ticks = [*range(math.ceil(low), math.floor(high) + 1)]
    figure.update_xaxes(
        range=[low, high],
        fixedrange=True,
        tickvals=ticks,
        ticktext=[signed(e, "+d") for e in ticks],
    )
    figure.update_yaxes(fixedrange=True, tickformat=".4~%" if is_log else ".0%", rangemode="tozero")
    if is_log:
        figure.update_yaxes(type="log", dtick=1)
    return figure


def _curve(
    line: Line, epsilons: Sequence[float], place: int | None, position: str, is_log: bool
) -> go.Scatter:
    """Return a line whose label stands at a place of the grid, in plotly's text position."""
    text = _literal(line.text)
    return go.Scatter(
        x=list(epsilons),
        y=[max(p, _LEAST_SHOWN) if is_log else p for p in line.probability],
        text=[text if i == place else "" for i in range(len(epsilons))],
        mode="lines+text",
        textposition=position,
        textfont={"size": 16},
        cliponaxis=False,
        line={"color": _COLOURS[line.side], "dash": line.dash, "width": 3},
        hovertemplate=f"<b>{text}</b><br>ε = %{{x:+.1f}}<br>%{{y:.3%}}<extra></extra>",
    )


def label_places(heights: Sequence[Sequence[float]], epsilons: Sequence[float]) -> list[int | None]:
    """Return where along each line its label stands: as high as it can, free of the labels before.

    Args:
        heights: Per line and ε, how high it stands, n_lines of n_epsilons.
        epsilons: The grid.

    Returns:
        Grid indices; None for a line without a free place, or flat on the ground.
    """
    top = max((max(line) for line in heights), default=0.0) or 1.0
    inside = [i for i, e in enumerate(epsilons) if epsilons[0] + 0.3 <= e <= epsilons[-1] - 0.3]
    taken: list[tuple[float, float]] = []
    places: list[int | None] = []
    for line in heights:
        spots = {i: (epsilons[i], line[i] / top) for i in sorted(inside, key=lambda i: -line[i])}
        place = next((i for i, spot in spots.items() if _is_free(spot, taken)), None)
        taken += [] if place is None else [spots[place]]
        places.append(place)
    return places


def _is_free(spot: tuple[float, float], taken: Sequence[tuple[float, float]]) -> bool:
    x, y = spot
    clear = (abs(x - a) >= _LABEL_WIDTH or abs(y - b) >= _LABEL_HEIGHT for a, b in taken)
    return y >= _LABEL_HEIGHT / 2 and all(clear)


def _position(heights: Sequence[float], place: int) -> str:
    """Return where a label is clear of its line: left of a rising, right of a falling one."""
    rise = heights[min(place + 2, len(heights) - 1)] - heights[max(place - 2, 0)]
    return "top left" if rise > _STEEP else "top right" if rise < -_STEEP else "top center"


def _heights(probability: Sequence[float], is_log: bool) -> list[float]:
    return [math.log(max(p, _LEAST_SHOWN) / _LEAST_SHOWN) if is_log else p for p in probability]


def _literal(text: str) -> str:
    """Return text that plotly shows as it is, not as markup or as a place for a number."""
    return (
        text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("%{", "%\u200b{")
    )
