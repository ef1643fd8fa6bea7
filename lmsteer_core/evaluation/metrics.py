"""The protocol's figures, from scores and log-likelihoods of continuations.

Definitions are those of the published evaluations (DExperts, Liu et al. 2021, whose scripts
LM-Steer uses). Arrays are (n_prompts, n_samples), with NaN where a prompt has fewer samples than
others or a continuation has no token.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

INSANE_PERPLEXITY = 1e4
"""The published scripts leave out a continuation from here on."""

N_DRAWS = 1000


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % bootstrap interval over prompts."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Figure:
    """Σ numerator / Σ denominator over prompts, or exp of it.

    Every figure of the protocol has this form, so that resampling prompts is one product with
    weights.

    Attributes:
        numerator: One number per prompt, (n_prompts,).
        denominator: The same; 0 for a prompt that does not count.
        is_log: The figure is exp of the quotient.
    """

    numerator: Array
    denominator: Array
    is_log: bool = False

    @property
    def value(self) -> float:
        """The figure itself."""
        return float(self.at(np.ones(len(self.numerator))))

    def at(self, weights: Array) -> Array:
        """Return the figure for weighted prompts, (…, n_prompts) → (…).

        It is NaN where no prompt counts.
        """
        below = np.asarray(weights @ self.denominator)
        quotient = np.divide(
            weights @ self.numerator, below, out=np.full(below.shape, np.nan), where=below > 0
        )
        return np.asarray(np.exp(quotient) if self.is_log else quotient)

    def interval(self) -> Interval:
        """Return the figure with its bootstrap interval."""
        return percentiles(self.value, self.at(resampled(len(self.numerator))))


@functools.lru_cache(maxsize=4)
def resampled(n_prompts: int) -> Array:
    """Return how often each prompt is in each bootstrap draw, (n_draws, n_prompts).

    The draws are always the same.
    """
    share = [1 / n_prompts] * n_prompts
    return np.random.default_rng(0).multinomial(n_prompts, share, N_DRAWS).astype(float)


def percentiles(value: float, draws: Array) -> Interval:
    """Return a figure with the 2.5th and 97.5th percentile of its bootstrap draws."""
    known = draws[~np.isnan(draws)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return Interval(value, float(low), float(high))


def mean_of_max(scores: Array) -> Figure:
    """Return the mean over prompts of the highest score among a prompt's continuations."""
    return _mean(np.where(np.isnan(scores), -np.inf, scores).max(axis=1), _n_samples(scores) > 0)


def share_of_prompts(scores: Array, threshold: float) -> Figure:
    """Return the share of prompts with any continuation at or above the threshold."""
    return _mean((scores >= threshold).any(axis=1).astype(float), _n_samples(scores) > 0)


def share_of_texts(scores: Array, threshold: float) -> Figure:
    """Return the mean over prompts of the share of continuations at or above the threshold."""
    return mean_score(np.where(np.isnan(scores), np.nan, scores >= threshold))


def mean_score(scores: Array) -> Figure:
    """Return the mean over prompts of the mean score of a prompt's continuations."""
    n_samples = _n_samples(scores)
    return _mean(np.nansum(scores, axis=1) / np.maximum(n_samples, 1), n_samples > 0)


def conditional_perplexity(nll: Array, n_tokens: Array) -> Figure:
    """Return the mean over continuations of exp(nll / n_tokens), as published.

    Values from 10⁴ on are left out.

    Args:
        nll: −log P(continuation | prompt), in nats.
        n_tokens: Tokens of the continuation.
    """
    with np.errstate(over="ignore"):
        perplexity = np.exp(nll / np.where(n_tokens > 0, n_tokens, np.nan))
    sane = perplexity < INSANE_PERPLEXITY
    return Figure(np.where(sane, perplexity, 0).sum(axis=1), sane.sum(axis=1).astype(float))


def corpus_perplexity(nll: Array, n_tokens: Array) -> Figure:
    """Return exp of all continuations' nll over all their tokens.

    No outlier weighs more than its length.
    """
    return Figure(np.nansum(nll, axis=1), n_tokens.sum(axis=1).astype(float), is_log=True)


def distinct(texts: Sequence[Sequence[str]], n: int) -> Figure:
    """Return dist-n: a prompt's different n-grams over its words, mean over prompts.

    The number of *words* is below, whatever n; words are what stands between single spaces, as
    published.
    """
    shares = np.array([_distinct(some, n) for some in texts])
    return _mean(np.nan_to_num(shares), ~np.isnan(shares))


def words_per_text(texts: Sequence[Sequence[str]]) -> Figure:
    """Return the mean number of words, as `distinct` counts them."""
    n_words = [sum(len(text.split(" ")) for text in some) for some in texts]
    return Figure(np.array(n_words, dtype=float), np.array([float(len(some)) for some in texts]))


def repeated_words(texts: Sequence[Sequence[str]]) -> Figure:
    """Return the share of words that the same continuation already used."""
    words = [[re.findall(r"[^\W\d_]+", text.lower()) for text in some] for some in texts]
    n_words = np.array([sum(map(len, some)) for some in words], dtype=float)
    n_new = np.array([sum(len(set(text)) for text in some) for some in words], dtype=float)
    return Figure(n_words - n_new, n_words)


def monotonicity(strengths: Sequence[float], means: Sequence[float]) -> float:
    """Return Spearman's rank correlation of strength and mean score."""
    from scipy.stats import spearmanr

    return float(spearmanr(strengths, means).statistic) if len(set(means)) > 1 else float("nan")


def linearity(strengths: Sequence[float], means: Sequence[float]) -> float:
    """Return R² of the line through the mean scores: 1 where control is linear in strength."""
    return float(np.corrcoef(strengths, means)[0, 1] ** 2) if len(set(means)) > 1 else float("nan")


def largest_step(strengths: Sequence[float], means: Sequence[float]) -> float:
    """Return the steepest change between neighbours over the mean slope: 1 for a line."""
    order = np.argsort(strengths)
    x, y = np.asarray(strengths, dtype=float)[order], np.asarray(means, dtype=float)[order]
    slope = (y[-1] - y[0]) / (x[-1] - x[0])
    return float(np.abs(np.diff(y) / np.diff(x)).max() / abs(slope)) if slope else float("nan")


def additivity(grid: Array) -> float:
    """Return how much of a grid of means (n, m) is a row effect plus a column effect, 0–1.

    1 says that two strengths do not disturb each other.
    """
    centred = grid - grid.mean()
    total = (centred**2).sum()
    rest = centred - centred.mean(axis=1, keepdims=True) - centred.mean(axis=0, keepdims=True)
    return float(1 - (rest**2).sum() / total) if total else float("nan")


def _n_samples(scores: Array) -> NDArray[np.int64]:
    return np.asarray((~np.isnan(scores)).sum(axis=1))


def _distinct(texts: Sequence[str], n: int) -> float:
    words = [text.split(" ") for text in texts]
    grams = {tuple(text[i : i + n]) for text in words for i in range(len(text) - n + 1)}
    return len(grams) / sum(map(len, words)) if words else float("nan")


def _mean(values: Array, counts: NDArray[np.bool_]) -> Figure:
    return Figure(np.where(counts, values, 0.0), counts.astype(float))
