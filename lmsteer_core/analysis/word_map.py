"""The vocabulary on a steer's dimensions: where every word is, and where ε moves it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lmsteer_core.analysis.dimensions import (
    Dimension,
    centred_scores,
    described,
    mean_logit_shift,
)
from lmsteer_core.analysis.readings import DEFAULT, factors
from lmsteer_core.analysis.vocabulary import vocabulary
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.steer import Steer

_N_WORDS = 12


@dataclass(frozen=True, eq=False)
class WordMap:
    """A vocabulary of n_words on n_dims dimensions of a steer.

    Attributes:
        dimensions: The dimensions, with the words at both ends.
        sizes: The lengths of all dimensions there are.
        shares: Their shares of the steer.
        words: Spellings, rising by token id.
        positions: Where a word is drawn at ε = 0, (n_words, n_dims).
        moves: What ε = 1 adds to its position, (n_words, n_dims): its score on each dimension.
        shifts: How ε = 1 moves its logit in ordinary text, (n_words,), in nats.
        shown: Their indices in the `vocabulary`, (n_words,).
    """

    dimensions: list[Dimension]
    sizes: list[float]
    shares: list[float]
    words: list[str]
    positions: Tensor
    moves: Tensor
    shifts: Tensor
    shown: Tensor


def word_map(
    lm: LanguageModel,
    steer: Steer,
    *,
    n_dims: int = 8,
    raw: bool = False,
    reading: str = DEFAULT,
    plus_only: bool = False,
) -> WordMap:
    """Return the vocabulary on a steer's strongest dimensions.

    Args:
        lm: The language model.
        steer: One of its steers.
        n_dims: Most dimensions.
        raw: Count all tokens that the model uses as words.
        reading: One of `readings.READINGS`.
        plus_only: Leave out the words of the − pole: those that −ε makes likelier in ordinary text.
    """
    found = factors(lm, steer, reading)
    axes = torch.linalg.pinv(found.reads)[:n_dims]
    shifts = mean_logit_shift(lm, steer, raw=raw)
    hidden = shifts < 0 if plus_only else torch.zeros(len(shifts), dtype=torch.bool)
    shown = (~hidden).nonzero()[:, 0]
    words = vocabulary(lm, raw=raw).words
    return WordMap(
        described(lm, found, n_dims=n_dims, n_words=_N_WORDS, raw=raw, hidden=hidden),
        found.sizes.tolist(),
        found.shares.tolist(),
        [words[i] for i in shown.tolist()],
        centred_scores(lm, axes.T, raw=raw)[shown],
        centred_scores(lm, found.writes[:n_dims].T, raw=raw)[shown],
        shifts[shown],
        shown,
    )
