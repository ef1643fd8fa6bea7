"""Rows decoded in step: each has its own ε, and may join, leave or change ε between steps.

Whatever goes wrong with one row (its steers, its draw, its characters) ends that row alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lmsteer_core.errors import InputError, SteerError
from lmsteer_core.generation.draw import draw_rows, likeliest, log_probabilities
from lmsteer_core.generation.live_row import LiveRow, Token
from lmsteer_core.generation.row_group import RowGroup, is_wasteful
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.steers.steer import Steer, steer_hidden, steer_product

_PROMPT_TOKENS_PER_STEP = 1024
"""Prompt tokens read in a step; a quarter of them while other rows
are being written, who wait for it."""

_LOW_RANK = 1 / 8
"""Share of d_model up to which a steer's right · Eᵀ is kept; beyond it, E is multiplied anew."""

Drawn = Token | None | Exception
"""A row's next token, None once its text has ended, or what made the row fail."""


@dataclass(frozen=True)
class _Setting:
    """What steers a row's next token: ε by name, as its token will say, and the sum by steer."""

    epsilons: Mapping[str, float]
    sums: Mapping[Steer, float]


class Batch:
    """Rows of one language model, all advanced by a token at each step, in the caller's thread."""

    def __init__(self, lm: LanguageModel) -> None:
        """Start with no row."""
        self._lm = lm
        self._groups: list[RowGroup] = []

    @property
    def rows(self) -> list[LiveRow]:
        """The rows that are not finished."""
        return [row for group in self._groups for row in group.rows]

    def join(self, rows: Sequence[LiveRow]) -> None:
        """Take rows in; they get their first tokens once their prompts are read.

        Raises:
            InputError: If a row cannot be read; then none of them joins.
        """
        for row in rows:
            _check_row(row, self._lm.n_input_ids)
        for pace in dict.fromkeys(row.pace for row in rows):
            self._join([row for row in rows if row.pace == pace])

    def _join(self, rows: Sequence[LiveRow]) -> None:
        if not self._lm.probed.shares_batches:
            groups = [self._group([row]) for row in rows]
            self._groups += [replace(group, is_alone=True) for group in groups]
        elif is_wasteful([len(row.ids) for row in rows]):
            by_prompt: dict[tuple[int, ...], list[LiveRow]] = {}
            for row in rows:
                by_prompt.setdefault(tuple(row.ids), []).append(row)
            self._groups += [self._group(alike) for alike in by_prompt.values()]
        else:
            self._groups.append(self._group(rows))

    def _group(self, rows: Sequence[LiveRow]) -> RowGroup:
        return RowGroup.of(rows, self._lm.decoder, self._lm.device)

    @property
    def pause(self) -> float:
        """Seconds in which a step would do nothing, as no row is due."""
        if any(group.n_unread > 1 for group in self._groups):
            return 0.0
        due = min((group.due for group in self._groups), default=0.0)
        return max(0.0, due - time.monotonic())

    def leave(self, rows: Iterable[LiveRow]) -> None:
        """Drop rows, finished or not."""
        gone = set(rows)
        for group in self._groups:
            kept = [i for i, row in enumerate(group.rows) if row not in gone]
            if kept and len(kept) < len(group.rows):
                group.keep(kept)
            elif not kept:
                group.rows = []
        self._groups = [group for group in self._groups if group.rows]

    def step(self) -> dict[LiveRow, Drawn]:
        """Give every row whose prompt is read its next token, and prompts a share of the time.

        Returns:
            The rows that got a token; None where the text has ended, an exception where the row
            failed by itself. Finished and failed rows have left.
        """
        drawn: dict[LiveRow, Drawn] = {}
        self._gather()
        for group, n_tokens in self._shares():
            drawn |= self._advance(group, n_tokens)
        self.leave(row for row, token in drawn.items() if _is_last(row, token))
        self._merge()
        return drawn

    def _shares(self) -> list[tuple[RowGroup, int]]:
        """Return the groups that have a turn in this step, each with the tokens it may read.

        Short prompts come first, so that nobody waits for a long one, and the one that has waited
        longest always gets a share, so that it is read in the end.
        """
        reading = [group for group in self._groups if group.n_unread > 1]
        now = time.monotonic()
        shares = [(group, 1) for group in self._groups if group.n_unread == 1 and group.due <= now]
        left = _PROMPT_TOKENS_PER_STEP // (4 if shares else 1)
        least = {id(group): left // 4 for group in reading[:1]}
        for group in sorted(reading, key=lambda group: group.n_unread * len(group.ids)):
            n_tokens = max(left, least.get(id(group), 0))
            if n_tokens > 0:
                shares.append((group, n_tokens))
            left -= group.n_unread * len(group.ids)
        return shares

    @torch.inference_mode()
    def _advance(self, group: RowGroup, n_tokens: int) -> dict[LiveRow, Drawn]:
        """Read some of the group's tokens; if none is left, draw each row's next token."""
        settings, failed = self._settings(group.rows)
        if failed:
            self.leave(failed)
        if not group.rows:
            return failed
        if not self._lm.probed.shares_batches:
            n_tokens = group.ids.numel()  # its cache may not go on from the middle of a prompt
        # No steer acts on what is read, only on the logits of a row's last token.
        end = group.next_end(n_tokens)
        columns = slice(0 if group.cache is None else group.n_read, end)
        try:
            output = group.decoder.read(group.ids[:, columns], group.mask[:, :end], group.cache)
        except Exception as error:
            return failed | self._split(group, error)
        group.n_read, group.cache = end, output.cache
        if group.shared and group.n_unread == 1:
            group.part()
        if group.n_unread == 1 and group.decoder.rounds_singly:
            return failed | self._advance(group, 1)
        if group.n_unread:
            return failed
        product = output.product[:, : self._lm.vocab_size]
        steered, broken = self._steered_alone_or_together(group, product, output.hidden, settings)
        if broken:
            kept = [i for i, row in enumerate(group.rows) if row not in broken]
            product, settings = product[kept], [settings[i] for i in kept]
            self.leave(broken)
            failed |= broken
        if not group.rows:
            return failed
        base = self._lm.finish(product) if any(row.logprobs for row in group.rows) else None
        return failed | self._draw(group, self._lm.finish(steered), base, settings)

    def _steered_alone_or_together(
        self, group: RowGroup, product: Tensor, hidden: Tensor, settings: Sequence[_Setting]
    ) -> tuple[Tensor, dict[LiveRow, Drawn]]:
        """Return the steered products of the rows that can be steered, and why others cannot."""
        try:
            return self._steered(product, hidden, settings), {}
        except Exception:
            steered, broken = [product[:0]], dict[LiveRow, Drawn]()
            for i, row in enumerate(group.rows):
                one = slice(i, i + 1)
                try:
                    steered.append(self._steered(product[one], hidden[one], settings[one]))
                except Exception as error:
                    broken[row] = error
            return torch.cat(steered), broken

    def _steered(self, product: Tensor, hidden: Tensor, settings: Sequence[_Setting]) -> Tensor:
        """Return E (h + ε Wᵀ h), (n_rows, vocab_size), from E h and h; rows at ε = 0 as they are.

        Each steer moves the rows that it steers, and no other is computed with.
        """
        steered = product.clone()
        for steer in dict.fromkeys(steer for setting in settings for steer in setting.sums):
            rows = [i for i, setting in enumerate(settings) if setting.sums.get(steer)]
            epsilon = torch.tensor([[settings[i].sums[steer]] for i in rows]).to(hidden)
            left = steer.left.to(hidden)
            if steer.rank <= self._lm.d_model * _LOW_RANK:
                steered[rows] = steer_product(
                    steered[rows], hidden[rows], left, self._lm.embedded(steer), epsilon
                )
            else:
                moved = steer_hidden(hidden[rows], left, steer.right.to(hidden), epsilon)
                moved = (moved - hidden[rows]).to(self._lm.output_embedding.dtype)
                steered[rows] += nn.functional.linear(moved, self._lm.output_embedding).float()
        return steered

    def _draw(
        self,
        group: RowGroup,
        logits: Tensor,
        base_logits: Tensor | None,
        settings: Sequence[_Setting],
    ) -> dict[LiveRow, Drawn]:
        """Draw each row's next token from logits, (n_rows, vocab_size).

        A row that fails fails alone.
        """
        results = draw_rows(logits, group.rows)
        token_ids = torch.stack(
            [t if isinstance(t, Tensor) else torch.zeros_like(group.ids[0, 0]) for t in results]
        )
        group.append(token_ids)
        if group.pace:
            group.due = time.monotonic() + 1 / group.pace
        scores = [torch.full(token_ids.shape, torch.nan)] * 2
        if base_logits is not None:
            scores = [log_probabilities(x, token_ids) for x in (logits, base_logits)]
        table = torch.stack([x.double().cpu() for x in (token_ids, *scores)], dim=1).tolist()
        lines = zip(group.rows, results, settings, logits, table, strict=True)
        return {
            row: result
            if isinstance(result, Exception)
            else self._token(row, setting.epsilons, row_logits, *figures)
            for row, result, setting, row_logits, figures in lines
        }

    def _token(
        self,
        row: LiveRow,
        epsilons: Mapping[str, float],
        logits: Tensor,
        token_id: float,
        logprob: float,
        base: float,
    ) -> Drawn:
        row.n_new += 1
        if int(token_id) in self._lm.end_ids:
            return None
        try:
            text = row.decoder.step(self._lm.tokenizer.backend_tokenizer, int(token_id))
        except Exception as error:
            return error
        alternatives = likeliest(logits, row.n_alternatives)
        return Token(int(token_id), text, logprob, base, epsilons, alternatives)

    def _settings(self, rows: Sequence[LiveRow]) -> tuple[list[_Setting], dict[LiveRow, Drawn]]:
        """Return what steers each row, and the rows of which that cannot be said."""
        settings, failed = [], dict[LiveRow, Drawn]()
        for row in rows:
            try:
                settings.append(self._setting(row))
            except Exception as error:
                failed[row] = error
        return settings, failed

    def _setting(self, row: LiveRow) -> _Setting:
        epsilons = row.epsilons  # another thread may set new ones meanwhile
        sums: dict[Steer, float] = {}
        for name, epsilon in epsilons.items():
            if value := check_epsilon(epsilon, name):
                steer = row.steers[name]
                sums[steer] = sums.get(steer, 0.0) + value
        for steer, value in sums.items():
            check_epsilon(value, steer.name)
            if (steer.left.shape[0], steer.right.shape[1]) != (self._lm.d_model, self._lm.d_model):
                raise SteerError(
                    f"Steer '{steer.name}' does not fit the {self._lm.d_model} "
                    "dimensions of the model."
                )
        return _Setting(epsilons, sums)

    def _split(self, group: RowGroup, error: Exception) -> dict[LiveRow, Drawn]:
        """Let halves of a group that failed begin anew, until the row that fails is alone.

        Then the reference has the last word.
        """
        if len(group.rows) > 1:
            parts = group.halves()
        elif group.decoder is not self._lm.reference:
            parts = [group.begun_anew(self._lm.reference)]
        else:
            return {group.rows[0]: error}
        at = self._groups.index(group)
        self._groups[at : at + 1] = parts
        return {}

    def _gather(self) -> None:
        """Let short prompts that came together be read in one pass: nobody waits for all others."""
        fresh = [
            group
            for group in self._groups
            if group.n_read == 0
            and group.shared is None
            and not group.is_alone
            and group.pace is None
            and group.decoder is self._lm.decoder
        ]
        n_rows = width = 0
        together = []
        for group in fresh:
            n_rows, width = n_rows + len(group.rows), max(width, group.ids.shape[1])
            if n_rows * width > _PROMPT_TOKENS_PER_STEP:
                break
            together.append(group)
        self._join_up(together)

    def _merge(self) -> None:
        """Let rows whose prompts are read share one cache, where its kind allows it."""
        alike = [group for group in self._groups if group.n_unread == 1 and group.can_be_joined]
        together: list[RowGroup] = []
        for group in sorted(
            alike, key=lambda group: (id(group.decoder), group.pace or 0.0, group.ids.shape[1])
        ):
            widths = [g.ids.shape[1] for g in (*together, group) for _ in g.rows]
            kinds = {(each.decoder, each.pace) for each in (*together, group)}
            if len(kinds) > 1 or (group.decoder.pads and is_wasteful(widths)):
                self._join_up(together)
                together = []
            together.append(group)
        self._join_up(together)

    def _join_up(self, groups: Sequence[RowGroup]) -> None:
        """Let the first of some groups have the rows of all."""
        if len(groups) > 1:
            groups[0].absorb(groups[1:])
            self._groups = [group for group in self._groups if group not in groups[1:]]


def check_drawn(drawn: Mapping[LiveRow, Drawn]) -> dict[LiveRow, Token | None]:
    """Return a step's tokens, or raise what made a row fail."""
    tokens: dict[LiveRow, Token | None] = {}
    for row, token in drawn.items():
        if isinstance(token, Exception):
            raise token
        tokens[row] = token
    return tokens


def _check_row(row: LiveRow, n_ids: int) -> None:
    """Raise InputError unless a row's prompt can be read and its tokens drawn."""
    if not row.ids:
        raise InputError("The prompt is empty: write a few words.")
    if not all(type(token_id) is int and 0 <= token_id < n_ids for token_id in row.ids):
        raise InputError(f"Token ids must be whole numbers between 0 and {n_ids - 1}.")
    if not isinstance(row.sampling, Sampling):
        raise InputError(f"A row's sampling must be a Sampling, not {row.sampling!r:.40}.")


def _is_last(row: LiveRow, token: Drawn) -> bool:
    return not isinstance(token, Token) or row.n_new >= row.sampling.max_new_tokens
