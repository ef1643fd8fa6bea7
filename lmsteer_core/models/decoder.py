"""What runs a step of many rows: tokens in; E h and the last hidden states out.

Steers act on what comes out, so a decoder knows of none. `TorchDecoder` runs the model itself, and
is the reference for every architecture.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicLayer

from lmsteer_core.models.probe import Probed, positions


class Cache(Protocol):
    """Keys and values of what rows have read, one line for each row."""

    @property
    def can_be_joined(self) -> bool:
        """Whether it can be padded and stacked."""

    def select(self, index: Sequence[int]) -> None:
        """Keep some lines, in this order; a line that is named twice is copied."""

    def crop(self, n_columns: int) -> None:
        """Forget the first columns, which are padding in every line."""

    def absorb(self, others: Sequence[Any], n_columns: int) -> None:
        """Take in the lines of others of its kind, padded on the left to one width."""


@dataclass(frozen=True)
class Output:
    """What a step shows of each row's last token.

    Attributes:
        product: E h and the head's bias, before the model's scale and softcap,
            (n_rows, n_products), float32.
        hidden: h, the state that enters the output embedding, (n_rows, d_model), float32.
        cache: Of all that was read; None if the model reads every text from its beginning.
    """

    product: Tensor
    hidden: Tensor
    cache: Cache | None


class Decoder(Protocol):
    """Runs a model for rows of tokens, in the caller's thread.

    Attributes:
        pads: Whether rows of unequal length cost as much as if all had the longest.
        rounds_singly: Whether one token alone is rounded otherwise than among others of its text.
    """

    pads: bool
    rounds_singly: bool

    def read(self, ids: Tensor, mask: Tensor, cache: Any) -> Output:
        """Read tokens on from a cache.

        Args:
            ids: What is read now, (n_rows, n_new), padded on the left.
            mask: 1 for tokens and 0 for padding, those in the cache included, (n_rows, n_all).
            cache: What a step before returned, or None at a text's beginning.
        """


@dataclass(eq=False)
class TorchCache:
    """A cache of transformers, of any kind."""

    cache: Any
    device: torch.device

    @property
    def can_be_joined(self) -> bool:
        """Whether every layer keeps all keys and values."""
        return all(type(layer) is DynamicLayer for layer in getattr(self.cache, "layers", [None]))

    def select(self, index: Sequence[int]) -> None:
        """Keep some lines."""
        self.cache.batch_select_indices(torch.tensor(index, device=self.device))

    def crop(self, n_columns: int) -> None:
        """Forget the first columns, where the cache's kind allows it."""
        for layer in self.cache.layers:
            layer.keys = layer.keys[..., n_columns:, :]
            layer.values = layer.values[..., n_columns:, :]

    def absorb(self, others: Sequence[TorchCache], n_columns: int) -> None:
        """Take in the lines of others."""
        caches = [self.cache, *(other.cache for other in others)]
        for layers in zip(*(cache.layers for cache in caches), strict=True):
            layers[0].keys = _stacked([layer.keys for layer in layers], n_columns)
            layers[0].values = _stacked([layer.values for layer in layers], n_columns)


class TorchDecoder:
    """Runs a model of transformers as it is, whatever its architecture."""

    pads = True
    rounds_singly = False

    def __init__(self, model: PreTrainedModel, probed: Probed) -> None:
        """Learn what the model must be told.

        Args:
            model: A causal language model.
            probed: What it was seen to do.
        """
        self._model = model
        self._probed = probed
        known = inspect.signature(model.forward).parameters
        self._options = {"logits_to_keep": 1} if "logits_to_keep" in known else {}

    @torch.inference_mode()
    def read(self, ids: Tensor, mask: Tensor, cache: TorchCache | None) -> Output:
        """Read tokens on from a cache; arguments as for `Decoder.read`."""
        options: dict[str, Any] = dict(self._options)
        if self._probed.takes_positions:
            options["position_ids"] = positions(mask)[:, -ids.shape[1] :]
        caught: list[tuple[Tensor, Tensor]] = []
        thread = threading.get_ident()

        def catch(_head: nn.Module, args: tuple[Tensor, ...], product: Tensor) -> None:
            if threading.get_ident() == thread:  # else somebody else runs the model
                caught.append((args[0][:, -1].float(), product[:, -1].float()))

        with self._model.get_output_embeddings().register_forward_hook(catch):
            output = self._model(
                ids,
                attention_mask=mask,
                past_key_values=cache and cache.cache,
                use_cache=True,
                **options,
            )
        hidden, product = caught[-1]
        kept = getattr(output, "past_key_values", None) if self._probed.reads_on else None
        return Output(product, hidden, None if kept is None else TorchCache(kept, ids.device))


def padded(texts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return token ids padded on the left and the mask, each (n_texts, width)."""
    width = max(map(len, texts))
    ids = torch.tensor([[0] * (width - len(text)) + [*text] for text in texts])
    mask = torch.tensor([[0] * (width - len(text)) + [1] * len(text) for text in texts])
    return ids.to(device), mask.to(device)


def _stacked(tensors: Sequence[Tensor], length: int) -> Tensor:
    """Return (n_rows, n_heads, ≤ length, d) tensors as one, padded on the left."""
    return torch.cat([nn.functional.pad(t, (0, 0, length - t.shape[-2], 0)) for t in tensors])
