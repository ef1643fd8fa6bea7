"""Rows decoded in step: each has its own ε and dice, and may join, leave or change ε between steps.

Sampling is Gumbel-max: the next token is argmax(log p + g) with Gumbel noise g keyed on (seed,
absolute position). Rows that share a seed share g, so two columns differ only where steering made
them differ, and a text changes gradually as ε does.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from tokenizers.decoders import DecodeStream
from torch import Tensor, nn
from transformers.cache_utils import DynamicLayer

from lmsteer_core.errors import InputError
from lmsteer_core.language_model import LanguageModel
from lmsteer_core.steer import Steer
from lmsteer_core.steering import Steering

_PROMPT_TOKENS_PER_STEP = 1024
"""Prompt tokens read between two steps of the rows that are already being written."""

_WORTH_SHARING = 64
"""Prompt tokens that rows have in common and need not read each, to be worth one more pass."""

_FLOOR = 1e-5


@dataclass(frozen=True)
class Sampling:
    """How to draw the next token.

    Attributes:
        temperature: 0 is greedy; 1 is the model's own distribution.
        top_p: Probability mass kept by nucleus sampling, in (0, 1].
        max_new_tokens: Tokens to add at most.
        seed: Names the dice; a row may add its own `Row.seed_offset`.
    """

    temperature: float = 0.9
    top_p: float = 0.95
    max_new_tokens: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that no sampler could follow."""
        if not 0 <= self.temperature <= 10:
            raise InputError(f"temperature must be between 0 and 10, not {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top-p must be above 0 and at most 1, not {self.top_p}.")
        if not 1 <= self.max_new_tokens <= 100_000:
            raise InputError(f"max new tokens must be between 1 and 100000, not {self.max_new_tokens}.")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed must be between 0 and {2**32 - 1}, not {self.seed}.")


@dataclass(frozen=True)
class Token:
    """One emitted token.

    Attributes:
        id: Vocabulary index.
        text: The characters it completes; "" while a multi-token character is unfinished.
        logprob: Log-probability under the row's steered distribution, in nats, at temperature 1.
        base_logprob: The same under the unsteered model for the same context.
        epsilons: ε by steer name that it was written under.
    """

    id: int
    text: str
    logprob: float
    base_logprob: float
    epsilons: Mapping[str, float] = field(default_factory=dict)

    @property
    def shift(self) -> float:
        """How much steering moved this token: log p_steered − log p_base, in nats."""
        return self.logprob - self.base_logprob


@dataclass(eq=False)
class LiveRow:
    """A text that is being written.

    Attributes:
        ids: The prompt's tokens.
        epsilons: ε by steer name; whatever mapping stands here at a step counts for that step's token.
        steers: Steers by those names.
        sampling: How its tokens are drawn.
        seed_offset: Added to the seed, so that rows of one request may roll other dice.
        logprobs: Score its tokens; else their log-probabilities are NaN.
    """

    ids: list[int]
    epsilons: Mapping[str, float]
    steers: Mapping[str, Steer]
    sampling: Sampling
    seed_offset: int = 0
    logprobs: bool = True
    n_new: int = 0
    decoder: DecodeStream = field(default_factory=lambda: DecodeStream(skip_special_tokens=True))

    @property
    def dice(self) -> tuple[int, int, int]:
        """What the next token's noise is drawn from: seed, offset, absolute position."""
        return self.sampling.seed, self.seed_offset, len(self.ids) + self.n_new


@dataclass(eq=False)
class _Group:
    """Rows padded on the left to one width, whose keys and values lie in one cache.

    Attributes:
        rows: n_rows of them.
        ids: Prompts and drawn tokens, (n_rows, width), or (n_prompts, width) while prompts are shared.
        mask: 1 for each of them, 0 for padding.
        shared: While rows with the same prompt read it together, the line of `ids` of each row.
        n_read: Columns that the model has read.
        cache: A transformers cache of their keys and values, if the model keeps one.
    """

    rows: list[LiveRow]
    ids: Tensor
    mask: Tensor
    shared: list[int] | None = None
    n_read: int = 0
    cache: Any = None

    @property
    def n_unread(self) -> int:
        """A prompt's length at first, later 1: each row's latest token."""
        return self.ids.shape[1] - self.n_read


