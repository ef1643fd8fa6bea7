"""One row's text as it grows, cut at the request's stops, with the tokens that make it up."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from lmsteer_core.generation.live_row import Token


@dataclass(frozen=True)
class Piece:
    """A part of an answer, or all of it.

    Attributes:
        text: Its characters.
        tokens: The tokens that make it up; their texts joined are `text`.
        offset: Where it begins in the answer, in characters.
    """

    text: str = ""
    tokens: Sequence[Token] = field(default_factory=list)
    offset: int = 0

    @property
    def offsets(self) -> list[int]:
        """Where each token begins in the answer."""
        offsets, at = [], self.offset
        for token in self.tokens:
            offsets.append(at)
            at += len(token.text)
        return offsets


class Answer:
    """One row's text as it grows: what may be sent, and whether a stop text ended it.

    Attributes:
        text: All of it.
        tokens: What makes it up.
        n_tokens: Tokens that were written, those of the stop text included.
        is_stopped: Whether a stop text ended it.
    """

    def __init__(self, stops: Sequence[str], n_before: int = 0) -> None:
        """Begin an empty text that ends before any of the stops.

        Args:
            stops: The stop texts.
            n_before: Characters of the answer before this text, as of an echoed prompt.
        """
        self._stops, self._n_before = stops, n_before
        self._n_sent = self._n_sent_tokens = 0
        self.text = ""
        self.tokens: list[Token] = []
        self.n_tokens = 0
        self.is_stopped = False

    def append(self, token: Token) -> Piece:
        """Add a token and return what no stop text can claim any more, in whole tokens."""
        if self.is_stopped:
            return Piece()
        self.n_tokens += 1
        self.tokens.append(token)
        self.text += token.text
        stop_offsets = [at for stop in self._stops if (at := self.text.find(stop)) >= 0]
        if stop_offsets:
            self._truncate(min(stop_offsets))
            self.is_stopped = True
            return self.flush()
        return self._send(
            len(self.text) - max((_overlap(self.text, s) for s in self._stops), default=0)
        )

    def flush(self) -> Piece:
        """Return what was held back in case it grew into a stop text."""
        return self._send(len(self.text))

    def full(self) -> Piece:
        """Return all of the text."""
        return Piece(self.text, self.tokens, self._n_before)

    def _send(self, end: int) -> Piece:
        """Return the tokens up to a character, as far as they were not sent."""
        start = at = self._n_sent
        new: list[Token] = []
        for token in self.tokens[self._n_sent_tokens :]:
            if at + len(token.text) > end:
                break
            at += len(token.text)
            new.append(token)
        self._n_sent, self._n_sent_tokens = at, self._n_sent_tokens + len(new)
        return Piece(self.text[start:at], new, self._n_before + start)

    def _truncate(self, length: int) -> None:
        """Drop what comes after so many characters; a token on the edge keeps its first ones."""
        self.text = self.text[:length]
        tokens, at = [], 0
        for token in self.tokens:
            if at >= length:
                break
            tokens.append(dataclasses.replace(token, text=token.text[: length - at]))
            at += len(token.text)
        self.tokens = tokens


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of `text` that begins `stop`."""
    return next(
        (n for n in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-n:])), 0
    )
