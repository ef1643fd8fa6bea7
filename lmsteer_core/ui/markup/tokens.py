"""Texts whose tokens are tinted by evidence, and the marks of where two texts part."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from lmsteer_core.generation.live_row import Token
from lmsteer_core.ui.markup.format import epsilon_text, percent

FULL_TINT_NATS = 4.0
"""|nats| at which a token's tint is at its strongest; e⁴ is 55 times likelier."""

FULL_SURPRISE_NATS = 8.0
"""Surprise at which its tint is at its strongest; e⁻⁸ is a probability of 0.03 %."""

_choices = itertools.count()
_TINTED = Markup('{}<span class="{}" style="{}"{} title="{}">{}</span>')
_PLACE = Markup(' data-place="{}"').format


class Piece(NamedTuple):
    """One token as it is shown; the page's `live.js` makes the same of it as `html`.

    Attributes:
        place: Of the token in its text, from 0; None if it is no single token.
        space: What stands before the word, outside its tint.
        classes: How the word looks.
        strength: Of its tint, from "0.00" to "1.00".
        tip: What is told of it.
        word: The rest.
        surprise: −log p of the unsteered model in nats, for instance "3.21"; "" if it is unknown.
    """

    place: int | None
    space: str
    classes: str
    strength: str
    tip: str
    word: str
    surprise: str = ""

    @classmethod
    def of(
        cls, place: int | None, text: str, nats: float, tip: str, surprise: float = math.nan
    ) -> Piece:
        """Return a token whose tint grows with |nats|, blue for + and orange for −."""
        word = text.lstrip() or text
        strength = min(1.0, abs(nats) / FULL_TINT_NATS)
        pole = "" if strength < 0.02 else " plus" if nats > 0 else " minus"
        known = "" if math.isnan(surprise) else f"{max(surprise, 0.0):.2f}"
        before = text.removesuffix(word)
        return cls(place, before, f"tok{pole}", f"{strength:.2f}", tip, word, known)

    def html(self, mark: str = "") -> Markup:
        """Return the token as a span, with another class if `mark` names one."""
        style = f"--t:{self.strength}" + (f";--s:{self.surprise}" if self.surprise else "")
        place = Markup() if self.place is None else _PLACE(self.place)
        return _TINTED.format(
            self.space, f"{self.classes}{mark}", style, place, self.tip, self.word
        )


def tinted(text: str, nats: float, tip: str, place: int | None = None) -> Markup:
    """Return text as a span whose tint grows with |nats|, blue for + and orange for −.

    `place` is that of a single token in its text.
    """
    return Piece.of(place, text, nats, tip).html()


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
        # A character of several tokens shows the sums over its tokens.
        self._waiting = self._surprise = 0.0

    def add(self, token: Token, mark: str = "") -> None:
        """Let the continuation grow by a token, with another class if `mark` names one."""
        self._waiting += token.shift
        self._surprise -= token.base_logprob
        if token.text:
            tip = (
                f"steering made this {math.exp(min(abs(self._waiting), 50)):.3g} × "
                f"{'likelier' if self._waiting >= 0 else 'less likely'} ({self._waiting:+.2f} "
                f"nats); probability {percent(math.exp(token.base_logprob))} → "
                f"{percent(math.exp(token.logprob))}"
            )
            piece = Piece.of(self.n_tokens, token.text, self._waiting, tip, self._surprise)
            self.pieces.append(piece._replace(classes=piece.classes + mark))
            self._waiting = self._surprise = 0.0
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
        '<p class="legend by-steering"><span class="tok minus" style="--t:1">{}</span> '
        '<span class="tok minus" style="--t:.4">&nbsp;</span><span class="tok">no change</span>'
        '<span class="tok plus" style="--t:.4">&nbsp;</span> '
        '<span class="tok plus" style="--t:1">{}</span></p>'
    ).format(minus, plus)


def tints(minus: str, plus: str) -> Markup:
    """Return the choice between a tint by steering and one by surprise, and the key to each."""
    choice = Markup('<label><input type="radio" name="{}" value="{}"{}> {}</label>').format
    name = f"tint-{next(_choices)}"
    return Markup(
        '<fieldset class="tints"><legend>Tint by</legend>{}{}</fieldset>{}'
        '<p class="legend by-surprise">'
        '<span class="tok" style="--s:0">expected</span> '
        '<span class="tok" style="--s:{half:g}">&nbsp;</span> '
        '<span class="tok" style="--s:{full:g}">surprising</span> −log p under the unsteered '
        "model, full at {full:g} nats; e to its mean is the perplexity</p>"
    ).format(
        choice(name, "steering", Markup(" checked"), "steering"),
        choice(name, "surprise", "", "surprise"),
        legend(minus, plus),
        half=FULL_SURPRISE_NATS / 2,
        full=FULL_SURPRISE_NATS,
    )
