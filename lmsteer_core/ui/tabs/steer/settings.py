"""What the Steer tab's widgets say, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lmsteer_core.errors import InputError
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.steers.card import SteerCard
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.page.page_steers import N_SLOTS, PageSteers

SIDE_BY_SIDE, DRIVE = "Side by side", "Drive"
SLOT_BOXES = [f"own-{i}-box" for i in range(1, N_SLOTS + 1)]
"""Element ids of what holds the slider of each slot."""


@dataclass(frozen=True)
class WritingSettings:
    """What every text of the tab is written with.

    Attributes:
        prompt: What is continued.
        temperature: 0 is greedy.
        top_p: Probability mass kept by nucleus sampling.
        n_tokens: Tokens to add at most.
        seed: Names the noise; None while its field is empty.
        unlocked: Whether poles that produce offensive text may be used.
    """

    prompt: str
    temperature: float
    top_p: float
    n_tokens: float
    seed: float | None
    unlocked: bool

    @property
    def sampling(self) -> Sampling:
        """How tokens are drawn.

        Raises:
            InputError: If there is no seed.
        """
        if self.seed is None:
            raise InputError("The seed is empty; open Sampling and give it a whole number.")
        return Sampling(self.temperature, self.top_p, int(self.n_tokens), int(self.seed))


@dataclass(frozen=True)
class SliderSettings(WritingSettings):
    """What the steered text is written with.

    Attributes:
        view: SIDE_BY_SIDE or DRIVE.
        epsilons: ε of every slider, in the order of `PageSteers.behind_sliders`.
    """

    view: str
    epsilons: tuple[float, ...]


@dataclass(frozen=True)
class ContinuumSettings(WritingSettings):
    """What the continuum is written with.

    Attributes:
        steer_name: The steer whose ε varies.
        n_lines: Texts, each at its own ε.
    """

    steer_name: str | None
    n_lines: float


def continuum_grid(card: SteerCard, n_lines: int, unlocked: bool) -> list[float]:
    """Return the ε of a continuum's lines: from one end of the useful range to the other."""
    low, high = card.epsilon_range
    low = card.lowest(low, unlocked)
    return [round(low + (high - low) * i / (n_lines - 1), 2) for i in range(n_lines)]


class ChosenSteers(NamedTuple):
    """The steers that the sliders use, and ε of each by its name."""

    epsilons: Mapping[str, float]
    steers: Mapping[str, Steer]


def chosen_steers(page_steers: PageSteers, session: str, settings: SliderSettings) -> ChosenSteers:
    """Return the steers as the sliders stand.

    Raises:
        InputError: If a steer is no longer held.
    """
    epsilons: dict[str, float] = {}
    steers: dict[str, Steer] = {}
    for steer, epsilon in zip(page_steers.behind_sliders(session), settings.epsilons, strict=True):
        if epsilon and not steer:
            raise InputError("A steer you made is no longer held here: make it or upload it again.")
        if steer:
            epsilons[steer.name], steers[steer.name] = epsilon, steer
    return ChosenSteers(epsilons, steers)
