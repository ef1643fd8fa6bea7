"""One pass of a model for its hidden states alone: what enters the output embedding."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


@torch.inference_mode()
def read(
    model: PreTrainedModel,
    texts: Sequence[Sequence[int]],
    cache: Any = None,
    *,
    n_before: int = 0,
    keep: bool = False,
) -> tuple[Tensor, Any]:
    """Return states of right-padded texts, (n_texts, width, d_model), and the cache if any.

    Args:
        model: A causal language model.
        texts: What follows the tokens in `cache`.
        cache: Keys and values of `n_before` tokens of every text, or None.
        n_before: See there.
        keep: Start a cache.
    """
    caught: list[Tensor] = []
    thread = threading.get_ident()

    def catch(_head: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor] | None:
        if threading.get_ident() != thread:  # somebody else is generating on this model
            return None
        caught.append(args[0])
        # The head's own product over the vocabulary is not needed.
        return (packed(args[0][:, :1]),)

    width = max(map(len, texts))
    ids = torch.tensor([[*t, *[0] * (width - len(t))] for t in texts])
    mask = torch.tensor([[1] * (n_before + len(t)) + [0] * (width - len(t)) for t in texts])
    head: nn.Module = model.get_output_embeddings()
    # Before all other hooks: a steer that the caller is under moves no hidden state.
    with head.register_forward_pre_hook(catch, prepend=True):
        output = model(
            ids.to(model.device),
            attention_mask=mask.to(model.device),
            past_key_values=cache,
            use_cache=keep or cache is not None,
        )
    return caught[-1], getattr(output, "past_key_values", None)


def packed(hidden: Tensor) -> Tensor:
    """Return a copy without the strides of what it was cut from."""
    # `contiguous` keeps the strides of a single row's slice, and torch copies E for those too.
    return hidden.clone(memory_format=torch.contiguous_format)
