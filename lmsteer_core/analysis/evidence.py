"""What a text says about ε: the evidence of its tokens and the posterior over ε.

The backbone does not depend on ε, so one pass gives the hidden states h_t and every ε after that is
exact arithmetic on two logit tables: E h, which all steers share, and E Wᵀ h of each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsteer_core.analysis.logits import base_logits, moved_logits
from lmsteer_core.analysis.reading import ReadText
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Steps, finished
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.steers.steer import Steer, check_fingerprint

POSTERIOR_GRID = [round(-5 + 0.25 * i, 2) for i in range(41)]
"""ε values of the posterior, wider than the recommended ±3 so that its peak is not cut off."""

_TOKENS_PER_CHUNK = 64

_REACH = 10.0
"""How far apart two ε may be for float64 to hold a term at one as its multiple at the other."""


@dataclass(frozen=True)
class Weighed:
    """What a text says about one steer.

    Attributes:
        name: The steer's name.
        evidence: log P₊ε(x_t) − log P₋ε(x_t) per token, in nats; the first token reads 0.
        epsilons: The grid of the posterior.
        posterior: P(ε | text) over it, with equal prior weight on every grid point.
    """

    name: str
    evidence: list[float]
    epsilons: list[float]
    posterior: list[float]

    @property
    def total(self) -> float:
        """The whole text's evidence, in nats."""
        return sum(self.evidence)

    @property
    def best_epsilon(self) -> float:
        """The likeliest ε of the grid; of equals the one nearest to 0."""
        pairs = zip(self.posterior, self.epsilons, strict=True)
        return max(pairs, key=lambda pair: (pair[0], -abs(pair[1]), pair[1]))[1]


def log_probabilities(
    lm: LanguageModel, read: ReadText, steer: Steer, epsilons: Sequence[float]
) -> Tensor:
    """Return log P_ε(x_t | x_<t) in nats, (n_epsilons, n_tokens); the first token reads 0.

    Args:
        lm: The language model that read the text.
        read: The text.
        steer: The steer whose ε varies.
        epsilons: Any values within the allowed range.
    """
    return finished(_log_probabilities(lm, read, [steer], epsilons))[0]


def _log_probabilities(
    lm: LanguageModel, read: ReadText, steers: Sequence[Steer], epsilons: Sequence[float]
) -> Steps[Tensor]:
    """Yield the finished share; return log P_ε(x_t | x_<t), (n_steers, n_epsilons, n_tokens)."""
    for steer in steers:
        check_fingerprint(steer, lm.output_embedding, lm.model_id)
        for epsilon in epsilons:
            check_epsilon(epsilon, steer.name)
    out = torch.zeros(len(steers), len(epsilons), len(read.token_ids))
    targets = torch.tensor(read.token_ids[1:], device=lm.device)
    for start in range(0, len(targets), _TOKENS_PER_CHUNK):
        stop = min(start + _TOKENS_PER_CHUNK, len(targets))
        hidden, chunk = read.hidden[start:stop], targets[start:stop]
        base = base_logits(lm, hidden)
        for i, steer in enumerate(steers):
            moved = moved_logits(lm, steer, hidden)
            out[i, :, start + 1 : stop + 1] = _chosen(lm, base, moved, chunk, epsilons).cpu()
            yield (start + (stop - start) * (i + 1) / len(steers)) / len(targets)
    return out


def _chosen(
    lm: LanguageModel, base: Tensor, moved: Tensor, targets: Tensor, epsilons: Sequence[float]
) -> Tensor:
    """Return the targets' log-probabilities, (n_epsilons, n_tokens).

    The tables are (n_tokens, vocab_size).
    """
    if base.device.type == "cpu" and lm.probed.logit_map.cap is None:
        return _chosen_by_products(lm, base, moved, targets, epsilons)
    out = torch.empty(len(epsilons), len(targets), device=base.device)
    # Row by row on a CPU: all ε of one token work in its cache,
    # where a chunk of tokens would not fit.
    size = 1 if base.device.type == "cpu" else len(targets)
    for start in range(0, len(targets), size):
        rows = slice(start, start + size)
        for i, epsilon in enumerate(epsilons):
            logits = lm.finish(torch.add(base[rows], moved[rows], alpha=epsilon))
            picked = logits.gather(1, targets[rows, None])[:, 0]
            out[i, rows] = picked - logits.logsumexp(dim=1)
    return out


