"""The log-probability of every token of a text under a steered model, and what else was likely."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from lmsteer_core.analysis.logits import base_logits, moved_logits
from lmsteer_core.generation.draw import likeliest, log_probabilities
from lmsteer_core.generation.live_row import Token
from lmsteer_core.models.batched import tokens_per_chunk
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.models.tokenizer import TextStream
from lmsteer_core.progress import Steps, scaled
from lmsteer_core.steers.steer import Steer


def scoring(
    lm: LanguageModel,
    token_ids: Sequence[int],
    steers: Sequence[tuple[Steer, float]] = (),
    n_alternatives: int = 0,
) -> Steps[list[Token]]:
    """Score a text in steps, each yielding the finished share.

    Args:
        lm: The language model.
        token_ids: The text, n_tokens ≥ 1 of them.
        steers: Steers, each with its ε.
        n_alternatives: Likeliest tokens to name in each token's place.

    Returns:
        The n_tokens, as generation would have written them; nothing predicts the first, so that
        its log-probabilities are NaN.
    """
    hidden = yield from scaled(lm.reading(token_ids), 0, 0.5)
    decoder = TextStream()
    texts = [decoder.step(lm.tokenizer.backend_tokenizer, i) for i in token_ids]
    epsilons = {steer.name: epsilon for steer, epsilon in steers}
    tokens = [Token(token_ids[0], texts[0], math.nan, math.nan, epsilons)]
    n_predicted, size = len(token_ids) - 1, tokens_per_chunk(lm)
    for start in range(0, n_predicted, size):
        states = hidden[start : min(start + size, n_predicted)]
        ids = torch.tensor(token_ids[start + 1 : start + 1 + len(states)], device=states.device)
        base = steered = base_logits(lm, states)
        for steer, epsilon in steers:
            steered = steered + epsilon * moved_logits(lm, steer, states)
        base, steered = lm.finish(base), lm.finish(steered)
        scores = zip(
            ids.tolist(),
            texts[start + 1 :],
            log_probabilities(steered, ids).tolist(),
            log_probabilities(base, ids).tolist(),
            steered,
            strict=False,
        )
        tokens += [
            Token(i, text, p, base_p, epsilons, likeliest(logits, n_alternatives))
            for i, text, p, base_p, logits in scores
        ]
        yield 0.5 + 0.5 * (start + len(states)) / n_predicted
    return tokens
