"""The words a steer lives on: its dimensions and where the vocabulary sits on them.

With W = Σ_i a_i b_iᵀ (see `readings`) the logit of word v moves by ε Σ_i (h · a_i)(b_i · e_v): the
hidden state decides through a_i how much dimension i matters, and b_i · e_v which words gain. The
word itself moves along a_i, by b_i · e_v. Scores are taken from the embedding that the model
expects in ordinary text, for what all words share changes no probability.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsteer_core.analysis.ordinary_text import expectations, ordinary_text
from lmsteer_core.analysis.readings import DEFAULT, Factors, factors, word_products
from lmsteer_core.analysis.vocabulary import find_word, vocabulary
from lmsteer_core.analysis.word_lists import end_words, rounded, strongest
from lmsteer_core.errors import InputError
from lmsteer_core.limits import check_whole_number
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.steer import Steer, check_fingerprint

_N_POLE_WORDS = 3

_MAX_WORDS = 1000
"""Words that can be asked for at either end of a dimension."""


@dataclass(frozen=True)
class Dimension:
    """One dimension of a steer under a reading.

    Attributes:
        singular_value: Its length in the reading's metric: σ_i of an SVD; the standard deviation of
            the words' moves in *pca*; in the others √(2 · the divergence it causes at ε = 1).
        energy: Its share of the steer's squared length in that metric; all of them sum to 1.
        positive: Words that +ε makes likelier through it, those that say most first.
        negative: Words that −ε makes likelier.
    """

    singular_value: float
    energy: float
    positive: list[str]
    negative: list[str]

    @property
    def name(self) -> str:
        """The first words of either end."""
        return " ↔ ".join(", ".join(words[:2]) for words in (self.negative, self.positive))


@dataclass(frozen=True)
class Place:
    """Where one word sits on a steer's dimensions.

    Attributes:
        word: Its spelling.
        scores: b_i · (e_v − mean e) per dimension.
        ranks: Its place among the vocabulary's n_words, 1 at the + end.
        n_words: Their number.
    """

    word: str
    scores: list[float]
    ranks: list[int]
    n_words: int


def dimensions(
    lm: LanguageModel,
    steer: Steer,
    *,
    n_dims: int = 8,
    n_words: int = 12,
    raw: bool = False,
    reading: str = DEFAULT,
    plus_only: bool = False,
) -> list[Dimension]:
    """Return the strongest dimensions with the words at both ends.

    The sign of each is fixed so that + is the end that +ε makes likelier in ordinary text, i.e. the
    mean hidden state over ordinary text has a positive coordinate on a_i.

    Args:
        lm: The language model.
        steer: One of its steers.
        n_dims: Most dimensions to return.
        n_words: Most words at each end.
        raw: List any token that the model uses, by its score alone, not only whole words.
        reading: One of `readings.READINGS`.
        plus_only: Leave out the words of the − pole: those that −ε makes likelier in ordinary text.

    Raises:
        InputError: If a number is out of range, or there is no such reading.
    """
    found = factors(lm, steer, reading)
    hidden = mean_logit_shift(lm, steer, raw=raw) < 0 if plus_only else None
    return described(lm, found, n_dims=n_dims, n_words=n_words, raw=raw, hidden=hidden)


def described(
    lm: LanguageModel,
    found: Factors,
    *,
    n_dims: int,
    n_words: int,
    raw: bool = False,
    hidden: Tensor | None = None,
) -> list[Dimension]:
    """Return dimensions with their words; as `dimensions`, without `hidden` words, (n_words,)."""
    n_dims = check_whole_number(n_dims, "The number of dimensions", 1, lm.d_model)
    n_words = check_whole_number(n_words, "The number of words", 1, _MAX_WORDS)
    scores = centred_scores(lm, found.writes[:n_dims].T, raw=raw)
    words = vocabulary(lm, raw=raw).words

    def end(i: int, sign: int) -> list[str]:
        along = sign * scores[:, i]
        # A list is made first: who leads it depends on all that stand in it.
        listed = strongest(along, n_words) if raw else end_words(lm, along, n_words)
        return [words[j] for j in listed if hidden is None or not hidden[j]]

    return [
        Dimension(float(found.sizes[i]), float(found.shares[i]), end(i, 1), end(i, -1))
        for i in range(scores.shape[1])
    ]


def dimension_steer(lm: LanguageModel, steer: Steer, i: int, *, reading: str = DEFAULT) -> Steer:
    """Return a_i b_iᵀ, the steer's dimension i ≥ 0 alone, as a steer of its own.

    Its ε is that of the whole steer, and all of them sum to it. Signs are as in `dimensions`: the
    card's poles are the first words of either end.

    Raises:
        InputError: If the steer has no such dimension.
    """
    found = factors(lm, steer, reading)
    n_dims = len(found.shares)
    if not 0 <= i < n_dims:
        raise InputError(f"'{steer.name}' has {n_dims} dimensions; there is no dimension {i + 1}.")
    alone = found.only(i)
    (dimension,) = described(lm, alone, n_dims=1, n_words=_N_POLE_WORDS)
    suffix = f"-dimension-{i + 1}" if reading == DEFAULT else f"-{reading}-{i + 1}"
    card = dataclasses.replace(
        steer.card,
        name=steer.name[: 64 - len(suffix)] + suffix,
        negative=", ".join(dimension.negative),
        positive=", ".join(dimension.positive),
        rank=1,
        method=f"one dimension ({reading})",
        data=(
            f"dimension {i + 1} of {steer.name}; + is the end that +ε makes "
            "likelier in ordinary text"
        ),
        calibration={},
        metrics={"energy_share": round(dimension.energy, 4)},
    )
    # The length is split between both, so that neither leaves a half-precision file's range.
    balance = (alone.writes.norm() / alone.reads.norm()).sqrt()
    left, right = alone.reads * balance, alone.writes / balance
    return dataclasses.replace(
        steer, left=left.contiguous(), right=right.contiguous(), card=card, reader=None
    )


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


def word_scores(
    lm: LanguageModel, steer: Steer, *, raw: bool = False, reading: str = DEFAULT
) -> Tensor:
    """Return b_i · (e_v − mean e), (n_words, n_dims): how far ε = 1 moves each word along a_i."""
    return centred_scores(lm, factors(lm, steer, reading).writes.T, raw=raw)


def word_positions(
    lm: LanguageModel, steer: Steer, *, raw: bool = False, reading: str = DEFAULT
) -> Tensor:
    """Return the words' coordinates on the axes a_i before they move, (n_words, n_dims).

    ε adds ε times the `word_scores`.
    """
    return centred_scores(lm, torch.linalg.pinv(factors(lm, steer, reading).reads).T, raw=raw)


def place(
    lm: LanguageModel,
    steer: Steer,
    word: str,
    *,
    n_dims: int = 8,
    raw: bool = False,
    reading: str = DEFAULT,
) -> Place:
    """Return where a word sits on the steer's strongest dimensions.

    Args:
        lm: The language model.
        steer: One of its steers.
        word: A word of the `vocabulary`; another case of it is found too.
        n_dims: Most dimensions to return.
        raw: Look among all tokens that the model uses, spelled as they are listed.
        reading: One of `readings.READINGS`.

    Raises:
        InputError: If the vocabulary has no such word.
    """
    words = vocabulary(lm, raw=raw).words
    index = find_word(lm, word, raw=raw)
    scores = word_scores(lm, steer, raw=raw, reading=reading)[:, :n_dims]
    return Place(words[index], scores[index].tolist(), ranks(scores, index), len(words))


def ranks(scores: Tensor, index: int) -> list[int]:
    """Return a word's place, 1 at the + end, in each column of (n_words, n_dims) scores."""
    levels = rounded(scores)
    ahead = (levels > levels[index]).sum(dim=0) + (levels[:index] == levels[index]).sum(dim=0)
    return (ahead + 1).tolist()


def mean_logit_shift(lm: LanguageModel, steer: Steer, *, raw: bool = False) -> Tensor:
    """Return how ε = 1 moves each word's logit in ordinary text against the expected word's.

    Returns:
        h̄ · W (e_v − mean e), (n_words,), in nats.
    """
    left, right = steer.left.float().cpu(), steer.right.float().cpu()
    return centred_scores(lm, ordinary_text(lm).mean_hidden.cpu() @ left @ right, raw=raw)


def centred_scores(lm: LanguageModel, directions: Tensor, *, raw: bool = False) -> Tensor:
    """Return (e_v − mean e) times (d_model, …) directions for every word, (n_words, …)."""
    return word_products(lm, directions, raw=raw) - expectations(lm).embedding @ directions
