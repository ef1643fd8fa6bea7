"""Fit W to the amplified teacher: what the model would say if it meant a style γ times as much.

A teacher reads neutral text behind a description of either pole. Its last hidden state then lies
near h ± d, d = ½ (h⁺ − h⁻), where h is the state of the same text read plainly; amplified γ times

    p_± = softmax(E (h ± γ d))

W is what follows it best at both signs, over all contexts:

    mean_t ½ Σ_± KL(p_± ‖ softmax(E (h ± Wᵀ h)))  +  R(W)

which is convex in W wherever logits are linear in E h. The ridge R is what the damped metric of
the projection adds to the curvature, so that for γ → 0 this is the projection itself. One
projection stresses what a style says everywhere; the fit, what it says where it matters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsteer_core.models.batched import tokens_per_chunk
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress
from lmsteer_core.training.projection import (
    Curvature,
    Damping,
    factors,
    inverse_roots,
    without_ends,
)

AMPLIFICATION = 2.0
RANK = 32
DAMPING = Damping(embedding=0.3, hidden=1.0)
N_STEPS = 10

N_WORDS = 8192
"""Words over which distributions are compared, those that the teachers say most: 94 % of what the
embedded model says. The steers of all 49,152 write no better and take seven times as long."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a teacher says of some contexts.

    Attributes:
        hidden: h, (n_tokens, d_model), float32.
        toward: d, (n_tokens, d_model), float32.
        said: How much the teachers of both poles say each word, (vocab_size,).
        silent_ids: Tokens whose logits the teacher leaves alone.
    """

    hidden: Tensor
    toward: Tensor
    said: Tensor
    silent_ids: frozenset[int]


def fit(
    lm: LanguageModel,
    lesson: Lesson,
    curvature: Curvature,
    progress: Progress,
    *,
    rank: int = RANK,
    amplification: float = AMPLIFICATION,
    damping: Damping = DAMPING,
    n_steps: int = N_STEPS,
) -> tuple[Tensor, Tensor]:
    """Return the factors of W, (d_model, rank) and (rank, d_model), float32.

    Args:
        lm: The language model.
        lesson: What the teacher says.
        curvature: A and B over the lesson's contexts.
        progress: Told how far it is; whatever it raises stops the fit.
        rank: Rank to keep.
        amplification: γ.
        damping: Ridge on A and B.
        n_steps: Most steps of L-BFGS.
    """
    objective = Objective(lm, lesson, curvature, amplification, damping)
    whitened = torch.zeros_like(curvature.hidden, requires_grad=True)
    solver = torch.optim.LBFGS([whitened], max_iter=n_steps, line_search_fn="strong_wolfe")
    n_done = 0

    def closure() -> Tensor:
        nonlocal n_done
        progress(min(n_done / n_steps, 1.0), "fitting W to the amplified teacher")
        n_done += 1
        loss, whitened.grad = objective(whitened.detach())
        return torch.tensor(loss, dtype=torch.float64)

    solver.step(closure)
    return factors(whitened.detach(), curvature, rank, damping)


class Objective:
    """What is minimised, as a function of W in coordinates where divergence is length²."""

    def __init__(
        self,
        lm: LanguageModel,
        lesson: Lesson,
        curvature: Curvature,
        amplification: float,
        damping: Damping,
    ) -> None:
        """Keep what the teacher says at either sign of every context.

        Args:
            lm: The language model.
            lesson: What the teacher says.
            curvature: A and B over the lesson's contexts.
            amplification: γ.
            damping: Ridge on A and B.
        """
        self._lm = lm
        self._curvature, self._damping = curvature, damping
        self._root_a, self._root_b = inverse_roots(curvature, damping)
        self._hidden = lesson.hidden
        n_words = min(N_WORDS, lm.vocab_size)
        words = lesson.said.topk(n_words).indices.sort().values
        self._embedding = lm.output_embedding[words]
        self._bias = lm.unembed(torch.zeros_like(self._embedding[:1]))[:, words]
        silent = torch.tensor([int(i) in lesson.silent_ids for i in words], device=lm.device)
        self._chunk = tokens_per_chunk(lm) * max(1, lm.vocab_size // n_words)
        self._taught: list[Tensor] = []
        for h, d in self._chunks(lesson.hidden, lesson.toward * amplification):
            plain, moved = self._product(h), self._product(d).masked_fill(silent, 0)
            self._taught.append(self._log_softmax(plain, moved))

    def __call__(self, whitened: Tensor) -> tuple[float, Tensor]:
        """Return the objective and its gradient, (d_model, d_model), at W = B^(−½) X A^(−½).

        Args:
            whitened: X, (d_model, d_model), float64.
        """
        w = self._root_b @ whitened @ self._root_a
        total, slopes = self.divergence((self._hidden.double() @ w).to(self._hidden.dtype))
        gradient = torch.zeros_like(whitened)
        for h, slope in self._chunks(self._hidden, slopes):
            gradient += h.double().T @ slope.double()
        n_tokens = len(self._hidden)
        gradient = self._root_b @ gradient @ self._root_a / n_tokens
        undamped = (
            self._root_b
            @ self._curvature.hidden
            @ self._root_b
            @ whitened
            @ (self._root_a @ self._curvature.embedding @ self._root_a)
        )
        total = total / n_tokens + float((whitened * (whitened - undamped)).sum()) / 2
        return total, without_ends(gradient + whitened - undamped, self._curvature, self._damping)

    def divergence(self, moves: Tensor) -> tuple[float, Tensor]:
        """Return Σ_t ½ Σ_± KL(p_± ‖ softmax(E (h ± move))) and its gradient by the moves.

        Args:
            moves: What is added to h at the + pole, (n_tokens, d_model).
        """
        total, slopes = 0.0, []
        for (h, move), taught in zip(self._chunks(self._hidden, moves), self._taught, strict=True):
            move = move.detach().requires_grad_()  # noqa: PLW2901
            said = self._log_softmax(self._product(h), self._product(move))
            loss = (taught.exp() * (taught - said)).sum() / 2
            loss.backward()
            total += float(loss.detach())
            assert move.grad is not None
            slopes.append(move.grad)
        return total, torch.cat(slopes)

    def _chunks(self, *rows: Tensor) -> Iterator[tuple[Tensor, ...]]:
        return zip(*(r.split(self._chunk) for r in rows), strict=True)

    def _product(self, rows: Tensor) -> Tensor:
        embedding = self._embedding
        return (rows.to(embedding.dtype) @ embedding.T).to(rows.dtype)

    def _log_softmax(self, plain: Tensor, moved: Tensor) -> Tensor:
        """Return log p at both signs, (2, n_tokens, n_words)."""
        plain = plain + self._bias.to(plain.dtype)
        return self._lm.finish(torch.stack([plain + moved, plain - moved])).log_softmax(dim=-1)
