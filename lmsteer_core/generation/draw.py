"""Gumbel-max: the next token is argmax(log p + g), with Gumbel noise g keyed on (seed, position).

Rows that share a seed share g, so two columns differ only where steering made them differ, and a
text changes gradually as ε does.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import torch
from torch import Tensor

from lmsteer_core.errors import SteerError
from lmsteer_core.generation.live_row import LiveRow
from lmsteer_core.generation.sampling import exponential, nucleus

Variates = dict[tuple[int, int, int], Tensor]
"""Exponential variates, (vocab_size,), by noise key."""

_NO_NUMBERS = "The model's scores are no numbers here; choose a smaller ε or another steer."


def draw_rows(logits: Tensor, rows: Sequence[LiveRow]) -> list[Tensor | Exception]:
    """Return each row's next token, (), or what keeps the row from one.

    Args:
        logits: (n_rows, vocab_size), float32.
        rows: Say how to draw.
    """
    if logits.device.type != "cpu":
        with suppress(Exception):  # whichever row it is fails alone, below
            return _draw_together(logits, rows)
    variates: Variates = {}
    results: list[Tensor | Exception] = []
    # Row by row: one row's vocabulary fits the CPU's cache, a batch's does not.
    for row_logits, row in zip(logits, rows, strict=True):
        try:
            results.append(draw_one(row_logits, row, variates))
        except Exception as error:
            results.append(error)
    return results


def _draw_together(logits: Tensor, rows: Sequence[LiveRow]) -> list[Tensor | Exception]:
    """Draw what `draw_one` draws for each row, in a few passes over all of them, as a GPU needs."""
    keys = list(dict.fromkeys(row.noise_key for row in rows if row.sampling.temperature))
    with ThreadPoolExecutor() as pool:  # NumPy draws without holding the interpreter
        variates = list(pool.map(lambda key: exponential(key, logits.shape[1]), keys))
    temperature, top_p = (
        torch.tensor(values, device=logits.device)[:, None]
        for values in zip(
            *((row.sampling.temperature or 1.0, row.sampling.top_p) for row in rows), strict=True
        )
    )
    scores = logits / temperature
    falling, order = scores.softmax(dim=-1).sort(dim=-1, descending=True)
    is_left_out = (falling.cumsum(dim=-1) - falling >= top_p) & (top_p < 1)
    noise = torch.zeros_like(scores)
    if keys:
        lines = {key: i for i, key in enumerate(keys)}
        at = [i for i, row in enumerate(rows) if row.sampling.temperature]
        of_row = [lines[rows[i].noise_key] for i in at]
        noise[at] = torch.stack(variates).to(scores).log()[of_row]
    race = (scores - noise).masked_fill(is_left_out.scatter(1, order, is_left_out), -torch.inf)
    is_greedy = torch.tensor([not row.sampling.temperature for row in rows], device=logits.device)
    token_ids = torch.where(is_greedy, logits.argmax(dim=-1), race.argmax(dim=-1))
    are_numbers = logits.max(dim=-1).values.isfinite().tolist()
    return [
        token_id if is_number else SteerError(_NO_NUMBERS)
        for token_id, is_number in zip(token_ids, are_numbers, strict=True)
    ]


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
        raise SteerError(_NO_NUMBERS)
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
    if logits.device.type != "cpu":
        return chosen - logits.float().logsumexp(dim=1)
    return chosen - torch.stack([row.float().logsumexp(dim=0) for row in logits])
