"""Steers as methods: ours from labelled text or descriptions, and the published recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lmsteer_core.evaluation.methods.base import STRENGTHS
from lmsteer_core.evaluation.methods.budget import BUDGETS, Budget
from lmsteer_core.evaluation.methods.kept import kept_steer
from lmsteer_core.evaluation.task import Task
from lmsteer_core.generation.generate import Generated, Row, generate
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress
from lmsteer_core.steers.steer import Steer
from lmsteer_core.training.official_recipe import train_official
from lmsteer_core.training.sources.descriptions import Descriptions
from lmsteer_core.training.train import calibrated, train


@dataclass(frozen=True)
class Steered:
    """A steer W: E (h + ε Wᵀ h)."""

    lm: LanguageModel
    name: str
    steer: Steer
    training_seconds: float
    strengths: tuple[float, ...] = STRENGTHS
    held: Mapping[str, tuple[Steer, float]] = field(default_factory=dict)

    @property
    def n_parameters(self) -> int:
        """Numbers in both factors of W."""
        return self.steer.left.numel() + self.steer.right.numel()

    def beside(self, other: Steered, strength: float) -> Steered:
        """Return this steer with another one held at a strength."""
        return replace(self, held={**self.held, f"held {len(self.held)}": (other.steer, strength)})

    def continue_rows(
        self, rows: Sequence[Row], strength: float, sampling: Sampling
    ) -> list[Generated]:
        """Continue prompts at ε = strength."""
        steers = {"own": self.steer, **{name: steer for name, (steer, _) in self.held.items()}}
        epsilons = {"own": strength, **{name: epsilon for name, (_, epsilon) in self.held.items()}}
        rows = [replace(row, epsilons=epsilons) for row in rows]
        return generate(self.lm, rows, steers, sampling, logprobs=False)


def steer_from_labels(lm: LanguageModel, task: Task, folder: Path, progress: Progress) -> Steered:
    """Return our steer of the labelled text."""
    source = task.labelled()
    steer, seconds = kept_steer(folder, lambda: train(lm, task.name, source, progress=progress))
    return Steered(lm, "LM-Steer, labels", steer, seconds)


def steer_from_descriptions(
    lm: LanguageModel, task: Task, folder: Path, progress: Progress
) -> Steered:
    """Return our steer of the two descriptions."""
    source = Descriptions(task.positive, task.negative)
    steer, seconds = kept_steer(folder, lambda: train(lm, task.name, source, progress=progress))
    return Steered(lm, "LM-Steer, descriptions", steer, seconds)


def official_steer(
    lm: LanguageModel,
    task: Task,
    folder: Path,
    progress: Progress,
    *,
    budget: Budget = BUDGETS["lm-steer-official"],
) -> Steered:
    """Return the published recipe's steer, brought to our scale of ε by the same calibration."""
    source = task.labelled()

    def make() -> Steer:
        raw = train_official(
            lm,
            task.name,
            source.texts,
            source.labels,
            snapshots=[budget.n_steps],
            learning_rate=budget.learning_rate,
            batch_size=budget.batch_size,
            seed=budget.seed,
            max_tokens=budget.max_tokens,
            progress=progress,
        )[budget.n_steps]
        return calibrated(lm, raw, source, progress=progress)

    steer, seconds = kept_steer(folder, make)
    return Steered(lm, f"LM-Steer, official, {budget.n_steps:,} steps", steer, seconds)
