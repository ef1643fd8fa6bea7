"""W follows the amplified teacher, exactly as the formula says, and wherever the search begins."""

from __future__ import annotations

import pytest
import torch
from support.models import D_MODEL, cosine, make_plain, make_steer, make_tiny, noise, relative_error

from lmsteer_core import Cancelled, LanguageModel
from lmsteer_core.training import fit as fitting
from lmsteer_core.training.fit import Lesson, Objective, fit
from lmsteer_core.training.neutral_text import curvature_of
from lmsteer_core.training.projection import Damping, inverse_roots, project

GENTLE = Damping(1e-3, 1e-3)
SILENT = frozenset({5, 11, 40})


def quiet(_share, _what):
    pass


@pytest.fixture(params=["llama", "gptj", "gemma3"])
def exact(request, lm):
    """A tiny model in float64 with contexts of its own."""
    return LanguageModel(make_tiny(request.param).double(), lm.tokenizer, "tiny")


def contexts(lm, n_texts=12):
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(3, lm.vocab_size, (n_texts, 12), generator=draw).tolist()
    return torch.cat(lm.hidden_states(ids)).double()


def lesson_of(lm, toward, silent=frozenset()):
    hidden = contexts(lm)
    return Lesson(hidden, toward(hidden), torch.ones(lm.vocab_size), silent)


def dense(lm, lesson, curvature, gamma, damping, whitened):
    """The objective written out: every distribution in full, W itself, no chunk."""
    root_a, root_b = inverse_roots(curvature, damping)
    embedding = lm.output_embedding
    ends = root_a @ curvature.ends.T
    within = torch.eye(lm.d_model, dtype=torch.float64) - ends @ torch.linalg.pinv(ends)
    w = root_b @ whitened @ within @ root_a
    plain = lm.unembed(lesson.hidden)
    taught = gamma * lesson.toward @ embedding.T
    taught[:, list(lesson.silent_ids)] = 0
    moved = lesson.hidden @ w @ embedding.T
    loss = 0
    for sign in (1, -1):
        p = lm.finish(plain + sign * taught).softmax(-1)
        q = lm.finish(plain + sign * moved).softmax(-1)
        loss = loss + (p * (p / q).log()).sum(-1).mean() / 2
    ridge_a = damping.embedding * curvature.embedding.trace() / lm.d_model
    ridge_b = damping.hidden * curvature.hidden.trace() / lm.d_model
    eye = torch.eye(lm.d_model, dtype=torch.float64)
    damped = (curvature.hidden + ridge_b * eye) @ w @ (curvature.embedding + ridge_a * eye)
    return loss + ((damped - curvature.hidden @ w @ curvature.embedding) * w).sum() / 2


def test_objective_and_gradient_equal_the_formula_and_autograd(exact):
    lesson = lesson_of(exact, lambda h: 0.3 * noise(*h.shape, seed=1), SILENT)
    curvature = curvature_of(exact, lesson.hidden)
    objective = Objective(exact, lesson, curvature, 2.0, Damping(0.3, 1.0))
    root_a, _ = inverse_roots(curvature, Damping(0.3, 1.0))
    ends = torch.linalg.qr(root_a @ curvature.ends.T).Q
    x = 0.1 * noise(D_MODEL, D_MODEL, seed=2)
    x = (x - x @ ends @ ends.T).requires_grad_()
    expected = dense(exact, lesson, curvature, 2.0, Damping(0.3, 1.0), x)
    expected.backward()
    loss, gradient = objective(x.detach())
    assert loss == pytest.approx(expected.item(), rel=1e-9)
    assert relative_error(gradient, x.grad) < 1e-7


def test_chunks_add_up_to_the_whole(exact, monkeypatch):
    lesson = lesson_of(exact, lambda h: noise(*h.shape, seed=1))
    curvature = curvature_of(exact, lesson.hidden)
    x = 0.1 * noise(D_MODEL, D_MODEL, seed=2)
    whole = Objective(exact, lesson, curvature, 2.0, GENTLE)(x)
    monkeypatch.setattr(fitting, "tokens_per_chunk", lambda _lm: 7)
    pieces = Objective(exact, lesson, curvature, 2.0, GENTLE)(x)
    assert pieces[0] == pytest.approx(whole[0], rel=1e-12)
    assert relative_error(pieces[1], whole[1]) < 1e-12


