"""Temperature, nucleus and seed; randomness keyed on the position, so that it can be repeated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lmsteer_core.errors import InputError
from lmsteer_core.limits import as_number, check_number, check_whole_number

_FLOOR = 1e-5


@dataclass(frozen=True)
class Sampling:
    """How to draw the next token.

    Attributes:
        temperature: 0 is greedy; 1 is the model's own distribution.
        top_p: Probability mass kept by nucleus sampling, in (0, 1].
        max_new_tokens: Tokens to add at most.
        seed: Names the dice; a row may add its own `Row.seed_offset`.
    """

    temperature: float = 0.9
    top_p: float = 0.95
    max_new_tokens: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that no sampler could follow."""
        checked = {
            "temperature": check_number(self.temperature, "temperature", 0, 10),
            "top_p": as_number(self.top_p),
            "max_new_tokens": check_whole_number(self.max_new_tokens, "max new tokens", 1, 100_000),
            "seed": check_whole_number(self.seed, "seed", 0, 2**32 - 1),
        }
        if not 0 < checked["top_p"] <= 1:
            raise InputError(f"top-p must be above 0 and at most 1, not {self.top_p!r}.")
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # 3.0 from JSON becomes the seed 3


def exponential(key: tuple[int, ...], size: int) -> Tensor:
    """Return exponential variates, (size,), whose −log is the Gumbel noise of a key.

    NumPy draws them on the CPU, so that they are the same on every device and platform.
    """
    variates = np.random.default_rng(key).standard_exponential(size, dtype=np.float32)
    # The log of a drawn 0 stays finite; by NumPy, because torch would start threads of its own.
    return torch.from_numpy(np.maximum(variates, 1e-30, out=variates))


def nucleus(scores: Tensor, top_p: float) -> Tensor:
    """Return the ids, (n_kept,), of the smallest set whose probability reaches top-p.

    The scores are (vocab_size,).

    The same set as transformers' TopPLogitsWarper, found among the few tokens above a floor,
    because sorting the whole vocabulary, and adding noise to all of it, was half of a decoding
    step.
    """
    if top_p == 1:
        return torch.arange(len(scores), device=scores.device)
    p = scores.softmax(dim=-1)
    ids = _true_indices(p > _FLOOR)
    likely = p[ids]
    mass = likely.sum()
    if mass <= top_p:  # a flat distribution
        ids, likely, mass = torch.arange(len(p), device=p.device), p, p.sum()
    ascending, order = likely.sort()
    n_dropped = int((1 - mass + ascending.cumsum(dim=-1) <= 1 - top_p).sum())
    return ids[order[min(n_dropped, len(order) - 1) :]]


def _true_indices(mask: Tensor) -> Tensor:
    """Return where a mask, (size,), is true."""
    if mask.device.type == "cpu":  # NumPy finds few in many sooner than torch
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.nonzero()[:, 0]
