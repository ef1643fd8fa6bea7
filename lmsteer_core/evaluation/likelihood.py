"""How likely a language model, any, finds continuations of prompts."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lmsteer_core.models.batched import batches, tokens_per_chunk
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress
from lmsteer_core.text import check_text


def continuation_nll(
    lm: LanguageModel,
    prompts: Sequence[str],
    texts: Sequence[str],
    progress: Progress | None = None,
) -> tuple[list[float], list[int]]:
    """Return −log P(text | prompt), in nats, and the number of tokens, of each pair.

    Prompt and text are tokenized together, as published: the tokens beyond as many as the prompt
    alone has are the continuation's. Its tokens need not be the writer's; where one spans prompt
    and text, as within a word, the cut is a few characters off, as published.

    Args:
        lm: The model that judges; its tokenizer need not be the writer's.
        prompts: n_texts of them.
        texts: Their continuations; an empty one has NaN nats and no token.
        progress: Told how far it is.
    """
    ids, n_new = [], []
    room = lm.context_length - len(lm.prefix_ids)
    for prompt, text in zip(prompts, texts, strict=True):
        check_text(prompt, "prompt")
        whole, alone = (
            lm.tokenizer(t, add_special_tokens=False)["input_ids"] for t in (prompt + text, prompt)
        )
        n_new.append(min(max(0, len(whole) - len(alone)), room - 1))
        ids.append(whole[-room:])
    nll = [float("nan")] * len(ids)
    scored = [j for j, n in enumerate(n_new) if n]
    done = 0
    for group in batches([ids[j] for j in scored]):
        some = [scored[k] for k in group]
        states = lm.hidden_states([ids[j] for j in some], lm.prefix_ids)
        hidden = torch.cat([h[-n_new[j] - 1 : -1] for h, j in zip(states, some, strict=True)])
        next_ids = torch.tensor([i for j in some for i in ids[j][-n_new[j] :]], device=lm.device)
        losses = torch.cat(
            [
                _losses(lm, h, x)
                for h, x in zip(
                    *(t.split(tokens_per_chunk(lm)) for t in (hidden, next_ids)), strict=True
                )
            ]
        )
        for j, text_losses in zip(some, losses.split([n_new[j] for j in some]), strict=True):
            nll[j] = float(text_losses.double().sum())
        done += len(some)
        if progress:
            progress(done / len(scored), f"reading {len(scored):,} texts with {lm.model_id}")
    return nll, n_new


def _losses(lm: LanguageModel, hidden: torch.Tensor, next_ids: torch.Tensor) -> torch.Tensor:
    """Return −log p of each next token, (n_tokens,), float32, in nats."""
    logits = lm.finish(lm.unembed(hidden.to(lm.output_embedding.dtype)).float())
    return logits.logsumexp(dim=1) - logits.gather(1, next_ids[:, None])[:, 0]
