"""Words among words: neighbours, axes of one's own and analogies, before and after a steer's ε.

A word is its output embedding less the expected one. A steer takes it from e to (I + ε W) e, and W
is thin, so every ε costs a product with one vector and a few columns, not a second vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lmsteer_core.analysis.ordinary_text import expectations
from lmsteer_core.analysis.vocabulary import are_whole, find_word, vocabulary
from lmsteer_core.analysis.word_lists import rounded, word_directions
from lmsteer_core.errors import InputError
from lmsteer_core.limits import check_whole_number
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.steers.steer import Steer, check_fingerprint

Measure = Literal["cosine", "dot"]

_MAX_NEAREST = 200
_MAX_AXIS_WORDS = 50
_HUB_SAMPLE = 1024
_HUB_NEAREST = 10
_HUB = 10
"""Times as often as the average among the nearest ten of other words: such a word is a hub."""

_HUBS: WeakKeyDictionary[LanguageModel, Tensor] = WeakKeyDictionary()


@dataclass(frozen=True)
class Neighbour:
    """A word near another.

    Attributes:
        word: Its spelling.
        before: Its similarity at ε = 0.
        after: At ε.
        is_hub: Whether it is near to very many words, so that being near says little.
    """

    word: str
    before: float
    after: float
    is_hub: bool


@dataclass(frozen=True)
class Neighbours:
    """A word's nearest words, nearest first.

    Attributes:
        word: The word.
        before: The nearest at ε = 0.
        after: The nearest at ε.
        closer: Of these, those that were not there at ε = 0.
        leaving: Those that no longer are.
    """

    word: str
    before: list[Neighbour]
    after: list[Neighbour]
    closer: list[str]
    leaving: list[str]


@dataclass(frozen=True)
class Axis:
    """An axis between two sets of words.

    Attributes:
        plus: The words of its + end, as the vocabulary spells them.
        minus: The words of its − end.
        positive: Other words farthest towards +, with their cosines to the axis at ε = 0.
        negative: Towards −.
        towards_plus: Words that ε moves farthest towards +, with how much their cosine gains.
        towards_minus: Towards −.
    """

    plus: list[str]
    minus: list[str]
    positive: list[tuple[str, float]]
    negative: list[tuple[str, float]]
    towards_plus: list[tuple[str, float]]
    towards_minus: list[tuple[str, float]]


@dataclass(frozen=True)
class Analogy:
    """What is to c as b is to a.

    Attributes:
        words: a, b and c, as the vocabulary spells them.
        before: The best answers at ε = 0, with their cosines to b − a + c.
        after: At ε.
        rank_before: The expected answer's place among all, from 1; None if none was given.
        rank_after: At ε.
    """

    words: tuple[str, str, str]
    before: list[tuple[str, float]]
    after: list[tuple[str, float]]
    rank_before: int | None
    rank_after: int | None


class _Moved:
    """The vocabulary's words at an ε, as products with whatever vector is asked for."""

    def __init__(
        self,
        lm: LanguageModel,
        steer: Steer | None,
        epsilon: float,
        *,
        without: Tensor | None = None,
    ) -> None:
        """Move the words; what they share with a direction of length 1, `without`, is left out."""
        self._units, self._sizes = word_directions(lm)
        self._without = without
        self._shadow = self._base(without) if without is not None else None
        self._moves: tuple[Tensor, Tensor] | None = None
        if steer is not None and epsilon:
            check_fingerprint(steer, lm.output_embedding, lm.model_id)
            left = epsilon * steer.left.float().cpu()
            if without is not None:
                left = left - without[:, None] * (without @ left)
            self._moves = self._base(steer.right.float().cpu().T), left
        self.lengths = self._measured()

    def __getitem__(self, index: int) -> Tensor:
        """Return a word's vector, (d_model,)."""
        vector = self._units[index] * self._sizes[index]
        if self._without is not None and self._shadow is not None:
            vector = vector - self._shadow[index] * self._without
        if self._moves:
            coordinates, left = self._moves
            vector = vector + left @ coordinates[index]
        return vector

    def along(self, direction: Tensor) -> Tensor:
        """Return every word's product with a (d_model,) direction, (n_words,)."""
        product = self._base(direction)
        if self._without is not None and self._shadow is not None:
            product = product - self._shadow * (self._without @ direction)
        if self._moves:
            coordinates, left = self._moves
            product = product + coordinates @ (left.T @ direction)
        return product

    def cosines(self, direction: Tensor) -> Tensor:
        """Return every word's cosine with a direction, (n_words,)."""
        cosines: Tensor = self.along(direction) / (self.lengths * direction.norm().clamp_min(1e-30))
        return cosines

    def _base(self, directions: Tensor) -> Tensor:
        product: Tensor = self._units @ directions
        return product * (self._sizes if directions.ndim == 1 else self._sizes[:, None])

    def _measured(self) -> Tensor:
        squares: Tensor = self._sizes.square()
        if self._shadow is not None:
            squares = squares - self._shadow.square()
        if self._moves:
            coordinates, left = self._moves
            # `left` has nothing of what is left out, so its products with a word lose nothing.
            squares = squares + 2 * (self._base(left) * coordinates).sum(dim=1)
            squares = squares + ((coordinates @ (left.T @ left)) * coordinates).sum(dim=1)
        return squares.clamp_min(1e-30).sqrt()


