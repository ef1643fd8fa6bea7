"""Calibration spends a stated divergence at ε = ±3, whatever the steer's own scale."""

from __future__ import annotations

import pytest
import torch
from conftest import make_steer

from lmsteer_core import LanguageModel, Steering
from lmsteer_core.calibration import FULL_EPSILON, TARGET_KL, calibrate, mean_kl

IDS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 30, 40, 50], [3, 4, 60, 61, 62]]


@pytest.fixture
def small(llama, lm):
    return LanguageModel(llama, lm.tokenizer, "tiny")


@pytest.fixture
def hidden(small):
    return torch.cat(small.hidden_states(IDS))


def both_signs(lm, steer, hidden):
    return (mean_kl(lm, steer, hidden, FULL_EPSILON) + mean_kl(lm, steer, hidden, -FULL_EPSILON)) / 2


def test_mean_kl_equals_the_divergence_of_steered_and_base_logits(small, hidden, steer_for):
    steer, ids = steer_for(small.model), torch.tensor(IDS[:1])
    with torch.no_grad(), Steering(small.model, [steer], [[1.5]], keep_base=True) as steering:
        steered = small.model(ids, use_cache=False).logits[0].double().log_softmax(-1)
        base = steering.base_logits[0].double().log_softmax(-1)
    expected = (steered.exp() * (steered - base)).sum(-1).mean().item()
    found = mean_kl(small, steer, hidden[: len(IDS[0])], 1.5)
    assert found == pytest.approx(expected, rel=1e-3)
    assert found > 0.01


def test_mean_kl_at_zero_epsilon_is_zero(small, hidden, steer_for):
    assert mean_kl(small, steer_for(small.model), hidden, 0.0) == 0


def test_mean_kl_does_not_depend_on_how_contexts_are_chunked(small, hidden, steer_for):
    steer = steer_for(small.model)
    once = mean_kl(small, steer, hidden, 2.0)
    assert mean_kl(small, steer, hidden.repeat(20, 1), 2.0) == pytest.approx(once, rel=1e-5)


@pytest.mark.parametrize("norm", [1e-3, 0.3, 30.0])
@pytest.mark.parametrize("target", [0.05, TARGET_KL])
def test_calibrated_steer_reaches_the_target_divergence(small, hidden, steer_for, norm, target):
    calibrated = calibrate(small, steer_for(small.model, norm=norm), hidden, target_kl=target)
    assert both_signs(small, calibrated, hidden) == pytest.approx(target, rel=0.05)


def test_calibration_only_scales(small, hidden, steer_for):
    steer = steer_for(small.model)
    calibrated = calibrate(small, steer, hidden)
    ratio = calibrated.matrix().norm() / steer.matrix().norm()
    torch.testing.assert_close(calibrated.matrix(), ratio * steer.matrix())
    assert calibrated.card == steer.card


def test_calibrated_steer_reaches_the_target_divergence_on_the_embedded_model(lm):
    text = "The weather today is quite pleasant, and people are walking along the river."
    hidden = lm.hidden_states([lm.encode(text)[0]])[0]
    steer = make_steer(lm.output_embedding, rank=8, norm=0.1, model_id=lm.model_id)
    calibrated = calibrate(lm, steer, hidden)
    assert both_signs(lm, calibrated, hidden) == pytest.approx(TARGET_KL, rel=0.05)
