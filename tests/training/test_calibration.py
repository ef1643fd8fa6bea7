"""ε = ±3 is a stated divergence first, then the end of the range in which the text stays useful."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from support.models import make_steer

from lmsteer_core import Generated, LanguageModel, Row, Steering, Token, generate
from lmsteer_core.steers.card import SteerCard
from lmsteer_core.training import calibration
from lmsteer_core.training.calibration import (
    FULL_EPSILON,
    GRID,
    TARGET_KL,
    Curve,
    calibrate,
    mean_kl,
    measure,
    perplexity,
    repetition,
    with_useful_range,
)

IDS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 30, 40, 50], [3, 4, 60, 61, 62]]


@pytest.fixture
def tiny_lm(llama, lm):
    return LanguageModel(llama, lm.tokenizer, "tiny")


@pytest.fixture
def hidden(tiny_lm):
    return torch.cat(tiny_lm.hidden_states(IDS))


def both_signs(lm, steer, hidden):
    return (
        mean_kl(lm, steer, hidden, FULL_EPSILON) + mean_kl(lm, steer, hidden, -FULL_EPSILON)
    ) / 2


def test_mean_kl_equals_the_divergence_of_steered_and_base_logits(tiny_lm, hidden, steer_for):
    steer, ids = steer_for(tiny_lm.model), torch.tensor(IDS[:1])
    with torch.no_grad(), Steering(tiny_lm.model, [steer], [[1.5]], keep_base=True) as steering:
        steered = tiny_lm.model(ids, use_cache=False).logits[0].double().log_softmax(-1)
        assert steering.base_logits is not None
        base = steering.base_logits[0].double().log_softmax(-1)
    expected = (steered.exp() * (steered - base)).sum(-1).mean().item()
    found = mean_kl(tiny_lm, steer, hidden[: len(IDS[0])], 1.5)
    assert found == pytest.approx(expected, rel=1e-3)
    assert found > 0.01


def test_mean_kl_at_zero_epsilon_is_zero(tiny_lm, hidden, steer_for):
    assert mean_kl(tiny_lm, steer_for(tiny_lm.model), hidden, 0.0) == 0


def test_mean_kl_does_not_depend_on_how_contexts_are_chunked(tiny_lm, hidden, steer_for):
    steer = steer_for(tiny_lm.model)
    once = mean_kl(tiny_lm, steer, hidden, 2.0)
    assert mean_kl(tiny_lm, steer, hidden.repeat(20, 1), 2.0) == pytest.approx(once, rel=1e-5)


@pytest.mark.parametrize("norm", [1e-3, 0.3, 30.0])
@pytest.mark.parametrize("target", [0.05, TARGET_KL])
def test_calibrated_steer_reaches_the_target_divergence(tiny_lm, hidden, steer_for, norm, target):
    calibrated = calibrate(tiny_lm, steer_for(tiny_lm.model, norm=norm), hidden, target_kl=target)
    assert both_signs(tiny_lm, calibrated, hidden) == pytest.approx(target, rel=0.05)


def test_calibration_only_scales(tiny_lm, hidden, steer_for):
    steer = steer_for(tiny_lm.model)
    calibrated = calibrate(tiny_lm, steer, hidden)
    ratio = calibrated.matrix().norm() / steer.matrix().norm()
    torch.testing.assert_close(calibrated.matrix(), ratio * steer.matrix())
    assert calibrated.card == steer.card


def test_calibrated_steer_reaches_the_target_divergence_on_the_embedded_model(lm):
    text = "The weather today is quite pleasant, and people are walking along the river."
    hidden = lm.hidden_states([lm.encode(text)[0]])[0]
    steer = make_steer(lm.output_embedding, rank=8, norm=0.1, model_id=lm.model_id)
    calibrated = calibrate(lm, steer, hidden)
    assert both_signs(lm, calibrated, hidden) == pytest.approx(TARGET_KL, rel=0.05)


def curve(cost_minus, cost_plus, *, by_repetition=False):
    """A curve whose cost, 1 where the useful range ends, grows linearly to either side of 0."""
    cost = [abs(e) * (cost_minus if e < 0 else cost_plus) for e in GRID]
    return Curve(
        epsilon=list(GRID),
        style=[e / 6 for e in GRID],
        perplexity=[20.0] * len(GRID) if by_repetition else [20 * 1.5**c for c in cost],
        repeated=[0.05 + 0.08 * c for c in cost] if by_repetition else [0.05] * len(GRID),
        distinct_2=[0.9] * len(GRID),
        ended=[0.0] * len(GRID),
    )


@pytest.fixture
def style(embedding):
    return make_steer(embedding)


@pytest.fixture
def embedding():
    return torch.randn(97, 32, generator=torch.Generator().manual_seed(0))


BREAK = math.log(3) / math.log(1.5)
"""Perplexity breaks at this multiple of the ε at which usefulness ends; repetition at 3 times."""


def test_a_text_that_breaks_down_to_one_mark_is_seen():
    fine = ["You don’t say, and it isn’t late.", "We won’t wait: the tide’s out."]
    broken = ["You don’t say" + 17 * "’", "We won’t" + 18 * "’"]
    assert repetition(broken)[1] < repetition(fine)[1] - 0.45
    assert repetition(["one two", "one two"]) == (0.0, 0.5)


@pytest.mark.parametrize(
    ("ends", "by_repetition", "factor", "useful", "collapse"),
    [
        ((3, 3), False, 1, (-3, 3), (-10, 10)),
        ((2, 2), False, 2 / 3, (-3, 3), (-3 * BREAK, 3 * BREAK)),
        ((1, 2), False, 2 / 3, (-1.5, 3), (-1.5 * BREAK, 3 * BREAK)),
        ((2.2, 0.5), False, 2.2 / 3, (-3, 0.5 * 3 / 2.2), (-3 * BREAK, 0.5 * BREAK * 3 / 2.2)),
        ((1.5, 1.5), True, 0.5, (-3, 3), (-9, 9)),
        ((4, 1), True, 4 / 3, (-3, 0.75), (-10, 2.25)),
        ((math.inf, math.inf), False, 2, (-3, 3), (-10, 10)),
        ((math.inf, 3), False, 2, (-3, 1.5), (-10, 10)),
    ],
)
def test_the_farther_pole_ends_at_3_and_the_other_where_it_does(
    style, ends, by_repetition, factor, useful, collapse
):
    measured = curve(*(1 / end for end in ends), by_repetition=by_repetition)
    found = with_useful_range(style, measured)
    torch.testing.assert_close(found.matrix(), factor * style.matrix())
    assert found.card.epsilon_range == pytest.approx(useful, abs=0.011)
    assert found.card.collapse_range == pytest.approx(collapse, abs=0.011)
    assert max(-found.card.epsilon_range[0], found.card.epsilon_range[1]) == FULL_EPSILON
    assert SteerCard.from_json(found.card.to_json()) == found.card


def test_a_card_keeps_the_measured_curve_in_its_own_epsilon(style):
    measured = curve(1 / 2, 1 / 2)
    figures = with_useful_range(style, measured).card.calibration
    assert figures["epsilon"] == pytest.approx([e * 1.5 for e in GRID])
    assert figures["perplexity"] == pytest.approx(measured.perplexity, abs=1e-4)
    assert set(figures) == {field.name for field in dataclasses.fields(Curve)}


def test_a_single_noisy_point_does_not_end_the_range(style):
    measured = curve(0, 0)
    measured.perplexity[GRID.index(0) + 1] = 20 * 1.6  # and farther on as at 0
    assert with_useful_range(style, measured).card.epsilon_range == (-3, 3)


def test_text_that_gets_more_fluent_on_both_sides_never_breaks(style):
    measured = curve(-0.2, -0.3)
    found = with_useful_range(style, measured)
    assert found.card.epsilon_range == (-3, 3)
    assert found.card.collapse_range == (-10, 10)


def test_a_pole_that_cuts_texts_short_is_useful_only_where_it_does_not(style):
    measured = curve(0, 0)
    measured.ended[:] = [0.02 + (0.05 * -e if e < 0 else 0.0) for e in GRID]  # 0.1 more at −2
    card = with_useful_range(style, measured).card
    assert card.epsilon_range == pytest.approx((-1, 3))
    assert card.collapse_range == pytest.approx((-3, 10))


def test_a_steer_that_silences_the_model_at_the_end_of_the_grid_breaks_there(style):
    measured = curve(0, 0)  # no token at ε = 6: no perplexity
    measured.perplexity[-1] = math.nan
    card = with_useful_range(style, measured).card
    assert card.calibration["perplexity"][-1] is None
    assert card.epsilon_range[0] == -3
    assert 0 < card.epsilon_range[1] < 3


@pytest.mark.parametrize(
    ("texts", "repeated", "distinct"),
    [
        (["one two three"], 0, 1),
        (["a b a b"], 0.5, 2 / 3),
        (["One two", "one, TWO!"], 0, 1),
        (["so so so so", "not at all"], 3 / 7, 3 / 5),
        (["in 1999, in_1999"], 0.5, 1),
        (["", "12 !"], 0, 1),
    ],
)
def test_repetition_is_counted_by_hand(texts, repeated, distinct):
    assert repetition(texts) == pytest.approx((repeated, distinct))


def test_perplexity_is_of_the_unsteered_model():
    rows = [Generated(Row("x"), [Token(5, "a", -9.0, -1.0), Token(6, "b", -9.0, -2.0)])]
    rows.append(Generated(Row("x"), [Token(7, "c", -9.0, -3.0)]))
    assert perplexity(rows) == pytest.approx(math.exp(2))
    assert math.isnan(perplexity([Generated(Row("x"), [])]))


PROMPTS = ["The house", "On Monday we", "Nobody"]


@pytest.mark.usefixtures("brief")
def test_the_baseline_of_a_curve_is_unsteered_text(small, steer_for):
    style = steer_for(small.model, norm=1.0)
    found = measure(
        small, style, lambda texts: [float(len(t)) for t in texts], PROMPTS, (-2.0, 0.0, 3.0)
    )
    rows = [Row(prompt, seed_offset=i) for i, prompt in enumerate(PROMPTS)]
    plain = generate(small, rows, {}, calibration._SAMPLING)
    texts = [row.text for row in plain]
    assert found.epsilon == [-2, 0, 3]
    assert found.style[1] == pytest.approx(sum(map(len, texts[::2])) / 2)
    assert found.perplexity[1] == pytest.approx(perplexity(plain), rel=1e-4)
    assert (found.repeated[1], found.distinct_2[1]) == repetition(texts)
    limit = calibration._SAMPLING.max_new_tokens
    assert found.ended[1] == sum(len(row.tokens) < limit for row in plain) / len(plain)
    assert found.perplexity[0] != pytest.approx(found.perplexity[1], rel=1e-3)
    assert found.perplexity[2] != pytest.approx(found.perplexity[1], rel=1e-3)


@pytest.mark.usefixtures("brief")
def test_a_curve_does_not_depend_on_how_rows_are_batched(small, steer_for, monkeypatch):
    style = steer_for(small.model)
    found = []
    for rows in (4, 256):
        monkeypatch.setattr(calibration, "MAX_ROWS", rows)
        found.append(
            measure(
                small, style, lambda texts: [float(len(t)) for t in texts], PROMPTS, (-1.0, 0.0)
            )
        )
    assert found[0].style == found[1].style
    assert found[0].perplexity == pytest.approx(found[1].perplexity, rel=1e-4)
