"""The words a steer lives on: singular dimensions of W and where the vocabulary sits on them.

With W = Σ_i σ_i u_i v_iᵀ the logit of word v moves by ε Σ_i σ_i (h · u_i)(v_i · e_v): the hidden
state decides through u_i how much dimension i matters, and v_i · e_v which words gain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsteer_core.analysis.vocabulary import find_word, neutral_statistics, vocabulary
from lmsteer_core.errors import InputError
from lmsteer_core.limits import check_whole_number
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.steer import Steer, check_fingerprint

_RESOLUTION = 1e-5
"""Scores nearer than this share of the largest are ties, whatever
a machine's rounding makes of them."""

_N_POLE_WORDS = 3

_MAX_WORDS = 1000
"""Words that can be asked for at either end of a dimension."""


@dataclass(frozen=True)
class Dimension:
    """One dimension of a steer: of its SVD, or of the PCA of its displacements.

    Attributes:
        singular_value: σ_i; for PCA the standard deviation of the words' coordinates.
        energy: Share of Σ σ².
        positive: Words that +ε makes likelier through it, strongest first.
        negative: Words that −ε makes likelier.
    """

    singular_value: float
    energy: float
    positive: list[str]
    negative: list[str]


@dataclass(frozen=True)
class Place:
    """Where one word sits on a steer's dimensions.

    Attributes:
        word: Its spelling.
        scores: v_i · (e_v − mean e) per dimension.
        ranks: Its place among the vocabulary's n_words, 1 at the + end.
        n_words: Their number.
    """

    word: str
    scores: list[float]
    ranks: list[int]
    n_words: int


def dimensions(
    lm: LanguageModel, steer: Steer, *, n_dims: int = 8, n_words: int = 12, raw: bool = False
) -> list[Dimension]:
    """Return the strongest singular dimensions with the words at both ends.

    The sign of each is fixed so that + is the end that +ε makes likelier in ordinary text, i.e. the
    mean hidden state over neutral sentences has a positive coordinate on u_i. Equals are listed in
    the order of their token ids.

    Args:
        lm: The language model.
        steer: One of its steers.
        n_dims: Most dimensions to return.
        n_words: Most words at each end.
        raw: List any token that the model uses, not only whole words (see `vocabulary`).

    Raises:
        InputError: If a number is out of range.
    """
    _, sigma, _ = steer.svd()
    return _described(lm, word_scores(lm, steer, raw=raw), sigma, n_dims, n_words, raw)


def displacement_dimensions(
    lm: LanguageModel, steer: Steer, *, n_dims: int = 8, n_words: int = 12, raw: bool = False
) -> list[Dimension]:
    """Return the principal components of the words' displacements W e_v.

    Arguments as for `dimensions`.

    The SVD asks how W acts on any vector, this how it moves the words there are: a direction
    that few words have counts for little. Energies are shares of the displacements' whole variance.
    """
    coordinates, sigma = _displacements(lm, steer, raw)
    return _described(lm, coordinates, sigma, n_dims, n_words, raw)


def dimension_steer(lm: LanguageModel, steer: Steer, i: int) -> Steer:
    """Return σ_i u_i v_iᵀ, the steer's singular dimension i ≥ 0 alone, as a steer of its own.

    Its ε is that of the whole steer, and all of them sum to it. Signs are as in `dimensions`: the
    card's poles are the first words of either end.

    Raises:
        InputError: If the steer has no such dimension.
    """
    u, sigma, vt = steer.svd()
    n_dims = int((sigma > 1e-6 * sigma[0]).sum())
    if not 0 <= i < n_dims:
        raise InputError(f"'{steer.name}' has {n_dims} dimensions; there is no dimension {i + 1}.")
    sign = _signs(lm, u)[i]
    dimension = dimensions(lm, steer, n_dims=i + 1, n_words=_N_POLE_WORDS)[i]
    suffix = f"-dimension-{i + 1}"
    card = dataclasses.replace(
        steer.card,
        name=steer.name[: 64 - len(suffix)] + suffix,
        negative=", ".join(dimension.negative),
        positive=", ".join(dimension.positive),
        rank=1,
        method="singular dimension",
        data=(
            f"dimension {i + 1} of {steer.name}; + is the end that +ε makes "
            "likelier in ordinary text"
        ),
        calibration={},
        metrics={"energy_share": round(dimension.energy, 4)},
    )
    # σ split between both, so that neither leaves a half-precision file's range.
    root = sigma[i].sqrt() * sign
    left, right = (u[:, i : i + 1] * root).contiguous(), (vt[i : i + 1] * root).contiguous()
    return dataclasses.replace(steer, left=left, right=right, card=card, reader=None)


