"""A heat map over the plane of two steers: cells that lie under the pad, and their colour bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

EXTENT = 3.0
"""The plane shows ε from −EXTENT to EXTENT on both axes."""


@dataclass(frozen=True)
class Heat:
    """What to draw over the plane.

    Attributes:
        title: What the numbers are.
        epsilons: The grid of both axes, evenly spaced.
        values: Row i is ε₂ = epsilons[i], column j is ε₁ = epsilons[j]; None is left blank.
        labels: Every value as text.
        is_signed: Whether values have a sign and go from − orange to + blue.
        texts: The text that each value scores, or () for none.
    """

    title: str
    epsilons: Sequence[float]
    values: Sequence[Sequence[float | None]]
    labels: Sequence[Sequence[str]]
    is_signed: bool = False
    texts: Sequence[Sequence[str]] = ()

    @property
    def bound(self) -> float:
        """The |value| of the strongest colour."""
        return (
            max((abs(v) for row in self.values for v in row if v is not None), default=0.0) or 1.0
        )


def cells(heat: Heat) -> Markup:
    """Return the map as SVG in units of ε, ε₂ upwards; few cells also show their numbers."""
    step = (heat.epsilons[-1] - heat.epsilons[0]) / max(len(heat.epsilons) - 1, 1) or 1.0
    rect = Markup(
        '<rect class="{}" style="--t:{:.2f}" x="{:g}" y="{:g}" width="{:g}" height="{:g}"/>'
    )
    drawn = []
    for y, values, labels in zip(heat.epsilons, heat.values, heat.labels, strict=True):
        for x, value, label in zip(heat.epsilons, values, labels, strict=True):
            if value is None:
                continue
            kind = "plain" if not heat.is_signed else "plus" if value >= 0 else "minus"
            strength = abs(value) / heat.bound
            drawn.append(rect.format(kind, strength, x - step / 2, -y - step / 2, step, step))
            if step >= 1:
                drawn.append(Markup('<text x="{:g}" y="{:g}">{}</text>').format(x, -y, label))
    return Markup(
        '<svg viewBox="{:g} {:g} {:g} {:g}" aria-hidden="true" focusable="false">{}</svg>'
    ).format(-EXTENT, -EXTENT, 2 * EXTENT, 2 * EXTENT, Markup("").join(drawn))


def colour_bar(heat: Heat, least: str, most: str) -> Markup:
    """Return the key to the colours: the title above a bar between two numbers."""
    return Markup(
        '<div class="plane-key"><p>{}</p><span>{}</span><i class="{}"></i><span>{}</span></div>'
    ).format(heat.title, least, "signed" if heat.is_signed else "plain", most)
