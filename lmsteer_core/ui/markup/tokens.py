"""Texts whose tokens are tinted by evidence, and the marks of where two texts part."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from lmsteer_core.generation.live_row import Token
from lmsteer_core.ui.markup.format import epsilon_text, percent

FULL_TINT_NATS = 4.0
"""|nats| at which a token's tint is at its strongest; e⁴ is 55 times likelier."""

_TINTED = Markup('{}<span class="{}" style="--t:{}" title="{}">{}</span>')


class Piece(NamedTuple):
    """One token as it is shown; the page's `live.js` makes the same of it as `html`.

    Attributes:
        place: Of the token in its text, from 0.
        space: What stands before the word, outside its tint.
        classes: How the word looks.
        strength: Of its tint, from "0.00" to "1.00".
        tip: What is told of it.
        word: The rest.
    """

    place: int
    space: str
    classes: str
    strength: str
    tip: str
    word: str

    @classmethod
    def of(cls, place: int, text: str, nats: float, tip: str) -> Piece:
        """Return a token whose tint grows with |nats|, blue for + and orange for −."""
        word = text.lstrip() or text
        strength = min(1.0, abs(nats) / FULL_TINT_NATS)
        pole = "" if strength < 0.02 else " plus" if nats > 0 else " minus"
        return cls(place, text.removesuffix(word), f"tok{pole}", f"{strength:.2f}", tip, word)

    def html(self, mark: str = "") -> Markup:
        """Return the token as a span, with another class if `mark` names one."""
        return _TINTED.format(
            self.space, f"{self.classes}{mark}", self.strength, self.tip, self.word
        )


def tinted(text: str, nats: float, tip: str) -> Markup:
    """Return one token as a span whose tint grows with |nats|, blue for + and orange for −."""
    return Piece.of(0, text, nats, tip).html()


class Continuation:
    """A prompt and its continuation, each token tinted by how much steering moved it.

    Attributes:
        pieces: The continuation as it is shown.
        n_tokens: Its length.
        first_change: Index of the first token that differs from the other column.
        limit: None: all of it is shown.
    """

    def __init__(self, prompt: str) -> None:
        """Begin after a prompt."""
        self._prompt = prompt
        self.pieces: list[Piece] = []
        self.n_tokens = 0
        self.first_change: int | None = None
        self.limit: int | None = None
        self._waiting = 0.0  # a character of several tokens shows the sum over its tokens

    def add(self, token: Token) -> None:
        """Let the continuation grow by a token."""
        self._waiting += token.shift
        if token.text:
            tip = (
                f"steering made this {math.exp(min(abs(self._waiting), 50)):.3g} × "
                f"{'likelier' if self._waiting >= 0 else 'less likely'} ({self._waiting:+.2f} "
                f"nats); probability {percent(math.exp(token.base_logprob))} → "
                f"{percent(math.exp(token.logprob))}"
            )
            self.pieces.append(Piece.of(self.n_tokens, token.text, self._waiting, tip))
            self._waiting = 0.0
        self.n_tokens += 1

    def beginning(self) -> Markup:
        """Return the prompt alone."""
        return text_html([prompt_html(self._prompt)])

    def html(self) -> Markup:
        """Return all of it."""
        spans = (
            piece.html(" first-change" if piece.place == self.first_change else "")
            for piece in self.pieces
        )
        return text_html([prompt_html(self._prompt), *spans])


def prompt_html(prompt: str) -> Markup:
    """Return the beginning of a text, which was given."""
    return Markup('<span class="prompt">{}</span>').format(prompt)


def text_html(parts: Iterable[str]) -> Markup:
    """Return a text of plain and of tinted parts; the plain ones are escaped."""
    return Markup('<div class="gen" dir="auto">{}</div>').format(Markup().join(parts))


def first_difference(a: Sequence[Token], b: Sequence[Token]) -> int | None:
    """Return the index of the first token in which two continuations differ."""
    for i, (left, right) in enumerate(zip(a, b, strict=False)):
        if left.id != right.id:
            return i
    return min(len(a), len(b)) if len(a) != len(b) else None


def continuum(epsilons: Sequence[float], texts: Sequence[Markup], poles: tuple[str, str]) -> Markup:
    """Return one line per ε, from one pole at the top to the other at the bottom."""
    line = Markup('<li class="{}"><span class="eps">{}</span>{}</li>')
    lines = []
    for epsilon, text in zip(epsilons, texts, strict=True):
        pole = "minus" if epsilon < 0 else "plus" if epsilon > 0 else "zero"
        lines.append(line.format(pole, epsilon_text(epsilon), text))
    return Markup(
        '<p class="pole minus">▲ {}</p><ol class="continuum">{}</ol><p class="pole plus">▼ {}</p>'
    ).format(poles[0], Markup().join(lines), poles[1])


def legend(minus: str, plus: str) -> Markup:
    """Return the key to the tints."""
    return Markup(
        '<p class="legend"><span class="tok minus" style="--t:1">{}</span> '
        '<span class="tok minus" style="--t:.4">&nbsp;</span><span class="tok">no change</span>'
        '<span class="tok plus" style="--t:.4">&nbsp;</span> '
        '<span class="tok plus" style="--t:1">{}</span></p>'
    ).format(minus, plus)
