"""The ways to read a steer as a sum of dimensions, W = Σ_i a_i b_iᵀ.

What a hidden state says about dimension i is h · a_i, and b_i · e_v is what the word v gains by it:
with ε the logit of v moves by ε Σ_i (h · a_i)(b_i · e_v). Every reading keeps W exactly; they
differ in which dimensions they call simple.

Three are SVDs, each in a metric of its own: for vectors of plain length the *svd* of W, for the
words' own spread the *pca* of the moves W e_v, and in ordinary text the *divergence*, where a
dimension's squared size is twice the divergence in nats that ε = 1 causes by it. The others rotate
the dimensions of the last: *varimax* until each moves few words, *sparse* (quartimax) until each
word is moved by few dimensions, *ica* until the words' scores are as independent as may be.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from lmsteer_core.analysis.ordinary_text import expectations, ordinary_text
from lmsteer_core.analysis.vocabulary import vocabulary
from lmsteer_core.errors import InputError
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.steer import Steer

Reading = Literal["divergence", "svd", "pca", "varimax", "ica", "sparse"]
READINGS: tuple[Reading, ...] = get_args(Reading)
DEFAULT: Reading = "divergence"
"""Its sizes say what a dimension does. ICA's words hang together better; see
benchmarks/readability.py."""

_LEAST_SIZE = 1e-6
"""Singular values below this share of the largest are rounding."""

_RIDGE = 1e-7
"""On a metric, as a share of its mean eigenvalue: few texts do not visit every direction."""

_ROTATION_STEPS = 500


@dataclass(frozen=True, eq=False)
class Factors:
    """A steer's dimensions under a reading; `reads @ writes` is W.

    Attributes:
        reads: a_i, (d_model, n_dims), each of length 1 in the reading's metric and signed so that
            the mean hidden state of ordinary text has a positive coordinate on it.
        writes: b_i, (n_dims, d_model); they carry the sizes.
        shares: Of the steer's squared length in the reading's metric, (n_dims,); they sum to 1, and
            fall.
        sizes: The lengths of the dimensions in that metric, (n_dims,).
    """

    reads: Tensor
    writes: Tensor
    shares: Tensor
    sizes: Tensor

    def only(self, i: int) -> Factors:
        """Return dimension i alone."""
        at = slice(i, i + 1)
        return Factors(self.reads[:, at], self.writes[at], self.shares[at], self.sizes[at])


def check_reading(reading: str) -> None:
    """Raise InputError unless it is the name of a reading."""
    if reading not in READINGS:
        raise InputError(f"There is no reading '{reading}'; use {', '.join(READINGS)}.")


def factors(lm: LanguageModel, steer: Steer, reading: str = DEFAULT) -> Factors:
    """Return a steer's dimensions under a reading, float32, on the CPU.

    Args:
        lm: The language model.
        steer: One of its steers.
        reading: One of `READINGS`.

    Raises:
        InputError: If there is no such reading.
    """
    check_reading(reading)
    u, sigma, vt = (factor.double().cpu() for factor in steer.svd())
    kept = sigma > _LEAST_SIZE * sigma[0].clamp_min(1e-300)
    kept[0] = True
    reads, writes = u[:, kept] * sigma[kept], vt[kept]
    of_states, of_words = _metrics(lm, reading, reads, writes)
    root, inverse = _roots(of_states)
    root_words, _ = _roots(of_words)
    p, _, _ = torch.linalg.svd(root @ root_words)
    # Of length 1 in the metric of the states; what they were longer, the writes carry.
    to_reads, to_writes = inverse @ p, p.T @ root
    if reading in ("varimax", "sparse", "ica"):
        turn = _rotation(lm, reading, to_writes @ writes)
        turn = turn / turn.norm(dim=0)
        to_reads, to_writes = to_reads @ turn, torch.linalg.inv(turn) @ to_writes
    return _ordered(
        lm,
        reads @ to_reads,
        to_writes @ writes,
        to_reads.T @ of_states @ to_reads,
        to_writes @ of_words @ to_writes.T,
    )


def _metrics(
    lm: LanguageModel, reading: str, reads: Tensor, writes: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the inner products of the factors among themselves, (rank, rank) each."""
    if reading in ("svd", "pca"):
        of_states = reads.T @ reads
    else:
        of_states = reads.T @ expectations(lm).hidden_moment @ reads
    if reading == "svd":
        return of_states, writes @ writes.T
    if reading == "pca":
        along = word_products(lm, writes.T.float())
        return of_states, torch.cov(along.T.double()).reshape(len(writes), len(writes))
    return of_states, writes @ expectations(lm).covariance @ writes.T


