"""Small pieces of HTML that several tabs show."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from lmsteer_core.steers.card import SteerCard


def poles(card: SteerCard, box: str) -> Markup:
    """Return the line below a steer's slider, and the card's limits for the shading of its track.

    Args:
        card: The steer's card.
        box: Element id of what holds the slider.
    """
    limits = ("--useful-low", "--useful-high", "--breaks-low", "--breaks-high")
    values = zip(limits, (*card.epsilon_range, *card.collapse_range), strict=True)
    track = ";".join(f"{name}:{value:.4f}" for name, value in values)
    origin = Markup()
    if card.method.startswith("transferred"):
        origin = Markup('<span class="origin" title="{}: {}">transferred</span>').format(
            card.method, card.data
        )
    return Markup(
        "<style>[id='{}'] {{{}}}</style>"
        '<div class="poles"><span class="minus">−&nbsp;{}</span>{}'
        '<span class="plus">{}&nbsp;+</span></div>'
    ).format(box, track, card.negative, origin, card.positive)


def track_legend() -> Markup:
    """Return the key to the shading of a slider's track."""
    kinds = {"useful": "useful", "strained": "fluency falls", "breaks": "text breaks"}
    swatches = map(Markup('<span><i class="{}"></i> {}</span>').format, kinds, kinds.values())
    return Markup('<p class="key">{}</p>').format(Markup().join(swatches))


def progress_bar(share: float, text: str, label: str) -> Markup:
    """Return a bar named `label`, filled to `share` (0 to 1), above what is being done."""
    filled = f"{100 * min(max(share, 0.0), 1.0):.0f}"
    return Markup(
        '<div class="bar" role="progressbar" aria-label="{}" '
        'aria-valuenow="{}"><i style="width:{}%"></i></div>{}'
    ).format(label, filled, filled, progress(text))


def histogram(values: Sequence[float], *, n_bins: int = 8) -> Markup:
    """Return numbers from −1 to 1 as small bars, those below 0 in the − pole's colour."""
    counts = [0] * n_bins
    for value in values:
        counts[min(n_bins - 1, int((value + 1) / 2 * n_bins))] += 1
    bar = Markup(
        '<i class="{}" style="height:{:.0f}%" title="{} labels from {:+.2f} to {:+.2f}"></i>'
    )
    bars = Markup().join(
        bar.format(
            "minus" if 2 * i < n_bins else "plus",
            100 * count / max(counts),
            count,
            2 * i / n_bins - 1,
            2 * (i + 1) / n_bins - 1,
        )
        for i, count in enumerate(counts)
    )
    return Markup(
        '<div class="histogram">{}</div>'
        '<p class="axis"><span>−1</span><span>0</span><span>+1</span></p>'
    ).format(bars)


def equation(formula: str, meaning: str, file: str) -> Markup:
    """Return a fold-out with a view's formula, what its letters mean and the file that holds it."""
    return Markup(
        '<details class="equation"><summary>The equation</summary><p><code>{}</code></p>'
        "<p>{} In the code: <code>lmsteer_core/{}</code>.</p></details>"
    ).format(formula, meaning, file)


def note(text: str, kind: str = "info") -> Markup:
    """Return a status line; `kind` is info, warning or error."""
    role = "alert" if kind == "error" else "status"
    html = Markup('<p class="note {}" role="{}">{}</p>')
    return html.format(kind, role, text) if text else Markup()


def progress(text: str) -> Markup:
    """Return a status line that changes at every token, so no screen reader announces it."""
    return Markup('<p class="note">{}</p>').format(text)
