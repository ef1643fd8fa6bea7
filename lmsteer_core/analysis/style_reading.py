"""What a reader sees of a style in a text: each word against what ordinary text gets.

The evidence of `evidence.py` is the paper's: how much likelier a token is at +ε than at −ε. It says
which model foresaw the text, and has two faults as a reading. A word that the context foretells
adds next to nothing, however much it carries the style; and rare words, capitals and function words
move under any W. So a style is read from the move of a token's own logit, which is not divided by
what else could have stood there,

    s(x_t) = w(x_t) (h_t · W (e_{x_t} − ē) − b),    w(v) = a / (a + p(v))

in nats per ε, with ē the mean embedding of ordinary text and b such that ordinary text totals 0.
How far ordinary text spreads is the unit in which steers and lengths compare. w is smooth inverse
frequency (Arora et al. 2017, with their a): a word that stands everywhere, p(v) of all words, tells
little of a style, wherever it moves. Punctuation weighs nothing.

Where a steer has a `Reader`, its factors take the place of W, and a text's total is the log-odds of
the label + against the label −.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from lmsteer_core.analysis.ordinary_text import expectations, ordinary_text
from lmsteer_core.analysis.reading import ReadText
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.steer import Steer, check_fingerprint

CLEAR = 2.0
"""Strength in σ from which a text is told from ordinary text, of which 95 % stays below."""

# Weak, so that a steer or model that nobody uses any more is freed.
_BASE_RATES: WeakKeyDictionary[Steer, BaseRate] = WeakKeyDictionary()
_WEIGHTS: WeakKeyDictionary[LanguageModel, Tensor] = WeakKeyDictionary()

_COMMON = 1e-3
"""Frequency at which a word weighs half: a of the published weighting."""


@dataclass(frozen=True)
class BaseRate:
    """What the words of ordinary text score under a steer, in nats.

    Attributes:
        mean: Of a token, weighted; it is taken off, so that ordinary text totals 0.
        deviation: The standard deviation of a word's tokens, weighted.
        text_deviation: The standard deviation of a text's total around its mean, divided by the
            root of the number of its tokens; it exceeds `deviation` where neighbours score alike.
    """

    mean: float
    deviation: float
    text_deviation: float


@dataclass(frozen=True)
class StyleReading:
    """What a reader sees of one style in a text.

    Attributes:
        name: The steer's name.
        scores: s(x_t) per token, in nats; punctuation has 0.
        base_rate: What ordinary text scores.
        n_words: Tokens that are no punctuation.
    """

    name: str
    scores: list[float]
    base_rate: BaseRate
    n_words: int

    @property
    def total(self) -> float:
        """The whole text's score, in nats; ordinary text has 0 in the mean."""
        return sum(self.scores)

    @property
    def strength(self) -> float:
        """The total in standard deviations of ordinary text of this length."""
        spread = self.base_rate.text_deviation * math.sqrt(max(1, self.n_words))
        return self.total / spread if spread else 0.0

    @property
    def is_clear(self) -> bool:
        """Whether the strength reaches `CLEAR`."""
        return abs(self.strength) >= CLEAR

    @property
    def share_weaker(self) -> float:
        """The share of ordinary text of this length that speaks less for either pole.

        It takes totals of ordinary text for normally distributed.
        """
        return math.erf(abs(self.strength) / math.sqrt(2))


def read_styles(lm: LanguageModel, read: ReadText, steers: Sequence[Steer]) -> list[StyleReading]:
    """Return what a reader sees of each steer's style; all share one reading of the backbone.

    The first token is read behind the mean state of ordinary text, since nothing precedes it.

    Args:
        lm: The language model that read the text.
        read: The text.
        steers: The steers, n_steers of them.

    Raises:
        SteerError: If a steer is another model's.
    """
    ordinary = ordinary_text(lm)
    token_ids = torch.tensor(read.token_ids, device=lm.device)
    hidden = torch.cat([ordinary.mean_hidden[None], read.hidden])
    weights = token_weights(lm)[token_ids]
    n_words = int((weights > 0).sum())
    readings = []
    for steer in steers:
        check_fingerprint(steer, lm.output_embedding, lm.model_id)
        rate = base_rate(lm, steer)
        scores = (_raw_scores(lm, steer, hidden, token_ids) - rate.mean) * weights
        readings.append(StyleReading(steer.name, scores.tolist(), rate, n_words))
    return readings


def base_rate(lm: LanguageModel, steer: Steer) -> BaseRate:
    """Return what ordinary text scores under a steer of the model's; kept as long as the steer."""
    rate = _BASE_RATES.get(steer)
    if rate is None:
        text = ordinary_text(lm)
        weights = token_weights(lm)[text.token_ids]
        raw = _raw_scores(lm, steer, text.hidden, text.token_ids)
        mean = (weights * raw).sum() / weights.sum()
        scores = (raw - mean) * weights
        deviation = scores[weights > 0].std()
        totals = torch.stack([part.sum() for part in scores.split(text.lengths)])
        counts = torch.stack([(part > 0).sum() for part in weights.split(text.lengths)])
        spread = (totals / counts.clamp_min(1).sqrt()).std()
        rate = BaseRate(float(mean), float(deviation), float(torch.maximum(spread, deviation)))
        _BASE_RATES[steer] = rate
    return rate


def _raw_scores(lm: LanguageModel, steer: Steer, hidden: Tensor, token_ids: Tensor) -> Tensor:
    """Return h_t · W (e_{x_t} − ē), (n_tokens,), float32."""
    factors = steer.reader or steer
    scale = 1.0 if steer.reader else lm.probed.logit_map.scale
    left, right = factors.left.float().to(lm.device), factors.right.float().to(lm.device)
    embedded = lm.output_embedding[token_ids].float() - ordinary_text(lm).mean_embedding
    return ((hidden @ left) * (embedded @ right.T)).sum(dim=1) * scale


def token_weights(lm: LanguageModel) -> Tensor:
    """Return how much each token counts, (vocab_size,), in [0, 1].

    Punctuation has 0: what holds no letter, digit, emoji or part of one.
    """
    weights = _WEIGHTS.get(lm)
    if weights is None:
        is_word = torch.tensor(
            [
                any(c.isalnum() or unicodedata.category(c) == "So" for c in text)
                for text in lm.token_texts
            ],
            device=lm.device,
        )
        frequency = expectations(lm).probability.to(lm.device)
        weights = _WEIGHTS[lm] = is_word * _COMMON / (_COMMON + frequency)
    return weights
