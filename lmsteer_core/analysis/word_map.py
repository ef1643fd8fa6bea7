"""The vocabulary on a steer's dimensions: where every word is, and where ε moves it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lmsteer_core.analysis.dimensions import (
    Dimension,
    dimensions,
    displacement_dimensions,
    displacement_pca,
    displacement_scores,
    mean_logit_shift,
    word_moves,
    word_scores,
)
from lmsteer_core.analysis.vocabulary import vocabulary
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.steer import Steer


@dataclass(frozen=True, eq=False)
class WordMap:
    """A vocabulary of n_words on n_dims dimensions of a steer.

    Attributes:
        dimensions: The dimensions, with the words at both ends.
        sizes: Singular values or standard deviations of all dimensions there are.
        words: Spellings, rising by token id.
        scores: What places a word on each dimension, (n_words, n_dims).
        positions: Where a word is drawn at ε = 0, (n_words, n_dims).
        moves: What ε = 1 adds to its position, (n_words, n_dims).
        shifts: How ε = 1 moves its logit in ordinary text, (n_words,), in nats.
    """

    dimensions: list[Dimension]
    sizes: list[float]
    words: list[str]
    scores: Tensor
    positions: Tensor
    moves: Tensor
    shifts: Tensor


def word_map(
    lm: LanguageModel,
    steer: Steer,
    *,
    n_dims: int = 8,
    raw: bool = False,
    of_displacements: bool = False,
) -> WordMap:
    """Return the vocabulary on a steer's strongest dimensions.

    Args:
        lm: The language model.
        steer: One of its steers.
        n_dims: Most dimensions.
        raw: Count all tokens that the model uses as words.
        of_displacements: Take the principal components of the words' displacements W e, rather
            than the singular dimensions of W.
    """
    if of_displacements:
        described = displacement_dimensions(lm, steer, n_dims=n_dims, raw=raw)
        every = displacement_pca(lm, steer, n_components=steer.rank, raw=raw)
        scores = moves = every[:, :n_dims]
        positions = displacement_scores(lm, steer, n_components=n_dims, raw=raw)
        sizes = every.std(dim=0).tolist()
    else:
        described = dimensions(lm, steer, n_dims=n_dims, raw=raw)
        scores = positions = word_scores(lm, steer, raw=raw)[:, :n_dims]
        moves = word_moves(lm, steer, raw=raw)[:, :n_dims]
        sizes = steer.svd()[1].tolist()
    words = vocabulary(lm, raw=raw).words
    shifts = mean_logit_shift(lm, steer, raw=raw)
    return WordMap(described, sizes, words, scores, positions, moves, shifts)
