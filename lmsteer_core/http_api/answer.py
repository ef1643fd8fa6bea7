"""One row's text as it grows, cut at the request's stops."""

from __future__ import annotations

from collections.abc import Sequence

from lmsteer_core.generation.live_row import Token
from lmsteer_core.http_api.schemas import TokenScores


class Answer:
    """One row's text as it grows: what may be sent, and whether a stop text ended it."""

    def __init__(self, stops: Sequence[str]) -> None:
        """Begin an empty text that ends before any of the stops."""
        self._stops = stops
        self._sent = 0
        self.text = ""
        self.scores = TokenScores()
        self.is_stopped = False

    def take(self, token: Token) -> tuple[str, TokenScores]:
        """Add a token and return the characters that no stop text can claim any more."""
        if self.is_stopped:
            return "", TokenScores()
        new = TokenScores([token], [len(self.text)])
        self.scores.tokens.append(token)
        self.scores.offsets.append(len(self.text))
        self.text += token.text
        found = [at for stop in self._stops if (at := self.text.find(stop)) >= 0]
        if found:
            self.text, self.is_stopped = self.text[: min(found)], True
        held = 0 if found else max((_overlap(self.text, stop) for stop in self._stops), default=0)
        return self._send(len(self.text) - held), new

    def rest(self) -> str:
        """Return what was held back in case it grew into a stop text."""
        return self._send(len(self.text))

    def _send(self, end: int) -> str:
        piece, self._sent = self.text[self._sent : end], max(self._sent, end)
        return piece


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of `text` that begins `stop`."""
    return next(
        (n for n in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-n:])), 0
    )