def _chosen_by_products(
    lm: LanguageModel, base: Tensor, moved: Tensor, targets: Tensor, epsilons: Sequence[float]
) -> Tensor:
    """Do what `_chosen` does where logits are linear in ε, with few exponentials.

    A term of the sum over the vocabulary is at each ε what it was at the ε before it times
    exp(Δε · slope), and on a grid all Δε are one.
    """
    tables = lm.finish(base), moved * lm.probed.logit_map.scale
    ascending = sorted(set(epsilons))
    sums = torch.empty(len(ascending), len(targets), dtype=torch.float64)
    tops = torch.empty_like(sums)
    for t, rows in enumerate(zip(*tables, strict=True)):
        logits, slope = (row.double() for row in rows)
        factors: dict[float, Tensor] = {}
        first = -math.inf
        for i, epsilon in enumerate(ascending):
            if epsilon - first > _REACH:
                first, terms = epsilon, logits + epsilon * slope
                top = terms.max()
                terms.sub_(top).exp_()
            else:
                step = epsilon - ascending[i - 1]
                if step not in factors:
                    factors[step] = (step * slope).exp_()
                terms.mul_(factors[step])
            sums[i, t], tops[i, t] = terms.sum(), top
    at = torch.tensor(ascending, dtype=torch.float64)[:, None]
    chosen, slope = (table.gather(1, targets[:, None])[:, 0].double() for table in tables)
    log_p = chosen + at * slope - (sums.log() + tops)
    return log_p[[ascending.index(epsilon) for epsilon in epsilons]].float()


def evidence(lm: LanguageModel, read: ReadText, steer: Steer, epsilon: float = 1.0) -> list[float]:
    """Return log P₊ε(x_t) − log P₋ε(x_t) per token, in nats; positive speaks for the + pole."""
    plus, minus = log_probabilities(lm, read, steer, [epsilon, -epsilon])
    return [float(e) for e in plus - minus]


def posterior(
    lm: LanguageModel, read: ReadText, steer: Steer, epsilons: Sequence[float]
) -> list[float]:
    """Return P(ε | text) over a grid, with equal prior weight on every grid point."""
    return _posterior(log_probabilities(lm, read, steer, epsilons))


def _posterior(log_p: Tensor) -> list[float]:
    return [float(p) for p in log_p.double().sum(dim=1).softmax(dim=0)]


def weigh(
    lm: LanguageModel,
    read: ReadText,
    steer: Steer,
    *,
    epsilon: float = 1.0,
    epsilons: Sequence[float] = POSTERIOR_GRID,
) -> Weighed:
    """Return `evidence` at ±epsilon and `posterior` over epsilons from one table."""
    return profile(lm, read, [steer], epsilon=epsilon, epsilons=epsilons)[0]


def profile(
    lm: LanguageModel,
    read: ReadText,
    steers: Sequence[Steer],
    *,
    epsilon: float = 1.0,
    epsilons: Sequence[float] = POSTERIOR_GRID,
) -> list[Weighed]:
    """Return what the text says about each steer alone; all share one reading of the backbone.

    Args:
        lm: The language model that read the text.
        read: The text.
        steers: The steers, n_steers of them.
        epsilon: The ± at which evidence is taken.
        epsilons: The posterior's grid.
    """
    return finished(profiling(lm, read, steers, epsilon=epsilon, epsilons=epsilons))


def profiling(
    lm: LanguageModel,
    read: ReadText,
    steers: Sequence[Steer],
    *,
    epsilon: float = 1.0,
    epsilons: Sequence[float] = POSTERIOR_GRID,
) -> Steps[list[Weighed]]:
    """Do what `profile` does in steps, each yielding the finished share.

    Closing it ends the work.
    """
    grid = list(epsilons)
    evaluated = list(dict.fromkeys([*grid, epsilon, -epsilon]))
    at = [evaluated.index(e) for e in grid]
    plus, minus = evaluated.index(epsilon), evaluated.index(-epsilon)
    table = yield from _log_probabilities(lm, read, steers, evaluated)
    return [
        Weighed(steer.name, (log_p[plus] - log_p[minus]).tolist(), grid, _posterior(log_p[at]))
        for steer, log_p in zip(steers, table, strict=True)
    ]
