"""Rows whose tokens, keys and values lie in one block, so that one pass advances them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lmsteer_core.generation.live_row import LiveRow
from lmsteer_core.models.decoder import Cache, Decoder, padded

_WORTH_SHARING = 64
"""Prompt tokens that rows have in common and need not read each, to be worth one more pass."""

_MAX_PADDING = 4096
"""Padding tokens in one cache that cost no more time than another pass through the model would."""


@dataclass(eq=False)
class RowGroup:
    """Rows padded on the left to one width, whose keys and values lie in one cache.

    Attributes:
        rows: n_rows of them.
        decoder: What reads all their tokens.
        ids: Prompts and drawn tokens, (n_rows, width), or (n_prompts, width) while prompts are
            shared.
        mask: 1 for each of them, 0 for padding.
        shared: While rows with the same prompt read it together, the line of `ids` of each row.
        n_read: Columns that the model has read.
        cache: Of their keys and values, if the decoder keeps one.
        is_alone: Whether it must not be joined to any: its rows failed together with others, or
            the model reads rows only one by one.
        due: When its rows, all of one pace, may get their next tokens, on the monotonic clock.
    """

    rows: list[LiveRow]
    decoder: Decoder
    ids: Tensor
    mask: Tensor
    shared: list[int] | None = None
    n_read: int = 0
    cache: Cache | None = None
    is_alone: bool = False
    due: float = 0.0

    @property
    def n_unread(self) -> int:
        """A prompt's length at first, later 1: each row's latest token."""
        return self.ids.shape[1] - self.n_read

    @property
    def pace(self) -> float | None:
        """That of all its rows."""
        return self.rows[0].pace

    @classmethod
    def of(cls, rows: Sequence[LiveRow], decoder: Decoder, device: torch.device) -> RowGroup:
        """Return rows whose prompts are not read yet; many with the same prompt share it."""
        prompts = [tuple(row.ids) for row in rows]
        lines = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
        shared = None
        if (len(rows) - len(lines)) * max(map(len, prompts)) >= _WORTH_SHARING:
            shared = [lines[prompt] for prompt in prompts]
            prompts = list(lines)
        return cls(list(rows), decoder, *padded(prompts, device), shared)

    @property
    def can_be_joined(self) -> bool:
        """Whether its cache can be padded and stacked, and its rows may have company."""
        return not self.is_alone and self.cache is not None and self.cache.can_be_joined

    def next_end(self, n_tokens: int) -> int:
        """Return up to which column to read next, with about so many tokens at most.

        The last token of prompts is read apart where rows share a prompt, so that each has its own,
        and where a single token is rounded otherwise than several. There, no prompt is read in
        pieces of which one is a single token.
        """
        is_apart = self.shared is not None or self.decoder.rounds_singly
        last = self.n_read + max(1, self.n_unread - is_apart)
        end = min(last, self.n_read + max(1, n_tokens // len(self.ids)))
        while self.decoder.rounds_singly and end < last and self._leaves_one(end, last):
            end += 1
        return end

    def _leaves_one(self, end: int, last: int) -> bool:
        """Return whether a piece up to `end`, or the rest to `last`, is one of a row's many."""
        pieces = self.mask[:, self.n_read : end], self.mask[:, end:last]
        here, rest = (piece.sum(dim=1) for piece in pieces)
        is_one_of_many = ((here == 1) | (rest == 1)) & (self.mask[:, :last].sum(dim=1) > 1)
        return bool(is_one_of_many.any())

    def part(self) -> None:
        """Give every row its own copy of the prompt it shared."""
        index = self.shared or []
        self.ids, self.mask, self.shared = self.ids[index], self.mask[index], None
        if self.cache is not None:
            self.cache.select(index)

    def keep(self, kept: Sequence[int]) -> None:
        """Keep some rows, by index, and no padding that all of them share."""
        index = list(kept)
        self.rows = [self.rows[i] for i in kept]
        if self.shared:
            self.shared = [self.shared[i] for i in kept]
            return
        self.ids, self.mask = self.ids[index], self.mask[index]
        if self.cache is None:
            return
        self.cache.select(index)
        if self.cache.can_be_joined and self.n_unread == 1:
            n_padding = int(self.mask.any(dim=0).int().argmax())
            self.ids, self.mask = self.ids[:, n_padding:], self.mask[:, n_padding:]
            self.n_read -= n_padding
            self.cache.crop(n_padding)

    def append(self, token_ids: Tensor) -> None:
        """Add each row's next token, (n_rows,)."""
        self.ids = torch.cat([self.ids, token_ids[:, None]], dim=1)
        self.mask = torch.cat([self.mask, torch.ones_like(token_ids)[:, None]], dim=1)

    def absorb(self, others: Sequence[RowGroup]) -> None:
        """Take in the rows of others, padded on the left to one width, and what they have read."""
        groups = [self, *others]
        width = max(group.ids.shape[1] for group in groups)
        if self.cache is not None:
            self.cache.absorb([group.cache for group in others], width - 1)
            self.n_read = width - 1
        self.ids, self.mask = (
            torch.cat([nn.functional.pad(t, (width - t.shape[1], 0)) for t in side])
            for side in zip(*((group.ids, group.mask) for group in groups), strict=True)
        )
        self.rows = [row for group in groups for row in group.rows]

    def halves(self) -> list[RowGroup]:
        """Return its rows as two groups that begin anew, each apart from all others."""
        half = len(self.rows) // 2
        return [self._restarted(part, self.decoder) for part in (slice(half), slice(half, None))]

    def begun_anew(self, decoder: Decoder) -> RowGroup:
        """Return its rows apart from all others, to be read from the start by a decoder."""
        return self._restarted(slice(None), decoder)

    def _restarted(self, part: slice, decoder: Decoder) -> RowGroup:
        index = self.shared or range(len(self.rows))
        texts = [self.ids[i][self.mask[i].bool()].tolist() for i in index][part]
        ids, mask = padded(texts, self.ids.device)
        return RowGroup(self.rows[part], decoder, ids, mask, is_alone=True)


def is_wasteful(widths: Sequence[int]) -> bool:
    """Return whether rows of these widths had better not be padded to one."""
    return max(widths) * len(widths) - sum(widths) > max(_MAX_PADDING, sum(widths) // 2)
