"""A heat map over the plane of two steers: cells that lie under the pad, and their colour bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

EXTENT = 3.0
"""The plane shows ε from −EXTENT to EXTENT on both axes."""


@dataclass(frozen=True)
class Heat:
    """What to draw over the plane.

    Attributes:
        title: What the numbers are.
        epsilons: The grid of both axes, evenly spaced.
        values: Row i is ε₂ = epsilons[i], column j is ε₁ = epsilons[j]; None is left blank.
        told: Every value as text.
        is_signed: Whether values have a sign and go from − orange to + blue.
        texts: What each value was found in, or () for none.
    """

    title: str
    epsilons: Sequence[float]
    values: Sequence[Sequence[float | None]]
    told: Sequence[Sequence[str]]
    is_signed: bool = False
    texts: Sequence[Sequence[str]] = ()

    @property
    def bound(self) -> float:
        """The |value| of the strongest colour."""
        return (
            max((abs(v) for row in self.values for v in row if v is not None), default=0.0) or 1.0
        )


def cells(heat: Heat) -> str:
    """Return the map as SVG in units of ε, ε₂ upwards; few cells also show their numbers."""
    step = (heat.epsilons[-1] - heat.epsilons[0]) / max(len(heat.epsilons) - 1, 1) or 1.0
    drawn = []
    for y, values, told in zip(heat.epsilons, heat.values, heat.told, strict=True):
        for x, value, text in zip(heat.epsilons, values, told, strict=True):
            if value is None:
                continue
            kind = "plain" if not heat.is_signed else "plus" if value >= 0 else "minus"
            drawn.append(
                f'<rect class="{kind}" style="--t:{abs(value) / heat.bound:.2f}" '
                f'x="{x - step / 2:g}" y="{-y - step / 2:g}" width="{step:g}" height="{step:g}"/>'
            )
            if step >= 1:
                drawn.append(f'<text x="{x:g}" y="{-y:g}">{escape(text)}</text>')
    box = f"{-EXTENT:g} {-EXTENT:g} {2 * EXTENT:g} {2 * EXTENT:g}"
    return f'<svg viewBox="{box}" aria-hidden="true" focusable="false">{"".join(drawn)}</svg>'


def colour_bar(heat: Heat, least: str, most: str) -> str:
    """Return the key to the colours: the title above a bar between two numbers."""
    kind = "signed" if heat.is_signed else "plain"
    return (
        f'<div class="plane-key"><p>{escape(heat.title)}</p><span>{escape(least)}</span>'
        f'<i class="{kind}"></i><span>{escape(most)}</span></div>'
    )
