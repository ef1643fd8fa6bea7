"""What every method of the evaluation can do, and the model itself as the first of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from lmsteer_core.errors import InputError
from lmsteer_core.evaluation.task import Task
from lmsteer_core.generation.generate import Generated, Row, generate
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress

STRENGTHS: tuple[float, ...] = (1.0, 2.0, 3.0)
"""What calibrated methods are swept over: 3 is the end of a steer's useful range."""


class Method(Protocol):
    """A way to write towards the + pole or the − pole of a task.

    Attributes:
        name: Its name in tables.
        n_parameters: Numbers it has beyond the model's own; 0 for a prompt.
        training_seconds: What making it took, calibration included.
        strengths: Positive strengths to sweep; −s is the other pole.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def n_parameters(self) -> int: ...  # noqa: D102
    @property
    def training_seconds(self) -> float: ...  # noqa: D102
    @property
    def strengths(self) -> tuple[float, ...]: ...  # noqa: D102

    def continue_rows(
        self, rows: Sequence[Row], strength: float, sampling: Sampling
    ) -> list[Generated]:
        """Continue prompts.

        The strength 0 is the model itself: with the same dice the same text.
        """
        ...


@runtime_checkable
class Composable(Method, Protocol):
    """A method of which two can act at once, each with its own strength."""

    def beside(self, other: Self, strength: float) -> Method:
        """Return this method with another of its kind held at a strength."""
        ...


Maker = Callable[..., Method]
"""(lm, task, folder, progress) → a method."""


@dataclass(frozen=True)
class Unsteered:
    """The model itself."""

    lm: LanguageModel
    name: str = "unsteered"
    n_parameters: int = 0
    training_seconds: float = 0.0
    strengths: tuple[float, ...] = ()

    def continue_rows(
        self, rows: Sequence[Row], strength: float, sampling: Sampling
    ) -> list[Generated]:
        """Continue prompts; there is no strength but 0."""
        if strength:
            raise InputError("The unsteered model has no strength but 0.")
        return generate(self.lm, rows, {}, sampling, logprobs=False)


def unsteered(lm: LanguageModel, _task: Task, _folder: Path, _progress: Progress) -> Unsteered:
    """Return the model itself."""
    return Unsteered(lm)
