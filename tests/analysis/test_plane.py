"""The plane of two steers equals the curves of one and whole forward passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.models import make_steer

from lmsteer_core import (
    InputError,
    LanguageModel,
    Row,
    Sampling,
    Steer,
    SteerError,
    Steering,
    generate,
)
from lmsteer_core.analysis.evidence import evidence
from lmsteer_core.analysis.next_word import next_words
from lmsteer_core.analysis.plane import PLANE_GRID, plane, styles
from lmsteer_core.analysis.reading import read_text

PROMPT = "The concert last night was"
GRID = [-3.0, -0.5, 0.0, 2.0]


@pytest.fixture(scope="module")
def other(lm: LanguageModel) -> Steer:
    return make_steer(lm.output_embedding, norm=0.3, seed=5, name="other", model_id=lm.model_id)


@pytest.fixture(scope="module")
def third(lm: LanguageModel) -> Steer:
    return make_steer(lm.output_embedding, norm=0.3, seed=6, name="third", model_id=lm.model_id)


def test_every_row_is_a_curve_with_the_other_steer_held(
    lm: LanguageModel, steer: Steer, other: Steer, third: Steer
) -> None:
    found = plane(lm, PROMPT, steer, other, "great", GRID, held=[(third, 1.5)])
    assert (found.epsilons, found.text, found.is_whole, found.cut) == (GRID, " great", True, False)
    for i, epsilon in enumerate(GRID):
        held = [(other, epsilon), (third, 1.5)]
        (curve,) = next_words(
            lm, PROMPT, steer, held=held, epsilons=GRID, top=0, follow=["great"]
        ).followed
        assert found.probability[i] == pytest.approx(curve.probability, rel=1e-4)


def test_points_equal_steered_forward_passes(lm: LanguageModel, steer: Steer, other: Steer) -> None:
    found = plane(lm, PROMPT, steer, other, "great", GRID)
    ids = torch.tensor([lm.encode(PROMPT)[0]])
    great = lm.tokenizer(" great")["input_ids"][0]
    for i, j in ((0, 3), (3, 0), (1, 1), (2, 2)):
        with Steering(lm.model, [steer, other], [[GRID[j], GRID[i]]]), torch.inference_mode():
            p = lm.model(ids).logits[0, -1].softmax(-1)[great]
        assert found.probability[i][j] == pytest.approx(float(p), rel=1e-3)


def test_exchanging_the_steers_transposes_the_plane(
    lm: LanguageModel, steer: Steer, other: Steer
) -> None:
    there = np.array(plane(lm, PROMPT, steer, other, "great", GRID).probability)
    back = np.array(plane(lm, PROMPT, other, steer, "great", GRID).probability)
    assert there == pytest.approx(back.T, rel=1e-4)
    assert there.std() > 0.01 * there.mean()


def test_a_word_of_several_tokens_counts_by_its_first(small: LanguageModel) -> None:
    a, b = make_steer(small.output_embedding), make_steer(small.output_embedding, seed=1, name="b")
    found = plane(small, "Hi", a, b, "sesquipedalian", [0.0])
    assert (found.text, found.is_whole) == (" s", False)
    assert plane(small, "word " * 600, a, b, "Hi", [0.0]).cut
    assert plane(small, "🙂", a, b, "中文", [0.0]).probability[0][0] > 0


def test_the_grid_covers_the_useful_range_in_quarters() -> None:
    assert (len(PLANE_GRID), PLANE_GRID[0], PLANE_GRID[12], PLANE_GRID[-1]) == (25, -3.0, 0.0, 3.0)


def test_what_cannot_be_asked_is_refused(small: LanguageModel, steer: Steer) -> None:
    own = make_steer(small.output_embedding)
    with pytest.raises(InputError, match="prompt is empty"):
        plane(small, " ", own, own, "a")
    with pytest.raises(InputError, match="word is empty"):
        plane(small, "Hi", own, own, " ")
    with pytest.raises(InputError, match="values of ε"):
        plane(small, "Hi", own, own, "a", [])
    with pytest.raises(InputError, match="−10 and 10"):
        plane(small, "Hi", own, own, "a", [float("nan")])
    with pytest.raises(InputError, match="−10 and 10"):
        plane(small, "Hi", own, own, "a", held=[(own, 11.0)])
    with pytest.raises(SteerError, match="cannot steer"):
        plane(small, "Hi", own, steer, "a")


@pytest.mark.parametrize("prompt", [PROMPT, "a"])
def test_styles_are_the_evidence_of_the_new_tokens(
    lm: LanguageModel, steer: Steer, other: Steer, prompt: str
) -> None:
    rows = [Row(prompt, {"style": e}, seed_offset=i) for i, e in enumerate((-3.0, 0.0, 3.0))]
    done = generate(lm, rows, {"style": steer}, Sampling(max_new_tokens=5))
    found = styles(lm, prompt, [row.tokens for row in done], [steer, other])
    for row, scores in zip(done, found, strict=True):
        text = read_text(lm, prompt + row.text)
        assert text.token_ids[-5:] == [token.id for token in row.tokens]
        for each, score in zip((steer, other), scores, strict=True):
            assert score == pytest.approx(sum(evidence(lm, text, each)[-5:]) / 5, abs=2e-3)


def test_a_text_without_tokens_has_no_style(small: LanguageModel) -> None:
    own = make_steer(small.output_embedding)
    assert styles(small, "Hi there", [[]], [own, own]) == [[0.0, 0.0]]
    assert styles(small, "Hi there", [], [own]) == []
