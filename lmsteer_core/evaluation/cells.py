"""What a run consists of: cells of one method at one strength, and how much text each has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lmsteer_core.errors import InputError
from lmsteer_core.evaluation.methods.budget import Budget, budgets
from lmsteer_core.generation.sampling import Sampling

UNSTEERED = "unsteered"
SECTIONS = ("curves", "composition", "data")

DATA_SIZES = (10, 30, 100, 1000)
"""Training texts of the section on data; the whole file's point is taken from the curves."""

MAX_SAMPLES = 1000


@dataclass(frozen=True)
class Protocol:
    """How much is written.

    Attributes:
        n_samples: Continuations of a prompt.
        sampling: How each is drawn.
        section_prompts: Prompts of the sections on composition and data: the first of all.
        section_samples: Their continuations: the first of a prompt's.
        budgets: How long methods learn, by their keys.
    """

    n_samples: int = 25
    sampling: Sampling = Sampling(temperature=1.0, top_p=0.9, max_new_tokens=20)
    section_prompts: int = 100
    section_samples: int = 5
    budgets: Mapping[str, Budget] = field(default_factory=budgets)

    def __post_init__(self) -> None:
        """Refuse numbers of samples that no run could have."""
        if not 1 <= self.n_samples <= MAX_SAMPLES:
            raise InputError(
                f"--samples must be between 1 and {MAX_SAMPLES}, not {self.n_samples}."
            )


@dataclass(frozen=True)
class Cell:
    """One method at one strength.

    Attributes:
        method: Its key in `MAKERS`.
        strength: Signed.
        section: One of `SECTIONS`.
        held: Composition: the strength of the other task's method.
        n_texts: Data: how many texts the method was made from.
    """

    method: str
    strength: float
    section: str = "curves"
    held: float | None = None
    n_texts: int | None = None

    @property
    def path(self) -> str:
        """Where its files are, without their endings."""
        place = self.section if self.n_texts is None else f"{self.section}/{self.n_texts}"
        beside = "" if self.held is None else f" {self.held:+g}"
        return f"{place}/{self.method}/{self.strength:+g}{beside}"
