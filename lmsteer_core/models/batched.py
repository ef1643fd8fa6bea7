"""Many texts through one model: batches, hidden states, next-token distributions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from lmsteer_core.models.language_model import LanguageModel

_TOKENS_PER_BATCH = 640
"""More would leave the CPU's caches: half the speed at 4,000."""

_LOGITS_PER_CHUNK = 12_600_000
"""Logits held at once, so that memory does not grow with the vocabulary times the text."""

MAX_TEXT_TOKENS = 256
_TEXTS_PER_FORWARD = 8


def hidden_states(
    lm: LanguageModel, token_ids: Sequence[Sequence[int]], prefix: Sequence[int] = ()
) -> list[Tensor]:
    """Return the hidden states of many texts behind one prefix, texts of like length together."""
    states: dict[int, Tensor] = {}
    for indices in batches(token_ids):
        states.update(
            zip(indices, lm.hidden_states([token_ids[j] for j in indices], prefix), strict=True)
        )
    return [states[j] for j in range(len(token_ids))]


def batches(token_ids: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield indices of texts of like length in groups of at most 640 tokens, padding included."""
    group: list[int] = []
    for j in sorted(range(len(token_ids)), key=lambda j: len(token_ids[j])):
        if group and (len(group) + 1) * len(token_ids[j]) > _TOKENS_PER_BATCH:
            yield group
            group = []
        group.append(j)
    if group:
        yield group


def tokens_per_chunk(lm: LanguageModel) -> int:
    """Return how many tokens may have their whole next-word distribution in memory at once."""
    return max(16, _LOGITS_PER_CHUNK // lm.vocab_size)


def token_ids(
    lm: LanguageModel, texts: Sequence[str], max_tokens: int = MAX_TEXT_TOKENS
) -> list[list[int]]:
    """Return the texts as the tokenizer gives them, each with at least one token to predict."""
    limit = min(lm.context_length, max_tokens)
    ids = []
    for text in texts:
        # The published code scores no first token; a text of one token still needs a target here.
        text_ids = lm.encode(text)[0][:limit]
        ids.append(text_ids if len(text_ids) > 1 else lm.start_ids + text_ids)
    return ids


def like_lengths(batch: Sequence[int], token_ids: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return a batch's indices in groups of like length, which halves the padding."""
    batch = sorted(batch, key=lambda i: len(token_ids[i]))
    return [batch[i : i + _TEXTS_PER_FORWARD] for i in range(0, len(batch), _TEXTS_PER_FORWARD)]


def next_word(lm: LanguageModel, hidden: Tensor) -> Tensor:
    """Return p over the vocabulary, (n_tokens, vocab_size), in the model's dtype."""
    return lm.finish(lm.unembed(hidden.to(lm.output_embedding.dtype))).softmax(dim=-1)


def expected_embedding(lm: LanguageModel, weights: Tensor) -> Tensor:
    """Return Σ_v weight_v e_v, (n_tokens, d_model), float32."""
    embedding = lm.output_embedding
    return (weights.to(embedding.dtype) @ embedding).float()
