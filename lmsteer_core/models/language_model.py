"""A loaded language model: its output embedding, hidden states and the way it reads text."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import DynamicCache, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from lmsteer_core.errors import InputError, ModelError
from lmsteer_core.models.backbone import packed, read
from lmsteer_core.models.decoder import Decoder, TorchDecoder
from lmsteer_core.models.probe import Probed, probe
from lmsteer_core.models.tokenizer import end_ids, prefix_ids, token_texts
from lmsteer_core.progress import Steps
from lmsteer_core.steers.fingerprint import fingerprint_rows
from lmsteer_core.steers.steer import Steer
from lmsteer_core.text import check_text

ROWS_AT_FULL_CONTEXT = 4
"""Rows that may all be as long as the context; more rows get shorter prompts, not more memory."""

_TOKENS_PER_STEP = 512
"""Of a text that is read in steps: those who wait for their turn
wait about a second on two cores."""

_KEPT_PROMPTS = 64

_ROWS_AT_ONCE = 8192
"""Of E, of which a float32 copy is made."""

_CONTEXT_LENGTHS = ("max_position_embeddings", "max_target_positions", "max_seq_len", "n_positions")
"""What configs call the most tokens of a text."""

_DEFAULT_CONTEXT = 2048
"""Of models whose config names no limit, such as recurrent ones."""


@dataclass(eq=False)
class LanguageModel:
    """A causal language model ready to be steered.

    Attributes:
        model: The Hugging Face model, frozen and in eval mode.
        tokenizer: Its tokenizer.
        model_id: What a user calls it.
        probed: How it makes its logits and reads a batch.
        reference: Runs the model itself.
        decoder: What writes texts that begin now: the reference, or a faster one in its place.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    model_id: str
    probed: Probed = field(init=False, repr=False)
    reference: Decoder = field(init=False, repr=False)
    decoder: Decoder = field(init=False, repr=False)
    _next_states: OrderedDict[tuple[int, ...], Tensor] = field(
        default_factory=OrderedDict, repr=False
    )
    _embedded: WeakKeyDictionary[Steer, Tensor] = field(
        default_factory=WeakKeyDictionary, repr=False
    )

    def __post_init__(self) -> None:
        """Freeze the weights.

        Keep nothing of the model's own sampling settings but where text ends.
        """
        if not self.tokenizer.is_fast:
            raise ModelError(
                f"'{self.model_id}' has a tokenizer that cannot stream text; choose another."
            )
        self.model.requires_grad_(False).eval()
        self.probed = probe(self.model, self.model_id)
        self.decoder = self.reference = TorchDecoder(self.model, self.probed)
        # A published repetition penalty or beam width would make ε = 0 differ from the base model.
        published = self.model.generation_config
        self.model.generation_config = GenerationConfig(
            bos_token_id=published.bos_token_id,
            eos_token_id=published.eos_token_id,
            pad_token_id=published.pad_token_id,
        )
        # transformers hands the head a strided slice of the prompt's states, for which torch
        # copies the whole of E once per row; a copy of the slice costs nothing.
        self.model.get_output_embeddings().register_forward_pre_hook(
            lambda _, args: (packed(args[0]), *args[1:])
        )

    @property
    def output_embedding(self) -> Tensor:
        """E, (vocab_size, d_model), in the model's dtype: the rows that have a logit."""
        weight = self.model.get_output_embeddings().weight
        assert isinstance(weight, Tensor)
        return weight[: self.probed.logit_map.n_logits]

    @property
    def d_model(self) -> int:
        """Width of the last hidden state."""
        return self.output_embedding.shape[1]

    @property
    def vocab_size(self) -> int:
        """How many tokens have a logit."""
        return self.output_embedding.shape[0]

    @property
    def n_input_ids(self) -> int:
        """Rows of the input embedding: token ids from 0 that the model can read."""
        embedding = self.model.get_input_embeddings().weight
        assert isinstance(embedding, Tensor)
        return len(embedding)

    @property
    def device(self) -> torch.device:
        """Where the output embedding lives."""
        return self.output_embedding.device

    @property
    def context_length(self) -> int:
        """Most tokens the model can attend to."""
        config = self.model.config.get_text_config()
        lengths = [getattr(config, name, None) for name in _CONTEXT_LENGTHS]
        declared = next((n for n in lengths if isinstance(n, int) and n > 0), _DEFAULT_CONTEXT)
        return declared - self.probed.first_position

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
        """What each token of the vocabulary adds to a text that it continues."""
        return token_texts(self.tokenizer, self.vocab_size)

    @cached_property
    def prefix_ids(self) -> list[int]:
        """What the tokenizer puts before every text: one BOS for Gemma and Llama, often nothing."""
        return prefix_ids(self.tokenizer)

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
        """Tokens with a logit that end a text, or an answer in a chat."""
        known = end_ids(self.tokenizer, self.model.generation_config.eos_token_id)
        return frozenset(i for i in known if i < self.vocab_size)

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Tokens with a logit that the tokenizer keeps for its own use and no text holds."""
        added = self.tokenizer.added_tokens_decoder.items()
        return frozenset(i for i, token in added if token.special and i < self.vocab_size)

    def unembed(self, hidden: Tensor) -> Tensor:
        """Return E h (and the head's bias), (…, vocab_size), in the dtype of `hidden`.

        Linear in `hidden`, so a steer's effect on it is linear in ε; `finish` makes it logits.
        """
        bias = getattr(self.model.get_output_embeddings(), "bias", None)
        bias = bias if bias is None else bias[: self.vocab_size].to(hidden.dtype)
        return nn.functional.linear(hidden, self.output_embedding.to(hidden.dtype), bias)

    def finish(self, unembedded: Tensor) -> Tensor:
        """Return logits after the model's own scale and softcap, which a probe at load learned."""
        return self.probed.logit_map(unembedded)

    def embedded(self, steer: Steer) -> Tensor:
        """Return right · Eᵀ, (rank, vocab_size), float32: where a steer's coordinates move E h.

        It is kept as long as the steer.
        """
        product = self._embedded.get(steer)
        if product is None:
            right = steer.right.to(self.device).float()
            pieces = self.output_embedding.split(_ROWS_AT_ONCE)
            product = torch.cat([right @ rows.float().T for rows in pieces], dim=1)
            self._embedded[steer] = product
        return product

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
            _, cache = read(self.model, [prefix], keep=True)
            if isinstance(cache, DynamicCache) and self.probed.shares_batches:
                cache.batch_repeat_interleave(len(token_ids))
            else:
                cache = None
        skip = len(prefix) if cache is None else 0
        texts = [[*prefix, *t] for t in token_ids] if skip else token_ids
        n_before = 0 if cache is None else len(prefix)
        states, _ = read(self.model, texts, cache, n_before=n_before)
        return [rows[skip : len(t)].float() for rows, t in zip(states, texts, strict=True)]

    def reading(self, token_ids: Sequence[int]) -> Steps[Tensor]:
        """Return one text's hidden states, (n_tokens, d_model), float32, read in steps."""
        pieces: list[Tensor] = []
        cache, is_long = None, len(token_ids) > _TOKENS_PER_STEP
        for start in range(0, len(token_ids), _TOKENS_PER_STEP):
            piece = token_ids[start : start + _TOKENS_PER_STEP]
            states, cache = read(self.model, [piece], cache, n_before=start, keep=is_long)
            reads_on = isinstance(cache, DynamicCache) and self.probed.shares_batches
            if is_long and not reads_on:
                pieces = [read(self.model, [token_ids])[0][0].float()]
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

    def token_ids(self, text: str) -> list[int]:
        """Return a text's tokens, with nothing before them.

        Raises:
            InputError: If one of them is only the tokenizer's, as a text model's image token is.
        """
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        self.check_ids(ids)
        return ids

    def check_ids(self, token_ids: Sequence[int]) -> None:
        """Raise InputError if the tokenizer has a token that the model has not."""
        n_known = self.n_input_ids
        if unknown := next((i for i in token_ids if i >= n_known), None):
            token = self.tokenizer.convert_ids_to_tokens(unknown)
            raise InputError(f"{self.model_id} cannot read the token '{token}'; leave it out.")

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
        ids = self.token_ids(prompt[-room * 16 :])
        if ids[: len(self.prefix_ids)] == self.prefix_ids:  # the prompt has them already
            ids = ids[len(self.prefix_ids) :]
        if not self.prefix_ids + ids:
            raise InputError(f"{self.model_id} reads nothing in that prompt; use other characters.")
        return self.prefix_ids + ids[-room:], len(ids) > room or len(prompt) > room * 16