def _roots(metric: Tensor) -> tuple[Tensor, Tensor]:
    """Return the square root and the inverse square root of a metric."""
    values, vectors = torch.linalg.eigh((metric + metric.T) / 2)
    ridge = _RIDGE * values.clamp_min(0).mean() + 1e-300
    values = values.clamp_min(0) + ridge
    return (vectors * values.sqrt()) @ vectors.T, (vectors * values.rsqrt()) @ vectors.T


def _rotation(lm: LanguageModel, reading: str, writes: Tensor) -> Tensor:
    """Return (n_dims, n_dims) whose columns are the new dimensions in terms of the old."""
    scores = word_products(lm, writes.T.float()).double()
    scores = scores - scores.mean(dim=0)
    if reading == "ica":
        return _independent(scores)
    return _orthomax(scores, 1.0 if reading == "varimax" else 0.0)


def _orthomax(scores: Tensor, gamma: float) -> Tensor:
    """Return the rotation that maximises Σ_i (Σ_v s⁴ − γ/n (Σ_v s²)²) of (n, n_dims) scores."""
    turn = torch.eye(scores.shape[1], dtype=scores.dtype)
    for _ in range(_ROTATION_STEPS):
        turned = scores @ turn
        gradient = scores.T @ (
            turned**3 - gamma / len(scores) * turned * turned.square().sum(dim=0)
        )
        u, _, vt = torch.linalg.svd(gradient)
        previous, turn = turn, u @ vt
        if (turn - previous).norm() < 1e-8:
            break
    return turn


def _independent(scores: Tensor) -> Tensor:
    """Return M of FastICA: the (n, n_dims) scores are independent ones times Mᵀ."""
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    if scores.shape[1] == 1:
        return torch.eye(1, dtype=scores.dtype)
    ica = FastICA(whiten="unit-variance", random_state=0, max_iter=_ROTATION_STEPS, tol=1e-6)
    with warnings.catch_warnings():  # an unfinished rotation still keeps W
        warnings.simplefilter("ignore", ConvergenceWarning)
        ica.fit(scores.numpy())
    mixing: Tensor = torch.linalg.inv(torch.from_numpy(ica.components_).to(scores))
    return mixing


def _ordered(
    lm: LanguageModel, reads: Tensor, writes: Tensor, of_states: Tensor, of_words: Tensor
) -> Factors:
    """Return the dimensions by falling share, signs fixed."""
    inner = (of_states * of_words).sum(dim=1)  # ⟨a_i b_iᵀ, W⟩
    shares = inner / inner.sum().clamp_min(1e-300)
    order = shares.argsort(descending=True, stable=True)
    signs = torch.where(ordinary_text(lm).mean_hidden.cpu().double() @ reads < 0, -1.0, 1.0)
    sizes = (of_states.diagonal() * of_words.diagonal()).clamp_min(0).sqrt()
    return Factors(
        (reads * signs)[:, order].float().contiguous(),
        (writes * signs[:, None])[order].float().contiguous(),
        shares[order].float(),
        sizes[order].float(),
    )


def word_products(lm: LanguageModel, directions: Tensor, *, raw: bool = False) -> Tensor:
    """Return the words' output embeddings times (d_model, …), (n_words, …), on the CPU."""
    embedding = lm.output_embedding
    product = (embedding.float() @ directions.to(embedding.device)).cpu()
    return product[vocabulary(lm, raw=raw).token_ids]