def neighbours(
    lm: LanguageModel,
    word: str,
    *,
    steer: Steer | None = None,
    epsilon: float = 0.0,
    n: int = 12,
    measure: Measure = "cosine",
) -> Neighbours:
    """Return a word's nearest words at ε = 0 and at ε.

    Similarities are free of frequency: the direction along which embeddings change most with the
    logarithm of a word's probability is left out, or rare words would be near to rare ones.

    Args:
        lm: The language model.
        word: A word of the vocabulary, in any case.
        steer: What moves the words; without one both lists are the same.
        epsilon: Its ε.
        n: How many.
        measure: "cosine", or "dot" for the plain product, which favours long embeddings.

    Raises:
        InputError: If the vocabulary has no such word, or a value is out of range.
        SteerError: If the steer is another model's.
    """
    epsilon = check_epsilon(epsilon)
    n = check_whole_number(n, "The number of neighbours", 1, _MAX_NEAREST)
    if measure not in ("cosine", "dot"):
        raise InputError(f"There is no measure '{measure}'; use cosine or dot.")
    index, words = find_word(lm, word), vocabulary(lm).words
    frequency = frequency_direction(lm)
    similarities = []
    for at in (0.0, epsilon):
        moved = _Moved(lm, steer, at, without=frequency)
        similarities.append(
            moved.cosines(moved[index]) if measure == "cosine" else moved.along(moved[index])
        )
    before, after = similarities
    is_hub = hubs(lm)
    near, nearest = (
        [
            Neighbour(words[i], float(before[i]), float(after[i]), bool(is_hub[i]))
            for i in _nearest(lm, each, n, {index})
        ]
        for each in similarities
    )
    closer, leaving = (
        [each.word for each in ours if each.word not in {other.word for other in theirs}]
        for ours, theirs in ((nearest, near), (near, nearest))
    )
    return Neighbours(words[index], near, nearest, closer, leaving)


def axis_direction(lm: LanguageModel, plus: Sequence[str], minus: Sequence[str]) -> Tensor:
    """Return the direction from the mean of some words to that of others, of length 1, (d_model,).

    Words count by their direction alone, so that none leads by its length.

    Raises:
        InputError: If a set is empty or too large, a word is not in the vocabulary, or both sets
            have one mean.
    """
    units, _ = word_directions(lm)
    means = []
    for words, end in ((plus, "+"), (minus, "−")):
        if not words:
            raise InputError(f"The {end} end of the axis has no word; name one at least.")
        if len(words) > _MAX_AXIS_WORDS:
            raise InputError(
                f"The {end} end of the axis has {len(words):,} words; give it {_MAX_AXIS_WORDS} "
                "at most."
            )
        means.append(units[[find_word(lm, word) for word in words]].mean(dim=0))
    direction = means[0] - means[1]
    if direction.norm() < 1e-6:
        raise InputError("Both ends of the axis have the same words; choose opposed ones.")
    return normalize(direction, dim=0)


def axis(
    lm: LanguageModel,
    plus: Sequence[str],
    minus: Sequence[str],
    *,
    steer: Steer | None = None,
    epsilon: float = 1.0,
    n: int = 12,
) -> Axis:
    """Return the words at the ends of an axis of one's own, and those that ε moves along it.

    Args:
        lm: The language model.
        plus: Words of the + end.
        minus: Words of the − end.
        steer: What moves the words; without one none moves.
        epsilon: Its ε.
        n: How many words to list.

    Raises:
        InputError: As `axis_direction`, or if a number is out of range.
        SteerError: If the steer is another model's.
    """
    epsilon = check_epsilon(epsilon)
    n = check_whole_number(n, "The number of words", 1, _MAX_NEAREST)
    direction = axis_direction(lm, plus, minus)
    words = vocabulary(lm).words
    ends = [list(dict.fromkeys(find_word(lm, word) for word in side)) for side in (plus, minus)]
    before, after = (_Moved(lm, steer, at).cosines(direction) for at in (0.0, epsilon))
    gain = after - before

    def listed(scores: Tensor, sign: int, left_out: set[int]) -> list[tuple[str, float]]:
        found = _nearest(lm, sign * scores, n, left_out)
        return [(words[i], float(scores[i])) for i in found if sign * scores[i] > 0]

    given = {*ends[0], *ends[1]}
    return Axis(
        [words[i] for i in ends[0]],
        [words[i] for i in ends[1]],
        listed(before, 1, given),
        listed(before, -1, given),
        listed(gain, 1, set()),
        listed(gain, -1, set()),
    )


