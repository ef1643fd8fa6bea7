"""The projection finds the steer behind a shift, and keeps no more rank than pays."""

from __future__ import annotations

import pytest
import torch
from support.models import cosine, make_plain, make_steer, make_tiny, noise, relative_error

from lmsteer_core import LanguageModel
from lmsteer_core.training.neutral_text import curvature_of
from lmsteer_core.training.projection import (
    MAX_RANK,
    Curvature,
    Damping,
    choose_rank,
    natural_length,
    project,
)

D_MODEL = 32


def definite(seed):
    """A covariance with a wide spectrum."""
    factor = noise(D_MODEL, D_MODEL, seed=seed) * torch.logspace(
        0, -1, D_MODEL, dtype=torch.float64
    )
    return factor @ factor.T / D_MODEL


@pytest.fixture
def curvature():
    return Curvature(definite(1), definite(2), torch.zeros(0, D_MODEL, dtype=torch.float64))


def test_full_rank_projection_is_the_damped_inverse_on_both_sides(curvature):
    shift, eye = noise(D_MODEL, D_MODEL), torch.eye(D_MODEL, dtype=torch.float64)
    damping = Damping(embedding=0.5, hidden=2.0)
    left, right = project(shift, curvature, rank=D_MODEL, damping=damping)
    a = curvature.embedding + 0.5 * curvature.embedding.trace() / D_MODEL * eye
    b = curvature.hidden + 2.0 * curvature.hidden.trace() / D_MODEL * eye
    assert relative_error(left @ right, b.inverse() @ shift @ a.inverse()) < 1e-5


def test_truncation_drops_what_moves_the_distribution_least(curvature):
    tiny_damping = Damping(1e-9, 1e-9)
    parts = [
        project(noise(D_MODEL, D_MODEL), curvature, rank=r, damping=tiny_damping) for r in (32, 5)
    ]
    whole, kept = (left.double() @ right.double() for left, right in parts)
    dropped = whole - kept
    crossed = (curvature.hidden @ kept @ curvature.embedding * dropped).sum()
    scale = (curvature.hidden @ kept @ curvature.embedding * kept).sum()
    assert abs(crossed / scale) < 1e-3


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma3"])
def test_shifts_of_a_known_steer_give_back_that_steer(architecture, lm):
    small = LanguageModel(make_tiny(architecture), lm.tokenizer, "tiny")
    ids = torch.randint(
        3, small.vocab_size, (48, 16), generator=torch.Generator().manual_seed(0)
    ).tolist()
    hidden = torch.cat(small.hidden_states(ids)).double()
    curvature = curvature_of(small, hidden.float())
    known = make_steer(small.output_embedding, rank=3).matrix().double()
    known -= known @ torch.linalg.pinv(curvature.ends) @ curvature.ends
    embedding = small.output_embedding.double()

    def mu(states):
        return small.finish(states @ embedding.T).softmax(-1) @ embedding

    moved = mu(hidden + 1e-4 * hidden @ known) - mu(hidden)
    left, right = project(
        hidden.T @ moved / len(hidden), curvature, rank=3, damping=Damping(1e-3, 1e-3)
    )
    found = left.double() @ right.double()
    assert cosine(curvature.hidden @ found @ curvature.embedding, known) > 0
    values, vectors = zip(
        *(torch.linalg.eigh(m) for m in (curvature.hidden, curvature.embedding)), strict=True
    )
    roots = [(v * e.clamp_min(0).sqrt()) @ v.T for e, v in zip(values, vectors, strict=True)]
    assert cosine(roots[0] @ found @ roots[1], roots[0] @ known @ roots[1]) >= 0.9
    assert cosine(found, known) >= 0.9


def test_a_noise_free_shift_needs_no_more_than_its_own_rank(curvature):
    shift = noise(D_MODEL, 3, seed=3) @ noise(3, D_MODEL, seed=4)
    assert 1 <= choose_rank(torch.stack([shift, shift]), curvature) <= 3


def test_one_strong_direction_under_noise_needs_rank_one(curvature):
    signal = 1e3 * noise(D_MODEL, 1, seed=3) @ noise(1, D_MODEL, seed=4)
    assert (
        choose_rank(
            torch.stack([signal + noise(D_MODEL, D_MODEL, seed=s) for s in (5, 6)]), curvature
        )
        == 1
    )


@pytest.mark.parametrize("seed", range(20))
def test_halves_that_agree_on_nothing_still_give_a_rank(curvature, seed):
    assert (
        1 <= choose_rank(noise(2, D_MODEL, D_MODEL, seed=seed), curvature) <= min(MAX_RANK, D_MODEL)
    )


def test_halves_that_contradict_each_other_still_give_a_rank(curvature):
    shift = noise(D_MODEL, D_MODEL)
    assert 1 <= choose_rank(torch.stack([shift, -shift]), curvature) <= D_MODEL


def test_an_empty_half_still_gives_a_rank(curvature):
    shift = noise(D_MODEL, D_MODEL)
    assert 1 <= choose_rank(torch.stack([shift, torch.zeros_like(shift)]), curvature) <= D_MODEL


def test_natural_length_is_zero_only_for_no_shift_and_grows_with_it(curvature):
    shift = noise(D_MODEL, D_MODEL)
    assert natural_length(torch.zeros(D_MODEL, D_MODEL), curvature) == 0
    assert natural_length(3 * shift, curvature) == pytest.approx(
        3 * natural_length(shift, curvature)
    )


def test_curvature_equals_the_mean_covariance_and_second_moment(small):
    plain = make_plain(small)
    hidden, embedding = torch.cat(plain.hidden).double(), small.output_embedding.double()
    covariance = torch.zeros(small.d_model, small.d_model, dtype=torch.float64)
    for row in (hidden @ embedding.T).softmax(-1):
        centred = embedding - row @ embedding
        covariance += (centred * row[:, None]).T @ centred / len(hidden)
    assert relative_error(plain.curvature.embedding, covariance) < 1e-4
    assert relative_error(plain.curvature.hidden, hidden.T @ hidden / len(hidden)) < 1e-4
