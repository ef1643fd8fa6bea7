"""One dimension of a steer: what it writes, and what in a text it reads.

What W does after a context is Σ_i (h · a_i) b_i, so h · a_i says how much the context speaks to
dimension i, and its sign which end it calls for with +ε.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lmsteer_core.analysis.dimensions import Dimension, described, mean_logit_shift
from lmsteer_core.analysis.ordinary_text import SENTENCES, expectations, ordinary_text
from lmsteer_core.analysis.reading import read_text
from lmsteer_core.analysis.readings import DEFAULT, Factors, factors
from lmsteer_core.errors import InputError
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.steer import Steer
from lmsteer_core.text import check_text

N_CONTEXTS = 6
_N_WORDS = 24
_LONGEST_TEXT = 20_000
"""Characters of a visitor's text that are read."""


@dataclass(frozen=True)
class Context:
    """A place in a text.

    Attributes:
        before: The text up to the token.
        token: The token that was read last.
        value: h · a_i there.
    """

    before: str
    token: str
    value: float


@dataclass(frozen=True)
class TextRead:
    """A text as a dimension reads it.

    Attributes:
        token_texts: The tokens; joined they are what was read.
        values: h · a_i after each token but the last, whose state predicts nothing that is there.
        share: Of the steer's effect on what follows these tokens, as squared length in the metric
            of divergence; all dimensions sum to 1.
        cut: Whether the end was left out.
    """

    token_texts: list[str]
    values: list[float]
    share: float
    cut: bool


@dataclass(frozen=True)
class DimensionPage:
    """All that is shown of one dimension.

    Attributes:
        number: Its place, from 1.
        dimension: Its size, and the words that it writes.
        usual: h · a_i at every place of ordinary text.
        share: Its share of the steer's effect on ordinary text.
        strongest: Places of ordinary text where h · a_i is largest, one of each sentence.
        weakest: Where it is smallest.
        text: A text of the visitor's own, if there is one.
    """

    number: int
    dimension: Dimension
    usual: list[float]
    share: float
    strongest: list[Context]
    weakest: list[Context]
    text: TextRead | None


def dimension_page(
    lm: LanguageModel,
    steer: Steer,
    i: int,
    *,
    reading: str = DEFAULT,
    text: str = "",
    plus_only: bool = False,
) -> DimensionPage:
    """Return what a dimension writes and reads.

    Args:
        lm: The language model.
        steer: One of its steers.
        i: The dimension, from 0.
        reading: One of `readings.READINGS`.
        text: A text to read too.
        plus_only: Leave out the words of the steer's − pole.

    Raises:
        InputError: If there is no such dimension or reading, or the text cannot be read.
    """
    found = factors(lm, steer, reading)
    n_dims = len(found.shares)
    if not 0 <= i < n_dims:
        raise InputError(f"'{steer.name}' has {n_dims} dimensions; there is no dimension {i + 1}.")
    hidden = mean_logit_shift(lm, steer) < 0 if plus_only else None
    shown = described(lm, found.only(i), n_dims=1, n_words=_N_WORDS, hidden=hidden)
    ordinary = ordinary_text(lm)
    usual = (ordinary.hidden.cpu() @ found.reads[:, i]).tolist()
    places = _places(lm, usual)
    return DimensionPage(
        i + 1,
        shown[0],
        usual,
        effect_shares(lm, found, ordinary.hidden)[i],
        _extremes(places, -1),
        _extremes(places, 1),
        _read(lm, found, i, text) if text.strip() else None,
    )


def effect_shares(lm: LanguageModel, found: Factors, hidden: Tensor) -> list[float]:
    """Return every dimension's share of what a steer does after (n_tokens, d_model) states.

    The effect on the expected embedding is Wᵀh, its length that of the metric of divergence.
    """
    read = (hidden.cpu() @ found.reads).double()
    moments = read.T @ read
    writes = found.writes.double()
    inner = (moments * (writes @ expectations(lm).covariance @ writes.T)).sum(dim=1)
    shares: list[float] = (inner / inner.sum().clamp_min(1e-300)).tolist()
    return shares


def _read(lm: LanguageModel, found: Factors, i: int, text: str) -> TextRead:
    check_text(text)
    read = read_text(lm, text[:_LONGEST_TEXT])
    if len(read.token_ids) < 2:
        raise InputError("The text has a single token; write a few words.")
    values = (read.hidden.cpu() @ found.reads[:, i]).tolist()
    share = effect_shares(lm, found, read.hidden)[i]
    return TextRead(read.token_texts, values, share, read.cut or len(text) > _LONGEST_TEXT)


def _places(lm: LanguageModel, usual: list[float]) -> list[list[Context]]:
    """Return the places of every sentence of ordinary text, in the order of its states."""
    values, places = iter(usual), []
    for sentence in SENTENCES:
        encoding = lm.tokenizer(sentence, return_offsets_mapping=True, add_special_tokens=False)
        ends = [end for _, end in encoding["offset_mapping"]]
        if len(ends) > 1:
            starts = [0, *ends[:-1]]
            places.append(
                [
                    Context(sentence[:a], sentence[a:b], next(values))
                    for a, b in zip(starts[:-1], ends[:-1], strict=True)
                ]
            )
    return places


def _extremes(places: list[list[Context]], sign: int) -> list[Context]:
    best = [min(sentence, key=lambda place: sign * place.value) for sentence in places]
    return sorted(best, key=lambda place: sign * place.value)[:N_CONTEXTS]
