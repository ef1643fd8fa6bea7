"""The natural-gradient projection of shifts of the expected output embedding onto W.

With the Kronecker factors of the Fisher information over some contexts,

    A = mean Cov_{p_t}(e)        B = mean h hᵀ
    W = (B + λ_B tr(B)/d · I)⁻¹ · mean(h Δμᵀ) · (A + λ_A tr(A)/d · I)⁻¹
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.factors import fixed_signs

MAX_RANK = 64
"""A steer of more has never been worth its size."""

_ENOUGH_CONTROL = 0.98


@dataclass(frozen=True)
class Damping:
    """Ridge on the curvature factors, as shares of their mean eigenvalue.

    With less, the strongest direction steers as well, but the next ones fill with tokens that the
    model hardly ever gives probability to: their curvature is near 0, and the inverse inflates
    them.
    """

    embedding: float = 1.0
    hidden: float = 3.0


@dataclass(frozen=True, eq=False)
class Curvature:
    """The Fisher information's Kronecker factors over some contexts.

    Attributes:
        embedding: A = mean Cov_{p_t}(e), (d_model, d_model).
        hidden: B = mean h hᵀ, (d_model, d_model).
        ends: Where E must not move, so that no style makes texts longer or shorter: of each token
            that ends a text its embedding, less the mean of what may stand in its place,
            (n_ends, d_model).
    """

    embedding: Tensor
    hidden: Tensor
    ends: Tensor


def project(
    shift: Tensor, curvature: Curvature, *, rank: int, damping: Damping | None = None
) -> tuple[Tensor, Tensor]:
    """Return the factors of W, (d_model, rank) and (rank, d_model), float32.

    W is truncated by SVD in the metric of the curvature, where its squared length is the KL
    divergence it causes: the directions that go are those that move the distribution least.

    Args:
        shift: mean(h Δμᵀ), (d_model, d_model).
        curvature: A and B.
        rank: Rank to keep.
        damping: Ridge on A and B.
    """
    damping = damping or Damping()
    return factors(whitened(shift, curvature, damping), curvature, rank, damping)


def factors(
    whitened: Tensor, curvature: Curvature, rank: int, damping: Damping
) -> tuple[Tensor, Tensor]:
    """Return the factors of W, float32, from X, (d_model, d_model), in the metric of divergence.

    W = B^(−½) X A^(−½), damped and cut to `rank`.
    """
    root_a, root_b = inverse_roots(curvature, damping)
    u, sigma, vt = torch.linalg.svd(whitened)
    root = sigma[:rank].sqrt()
    flip = fixed_signs(vt[:rank])
    return ((root_b @ u[:, :rank]) * root * flip).float(), (
        (root * flip).T * (vt[:rank] @ root_a)
    ).float()


def choose_rank(halves: Tensor, curvature: Curvature, damping: Damping | None = None) -> int:
    """Return the rank from which more dimensions no longer add control on text not learned from.

    Each half of the source's texts makes a steer; on the other half's shift its control at equal
    divergence is, to first order, ⟨W_r, shift⟩ / √(divergence of W_r).

    Args:
        halves: mean(h Δμᵀ) over either half of the source's texts, (2, d_model, d_model).
        curvature: A and B.
        damping: Ridge on A and B.
    """
    first, second = whitened(halves, curvature, damping)
    control = torch.zeros(min(MAX_RANK, first.shape[0]), dtype=torch.float64)
    for learned, tested in ((first, second), (second, first)):
        u, sigma, vt = torch.linalg.svd(learned)
        gain = sigma * ((u.T @ tested) * vt).sum(dim=1)
        rank_control = (gain.cumsum(0) / sigma.square().cumsum(0).sqrt().clamp_min(1e-300)).cpu()[
            : len(control)
        ]
        control += rank_control / rank_control.abs().max().clamp_min(1e-300)
    best = control.max()  # below 0 where the halves agree on nothing
    enough = control >= best - (1 - _ENOUGH_CONTROL) * best.abs()
    return int(enough.nonzero()[0]) + 1


def natural_length(shift: Tensor, curvature: Curvature) -> float:
    """Return the length of a shift in the metric of the curvature: 0 only for no shift at all."""
    return float(whitened(shift, curvature).norm())


def whitened(shift: Tensor, curvature: Curvature, damping: Damping | None = None) -> Tensor:
    """Return B^(−½) shift A^(−½), damped: the steer in coordinates where divergence is length².

    What would move the tokens that end a text is left out.
    """
    damping = damping or Damping()
    root_a, root_b = inverse_roots(curvature, damping)
    return without_ends(root_b @ shift.double() @ root_a, curvature, damping)


def without_ends(whitened: Tensor, curvature: Curvature, damping: Damping) -> Tensor:
    """Return the nearest X, (..., d_model, d_model), whose W leaves `curvature.ends` alone."""
    root_a, _ = inverse_roots(curvature, damping)
    ends: Tensor = torch.linalg.qr(root_a @ curvature.ends.T).Q
    return whitened - (whitened @ ends) @ ends.T


def divergence(left: Tensor, right: Tensor, curvature: Curvature) -> float:
    """Return KL(p_ε ‖ p_0) ÷ ε² of W = left · right near ε = 0, in nats a token: ½ ⟨W, B W A⟩."""
    left, right = left.double(), right.double()
    hidden, embedding = left.T @ curvature.hidden @ left, right @ curvature.embedding @ right.T
    return float((hidden * embedding).sum()) / 2


class CurvatureSums:
    """Running sums of A and B.

    mean Cov_p(e) = Eᵀ diag(mean p) E − mean μ μᵀ, so no covariance is ever held per token.
    """

    def __init__(self, lm: LanguageModel) -> None:
        """Start from nothing."""
        self._lm = lm
        self._p = torch.zeros(lm.vocab_size, dtype=torch.float64, device=lm.device)
        self._mu_moment = torch.zeros(lm.d_model, lm.d_model, dtype=torch.float64, device=lm.device)
        self._h_moment = torch.zeros_like(self._mu_moment)
        self._end_ids = sorted(lm.end_ids)
        n_ends = len(self._end_ids)
        self._end_mu = torch.zeros(n_ends, lm.d_model, dtype=torch.float64, device=lm.device)
        self._n_tokens = 0

    def add(self, h: Tensor, p: Tensor, mu: Tensor) -> None:
        """Add hidden states (n_tokens, d_model), their next-word p and its expected embedding."""
        self._p += p.sum(dim=0, dtype=torch.float64)
        self._mu_moment += (mu.T @ mu).double()
        self._h_moment += (h.T @ h).double()
        self._end_mu += (p[:, self._end_ids].float().T @ mu).double()
        self._n_tokens += h.shape[0]

    def mean(self) -> Curvature:
        """Return A and B over all that was taken in, in float64."""
        embedding = self._lm.output_embedding.float()
        second = (embedding * (self._p / self._n_tokens).float()[:, None]).T @ embedding
        # What may stand in an end's place: the next words wherever the model thinks of ending.
        beside = self._end_mu / self._p[self._end_ids, None].clamp_min(1e-30)
        return Curvature(
            second.double() - self._mu_moment / self._n_tokens,
            self._h_moment / self._n_tokens,
            embedding[self._end_ids].double() - beside,
        )


@functools.lru_cache(maxsize=4)
def inverse_roots(curvature: Curvature, damping: Damping) -> tuple[Tensor, Tensor]:
    """Return A^(−½) and B^(−½), damped and symmetric; a training asks for them several times."""
    return _inverse_root(curvature.embedding, damping.embedding), _inverse_root(
        curvature.hidden, damping.hidden
    )


def _inverse_root(matrix: Tensor, damping: float) -> Tensor:
    ridge = damping * matrix.trace() / matrix.shape[0]
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    root: Tensor = (vectors * (values.clamp_min(0) + ridge).rsqrt()) @ vectors.T
    return root
