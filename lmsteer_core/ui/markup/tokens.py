"""Texts whose tokens are tinted by evidence, and the marks of where two texts part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from lmsteer_core.generation.live_row import Token
from lmsteer_core.ui.markup.format import epsilon_text, percent

FULL_TINT_NATS = 4.0
"""|nats| at which a token's tint is at its strongest; e⁴ is 55 times likelier."""


def tinted(text: str, nats: float, tip: str, classes: str = "") -> str:
    """Return one token as a span whose tint grows with |nats|, blue for + and orange for −."""
    word = text.lstrip() or text
    strength = min(1.0, abs(nats) / FULL_TINT_NATS)
    pole = "" if strength < 0.02 else " plus" if nats > 0 else " minus"
    return (
        f'{escape(text.removesuffix(word))}<span class="tok{pole}{classes}" '
        f'style="--t:{strength:.2f}" title="{escape(tip)}">{escape(word)}</span>'
    )


def continuation(prompt: str, tokens: Sequence[Token], *, first_change: int | None = None) -> str:
    """Return a prompt and its continuation, tokens tinted by how much steering moved them.

    Args:
        prompt: What was continued.
        tokens: The continuation.
        first_change: Index of the first token that differs from the other column.
    """
    parts = [f'<span class="prompt">{escape(prompt)}</span>']
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
    return f'<div class="gen" dir="auto">{"".join(parts)}</div>'


def first_difference(a: Sequence[Token], b: Sequence[Token]) -> int | None:
    """Return the index of the first token in which two continuations differ."""
    for i, (left, right) in enumerate(zip(a, b, strict=False)):
        if left.id != right.id:
            return i
    return min(len(a), len(b)) if len(a) != len(b) else None


def continuum(
    prompt: str, epsilons: Sequence[float], rows: Sequence[Sequence[Token]], poles: tuple[str, str]
) -> str:
    """Return one line per ε, from one pole at the top to the other at the bottom."""
    lines = []
    for epsilon, tokens in zip(epsilons, rows, strict=True):
        pole = "minus" if epsilon < 0 else "plus" if epsilon > 0 else "zero"
        lines.append(
            f'<li class="{pole}"><span class="eps">{epsilon_text(epsilon)}</span>'
            f"{continuation(prompt, tokens)}</li>"
        )
    return (
        f'<p class="pole minus">▲ {escape(poles[0])}</p><ol class="continuum">{"".join(lines)}</ol>'
        f'<p class="pole plus">▼ {escape(poles[1])}</p>'
    )


def legend(minus: str, plus: str) -> str:
    """Return the key to the tints."""
    return (
        f'<p class="legend"><span class="tok minus" style="--t:1">{escape(minus)}</span> '
        f'<span class="tok minus" style="--t:.4">&nbsp;</span><span class="tok">no change</span>'
        f'<span class="tok plus" style="--t:.4">&nbsp;</span> '
        f'<span class="tok plus" style="--t:1">{escape(plus)}</span></p>'
    )