@pytest.mark.parametrize("exact", ["llama", "gptj"], indirect=True)
def test_two_starts_have_one_end(exact):
    lesson = lesson_of(exact, lambda h: noise(*h.shape, seed=1))
    curvature = curvature_of(exact, lesson.hidden)
    objective = Objective(exact, lesson, curvature, 2.0, Damping(0.3, 1.0))
    root_a, _ = inverse_roots(curvature, Damping(0.3, 1.0))
    ends = torch.linalg.qr(root_a @ curvature.ends.T).Q
    found = []
    for seed in (3, 4):
        start = noise(D_MODEL, D_MODEL, seed=seed)
        x = (start - start @ ends @ ends.T).requires_grad_()
        solver = torch.optim.LBFGS([x], max_iter=400, line_search_fn="strong_wolfe")

        def closure(x=x):
            loss, x.grad = objective(x.detach())
            return torch.tensor(loss, dtype=torch.float64)

        solver.step(closure)
        found.append(x.detach())
    assert relative_error(*found) < 1e-3


@pytest.mark.parametrize("exact", ["llama", "gptj"], indirect=True)
def test_a_planted_steer_is_found_again(exact):
    known = make_steer(exact.output_embedding, rank=3).matrix().double()
    lesson = lesson_of(exact, lambda h: h @ known)
    curvature = curvature_of(exact, lesson.hidden)
    known = known - known @ torch.linalg.pinv(curvature.ends) @ curvature.ends
    lesson = lesson_of(exact, lambda h: h @ known)
    left, right = fit(exact, lesson, curvature, quiet, amplification=1.0, damping=GENTLE, rank=3)
    assert cosine(left.double() @ right.double(), known) >= 0.95


@pytest.mark.parametrize("exact", ["llama", "gptj"], indirect=True)
def test_a_faint_teacher_gives_the_projection(exact):
    """Up to the error of the curvature's Kronecker factors."""
    embedding = exact.output_embedding
    lesson = lesson_of(exact, lambda h: 0.3 * h @ noise(D_MODEL, D_MODEL, seed=1))
    curvature = curvature_of(exact, lesson.hidden)
    faint = 1e-3
    p_plus, p_minus = (
        exact.finish(exact.unembed(lesson.hidden + sign * faint * lesson.toward)).softmax(-1)
        for sign in (1, -1)
    )
    shift = lesson.hidden.T @ ((p_plus - p_minus) / 2 @ embedding) / len(lesson.hidden)
    damping = Damping(3.0, 3.0)
    made = [
        project(shift, curvature, rank=4, damping=damping),
        fit(exact, lesson, curvature, quiet, amplification=faint, damping=damping, rank=4),
    ]
    assert cosine(*(left.double() @ right.double() for left, right in made)) >= 0.98


@pytest.mark.parametrize("exact", ["llama"], indirect=True)
def test_the_odds_of_ending_stay(exact):
    lesson = lesson_of(exact, lambda h: noise(*h.shape, seed=1))
    curvature = curvature_of(exact, lesson.hidden)
    assert len(curvature.ends) == len(exact.end_ids) > 0
    _, right = fit(exact, lesson, curvature, quiet)
    moved = (right.double() @ curvature.ends.T).norm() / right.norm() / curvature.ends.norm()
    assert moved < 1e-5


def test_a_fit_can_be_stopped(small):
    plain = make_plain(small)
    hidden = torch.cat(plain.hidden)
    lesson = Lesson(hidden, torch.ones_like(hidden), torch.ones(small.vocab_size), frozenset())

    def stop(_share, _what):
        raise Cancelled

    with pytest.raises(Cancelled):
        fit(small, lesson, plain.curvature, stop)
