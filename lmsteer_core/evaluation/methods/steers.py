"""Steers as methods: ours from labelled text or descriptions, and the published recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lmsteer_core.errors import InputError
from lmsteer_core.evaluation.methods.base import STRENGTHS
from lmsteer_core.evaluation.methods.budget import BUDGETS, Budget
from lmsteer_core.evaluation.methods.kept import kept_steer
from lmsteer_core.evaluation.task import Task
from lmsteer_core.generation.generate import Generated, Row, generate
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress
from lmsteer_core.resources import PRETRAINED_STEERS
from lmsteer_core.steers.library import discover
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


def combined_steer(lm: LanguageModel, task: Task, folder: Path, progress: Progress) -> Steered:
    """Return our steer of both, as those that ship are made: 70 % descriptions, 30 % labels."""
    parts = (Descriptions(task.positive, task.negative), 0.7), (task.labelled(), 0.3)
    steer, seconds = kept_steer(folder, lambda: train(lm, task.name, parts, progress=progress))
    return Steered(lm, "LM-Steer, combined", steer, seconds)


def shipped_steer(lm: LanguageModel, task: Task, _folder: Path, _progress: Progress) -> Steered:
    """Return the steer of the task's name that ships for the model.

    It is made of several pairs of descriptions and of labelled text; how long that took is not
    known here.

    Raises:
        InputError: If none ships.
    """
    shipped, _ = discover([PRETRAINED_STEERS], lm.output_embedding, lm.model_id)
    if task.name not in shipped:
        raise InputError(
            f"No steer '{task.name}' ships for {lm.model_id}; leave lm-steer-shipped out."
        )
    return Steered(lm, "LM-Steer, shipped", shipped[task.name], math.nan)


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
