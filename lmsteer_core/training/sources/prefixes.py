"""The shift that the model itself teaches when it reads neutral text behind a prefix."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lmsteer_core.models.batched import (
    expected_embedding,
    hidden_states,
    next_word,
    tokens_per_chunk,
)
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress
from lmsteer_core.training.fit import Lesson
from lmsteer_core.training.neutral_text import PlainText
from lmsteer_core.training.sources.source import Shift, StyleScore


def taught_shift(
    lm: LanguageModel,
    plain: PlainText,
    prefixes: Sequence[tuple[list[int], list[int]]],
    silent_ids: Sequence[int],
    progress: Progress,
) -> Shift:
    """Return what the model says behind pairs of prefixes, with no shift for some tokens.

    Every pair reads its own share of the texts: one share of the time, the same average.

    Args:
        lm: The language model.
        plain: Neutral text.
        prefixes: Tokens of the + pole and of the − pole.
        silent_ids: Tokens without a shift; special tokens have none either.
        progress: Told how far it is.
    """
    # A style has no say in where a text or a turn ends.
    silent = sorted({*silent_ids, *lm.special_ids, *lm.end_ids})
    halves = torch.zeros(2, lm.d_model, lm.d_model, dtype=torch.float64, device=lm.device)
    said = torch.zeros(lm.vocab_size, device=lm.device)
    toward: dict[int, Tensor] = {}
    n_tokens = [0, 0]
    for i, pair in enumerate(prefixes):
        progress(i / len(prefixes), "reading neutral text behind each pole")
        text_indices = range(i, len(plain.token_ids), len(prefixes))
        texts = [plain.token_ids[j] for j in text_indices]
        plus, minus = (hidden_states(lm, texts, prefix) for prefix in pair)
        for k, j in enumerate(text_indices):
            toward[j] = (plus[k] - minus[k]) / 2
        for half in (0, 1):
            picked = range(half, len(texts), 2)
            if not picked:
                continue
            states = [torch.cat([side[k] for k in picked]) for side in (plus, minus)]
            h_plain = torch.cat([plain.hidden[text_indices[k]] for k in picked])
            for h, *sides in zip(
                *(s.split(tokens_per_chunk(lm)) for s in (h_plain, *states)), strict=True
            ):
                p_plus, p_minus = (next_word(lm, side) for side in sides)
                said += (p_plus + p_minus).sum(dim=0, dtype=torch.float32)
                shift = (p_plus - p_minus) / 2
                shift[:, silent] = 0
                halves[half] += (h.T @ expected_embedding(lm, shift)).double()
            n_tokens[half] += len(h_plain)
    lesson = Lesson(
        torch.cat(plain.hidden),
        torch.cat([toward[j] for j in range(len(plain.token_ids))]),
        said,
        frozenset(silent),
    )
    mean = halves / torch.tensor(n_tokens, device=lm.device).clamp_min(1)[:, None, None]
    return Shift(mean, lesson=lesson)


def log_odds(lm: LanguageModel, prefixes: tuple[list[int], list[int]]) -> StyleScore:
    """Return log P(text | + prefix) − log P(text | − prefix), nats a token."""

    def score(texts: Sequence[str]) -> list[float]:
        ids = [lm.token_ids(text) for text in texts]
        read = [j for j, text_ids in enumerate(ids) if len(text_ids) > 1]
        sides = [_mean_log_probability(lm, [ids[j] for j in read], prefix) for prefix in prefixes]
        scores = [0.0] * len(ids)
        for j, plus, minus in zip(read, *sides, strict=True):
            scores[j] = plus - minus
        return scores

    return score


def _mean_log_probability(
    lm: LanguageModel, token_ids: Sequence[list[int]], prefix: Sequence[int]
) -> list[float]:
    states = hidden_states(lm, token_ids, prefix)
    means = []
    for group in torch.arange(len(states)).split(max(1, tokens_per_chunk(lm) // 24)):
        h = torch.cat([states[j][:-1] for j in group])
        x = torch.tensor([i for j in group for i in token_ids[j][1:]], device=lm.device)
        logits = lm.finish(lm.unembed(h.to(lm.output_embedding.dtype)).float())
        chosen = logits.gather(1, x[:, None])[:, 0] - logits.logsumexp(dim=1)
        means += [float(part.mean()) for part in chosen.split([len(states[j]) - 1 for j in group])]
    return means
