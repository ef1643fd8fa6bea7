"""Gumbel-max: the next token is argmax(log p + g), with Gumbel noise g keyed on (seed, position).

Rows that share a seed share g, so two columns differ only where steering made them differ, and a
text changes gradually as ε does.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lmsteer_core.errors import SteerError
from lmsteer_core.generation.live_row import LiveRow
from lmsteer_core.generation.sampling import exponential, nucleus

Variates = dict[tuple[int, int, int], Tensor]
"""Exponential variates, (vocab_size,), by noise key."""


def draw(logits: Tensor, rows: Sequence[LiveRow]) -> Tensor:
    """Return each row's next token, (n_rows,), from logits (n_rows, vocab_size), float32.

    Row by row, because one row's vocabulary fits the CPU's cache and a batch's does not.
    """
    variates: Variates = {}
    return torch.stack([draw_one(*each, variates) for each in zip(logits, rows, strict=True)])


def draw_one(logits: Tensor, row: LiveRow, variates: Variates) -> Tensor:
    """Return a row's next token, (), from logits (vocab_size,).

    Args:
        logits: The row's, float32.
        row: Says how to draw.
        variates: Of the rows drawn before; this row's are added.

    Raises:
        SteerError: If the logits are no numbers, as under a steer that overflows.
    """
    if not logits.max().isfinite():
        raise SteerError(
            "The model's scores are no numbers here; choose a smaller ε or another steer."
        )
    if row.sampling.temperature == 0:
        return logits.argmax()
    if row.noise_key not in variates:
        variates[row.noise_key] = exponential(row.noise_key, len(logits)).to(logits)
    scores = logits / row.sampling.temperature
    kept = nucleus(scores, row.sampling.top_p)
    return kept[(scores[kept] - variates[row.noise_key][kept].log()).argmax()]


def likeliest(logits: Tensor, n: int) -> tuple[tuple[int, float], ...]:
    """Return the n likeliest tokens, ids with log p in falling order, from logits (vocab_size,)."""
    if n == 0:
        return ()
    best = logits.topk(min(n, len(logits)))
    return tuple(
        zip(best.indices.tolist(), (best.values - logits.logsumexp(dim=0)).tolist(), strict=True)
    )


def log_probabilities(logits: Tensor, token_ids: Tensor) -> Tensor:
    """Return log p of one token a row, (n_rows,), from logits (n_rows, vocab_size)."""
    chosen = logits.gather(1, token_ids[:, None])[:, 0].float()
    return chosen - torch.stack([row.float().logsumexp(dim=0) for row in logits])
