"""How a model makes its logits and reads a batch, learned from its own forward pass.

Architectures scale and cap their logits under many names, before their output embedding or after
it; some read a text in both directions; some cannot read rows of unequal length together. A few
passes over four tokens show all of it, whatever the architecture.
"""

from __future__ import annotations

import functools
import inspect
import threading
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from lmsteer_core.errors import ModelError, first_line

_N_TOKENS, _N_PADDING = 4, 2

_SMALLEST, _LARGEST = -10, 16
"""Powers of two of the products that stand in for a model's own: no cap is felt at the smallest,
in float32, and every cap is reached at the largest."""

_ROUNDING, _HALF_ROUNDING = 1e-4, 3e-2
"""Relative difference of states that rounding explains, in float32 and in half precision."""


@dataclass(frozen=True)
class LogitMap:
    """How the product z = E h + b becomes logits: cap · tanh(scale · z / cap), or scale · z.

    Attributes:
        scale: What the product is multiplied by.
        cap: The softcap; None if there is none.
        n_logits: Rows of E that have a logit; a model may keep more of them than it uses.
    """

    scale: float
    cap: float | None
    n_logits: int

    def __call__(self, product: Tensor) -> Tensor:
        """Return the logits of products, elementwise."""
        # Where nothing is scaled, a pass over the vocabulary is saved.
        logits = product if self.scale == 1.0 else product * self.scale
        return logits if self.cap is None else self.cap * (logits / self.cap).tanh()


@dataclass(frozen=True)
class Probed:
    """What a model was seen to do.

    Attributes:
        logit_map: From E h + b to logits.
        shares_batches: Whether rows of unequal length may be padded on the left to one batch, and
            rows of its cache be chosen, repeated and stacked.
        reads_on: Whether a text is read on from its cache as it is read whole.
        takes_positions: Whether it needs `position_ids`, where its tokens stand in their texts.
        first_position: Where texts begin in its table of positions; RoBERTa's begin behind the
            place of the padding.
    """

    logit_map: LogitMap
    shares_batches: bool
    reads_on: bool
    takes_positions: bool
    first_position: int


@dataclass(frozen=True)
class _Observation:
    """What a pass over (n_rows, n_tokens) tokens showed.

    Attributes:
        hidden: What entered the output embedding, (n_rows, n_tokens, d_model).
        product: What left it, (n_rows, n_tokens, vocab_size).
        stand_in: What the model was given in the product's place, float32.
        logits: What it made of that, (n_rows, n_tokens, n_logits).
        cache: Its cache, if any.
    """

    hidden: Tensor
    product: Tensor
    stand_in: Tensor
    logits: Tensor
    cache: Any


def positions(mask: Tensor) -> Tensor:
    """Return where the tokens of rows padded on the left stand, as their mask, (n_rows, width)."""
    return (mask.cumsum(dim=1) - 1).clamp_min(0)


@torch.no_grad()
def probe(model: PreTrainedModel, model_id: str) -> Probed:
    """Learn how a causal language model makes its logits and reads a batch.

    Raises:
        ModelError: If it cannot be steered, or is no causal language model.
    """
    head = model.get_output_embeddings()
    weight = getattr(head, "weight", None)
    if not isinstance(weight, Tensor):
        raise ModelError(f"'{model_id}' has no output embedding, so it cannot be steered.")
    if weight.ndim != 2 or not weight.is_floating_point():
        raise ModelError(f"'{model_id}' has a quantised output embedding; load it unquantised.")
    first = len(weight) // 2  # beyond the special tokens, before the rarest
    text = torch.arange(first, first + _N_TOKENS)
    other_text = torch.cat([text[:-1], text[-1:] + 1])
    try:
        observed = _observe(model, torch.stack([text, other_text]))
    except Exception as error:  # whatever a model that is made for something else raises
        reason = first_line(error)
        raise ModelError(f"'{model_id}' cannot read a short text ({reason}).") from error
    logit_map = _logit_map(observed, head) if observed else None
    if observed is None or logit_map is None:
        raise ModelError(
            f"'{model_id}' makes its logits from its output embedding in a way that is not known "
            "here, so it cannot be steered; choose another model."
        )
    if not _is_close(observed.hidden[0, :-1], observed.hidden[1, :-1]):
        raise ModelError(
            f"'{model_id}' reads a text in both directions, as encoders such as BERT do, so it "
            "cannot continue one; choose a causal language model."
        )
    knows_positions = "position_ids" in inspect.signature(model.forward).parameters
    shares_batches = _shares_batches(model, text, observed, knows_positions)
    takes_positions = shares_batches and knows_positions
    reads_on = shares_batches or _reads_on(model, text, observed, False)
    if not reads_on and knows_positions:
        takes_positions = reads_on = _reads_on(model, text, observed, True)
    return Probed(logit_map, shares_batches, reads_on, takes_positions, _first_position(model))


