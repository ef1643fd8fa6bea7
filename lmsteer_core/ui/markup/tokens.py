"""Texts whose tokens are tinted by evidence, and the marks of where two texts part."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from lmsteer_core.generation.live_row import Token
from lmsteer_core.ui.markup.format import epsilon_text, percent

FULL_TINT_NATS = 4.0
"""|nats| at which a token's tint is at its strongest; e⁴ is 55 times likelier."""

_TINTED = Markup('{}<span class="tok{}{}" style="--t:{:.2f}" title="{}">{}</span>')


@functools.lru_cache(maxsize=4096)  # a text is drawn again at each new token
def tinted(text: str, nats: float, tip: str, classes: str = "") -> Markup:
    """Return one token as a span whose tint grows with |nats|, blue for + and orange for −."""
    word = text.lstrip() or text
    strength = min(1.0, abs(nats) / FULL_TINT_NATS)
    pole = "" if strength < 0.02 else " plus" if nats > 0 else " minus"
    return _TINTED.format(text.removesuffix(word), pole, classes, strength, tip, word)


def continuation(
    prompt: str, tokens: Sequence[Token], *, first_change: int | None = None
) -> Markup:
    """Return a prompt and its continuation, tokens tinted by how much steering moved them.

    Args:
        prompt: What was continued.
        tokens: The continuation.
        first_change: Index of the first token that differs from the other column.
    """
    parts = [prompt_html(prompt)]
    waiting = 0.0  # a character of several tokens shows the sum over its tokens
    for i, token in enumerate(tokens):
        waiting += token.shift
        if not token.text:
            continue
        tip = (
            f"steering made this {math.exp(min(abs(waiting), 50)):.3g} × "
            f"{'likelier' if waiting >= 0 else 'less likely'} ({waiting:+.2f} nats); probability "
            f"{percent(math.exp(token.base_logprob))} → {percent(math.exp(token.logprob))}"
        )
        mark = " first-change" if i == first_change else ""
        parts.append(tinted(token.text, waiting, tip, mark))
        waiting = 0.0
    return text_html(parts)


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


def continuum(
    prompt: str, epsilons: Sequence[float], rows: Sequence[Sequence[Token]], poles: tuple[str, str]
) -> Markup:
    """Return one line per ε, from one pole at the top to the other at the bottom."""
    line = Markup('<li class="{}"><span class="eps">{}</span>{}</li>')
    lines = []
    for epsilon, tokens in zip(epsilons, rows, strict=True):
        pole = "minus" if epsilon < 0 else "plus" if epsilon > 0 else "zero"
        lines.append(line.format(pole, epsilon_text(epsilon), continuation(prompt, tokens)))
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
