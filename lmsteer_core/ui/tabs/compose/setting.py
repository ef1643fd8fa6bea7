"""What the tab's widgets hold, and what that means: who steers what, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.figures.plane import EXTENT

NOTHING, WORD, STYLE = "None", "Probability of a word", "Style of the text"
NOBODY = "none"

COARSE_GRID = [-2.4, -1.2, 0.0, 1.2, 2.4]
"""ε at which texts are written: the middles of five equal parts of ±EXTENT."""

PROMPT_CHARACTERS = 1000
"""Of a long prompt only the end is read: every move of the point
reads it anew, a style map 25 times."""


@dataclass(frozen=True)
class Controls:
    """The values of the widgets; steers by name, None for a chooser or a number left empty."""

    prompt: str
    across: str | None
    up: str | None
    third: str | None
    third_epsilon: float
    is_unlocked: bool
    at_across: float | None
    at_up: float | None
    seed: float | None
    kind: str
    word: str
    judge: str


@dataclass(frozen=True)
class Setting:
    """What a map depends on besides the word: who steers what."""

    prompt: str
    across: Steer
    up: Steer
    third: tuple[tuple[Steer, float], ...]
    is_unlocked: bool

    def lows(self) -> tuple[float, float]:
        """Return the lowest ε of each axis: 0 where a notice keeps the − pole locked."""
        first, second = (
            steer.card.lowest(-EXTENT, self.is_unlocked) for steer in (self.across, self.up)
        )
        return first, second

    def is_locked(self, at_across: float, at_up: float) -> bool:
        """Return whether a point lies on a − pole that its notice keeps locked."""
        low_across, low_up = self.lows()
        return (at_across < 0 and low_across == 0) or (at_up < 0 and low_up == 0)

    def epsilons(self, at_across: float, at_up: float) -> dict[str, float]:
        """Return ε by name at a point."""
        third = {steer.name: epsilon for steer, epsilon in self.third}
        return {self.across.name: at_across, self.up.name: at_up, **third}


@dataclass(frozen=True)
class StyleMap:
    """Texts over the coarse grid with their scores, by (ε₂, ε₁); None where locked."""

    setting: Setting
    texts: list[list[str]]
    scores: list[list[list[float] | None]]


def first_two(names: Sequence[str]) -> tuple[str | None, str | None]:
    """Return the first two names, None for those that are not there."""
    return names[0] if names else None, names[1] if len(names) > 1 else None


def third_choices(names: list[str]) -> list[str]:
    """Return what the chooser of the third steer offers: no steer, or one of the names."""
    return [NOBODY, *names]
