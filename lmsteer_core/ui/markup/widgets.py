"""Small pieces of HTML that several tabs show."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from lmsteer_core.steers.card import SteerCard


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
        origin = (
            f'<span class="origin" title="{escape(card.method)}: '
            f'{escape(card.data)}">transferred</span>'
        )
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
        f'<div class="bar" role="progressbar" aria-label="{escape(label)}" '
        f'aria-valuenow="{filled}"><i style="width:{filled}%"></i></div>{progress(text)}'
    )


def histogram(values: Sequence[float], *, n_bins: int = 8) -> str:
    """Return numbers from −1 to 1 as small bars, those below 0 in the − pole's colour."""
    counts = [0] * n_bins
    for value in values:
        counts[min(n_bins - 1, int((value + 1) / 2 * n_bins))] += 1
    bars = "".join(
        f'<i class="{"minus" if 2 * i < n_bins else "plus"}" '
        f'style="height:{100 * count / max(counts):.0f}%" title="{count} labels from '
        f'{2 * i / n_bins - 1:+.2f} to {2 * (i + 1) / n_bins - 1:+.2f}"></i>'
        for i, count in enumerate(counts)
    )
    axis = "<span>−1</span><span>0</span><span>+1</span>"
    return f'<div class="histogram">{bars}</div><p class="axis">{axis}</p>'


def equation(formula: str, told: str, file: str) -> str:
    """Return a fold-out with a view's formula, what its letters mean and the file that holds it."""
    return (
        '<details class="equation"><summary>The '
        f"equation</summary><p><code>{escape(formula)}</code></p>"
        f"<p>{escape(told)} In the code: <code>lmsteer_core/{escape(file)}</code>.</p></details>"
    )


def note(text: str, kind: str = "info") -> str:
    """Return a status line; `kind` is info, warning or error."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="note {kind}" role="{role}">{escape(text)}</p>' if text else ""


def progress(text: str) -> str:
    """Return a status line that changes at every token, so no screen reader announces it."""
    return f'<p class="note">{escape(text)}</p>'
