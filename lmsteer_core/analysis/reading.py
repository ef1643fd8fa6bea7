"""Read a text once, in windows where it exceeds the context; every ε after that is arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsteer_core.errors import InputError
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Steps, finished, scaled
from lmsteer_core.text import check_text

MAX_TOKENS = 32_768
"""Longest text that is read; a longer one is cut, and `ReadText.cut` says so."""

_WINDOW = 2_048
"""Widest window of a text longer than the context: attention over more costs more than it tells."""


@dataclass(frozen=True)
class ReadText:
    """A text with the hidden states that predict its tokens.

    Attributes:
        token_ids: The tokens, n_tokens of them.
        token_texts: The characters each token covers; joined they are the text that was read.
        hidden: (n_tokens − 1, d_model); row t predicts token t + 1.
        cut: Whether the text was longer than `MAX_TOKENS` and its end was left out.
    """

    token_ids: list[int]
    token_texts: list[str]
    hidden: Tensor
    cut: bool

    def beginning(self, n_tokens: int) -> ReadText:
        """Return the first n_tokens of it."""
        if len(self.token_ids) <= n_tokens:
            return self
        return ReadText(
            self.token_ids[:n_tokens],
            self.token_texts[:n_tokens],
            self.hidden[: n_tokens - 1],
            True,
        )


def read_text(lm: LanguageModel, text: str) -> ReadText:
    """Run the model over a text once, in overlapping windows where it is longer than the context.

    Every token is predicted once, from at least half a window of text where that much precedes it.

    Raises:
        InputError: If the text is empty.
    """
    return finished(reading(lm, text))


def reading(lm: LanguageModel, text: str) -> Steps[ReadText]:
    """Do what `read_text` does in steps, each yielding the share that is read.

    Closing it ends the work.
    """
    check_text(text)
    # A token is seldom longer than 16 characters.
    encoding = lm.tokenizer(
        text[: MAX_TOKENS * 16], return_offsets_mapping=True, add_special_tokens=False
    )
    token_ids = encoding["input_ids"][:MAX_TOKENS]
    lm.check_ids(token_ids)
    if not token_ids:
        raise InputError(f"{lm.model_id} reads nothing in that text; use other characters.")
    ends = [end for _, end in encoding["offset_mapping"]][:MAX_TOKENS]
    starts = [0, *ends[:-1]]
    cut = len(encoding["input_ids"]) > MAX_TOKENS or len(text) > MAX_TOKENS * 16
    hidden = []
    room = lm.context_length - len(lm.prefix_ids)
    width = room if len(token_ids) <= room else min(room, _WINDOW)
    for start, first, stop in _windows(len(token_ids), width):
        window = lm.reading(lm.prefix_ids + token_ids[start:stop])
        states = yield from scaled(window, (first - 1) / len(token_ids), stop / len(token_ids))
        hidden.append(states[len(lm.prefix_ids) :][first - 1 - start : -1])
    texts = [text[a:b] for a, b in zip(starts, ends, strict=True)]
    return ReadText(token_ids, texts, torch.cat(hidden), cut)


def _windows(n_tokens: int, width: int) -> Iterator[tuple[int, int, int]]:
    """Yield (start, first, stop): a window reads tokens [start, stop), predicts [first, stop)."""
    first, stop = 1, min(width, n_tokens)
    yield 0, first, stop
    while stop < n_tokens:
        first, stop = stop, min(stop + max(width // 2, 1), n_tokens)
        yield stop - width, first, stop