class Batch:
    """Rows of one language model, all advanced by a token at each step, in the caller's thread."""

    def __init__(self, lm: LanguageModel) -> None:
        """Start with no row."""
        self._lm = lm
        self._groups: list[_Group] = []
        known = inspect.signature(lm.model.forward).parameters
        self._takes_positions = "position_ids" in known
        self._options = {"logits_to_keep": 1} if "logits_to_keep" in known else {}

    @property
    def rows(self) -> list[LiveRow]:
        """The rows that are not finished."""
        return [row for group in self._groups for row in group.rows]

    def join(self, rows: Sequence[LiveRow]) -> None:
        """Take rows in; they get their first tokens once their prompts are read."""
        width = max(len(row.ids) for row in rows)
        prompts = [tuple(row.ids) for row in rows]
        lines = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
        shared = None
        if (len(rows) - len(lines)) * width >= _WORTH_SHARING:
            shared = [lines[prompt] for prompt in prompts]
            prompts = list(lines)
        ids = torch.tensor([[0] * (width - len(prompt)) + [*prompt] for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        self._groups.append(_Group(list(rows), ids.to(self._lm.device), mask.to(self._lm.device), shared))

    def leave(self, rows: Iterable[LiveRow]) -> None:
        """Drop rows, finished or not."""
        gone = set(rows)
        for group in self._groups:
            kept = [i for i, row in enumerate(group.rows) if row not in gone]
            if kept and len(kept) < len(group.rows):
                _keep(group, kept)
            elif not kept:
                group.rows = []
        self._groups = [group for group in self._groups if group.rows]

    def step(self) -> dict[LiveRow, Token | None]:
        """Give every row whose prompt is read its next token, and one prompt a share of the time.

        Returns:
            The rows that got a token; None where the text has ended. Finished rows have left.
        """
        found: dict[LiveRow, Token | None] = {}
        self._gather()
        prompts = [group for group in self._groups if group.n_unread > 1]
        for group in self._groups:
            if group not in prompts[1:]:
                found |= self._advance(group)
        self.leave([r for r, t in found.items() if t is None or r.n_new >= r.sampling.max_new_tokens])
        self._merge()
        return found

    @torch.inference_mode()
    def _advance(self, group: _Group) -> dict[LiveRow, Token | None]:
        """Read the group's next columns; if none is left, draw each row's next token."""
        # No steer acts on what is read, only on the logits of a row's last token.
        n_common = group.n_unread - (group.shared is not None)
        end = group.n_read + min(n_common, max(1, _PROMPT_TOKENS_PER_STEP // len(group.ids)))
        columns = slice(0 if group.cache is None else group.n_read, end)
        mask = group.mask[:, :end]
        options: dict[str, Any] = dict(self._options)
        if self._takes_positions:
            options["position_ids"] = (mask.cumsum(dim=1) - 1).clamp_min(0)[:, columns]
        epsilons = [row.epsilons for row in group.rows]  # another thread may set new ones meanwhile
        steered = group.rows[:1] if group.shared else group.rows
        steering = self._steering(steered, epsilons)
        with steering:
            output = self._lm.model(
                group.ids[:, columns],
                attention_mask=mask,
                past_key_values=group.cache,
                use_cache=True,
                **options,
            )
        group.cache, group.n_read = getattr(output, "past_key_values", None), end
        if group.shared and group.n_unread == 1:
            _part(group)
        if group.n_unread:
            return {}
        logits = output.logits[:, -1].float()
        drawn = draw(logits, group.rows)
        group.ids = torch.cat([group.ids, drawn[:, None]], dim=1)
        group.mask = torch.cat([group.mask, torch.ones_like(drawn)[:, None]], dim=1)
        scores = [torch.full(drawn.shape, torch.nan)] * 2
        if steering.base_logits is not None:
            scores = [_logprob(x, drawn) for x in (logits, steering.base_logits[:, -1])]
        table = torch.stack([x.double().cpu() for x in (drawn, *scores)], dim=1).tolist()
        lines = zip(group.rows, epsilons, table, strict=True)
        return {row: self._token(row, written_under, *figures) for row, written_under, figures in lines}

    def _token(
        self, row: LiveRow, epsilons: Mapping[str, float], token_id: float, logprob: float, base: float
    ) -> Token | None:
        row.n_new += 1
        if int(token_id) in self._lm.end_ids:
            return None
        text = row.decoder.step(self._lm.tokenizer.backend_tokenizer, int(token_id))
        return Token(int(token_id), text or "", logprob, base, epsilons)

    def _steering(self, rows: Sequence[LiveRow], epsilons: Sequence[Mapping[str, float]]) -> Steering:
        pairs = list(zip(rows, epsilons, strict=False))
        used = list(
            {id(s): s for row, at in pairs for n, e in at.items() if e and (s := row.steers[n])}.values()
        )
        values = [
            [sum(e for name, e in at.items() if row.steers[name] is steer) for steer in used]
            for row, at in pairs
        ]
        return Steering(self._lm.model, used, values, keep_base=any(row.logprobs for row in rows))

    def _gather(self) -> None:
        """Let short prompts that came together be read in one pass, so that nobody waits for all others."""
        fresh = [group for group in self._groups if group.n_read == 0 and group.shared is None]
        n_rows = width = 0
        together = []
        for group in fresh:
            n_rows, width = n_rows + len(group.rows), max(width, group.ids.shape[1])
            if n_rows * width > _PROMPT_TOKENS_PER_STEP:
                break
            together.append(group)
        if len(together) > 1:
            self._join_up(together)

    def _merge(self) -> None:
        """Let rows whose prompts are read share one cache, where the model's kind of cache allows it."""
        alike = [group for group in self._groups if group.n_unread == 1 and _is_plain(group.cache)]
        if len(alike) < 2:
            return
        width = max(group.ids.shape[1] for group in alike)
        for layers in zip(*(group.cache.layers for group in alike), strict=True):
            layers[0].keys = _stacked([layer.keys for layer in layers], width - 1)
            layers[0].values = _stacked([layer.values for layer in layers], width - 1)
        self._join_up(alike)
        alike[0].n_read = width - 1

    def _join_up(self, alike: Sequence[_Group]) -> None:
        """Let the first of some groups have the rows of all, padded on the left to one width."""
        first, width = alike[0], max(group.ids.shape[1] for group in alike)
        first.ids, first.mask = (
            torch.cat([nn.functional.pad(t, (width - t.shape[1], 0)) for t in side])
            for side in zip(*((group.ids, group.mask) for group in alike), strict=True)
        )
        first.rows = [row for group in alike for row in group.rows]
        self._groups = [group for group in self._groups if group is first or group not in alike]


def draw(logits: Tensor, rows: Sequence[LiveRow]) -> Tensor:
    """Return each row's next token, (n_rows,), from logits (n_rows, vocab_size), float32.

    Row by row, because one row's vocabulary fits the CPU's cache and a batch's does not.
    """
    variates: dict[tuple[int, int, int], Tensor] = {}
    drawn = []
    for scores, row in zip(logits, rows, strict=True):
        if row.sampling.temperature == 0:
            drawn.append(scores.argmax())
            continue
        if row.dice not in variates:
            variates[row.dice] = exponential(row.dice, len(scores)).to(scores)
        scores = scores / row.sampling.temperature
        kept = nucleus(scores, row.sampling.top_p)
        drawn.append(kept[(scores[kept] - variates[row.dice][kept].log()).argmax()])
    return torch.stack(drawn)


def exponential(dice: tuple[int, ...], size: int) -> Tensor:
    """Return exponential variates, (size,), whose −log is the Gumbel noise of these dice.

    NumPy draws them on the CPU, so that they are the same on every device and platform.
    """
    found = np.random.default_rng(dice).standard_exponential(size, dtype=np.float32)
    return torch.from_numpy(found).clamp_min_(1e-30)  # the log of a drawn 0 stays finite


def nucleus(scores: Tensor, top_p: float) -> Tensor:
    """Return the ids, (n_kept,), of the smallest set whose probability reaches top-p; scores (vocab_size,).

    The same set as transformers' TopPLogitsWarper, found among the few tokens above a floor, because
    sorting the whole vocabulary, and adding noise to all of it, was half of a decoding step.
    """
    if top_p == 1:
        return torch.arange(len(scores), device=scores.device)
    p = scores.softmax(dim=-1)
    ids = _true(p > _FLOOR)
    likely = p[ids]
    mass = likely.sum()
    if mass <= top_p:  # a flat distribution
        ids, likely, mass = torch.arange(len(p), device=p.device), p, p.sum()
    ascending, order = likely.sort()
    n_dropped = int((1 - mass + ascending.cumsum(dim=-1) <= 1 - top_p).sum())
    return ids[order[min(n_dropped, len(order) - 1) :]]


def _true(mask: Tensor) -> Tensor:
    """Return where a mask, (size,), is true."""
    if mask.device.type == "cpu":  # NumPy finds few in many sooner than torch
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.nonzero()[:, 0]


def _logprob(logits: Tensor, tokens: Tensor) -> Tensor:
    chosen = logits.gather(1, tokens[:, None])[:, 0].float()
    return chosen - torch.stack([row.float().logsumexp(dim=0) for row in logits])


def _is_plain(cache: Any) -> bool:
    """Return whether every layer keeps all keys and values, so that caches can be padded and stacked."""
    return all(type(layer) is DynamicLayer for layer in getattr(cache, "layers", [None]))


def _stacked(tensors: Sequence[Tensor], length: int) -> Tensor:
    """Return (n_rows, n_heads, ≤ length, d) tensors as one, padded on the left."""
    return torch.cat([nn.functional.pad(t, (0, 0, length - t.shape[-2], 0)) for t in tensors])


def _part(group: _Group) -> None:
    """Give every row its own copy of the prompt it shared."""
    index = torch.tensor(group.shared, device=group.ids.device)
    group.ids, group.mask, group.shared = group.ids[index], group.mask[index], None
    if group.cache is not None:
        group.cache.batch_select_indices(index)


def _keep(group: _Group, kept: Sequence[int]) -> None:
    """Keep some rows of a group, and no padding that all of them share."""
    index = torch.tensor(kept, device=group.ids.device)
    group.rows = [group.rows[i] for i in kept]
    if group.shared:
        group.shared = [group.shared[i] for i in kept]
        return
    group.ids, group.mask = group.ids[index], group.mask[index]
    if group.cache is not None:
        group.cache.batch_select_indices(index)
    if _is_plain(group.cache) and group.n_unread == 1:
        n_padding = int(group.mask.any(dim=0).int().argmax())
        group.ids, group.mask = group.ids[:, n_padding:], group.mask[:, n_padding:]
        group.n_read -= n_padding
        for layer in group.cache.layers:
            layer.keys, layer.values = layer.keys[..., n_padding:, :], layer.values[..., n_padding:, :]
