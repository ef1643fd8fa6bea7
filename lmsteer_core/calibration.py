"""How strong is ε = 1? Scale a steer so that ±3 is the end of its useful range.

Steering costs fluency as the steered distribution leaves the base model's. On cached hidden states
that cost is exact and needs no text: KL(p_ε ‖ p_0), in nats per token.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lmsteer_core.language_model import LanguageModel
from lmsteer_core.steer import Steer, steer_hidden

FULL_EPSILON = 3.0
"""ε at which a calibrated steer reaches the divergence it was calibrated to."""

TARGET_KL = 0.25
"""Nats per token at ε = ±3: for the sentiment steer 1.0 to 1.2 × the unsteered perplexity."""


def mean_kl(lm: LanguageModel, steer: Steer, hidden: Tensor, epsilon: float) -> float:
    """Return the mean of KL(p_ε ‖ p_0) over hidden states (n_tokens, d_model), in nats."""
    left, right = steer.left.float().to(lm.device), steer.right.float().to(lm.device)
    total = 0.0
    for h in hidden.split(256):
        base = lm.finish(lm.unembed(h)).log_softmax(dim=-1)
        steered = steer_hidden(h, left, right, torch.tensor(epsilon, device=lm.device))
        log_p = lm.finish(lm.unembed(steered)).log_softmax(dim=-1)
        total += (log_p.exp() * (log_p - base)).sum().item()
    return total / hidden.shape[0]


def calibrate(lm: LanguageModel, steer: Steer, hidden: Tensor, *, target_kl: float = TARGET_KL) -> Steer:
    """Return the steer scaled so that the mean of both signs' KL at ε = ±3 is `target_kl`.

    Args:
        lm: The language model.
        steer: Any non-zero steer.
        hidden: Neutral contexts, (n_tokens, d_model); 500 are plenty.
        target_kl: Nats per token.
    """

    def log_excess(log_scale: float) -> float:
        epsilon = math.exp(log_scale)
        both = mean_kl(lm, steer, hidden, epsilon) + mean_kl(lm, steer, hidden, -epsilon)
        return math.log(max(both / 2, 1e-12) / target_kl)

    low, high = math.log(1e-4), math.log(1e4)
    guess = 0.0
    for _ in range(20):  # KL grows about as ε²: halve the log error, inside a shrinking bracket
        excess = log_excess(guess)
        if abs(excess) < 0.005:
            break
        low, high = (low, guess) if excess > 0 else (guess, high)
        step = guess - excess / 2
        guess = step if low < step < high else (low + high) / 2
    return steer.scaled(math.exp(guess) / FULL_EPSILON)