def _observe(
    model: PreTrainedModel,
    ids: Tensor,
    mask: Tensor | None = None,
    cache: Any = None,
    *,
    with_positions: bool = False,
) -> _Observation | None:
    """Run the model with products that are known; None if its logits are not made of them.

    Args:
        model: A language model.
        ids: Token ids, (n_rows, n_tokens).
        mask: Where rows that are padded on the left begin, the tokens in the cache included.
        cache: Of the tokens before, or None.
        with_positions: Pass `position_ids`, where the tokens stand.
    """
    captured: list[tuple[Tensor, Tensor, Tensor]] = []
    thread = threading.get_ident()

    def replace(_head: nn.Module, args: tuple[Tensor, ...], product: Tensor) -> Tensor | None:
        if threading.get_ident() != thread:  # somebody else is generating on this model
            return None
        captured.append((args[0], product, _stand_in(product)))
        return captured[-1][-1]

    options: dict[str, Any] = {}
    if mask is not None:
        mask = mask.to(model.device)
        options = {"attention_mask": mask, "past_key_values": cache}
        if with_positions:
            options["position_ids"] = positions(mask)[:, -ids.shape[1] :]
    with model.get_output_embeddings().register_forward_hook(replace):
        output = model(ids.to(model.device), use_cache=True, **options)
    if len(captured) != 1 or output.logits is None:
        return None
    hidden, product, stand_in = captured[0]
    if not hidden.shape[:-1] == product.shape[:-1] == output.logits.shape[:-1] == ids.shape:
        return None
    return _Observation(
        hidden, product, stand_in, output.logits, getattr(output, "past_key_values", None)
    )


def _stand_in(product: Tensor) -> Tensor:
    """Return products of all magnitudes and both signs, other ones at every token, float32."""
    powers = 2.0 ** torch.arange(_SMALLEST, _LARGEST + 1)
    values = torch.cat([powers, -powers, torch.zeros(1)]).to(product.device)
    vocab_size = product.shape[-1]
    tokens = torch.arange(product.numel() // vocab_size, device=product.device)
    index = torch.arange(vocab_size, device=product.device) + 7 * tokens[:, None]
    return values[index % len(values)].reshape(product.shape)


def _logit_map(observed: _Observation, head: Any) -> LogitMap | None:
    """Return how products become logits, or None if it cannot be said."""
    weight, bias = head.weight, getattr(head, "bias", None)
    expected = nn.functional.linear(observed.hidden[:, -1].to(weight.dtype), weight, bias)
    n_logits = observed.logits.shape[-1]
    if expected.shape[-1] < n_logits or not _is_close(observed.product[:, -1], expected):
        return None
    product, logits = observed.stand_in[..., :n_logits].double(), observed.logits.double()
    scale = float(logits[product == 2.0**_SMALLEST][0] / 2.0**_SMALLEST)
    top = float(logits[product == 2.0**_LARGEST][0])
    cap = top if abs(top) < abs(scale) * 2.0 ** (_LARGEST - 1) else None
    logit_map = LogitMap(scale, cap, n_logits)
    is_exact = scale != 0 and torch.allclose(logit_map(product), logits, rtol=1e-5, atol=1e-5)
    return logit_map if is_exact else None


def _shares_batches(
    model: PreTrainedModel, text: Tensor, alone: _Observation, with_positions: bool
) -> bool:
    """Return whether a padded row is read, and read on, as it is alone.

    The row is the text's beginning, behind padding and beside the whole text. It is read on after
    the other has left and some of the padding with it, as happens when texts of a batch end.
    """
    ids, mask = text.repeat(2, 1), torch.ones(2, len(text), dtype=torch.long)
    ids[0, _N_PADDING:], ids[0, :_N_PADDING], mask[0, :_N_PADDING] = text[:-_N_PADDING], 0, 0
    observe = functools.partial(_observe, model, with_positions=with_positions)
    try:
        observed = observe(ids[:, :-1], mask[:, :-1])
        cache = observed.cache if observed else None
        if cache is None:
            last = observe(ids, mask)
        elif _has_only_layers(cache, DynamicLayer, DynamicSlidingWindowLayer):
            cache.batch_select_indices(torch.tensor([0], device=model.device))
            if _has_only_layers(cache, DynamicLayer):
                mask = mask[:, 1:]
                for layer in cache.layers:
                    layer.keys, layer.values = layer.keys[..., 1:, :], layer.values[..., 1:, :]
            last = observe(ids[:1, -1:], mask[:1], cache)
        else:
            return False
    except Exception:  # it need not know of padding
        return False
    expected = alone.hidden[0, -1 - _N_PADDING]
    return last is not None and _is_close(last.hidden[0, -1], expected)


def _reads_on(
    model: PreTrainedModel, text: Tensor, alone: _Observation, with_positions: bool
) -> bool:
    """Return whether a text is read on from a cache as it is read whole."""
    ids, mask = text[None], torch.ones(1, len(text), dtype=torch.long)
    observe = functools.partial(_observe, model, with_positions=with_positions)
    try:
        observed = observe(ids[:, :-1], mask[:, :-1])
        last = observed and observe(ids[:, -1:], mask, observed.cache)
    except Exception:  # it need not have one
        return False
    return last is not None and _is_close(last.hidden[0, -1], alone.hidden[0, -1])


def _has_only_layers(cache: Any, *layer_types: type) -> bool:
    """Return whether a cache is a plain one all of whose layers are of some types."""
    return type(cache) is DynamicCache and all(type(layer) in layer_types for layer in cache.layers)


def _first_position(model: PreTrainedModel) -> int:
    """Return where texts begin in a learned table of positions, or 0."""
    tables = (
        module.padding_idx
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and name.endswith("position_embeddings")
    )
    return next((padding + 1 for padding in tables if padding is not None), 0)


def _is_close(actual: Tensor, expected: Tensor) -> bool:
    """Return whether two tensors are equal up to the rounding of their dtype."""
    if actual.shape != expected.shape:
        return False
    half = min(actual.element_size(), expected.element_size()) < 4
    difference = (actual.double() - expected.double()).norm() / expected.double().norm()
    return float(difference) < (_HALF_ROUNDING if half else _ROUNDING)
