"""The logits of every ε from two tables: E h, which all steers share, and E Wᵀ h of each."""

from __future__ import annotations

from torch import Tensor

from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.steer import Steer


def logits_over_epsilon(lm: LanguageModel, steer: Steer, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Return E h and E Wᵀ h, each (n_tokens, vocab_size), float32; hidden is (n_tokens, d_model).

    `lm.finish` of the first plus ε times the second are the logits at every ε.
    """
    return base_logits(lm, hidden), moved_logits(lm, steer, hidden)


def base_logits(lm: LanguageModel, hidden: Tensor) -> Tensor:
    """Return the model's own logits E h, (n_tokens, vocab_size), float32."""
    return lm.unembed(hidden.to(lm.output_embedding.dtype)).float()


def moved_logits(lm: LanguageModel, steer: Steer, hidden: Tensor) -> Tensor:
    """Return E Wᵀ h, what ε = 1 adds to the logits, (n_tokens, vocab_size), float32."""
    left, right = steer.left.float().to(lm.device), steer.right.float().to(lm.device)
    embedding = lm.output_embedding
    # The move alone, not a difference of logits: half precision would round it away.
    return (((hidden @ left) @ right).to(embedding.dtype) @ embedding.T).float()
