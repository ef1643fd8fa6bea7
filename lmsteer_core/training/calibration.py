"""How strong is ε = 1? Scale a steer so that ±3 is the end of its useful range.

First by divergence: KL(p_ε ‖ p_0) is exact on cached hidden states and needs no text. Then by text:
over a grid of ε, how far the style moves, what fluency it costs, where the text breaks.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lmsteer_core.analysis.logits import logits_over_epsilon
from lmsteer_core.generation.generate import MAX_ROWS, Generated, Row, generate
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.card import EPSILON_LIMIT
from lmsteer_core.steers.steer import Steer

FULL_EPSILON = 3.0
"""ε at which a calibrated steer reaches the end of its useful
range, on the pole that goes farther."""

TARGET_KL = 0.25
"""Nats per token at ε = ±3 before the text has its say: 1.0 to 1.2 × the unsteered perplexity
for the sentiment steer."""


@dataclass(frozen=True)
class Limits:
    """What text may cost against unsteered text.

    Attributes:
        perplexity: Most times the perplexity under the unsteered model.
        repeated: Most added to the share of words that the same text already used.
        distinct_2: Most taken from the share of distinct pairs of words or marks: texts that all
            say the same, or one mark for ever.
        ended: Most added to the share of texts that end before they are cut off.
    """

    perplexity: float
    repeated: float
    distinct_2: float
    ended: float


USEFUL = Limits(perplexity=1.5, repeated=0.08, distinct_2=0.15, ended=0.1)
"""Where the useful range ends."""

BROKEN = Limits(perplexity=3.0, repeated=0.24, distinct_2=0.45, ended=0.3)
"""Where fluency breaks."""

_ENDLESS = 100.0

GRID = (-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0)
_SCORED_STEP = 2
_SAMPLING = Sampling(temperature=1.0, top_p=0.9, max_new_tokens=20)


@dataclass(frozen=True)
class Curve:
    """What text at each ε is like.

    Attributes:
        epsilon: Ascending, with 0.
        style: Mean style score, of every second text.
        perplexity: exp(−mean log-probability of a token under the unsteered model).
        repeated: Share of words that the same continuation already used.
        distinct_2: Distinct pairs of words or marks over all pairs.
        ended: Share of texts that ended before they were cut off.
    """

    epsilon: list[float]
    style: list[float]
    perplexity: list[float]
    repeated: list[float]
    distinct_2: list[float]
    ended: list[float]


def mean_kl(lm: LanguageModel, steer: Steer, hidden: Tensor, epsilon: float) -> float:
    """Return the mean of KL(p_ε ‖ p_0) over hidden states (n_tokens, d_model), in nats."""
    return _mean_kls(lm, steer, hidden)(epsilon)


def calibrate(
    lm: LanguageModel, steer: Steer, hidden: Tensor, *, target_kl: float = TARGET_KL
) -> Steer:
    """Return the steer scaled so that the mean of both signs' KL at ε = ±3 is `target_kl`.

    Args:
        lm: The language model.
        steer: Any non-zero steer.
        hidden: Neutral contexts, (n_tokens, d_model); 200 are plenty.
        target_kl: Nats per token.
    """
    kl = _mean_kls(lm, steer, hidden)
    scale = scale_to_divergence(lambda epsilon: (kl(epsilon) + kl(-epsilon)) / 2, target_kl)
    return steer.scaled(scale / FULL_EPSILON)


def scale_to_divergence(kl: Callable[[float], float], target_kl: float) -> float:
    """Return the factor at which a divergence that grows from 0 about as its square is `target_kl`.

    Args:
        kl: A factor above 0 to the divergence it causes, in nats per token.
        target_kl: Nats per token.
    """
    low, high = math.log(1e-4), math.log(1e4)
    guess = 0.0
    for _ in range(20):  # KL grows about as ε²: halve the log error, inside a shrinking bracket
        excess = math.log(max(kl(math.exp(guess)), 1e-12) / target_kl)
        if abs(excess) < 0.01:
            break
        low, high = (low, guess) if excess > 0 else (guess, high)
        step = guess - excess / 2
        guess = step if low < step < high else (low + high) / 2
    return math.exp(guess)


def measure(
    lm: LanguageModel,
    steer: Steer,
    score: Callable[[Sequence[str]], Sequence[float]],
    prompts: Sequence[str],
    epsilons: Sequence[float] = GRID,
    *,
    on_share: Callable[[float], None] = lambda _share: None,
) -> Curve:
    """Return the curve over `epsilons`, which hold 0.

    All continue the same prompts with the same random numbers.

    Args:
        lm: The language model.
        steer: The steer.
        score: Style score of texts.
        prompts: Neutral beginnings.
        epsilons: Ascending.
        on_share: Told the finished share (0–1); whatever it raises stops the work.
    """
    rows = [Row(p, {steer.name: e}, seed_offset=i) for e in epsilons for i, p in enumerate(prompts)]
    done: list[Generated] = []
    for start in range(0, len(rows), MAX_ROWS):
        batch = rows[start : start + MAX_ROWS]

        def report(n_tokens: int, start: int = start, n_rows: int = len(batch)) -> None:
            on_share((start + n_rows * n_tokens / _SAMPLING.max_new_tokens) / len(rows))

        done += generate(lm, batch, {steer.name: steer}, _SAMPLING, on_step=report)
    by_epsilon = [done[i : i + len(prompts)] for i in range(0, len(done), len(prompts))]
    # Reading a text behind both poles costs more than writing it,
    # and style needs fewer texts than cost.
    scores = np.asarray(score([row.text for some in by_epsilon for row in some[::_SCORED_STEP]]))
    curve = Curve(list(epsilons), [], [], [], [], [])
    for some, style_scores in zip(by_epsilon, scores.reshape(len(epsilons), -1), strict=True):
        repeated, distinct_2 = repetition([row.text for row in some])
        curve.style.append(float(style_scores.mean()))
        curve.perplexity.append(perplexity(some))
        curve.repeated.append(repeated)
        curve.distinct_2.append(distinct_2)
        n_ended = sum(len(row.tokens) < _SAMPLING.max_new_tokens for row in some)
        curve.ended.append(n_ended / len(some))
    return curve


def perplexity(done: Sequence[Generated]) -> float:
    """Return exp(−mean log-probability of a token under the unsteered model).

    Without tokens it is NaN.
    """
    log_probabilities = [token.base_logprob for row in done for token in row.tokens]
    return (
        math.exp(-sum(log_probabilities) / len(log_probabilities))
        if log_probabilities
        else math.nan
    )


def repetition(texts: Sequence[str]) -> tuple[float, float]:
    """Return the share of words that a text already used, and that of distinct pairs.

    A pair is of words or marks: a text may break down to a mark without end, too.
    """
    words = [re.findall(r"[^\W\d_]+", text.lower()) for text in texts]
    parts = [re.findall(r"[^\W\d_]+|[^\w\s]", text.lower()) for text in texts]
    pairs = [pair for text in parts for pair in zip(text, text[1:], strict=False)]
    n_words = sum(map(len, words))
    n_new = sum(len(set(text)) for text in words)
    return (1 - n_new / n_words if n_words else 0.0), (
        len(set(pairs)) / len(pairs) if pairs else 1.0
    )


def with_useful_range(steer: Steer, curve: Curve) -> Steer:
    """Return the steer scaled so that its farther pole ends at ±3, with its curve on the card."""
    useful, broken = _ends(curve, USEFUL), _ends(curve, BROKEN)
    factor = max(-useful[0], useful[1]) / FULL_EPSILON
    low, high = (max(-FULL_EPSILON, useful[0] / factor), min(FULL_EPSILON, useful[1] / factor))
    at_end = (curve.epsilon[0], curve.epsilon[-1])  # never seen to break there: not known beyond
    collapse = [
        sign * EPSILON_LIMIT
        if limit == end
        else max(-EPSILON_LIMIT, min(EPSILON_LIMIT, limit / factor))
        for sign, limit, end in zip((-1, 1), broken, at_end, strict=True)
    ]
    figures: dict[str, list[float | None]] = {
        key: [round(value, 4) if math.isfinite(value) else None for value in values]
        for key, values in vars(curve).items()
    }
    figures["epsilon"] = [round(epsilon / factor, 3) for epsilon in curve.epsilon]
    card = dataclasses.replace(
        steer.card,
        epsilon_range=(round(low, 2), round(high, 2)),
        collapse_range=(round(collapse[0], 2), round(collapse[1], 2)),
        calibration=figures,
    )
    return dataclasses.replace(steer.scaled(factor), card=card)


def _ends(curve: Curve, limits: Limits) -> tuple[float, float]:
    """Return the lowest and highest ε within all limits, between grid points too."""
    zero = curve.epsilon.index(0.0)
    cost = [
        max(
            # No perplexity: no text at all was written.
            _ENDLESS
            if math.isnan(p)
            else math.log(p / curve.perplexity[zero]) / math.log(limits.perplexity),
            (r - curve.repeated[zero]) / limits.repeated,
            (curve.distinct_2[zero] - d) / limits.distinct_2,
            (e - curve.ended[zero]) / limits.ended,
        )
        for p, r, d, e in zip(
            curve.perplexity, curve.repeated, curve.distinct_2, curve.ended, strict=True
        )
    ]
    return -_reach([-e for e in curve.epsilon[zero::-1]], cost[zero::-1]), _reach(
        curve.epsilon[zero:], cost[zero:]
    )


def _reach(epsilon: Sequence[float], cost: Sequence[float]) -> float:
    """Return the ε ≥ 0 at which a cost that starts at 0 first reaches 1.

    Noise is smoothed to rise.
    """
    from sklearn.isotonic import IsotonicRegression

    rising = IsotonicRegression().fit_transform(list(epsilon), list(cost))
    for i in range(1, len(rising)):
        if rising[i] >= 1:
            step = (1 - rising[i - 1]) / (rising[i] - rising[i - 1])
            return float(epsilon[i - 1] + step * (epsilon[i] - epsilon[i - 1]))
    return float(epsilon[-1])


def _mean_kls(lm: LanguageModel, steer: Steer, hidden: Tensor) -> Callable[[float], float]:
    """Return ε ↦ mean KL(p_ε ‖ p_0); the logits are linear in ε, so two products serve every ε."""
    tables = [logits_over_epsilon(lm, steer, h) for h in hidden.split(64)]
    base_log_p = [lm.finish(base).log_softmax(dim=-1) for base, _ in tables]

    def kl(epsilon: float) -> float:
        total = 0.0
        for (base, moved), base_p in zip(tables, base_log_p, strict=True):
            log_p = lm.finish(torch.add(base, moved, alpha=epsilon)).log_softmax(dim=-1)
            total += (log_p.exp() * (log_p - base_p)).sum().item()
        return total / hidden.shape[0]

    return kl
