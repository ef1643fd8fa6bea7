"""Results → HTML. Every character that a user or the model wrote passes through `escape`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from lmsteer_core.decoding import Token
from lmsteer_core.plots.look import signed
from lmsteer_core.steer import SteerCard

FULL_TINT_NATS = 4.0
"""|nats| at which a token's tint is at its strongest; e⁴ is 55 times likelier."""


def tinted(text: str, nats: float, tip: str, classes: str = "") -> str:
    """Return one token as a span whose tint grows with |nats|, blue for + and orange for −."""
    word = text.lstrip() or text
    strength = min(1.0, abs(nats) / FULL_TINT_NATS)
    pole = "" if strength < 0.02 else " plus" if nats > 0 else " minus"
    return (
        f'{escape(text.removesuffix(word))}<span class="tok{pole}{classes}" style="--t:{strength:.2f}" '
        f'title="{escape(tip)}">{escape(word)}</span>'
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
            f"{'likelier' if waiting >= 0 else 'less likely'} ({waiting:+.2f} nats); "
            f"probability {percent(math.exp(token.base_logprob))} → {percent(math.exp(token.logprob))}"
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


def poles(card: SteerCard, box: str) -> str:
    """Return the line below a steer's slider, and the card's limits for the shading of its track.

    Args:
        card: The steer's card.
        box: Element id of what holds the slider.
    """
    limits = ("--useful-low", "--useful-high", "--breaks-low", "--breaks-high")
    values = zip(limits, (*card.epsilon_range, *card.collapse_range), strict=True)
    track = ";".join(f"{name}:{value:.4f}" for name, value in values)
    origin = ""
    if card.method.startswith("transferred"):
        origin = f'<span class="origin" title="{escape(card.method)}: {escape(card.data)}">transferred</span>'
    return (
        f"<style>[id='{escape(box)}'] {{{track}}}</style>"
        f'<div class="poles"><span class="minus">−&nbsp;{escape(card.negative)}</span>{origin}'
        f'<span class="plus">{escape(card.positive)}&nbsp;+</span></div>'
    )


def track_legend() -> str:
    """Return the key to the shading of a slider's track."""
    kinds = {"useful": "useful", "strained": "fluency falls", "breaks": "text breaks"}
    swatches = (f'<span><i class="{kind}"></i> {told}</span>' for kind, told in kinds.items())
    return f'<p class="key">{"".join(swatches)}</p>'


def progress_bar(share: float, text: str, label: str) -> str:
    """Return a bar named `label`, filled to `share` (0 to 1), above what is being done."""
    filled = f"{100 * min(max(share, 0.0), 1.0):.0f}"
    return (
        f'<div class="bar" role="progressbar" aria-label="{escape(label)}" aria-valuenow="{filled}">'
        f'<i style="width:{filled}%"></i></div>{progress(text)}'
    )


def histogram(values: Sequence[float], *, n_bins: int = 8) -> str:
    """Return numbers from −1 to 1 as small bars, those below 0 in the − pole's colour."""
    counts = [0] * n_bins
    for value in values:
        counts[min(n_bins - 1, int((value + 1) / 2 * n_bins))] += 1
    bars = "".join(
        f'<i class="{"minus" if 2 * i < n_bins else "plus"}" style="height:{100 * count / max(counts):.0f}%" '
        f'title="{count} labels from {2 * i / n_bins - 1:+.2f} to {2 * (i + 1) / n_bins - 1:+.2f}"></i>'
        for i, count in enumerate(counts)
    )
    axis = "<span>−1</span><span>0</span><span>+1</span>"
    return f'<div class="histogram">{bars}</div><p class="axis">{axis}</p>'


def legend(minus: str, plus: str) -> str:
    """Return the key to the tints."""
    return (
        f'<p class="legend"><span class="tok minus" style="--t:1">{escape(minus)}</span> '
        f'<span class="tok minus" style="--t:.4">&nbsp;</span><span class="tok">no change</span>'
        f'<span class="tok plus" style="--t:.4">&nbsp;</span> '
        f'<span class="tok plus" style="--t:1">{escape(plus)}</span></p>'
    )


def equation(formula: str, told: str, file: str) -> str:
    """Return a fold-out with a view's formula, what its letters mean and the file that holds it."""
    return (
        f'<details class="equation"><summary>The equation</summary><p><code>{escape(formula)}</code></p>'
        f"<p>{escape(told)} In the code: <code>lmsteer_core/{escape(file)}</code>.</p></details>"
    )


def note(text: str, kind: str = "info") -> str:
    """Return a status line; `kind` is info, warning or error."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="note {kind}" role="{role}">{escape(text)}</p>' if text else ""


def progress(text: str) -> str:
    """Return a status line that changes at every token, so no screen reader announces it."""
    return f'<p class="note">{escape(text)}</p>'


def epsilon_text(epsilon: float) -> str:
    """Return ε with a real minus sign, e.g. "+1.5", "0", "−3"."""
    return signed(epsilon, "+.3g")


def percent(p: float) -> str:
    """Return a probability in percent."""
    number = f"{100 * p:.0f}" if p >= 0.1 else f"{100 * p:.2g}" if p >= 1e-4 else "<\u00a00.01"
    return f"{number}\u00a0%"


def visible(text: str) -> str:
    """Return text with its spaces, tabs and line ends shown."""
    return text.translate({32: "␣", 10: "⏎", 13: "⏎", 9: "⇥"})
