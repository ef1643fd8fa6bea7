"""A loaded language model: its output embedding, hidden states and the way it reads text."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from lmsteer_core.errors import InputError, ModelError
from lmsteer_core.progress import Steps
from lmsteer_core.steers.fingerprint import fingerprint_rows
from lmsteer_core.text import check_text

ROWS_AT_FULL_CONTEXT = 4
"""Rows that may all be as long as the context; more rows get shorter prompts, not more memory."""

_TOKENS_PER_STEP = 512
"""Of a text that is read in steps: those who wait for their turn
wait about a second on two cores."""

_KEPT_PROMPTS = 64


@dataclass(eq=False)
class LanguageModel:
    """A causal language model ready to be steered.

    Attributes:
        model: The Hugging Face model, frozen and in eval mode.
        tokenizer: Its tokenizer.
        model_id: What a user calls it.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    model_id: str
    _next_states: OrderedDict[tuple[int, ...], Tensor] = field(
        default_factory=OrderedDict, repr=False
    )

    def __post_init__(self) -> None:
        """Freeze the weights.

        Keep nothing of the model's own sampling settings but where text ends.
        """
        head = self.model.get_output_embeddings()
        if head is None:
            raise ModelError(f"'{self.model_id}' has no output embedding, so it cannot be steered.")
        if not self.tokenizer.is_fast:
            raise ModelError(
                f"'{self.model_id}' has a tokenizer that cannot stream text; choose another."
            )
        self.model.requires_grad_(False).eval()
        # A published repetition penalty or beam width would make ε = 0 differ from the base model.
        published = self.model.generation_config
        self.model.generation_config = GenerationConfig(
            bos_token_id=published.bos_token_id,
            eos_token_id=published.eos_token_id,
            pad_token_id=published.pad_token_id,
        )
        # transformers hands the head a strided slice of the prompt's states, for which torch
        # copies the whole of E once per row; a copy of the slice costs nothing.
        head.register_forward_pre_hook(lambda _, args: (_packed(args[0]), *args[1:]))

    @property
    def output_embedding(self) -> Tensor:
        """E, (vocab_size, d_model), in the model's dtype."""
        weight = self.model.get_output_embeddings().weight
        assert isinstance(weight, Tensor)
        return weight

    @property
    def d_model(self) -> int:
        """Width of the last hidden state."""
        return self.output_embedding.shape[1]

    @property
    def vocab_size(self) -> int:
        """Rows of the output embedding."""
        return self.output_embedding.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the output embedding lives."""
        return self.output_embedding.device

    @property
    def context_length(self) -> int:
        """Most tokens the model can attend to."""
        config = self.model.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or 2048)

    @property
    def room(self) -> int:
        """Tokens whose keys and values may be in memory at once, of all rows together."""
        return ROWS_AT_FULL_CONTEXT * self.context_length

    @cached_property
    def fingerprint_rows(self) -> Tensor:
        """Rows of E that identify the model; see `steer.fingerprint_rows`."""
        return fingerprint_rows(self.output_embedding)

    @cached_property
    def token_texts(self) -> list[str]:
        """What each token of the vocabulary decodes to by itself."""
        texts: list[str] = self.tokenizer.batch_decode([[i] for i in range(self.vocab_size)])
        return texts

    @cached_property
    def prefix_ids(self) -> list[int]:
        """What the tokenizer puts before every text: one BOS for Gemma and Llama, often nothing."""
        bare: list[int] = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        full: list[int] = self.tokenizer("a")["input_ids"]
        starts = range(len(full) - len(bare) + 1)
        return next((full[:i] for i in starts if full[i : i + len(bare)] == bare), [])

    @property
    def start_ids(self) -> list[int]:
        """What predicts a text's first token: the prefix, or a token that ends other texts."""
        config = self.model.generation_config
        for token_id in (config.bos_token_id, config.eos_token_id, self.tokenizer.eos_token_id):
            if self.prefix_ids:
                break
            if isinstance(token_id, int):
                return [token_id]
        return self.prefix_ids or [0]

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end a text."""
        ends = self.model.generation_config.eos_token_id
        return frozenset([] if ends is None else ends if isinstance(ends, list) else [int(ends)])

    def unembed(self, hidden: Tensor) -> Tensor:
        """Return E h (and the head's bias), (…, vocab_size), in the dtype of `hidden`.

        Linear in `hidden`, so a steer's effect on it is linear in ε; `finish` makes it logits.
        """
        head: Any = self.model.get_output_embeddings()
        bias = getattr(head, "bias", None)
        bias = bias if bias is None else bias.to(hidden.dtype)
        return nn.functional.linear(hidden, head.weight.to(hidden.dtype), bias)

    def finish(self, unembedded: Tensor) -> Tensor:
        """Return logits after the model's own scale and softcap, as Cohere and Gemma have."""
        config = self.model.config.get_text_config()
        scale = (getattr(config, "logit_scale", None) or 1.0) / (
            getattr(config, "logits_scaling", None) or 1.0
        )
        # a pass over the vocabulary saved
        logits = unembedded if scale == 1.0 else unembedded * scale
        cap = getattr(config, "final_logit_softcapping", None)
        return logits if cap is None else cap * (logits / cap).tanh()

    @cached_property
    def for_batches(self) -> LanguageModel:
        """The same model in bf16 where the CPU multiplies bf16 in hardware, else itself.

        Large batches are bound by arithmetic, which bf16 makes several times faster; a second copy
        of the weights is its price.
        """
        known = torch.cpu.get_capabilities() if self.device.type == "cpu" else {}
        if self.output_embedding.dtype != torch.float32 or not (
            known.get("amx_bf16") or known.get("avx512_bf16")
        ):
            return self
        return self.twin(
            {
                id(p): nn.Parameter(p.bfloat16(), requires_grad=False)
                for p in self.model.parameters()
            }
        )

    def twin(self, parameters: Mapping[int, nn.Parameter] | None = None) -> LanguageModel:
        """Return a copy of the model's structure, without hooks: this one does not see its changes.

        Args:
            parameters: What takes a parameter's place, by the `id` of that parameter; the very same
                parameters if None, so that the copy needs no memory of its own.
        """
        kept: dict[int, Any] = {id(p): p for p in self.model.parameters()}
        model = copy.deepcopy(self.model, kept | dict(parameters or {}))
        for module in model.modules():  # whoever steers the original does not steer its copy
            module._forward_pre_hooks.clear()
            module._forward_hooks.clear()
        return LanguageModel(model, self.tokenizer, self.model_id)

    def hidden_states(
        self, token_ids: Sequence[Sequence[int]], prefix: Sequence[int] = ()
    ) -> list[Tensor]:
        """Return the hidden states that enter the output embedding, float32, one text an item.

        Args:
            token_ids: Texts as token ids, each of n_tokens ≥ 1; they may differ in length.
            prefix: Tokens before every text; read once where the model has a key-value cache.

        Returns:
            Per text (n_tokens, d_model), without the prefix; row t is the state that predicts
            token t + 1.
        """
        cache: Any = None
        if prefix and len(token_ids) > 1:
            _, cache = self._read([prefix], keep=True)
            if isinstance(cache, DynamicCache):
                cache.batch_repeat_interleave(len(token_ids))
            else:
                cache = None
        skip = len(prefix) if cache is None else 0
        texts = [[*prefix, *t] for t in token_ids] if skip else token_ids
        states, _ = self._read(texts, cache, n_before=0 if cache is None else len(prefix))
        return [rows[skip : len(t)].float() for rows, t in zip(states, texts, strict=True)]

    def reading(self, token_ids: Sequence[int]) -> Steps[Tensor]:
        """Return one text's hidden states, (n_tokens, d_model), float32, read in steps."""
        pieces: list[Tensor] = []
        cache, is_long = None, len(token_ids) > _TOKENS_PER_STEP
        for start in range(0, len(token_ids), _TOKENS_PER_STEP):
            piece = token_ids[start : start + _TOKENS_PER_STEP]
            states, cache = self._read([piece], cache, n_before=start, keep=is_long)
            if is_long and not isinstance(cache, DynamicCache):  # it can only read a text whole
                pieces = [self._read([token_ids])[0][0].float()]
                break
            pieces.append(states[0].float())
            yield (start + len(piece)) / len(token_ids)
        return torch.cat(pieces)

    def next_state(self, token_ids: Sequence[int]) -> Steps[Tensor]:
        """Return the state that predicts what follows a prompt, (1, d_model).

        The latest few are kept.
        """
        key = tuple(token_ids)
        state = self._next_states.get(key)
        if state is None:
            state = (yield from self.reading(token_ids))[-1:].clone()
            self._next_states[key] = state
            while len(self._next_states) > _KEPT_PROMPTS:
                self._next_states.popitem(last=False)
        return state

    @torch.inference_mode()
    def _read(
        self,
        texts: Sequence[Sequence[int]],
        cache: Any = None,
        *,
        n_before: int = 0,
        keep: bool = False,
    ) -> tuple[Tensor, Any]:
        """Return states of right-padded texts, (n_texts, width, d_model), and the cache if any.

        Args:
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
            return (_packed(args[0][:, :1]),)

        width = max(map(len, texts))
        ids = torch.tensor([[*t, *[0] * (width - len(t))] for t in texts], device=self.device)
        mask = torch.tensor([[1] * (n_before + len(t)) + [0] * (width - len(t)) for t in texts])
        with self.model.get_output_embeddings().register_forward_pre_hook(catch):
            output = self.model(
                ids,
                attention_mask=mask.to(self.device),
                past_key_values=cache,
                use_cache=keep or cache is not None,
            )
        return caught[-1], getattr(output, "past_key_values", None)

    def encode(self, prompt: str, *, reserve: int = 0, n_rows: int = 1) -> tuple[list[int], bool]:
        """Return the prompt's token ids and whether its beginning had to be cut off.

        Args:
            prompt: Any text.
            reserve: Tokens to leave free in the context for what will be generated.
            n_rows: Rows the batch will have; beyond `ROWS_AT_FULL_CONTEXT` they share that memory.

        Raises:
            InputError: If the prompt is empty or holds half a character, or `reserve` fills the
                context.
        """
        check_text(prompt, "prompt")
        context = min(self.context_length, self.room / n_rows)
        room = int(context) - reserve - len(self.prefix_ids)
        if room < 1:
            raise InputError(
                f"{reserve} new tokens do not fit a context of {int(context)}; ask for fewer."
            )
        # A token is seldom longer than 16 characters; the tail is all that can fit anyway.
        ids: list[int] = self.tokenizer(prompt[-room * 16 :], add_special_tokens=False)["input_ids"]
        return self.prefix_ids + ids[-room:], len(ids) > room or len(prompt) > room * 16


def _packed(hidden: Tensor) -> Tensor:
    # `contiguous` keeps the strides of a single row's slice, and torch copies E for those too.
    return hidden.clone(memory_format=torch.contiguous_format)