def overlap(steers: Sequence[Steer]) -> Tensor:
    """Return the cosines ⟨W_a, W_b⟩ / (‖W_a‖ ‖W_b‖) between steers, (n_steers, n_steers).

    Steers add, ε_a W_a + ε_b W_b, and this says what their sum is like. Near 0 each keeps its own
    effect: composing them is safe, one slider a style. Near +1 they are one style under two
    names: the second slider repeats the first, and together they overshoot as one large ε would.
    Near −1 they undo each other. It compares the matrices over all directions alike, those that
    ordinary text visits and those that it does not; so it is a guide, not a forecast.

    Only products of the factors are formed, never W.

    Raises:
        SteerError: If the steers are not one model's.
    """
    left = [steer.left.double() for steer in steers]
    right = [steer.right.double() for steer in steers]
    inner = torch.zeros(len(steers), len(steers), dtype=torch.float64)
    for a, steer in enumerate(steers):
        check_fingerprint(steer, steers[0].fingerprint_rows, steers[0].card.model_id)
        for b in range(a + 1):
            # tr(W_aᵀ W_b) = tr((R_b R_aᵀ) (L_aᵀ L_b))
            inner[a, b] = inner[b, a] = ((left[a].T @ left[b]) * (right[a] @ right[b].T)).sum()
    norm = inner.diagonal().clamp_min(1e-30).sqrt()
    return (inner / norm / norm[:, None]).clamp(-1, 1).float()


def word_scores(lm: LanguageModel, steer: Steer, *, raw: bool = False) -> Tensor:
    """Return v_i · (e_v − mean e) for the vocabulary's words, (n_words, rank), signs fixed."""
    u, _, vt = steer.svd()
    return _along(lm, raw, (vt * _signs(lm, u)[:, None]).T)


def word_moves(lm: LanguageModel, steer: Steer, *, raw: bool = False) -> Tensor:
    """Return v_i · W (e_v − mean e), (n_words, rank): how ε = 1 moves the `word_scores`.

    An arrow on a map of two dimensions runs from a word's scores to its scores plus ε times this.
    """
    u, _, vt = steer.svd()
    axes = vt * _signs(lm, u)[:, None]
    return _along(lm, raw, steer.right.float().cpu().T) @ (axes @ steer.left.float().cpu()).T


def place(
    lm: LanguageModel, steer: Steer, word: str, *, n_dims: int = 8, raw: bool = False
) -> Place:
    """Return where a word sits on the steer's strongest dimensions.

    Args:
        lm: The language model.
        steer: One of its steers.
        word: A word of the `vocabulary`; another case of it is found too.
        n_dims: Most dimensions to return.
        raw: Look among all tokens that the model uses, spelled as they are listed.

    Raises:
        InputError: If the vocabulary has no such word.
    """
    words = vocabulary(lm, raw=raw).words
    index = find_word(lm, word, raw=raw)
    scores = word_scores(lm, steer, raw=raw)[:, :n_dims]
    return Place(words[index], scores[index].tolist(), ranks(scores, index), len(words))


def ranks(scores: Tensor, index: int) -> list[int]:
    """Return a word's place, 1 at the + end, in each column of (n_words, n_dims) scores."""
    rounded = _rounded(scores)  # the same ties as in the lists
    ahead = (rounded > rounded[index]).sum(dim=0) + (rounded[:index] == rounded[index]).sum(dim=0)
    return (ahead + 1).tolist()


def displacement_pca(
    lm: LanguageModel, steer: Steer, *, n_components: int = 3, raw: bool = False
) -> Tensor:
    """Return the words' coordinates in a PCA of their displacements W e_v, (n_words, n_components).

    Signs are fixed as in `dimensions`: words with positive coordinates gain with +ε.
    """
    return _displacements(lm, steer, raw)[0][:, :n_components]


