"""A steer from the weighted sum of several sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lmsteer_core.errors import InputError
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress, part
from lmsteer_core.training.fit import Lesson
from lmsteer_core.training.neutral_text import PlainText
from lmsteer_core.training.projection import natural_length
from lmsteer_core.training.sources.source import Shift, Source, StyleScore


@dataclass(frozen=True)
class Combined:
    """Several sources, each with its share of the shift's length: a description refined by data.

    Raises:
        InputError: If there is no source or a weight is not above 0.
    """

    parts: Sequence[tuple[Source, float]]

    def __post_init__(self) -> None:
        """Refuse weights that weigh nothing."""
        if not self.parts or not all(0 < weight < float("inf") for _, weight in self.parts):
            raise InputError("Sources are combined with weights above 0.")

    def shift(self, lm: LanguageModel, plain: PlainText, progress: Progress) -> Shift:
        """Return the weighted sum of the sources' shifts, each brought to one natural length.

        Their teachers become one, by the same weights.
        """
        total, held_out = torch.zeros((), dtype=torch.float64), None
        lessons: list[tuple[Lesson, float]] = []
        for i, (source, weight) in enumerate(self.parts):
            source_shift = source.shift(
                lm, plain, part(progress, i / len(self.parts), (i + 1) / len(self.parts))
            )
            length = natural_length(source_shift.halves.mean(0), plain.curvature)
            if not length:
                raise InputError(
                    f"The two poles of {source.summary} are alike to the model; make them differ."
                )
            total = total + weight * source_shift.halves / length
            held_out = held_out or source_shift.held_out
            if source_shift.lesson:
                lessons.append((source_shift.lesson, weight))
        return Shift(total, _mean_lesson(lessons) if lessons else None, held_out)

    def style_score(self, lm: LanguageModel) -> StyleScore:
        """Return the first source's judge."""
        return self.parts[0][0].style_score(lm)

    @property
    def poles(self) -> tuple[str, str]:
        """The first source's poles."""
        return self.parts[0][0].poles

    @property
    def summary(self) -> str:
        """What the steer was made from."""
        weights: dict[str, float] = {}
        for source, weight in self.parts:
            weights[source.summary] = weights.get(source.summary, 0.0) + weight
        return ", ".join(f"{summary} (weight {weight:.2g})" for summary, weight in weights.items())


def _mean_lesson(lessons: Sequence[tuple[Lesson, float]]) -> Lesson:
    """Return one teacher of the same contexts; what any of them leaves alone stays alone."""
    total = sum(weight for _, weight in lessons)
    shares = [(lesson, weight / total) for lesson, weight in lessons]
    return Lesson(
        lessons[0][0].hidden,
        torch.stack([share * lesson.toward for lesson, share in shares]).sum(dim=0),
        torch.stack([share * lesson.said for lesson, share in shares]).sum(dim=0),
        frozenset().union(*(lesson.silent_ids for lesson, _ in lessons)),
    )