def analogy(
    lm: LanguageModel,
    a: str,
    b: str,
    c: str,
    *,
    answer: str | None = None,
    steer: Steer | None = None,
    epsilon: float = 0.0,
    n: int = 5,
) -> Analogy:
    """Return what is to c as b is to a: the words nearest to b − a + c, at ε = 0 and at ε.

    Args:
        lm: The language model.
        a: A word.
        b: What stands to it as the answer does to c.
        c: A third word.
        answer: A word whose place among all is told.
        steer: What moves the words.
        epsilon: Its ε.
        n: How many answers to list.

    Raises:
        InputError: If the vocabulary lacks a word, or a value is out of range.
        SteerError: If the steer is another model's.
    """
    epsilon = check_epsilon(epsilon)
    n = check_whole_number(n, "The number of answers", 1, _MAX_NEAREST)
    words = vocabulary(lm).words
    given = [find_word(lm, word) for word in (a, b, c)]
    expected = find_word(lm, answer) if answer else None
    if expected in given:
        raise InputError("The expected answer is one of the three words; name another.")
    lists, places = [], []
    for at in (0.0, epsilon):
        moved = _Moved(lm, steer, at)
        first, second, third = (normalize(moved[i], dim=0) for i in given)
        cosines = moved.cosines(second - first + third)
        lists.append([(words[i], float(cosines[i])) for i in _nearest(lm, cosines, n, set(given))])
        cosines[given] = -2.0
        places.append(None if expected is None else int((cosines > cosines[expected]).sum()) + 1)
    return Analogy((words[given[0]], words[given[1]], words[given[2]]), lists[0], lists[1], *places)


def frequency_direction(lm: LanguageModel) -> Tensor:
    """Return the direction along which embeddings change most with log probability, (d_model,)."""
    units, lengths = word_directions(lm)
    frequency = expectations(lm).probability[vocabulary(lm).token_ids].log()
    frequency = frequency - frequency.mean()
    weights = lengths * frequency
    return normalize(units.T @ weights, dim=0)


def hubs(lm: LanguageModel) -> Tensor:
    """Return which words are near to very many others, (n_words,), from a sample of words."""
    found = _HUBS.get(lm)
    if found is None:
        units, _ = word_directions(lm)
        frequency = frequency_direction(lm)
        units = normalize(units - (units @ frequency)[:, None] * frequency)
        n_words = len(units)
        chosen = torch.randperm(n_words, generator=torch.Generator().manual_seed(0))[:_HUB_SAMPLE]
        counts = torch.zeros(n_words)
        n_nearest = min(_HUB_NEAREST + 1, n_words)
        for some in chosen.split(128):
            nearest = (units[some] @ units.T).topk(n_nearest, dim=1).indices[:, 1:]
            counts += torch.bincount(nearest.flatten(), minlength=n_words)
        average = len(chosen) * (n_nearest - 1) / n_words
        # Where the sample is small beside the vocabulary, a few chance hits are no hub.
        found = _HUBS[lm] = counts >= max(_HUB * average, 5)
    return found


def _nearest(lm: LanguageModel, scores: Tensor, n: int, left_out: set[int]) -> list[int]:
    """Return the n indices of the largest scores: whole words, one of each whatever its case."""
    words, token_ids = vocabulary(lm).words, vocabulary(lm).token_ids
    seen = {words[i].casefold() for i in left_out}
    order = torch.argsort(-rounded(scores), stable=True)[: 8 * n + 64].tolist()
    chosen: list[int] = []
    for start in range(0, len(order), 2 * n):
        some = order[start : start + 2 * n]
        whole = are_whole(lm, token_ids[some].tolist())
        for i, is_whole in zip(some, whole, strict=True):
            if is_whole and words[i].casefold() not in seen and len(chosen) < n:
                seen.add(words[i].casefold())
                chosen.append(i)
        if len(chosen) == n:
            break
    return chosen
