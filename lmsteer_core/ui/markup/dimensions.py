"""The table of a steer's dimensions and their words."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import accumulate

from lmsteer_core.analysis.dimensions import Dimension


def dimension_table(
    dimensions: Sequence[Dimension],
    poles: tuple[str, str],
    *,
    kind: str = "dimension",
    can_try: bool = False,
) -> str:
    """Return a table of dimensions with the words at both ends.

    Args:
        dimensions: The strongest first.
        poles: What the steer calls its − and its + pole.
        kind: What they are called.
        can_try: Give each a button with its index in `data-try`.
    """
    shares = accumulate(d.energy for d in dimensions)
    rows = "".join(
        (
            f'<tr><th scope="row">{i}</th><td class="num">{d.energy:.0%}</td><td '
            f'class="num">{share:.0%}</td><td '
            f'class="minus">{escape(", ".join(d.negative))}</td><td '
            f'class="plus">{escape(", ".join(d.positive))}</td>'
        )
        + (f"<td>{_try_button(i)}</td>" if can_try else "")
        + "</tr>"
        for i, (d, share) in enumerate(zip(dimensions, shares, strict=True), 1)
    )
    return (
        f'<div class="scroll"><table class="dims {kind}"><thead><tr><th scope="col">{kind}</th>'
        '<th scope="col">energy</th><th scope="col">up to here</th>'
        f'<th scope="col">likelier at −ε ({escape(poles[0])})</th>'
        f'<th scope="col">likelier at +ε ({escape(poles[1])})</th>'
        + ('<th scope="col">on its own</th>' if can_try else "")
        + f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _try_button(i: int) -> str:
    label = f"Try dimension {i} as a steer of its own"
    return (
        f'<button type="button" class="try" data-try="{i - 1}" aria-label="{label}">Try it</button>'
    )