def displacement_scores(
    lm: LanguageModel, steer: Steer, *, n_components: int = 3, raw: bool = False
) -> Tensor:
    """Return where the words are on the axes of `displacement_pca` before they move.

    With a_i the axes, a_i · (e_v − mean e), (n_words, n_components); ε adds ε times
    `displacement_pca`.
    """
    axes, _ = _displacement_axes(lm, steer, raw)
    return _along(lm, raw, axes[:, :n_components])


def mean_logit_shift(lm: LanguageModel, steer: Steer, *, raw: bool = False) -> Tensor:
    """Return how ε = 1 moves each word's logit in ordinary text against the average word's.

    Returns:
        h̄ · W (e_v − mean e), (n_words,), in nats.
    """
    left, right = steer.left.float().cpu(), steer.right.float().cpu()
    return _along(lm, raw, neutral_statistics(lm).mean_hidden @ left @ right)


def _along(lm: LanguageModel, raw: bool, directions: Tensor) -> Tensor:
    """Return the words' embeddings times (d_model, …).

    Their mean, which no softmax would notice, is taken off first.
    """
    embedding = lm.output_embedding
    along = (embedding.float() @ directions.to(embedding.device)).cpu()[
        vocabulary(lm, raw=raw).token_ids
    ]
    return along - along.mean(dim=0)


def _signs(lm: LanguageModel, directions: Tensor) -> Tensor:
    """Return ±1 per column of (d_model, n): + where ordinary hidden states point along it."""
    along = neutral_statistics(lm).mean_hidden @ directions
    return torch.where(along < 0, -1.0, 1.0)


def _displacements(lm: LanguageModel, steer: Steer, raw: bool) -> tuple[Tensor, Tensor]:
    """Return the principal coordinates, (n_words, n), and standard deviations, (n,)."""
    axes, deviations = _displacement_axes(lm, steer, raw)
    inside = axes.T @ steer.left.float().cpu()
    return _along(lm, raw, steer.right.float().cpu().T) @ inside.T, deviations


def _displacement_axes(lm: LanguageModel, steer: Steer, raw: bool) -> tuple[Tensor, Tensor]:
    """Return the displacements' principal axes, (d_model, n), and standard deviations, (n,).

    W e = left (right e), so all of them lie in the column space of `left`: the PCA is rank × rank.
    """
    basis, inside = torch.linalg.qr(steer.left.double().cpu())
    moved = _along(lm, raw, steer.right.float().cpu().T) @ inside.float().T
    variance, axes = torch.linalg.eigh((moved.T @ moved).double() / (len(moved) - 1))
    variance, axes = variance.flip(0).clamp_min(0), (basis @ axes.flip(1)).float()
    return axes * _signs(lm, axes), variance.sqrt().float()


def _described(
    lm: LanguageModel, scores: Tensor, sigma: Tensor, n_dims: int, n_words: int, raw: bool
) -> list[Dimension]:
    """Return dimensions with their words from (n_words, n_dims) coordinates."""
    n_dims = check_whole_number(n_dims, "The number of dimensions", 1, lm.d_model)
    n_words = check_whole_number(n_words, "The number of words", 1, _MAX_WORDS)
    energy = sigma.square() / sigma.square().sum()
    words = vocabulary(lm, raw=raw).words
    described = []
    for i in range(min(n_dims, int((sigma > 1e-6 * sigma[0]).sum()))):
        coordinates = _rounded(scores[:, i])
        rising, falling = (
            _distinct(words, torch.argsort(sign * coordinates, stable=True).tolist(), n_words, raw)
            for sign in (1, -1)
        )
        described.append(Dimension(float(sigma[i]), float(energy[i]), falling, rising))
    return described


def _rounded(scores: Tensor) -> Tensor:
    """Return whole multiples of the resolution of each column."""
    return (scores / (_RESOLUTION * scores.abs().amax(dim=0).clamp_min(1e-30))).round()


def _distinct(words: list[str], order: list[int], n_words: int, raw: bool) -> list[str]:
    """Return the first words in `order`, one spelling of each whatever its case; raw tokens all."""
    chosen: dict[str, str] = {}
    for i in order:
        chosen.setdefault(words[i] if raw else words[i].casefold(), words[i])
        if len(chosen) == n_words:
            break
    return list(chosen.values())
