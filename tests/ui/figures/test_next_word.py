"""The look of the next word's curves."""

import math
from itertools import combinations

import pytest

from lmsteer_core.analysis.next_word import EPSILON_GRID
from lmsteer_core.ui.figures.next_word import DASHES, label_places, lines, next_word_curves

RISING = [0.5 / (1 + math.exp(-e)) for e in EPSILON_GRID]
FALLING = RISING[::-1]
HUMP = [0.3 * math.exp(-(e**2)) for e in EPSILON_GRID]


def figure(drawn, **options):
    return next_word_curves(
        drawn, EPSILON_GRID, title="ε", useful=(-2.0, 1.5), breaks=(-10.0, 2.5), **options
    )


def test_the_side_says_where_a_word_gains_and_no_two_lines_of_a_side_share_a_dash() -> None:
    drawn = lines([("up", RISING), ("down", FALLING), ("hump", HUMP), ("too", RISING)])
    assert [line.side for line in drawn] == ["plus", "minus", "even", "plus"]
    assert [line.dash for line in drawn] == ["solid", "solid", "solid", "dash"]
    assert len({line.dash for line in lines([("w", RISING)] * len(DASHES))}) == len(DASHES)


def test_curves_hold_the_exact_points_and_mark_the_limits_that_lie_on_the_axis() -> None:
    drawn = figure(lines([("up", RISING), ("down", FALLING)]))
    assert [list(trace.y) for trace in drawn.data] == [RISING, FALLING]
    assert [list(trace.x) for trace in drawn.data] == [EPSILON_GRID] * 2
    spans = {(shape.x0, shape.x1) for shape in drawn.layout.shapes}
    assert spans == {(-2.0, 1.5), (2.5, 2.5)}
    assert drawn.layout.xaxis.range == (-3.0, 3.0)
    assert drawn.layout.font.size >= 14


def test_a_logarithmic_chart_has_a_floor() -> None:
    drawn = figure(lines([("never", [0.0] * 61)]), is_log=True)
    assert drawn.layout.yaxis.type == "log"
    assert min(drawn.data[0].y) > 0


def test_each_line_is_named_once_and_no_two_names_meet() -> None:
    peaks = [
        [0.5 * math.exp(-((e - at) ** 2)) for e in EPSILON_GRID] for at in (-2, -1.9, 0, 0.1, 2)
    ]
    places = label_places(peaks, EPSILON_GRID)
    spots = [
        (EPSILON_GRID[i], line[i]) for line, i in zip(peaks, places, strict=True) if i is not None
    ]
    assert len(spots) == 5
    for (x, y), (a, b) in combinations(spots, 2):
        assert abs(x - a) > 1 or abs(y - b) > 0.03
    drawn = figure(lines([("up", RISING), ("down", FALLING)]))
    assert [[text for text in trace.text if text] for trace in drawn.data] == [["up"], ["down"]]


def test_a_line_flat_on_the_ground_has_no_label() -> None:
    assert label_places([RISING, [1e-9] * 61], EPSILON_GRID)[1] is None


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "<b>", "%{x}", "&lt;"])
def test_a_word_is_never_markup(text: str) -> None:
    (trace,) = figure(lines([(text, RISING)])).data
    (shown,) = filter(None, trace.text)
    assert "<" not in shown
    assert trace.hovertemplate.startswith(f"<b>{shown}</b><br>")
    assert (
        shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("\u200b", "")
        == text
    )


def test_nothing_to_draw_and_a_locked_pole_are_no_error() -> None:
    assert not figure([]).data
    half = EPSILON_GRID[30:]
    drawn = next_word_curves(
        lines([("up", RISING[30:])]), half, title="ε", useful=(-2.0, 2.0), breaks=(-3.0, 9.0)
    )
    assert drawn.layout.xaxis.range == (0.0, 3.0)
    assert [(shape.x0, shape.x1) for shape in drawn.layout.shapes] == [(0.0, 2.0)]
