"""The table of a steer's dimensions and their words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from markupsafe import Markup

from lmsteer_core.analysis.dimensions import Dimension


def dimension_table(
    dimensions: Sequence[Dimension],
    poles: tuple[str, str],
    *,
    can_open: bool = False,
) -> Markup:
    """Return a table of dimensions with the words at both ends.

    Args:
        dimensions: The strongest first.
        poles: What the steer calls its − and its + pole.
        can_open: Give each a button with its index in `data-look`, and one in `data-try`.
    """
    row = Markup(
        '<tr><th scope="row">{}</th><td class="num">{:.0%}</td><td class="num">{:.0%}</td>'
        '<td class="minus">{}</td><td class="plus">{}</td>{}</tr>'
    )
    shares = accumulate(dimension.energy for dimension in dimensions)
    rows = Markup().join(
        row.format(
            i,
            dimension.energy,
            share,
            ", ".join(dimension.negative),
            ", ".join(dimension.positive),
            _buttons(i) if can_open else "",
        )
        for i, (dimension, share) in enumerate(zip(dimensions, shares, strict=True), 1)
    )
    return Markup(
        '<div class="scroll"><table class="dims"><thead><tr><th scope="col">dimension</th>'
        '<th scope="col">share</th><th scope="col">up to here</th>'
        '<th scope="col">likelier at −ε ({minus})</th><th scope="col">likelier at +ε ({plus})</th>'
        "{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    ).format(
        minus=poles[0],
        plus=poles[1],
        head=Markup('<th scope="col">on its own</th>') if can_open else "",
        rows=rows,
    )


def _buttons(i: int) -> Markup:
    return Markup(
        '<td><button type="button" class="try" data-look="{0}" '
        'aria-label="Look at what dimension {1} reads and writes">Look</button> '
        '<button type="button" class="try" data-try="{0}" '
        'aria-label="Try dimension {1} as a steer of its own">Try it</button></td>'
    ).format(i - 1, i)
