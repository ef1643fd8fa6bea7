"""DAPT: the whole model goes on training on one pole's texts.

Gururangan et al., ACL 2020 (arXiv 2004.10964). Between the model θ₀ and a pole's θ lie the
strengths 0 to 1, and beyond θ the larger ones: the weights are θ₀ + s (θ − θ₀).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lmsteer_core.evaluation.methods.budget import BUDGETS, Budget
from lmsteer_core.evaluation.methods.learning import fit, trained_poles
from lmsteer_core.generation.generate import Generated, Row, generate
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress

if TYPE_CHECKING:
    from lmsteer_core.evaluation.task import Task


@dataclass
class DAPT:
    """A method of `evaluation`: strength s is how far the weights lie from the model to a pole's.

    Attributes:
        lm: θ₀.
        twin: What writes; its parameters are its own.
        weights: θ of either pole, by the pole's and the parameter's name.
        n_parameters: Numbers in both.
        training_seconds: For both.
        written_at: The strength that the twin's weights have.
    """

    lm: LanguageModel
    twin: LanguageModel
    weights: Mapping[str, Mapping[str, Tensor]]
    n_parameters: int
    training_seconds: float
    name: str = "DAPT"
    strengths: tuple[float, ...] = (0.5, 1.0)
    written_at: float = 0.0

    def continue_rows(
        self, rows: Sequence[Row], strength: float, sampling: Sampling
    ) -> list[Generated]:
        """Continue rows with weights between the model's and one pole's, or beyond."""
        if strength != self.written_at:
            ends = self.weights["positive" if strength >= 0 else "negative"]
            starts = self.lm.model.named_parameters()
            with torch.no_grad():
                for parameter, (name, start) in zip(
                    self.twin.model.parameters(), starts, strict=True
                ):
                    parameter.copy_(torch.lerp(start, ends[name].to(start), abs(strength)))
            self.written_at = strength
        return generate(self.twin, rows, {}, sampling, logprobs=False)


def make_dapt(
    lm: LanguageModel,
    task: Task,
    folder: Path,
    progress: Progress,
    *,
    budget: Budget = BUDGETS["dapt"],
) -> DAPT:
    """Return a model fully fine-tuned on either pole's texts, trained now or read from the folder.

    Training keeps float32 weights with two moments each, and multiplies in bf16 where the machine
    does; what is saved has the model's own dtype, as large as the model for each pole.

    Raises:
        InputError: If the task has no two poles or the folder cannot be written.
    """

    def train(
        fast: LanguageModel, texts: list[list[int]], budget: Budget, progress: Progress
    ) -> dict[str, Tensor]:
        twin = _copy(lm, torch.float32)
        twin.model.requires_grad_(True)
        fit(twin, texts, budget, progress, half=fast.output_embedding.dtype == torch.bfloat16)
        return {
            name: p.detach().to(lm.output_embedding.dtype)
            for name, p in twin.model.named_parameters()
        }

    learned = trained_poles(lm, task, folder, "dapt", budget, train, progress)
    return DAPT(
        lm,
        _copy(lm, lm.output_embedding.dtype),
        {pole: each.tensors for pole, each in learned.items()},
        n_parameters=sum(t.numel() for each in learned.values() for t in each.tensors.values()),
        training_seconds=sum(each.seconds for each in learned.values()),
    )


def _copy(lm: LanguageModel, dtype: torch.dtype) -> LanguageModel:
    """Return a twin with parameters of its own."""
    return lm.twin(
        {id(p): nn.Parameter(p.detach().to(dtype, copy=True)) for p in lm.model.parameters()}
    )
