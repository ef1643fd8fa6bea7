import math
from typing import Any

from lmsteer_core.ui.figures.calibration import calibration_curves

CURVES = {"epsilon": [-3, 0, 3], "style": [-1, 0, 1], "perplexity": [30, 20, 40]}


def test_perplexity_is_drawn_as_a_ratio_to_the_unsteered() -> None:
    figure = calibration_curves(CURVES, (-3, 2), (-10, 2.5))
    assert figure is not None
    assert list(figure.data[1].y) == [1.5, 1.0, 2.0]


def test_a_collapse_is_marked_only_where_it_was_seen() -> None:
    seen = calibration_curves(CURVES, (-3, 2), (-10, 2.5))
    unseen = calibration_curves(CURVES, (-3, 2), (-10, 10))
    assert seen is not None
    assert unseen is not None
    assert [note.text for note in seen.layout.annotations] == ["breaks"]
    assert len(unseen.layout.annotations) == 0


def test_a_card_without_curves_has_no_figure() -> None:
    cards: list[Any] = [{}, {"epsilon": [], "style": [], "perplexity": []}, {"epsilon": 3}]
    for card in cards:
        assert calibration_curves(card, (-3, 3), (-10, 10)) is None


def test_an_epsilon_that_silenced_the_model_leaves_a_gap() -> None:
    figure = calibration_curves(
        {**CURVES, "perplexity": [None, 20, 40]}, (-3.0, 3.0), (-10.0, 10.0)
    )
    assert figure is not None
    assert math.isnan(figure.data[1].y[0])
    assert figure.data[1].y[2] == 2
