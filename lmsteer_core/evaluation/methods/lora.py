"""LoRA: low-rank updates of every linear layer, one adapter a pole.

Hu et al., ICLR 2022 (arXiv 2106.09685). An adapter adds s (α/r) B A x to what a layer makes of x;
s is the strength, 1 the adapter as it was trained. It decodes unmerged, because s changes: merged
into the weights at one s it would cost no time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lmsteer_core.evaluation.methods.budget import BUDGETS, Budget
from lmsteer_core.evaluation.methods.learning import fit, needed, trained_poles
from lmsteer_core.generation.generate import Generated, Row, generate
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress

if TYPE_CHECKING:
    from lmsteer_core.evaluation.task import Task

RANK = 8
ALPHA = 16


@dataclass(frozen=True)
class Adapted:
    """A model with either pole's adapter.

    Attributes:
        positive: A twin with the adapter of the + pole's texts, at scale 1.
        negative: The same for the − pole.
        n_parameters: Numbers in both adapters.
        training_seconds: For both.
    """

    positive: LanguageModel
    negative: LanguageModel
    n_parameters: int
    training_seconds: float


@dataclass(frozen=True)
class LoRA:
    """A method of `evaluation`: strength s > 0 scales the + pole's adapter, s < 0 the − pole's."""

    adapted: Adapted
    n_parameters: int
    training_seconds: float
    name: str = "LoRA"
    strengths: tuple[float, ...] = (0.5, 1.0, 1.5)

    def continue_rows(
        self, rows: Sequence[Row], strength: float, sampling: Sampling
    ) -> list[Generated]:
        """Continue rows with one pole's adapter."""
        from peft.tuners.lora import LoraLayer

        lm = self.adapted.positive if strength >= 0 else self.adapted.negative
        layers = [module for module in lm.model.modules() if isinstance(module, LoraLayer)]
        for layer in layers:
            layer.set_scale("default", abs(strength))
        try:
            return generate(lm, rows, {}, sampling, logprobs=False)
        finally:
            for layer in layers:
                layer.set_scale("default", 1.0)


def make_lora(
    lm: LanguageModel,
    task: Task,
    folder: Path,
    progress: Progress,
    *,
    budget: Budget = BUDGETS["lora"],
) -> LoRA:
    """Return LoRA adapters of rank 8 (α = 16) of all linear layers but the head.

    Errors are those of `adapt`.
    """
    adapted = adapt(lm, task, folder, progress, budget)
    return LoRA(adapted, adapted.n_parameters, adapted.training_seconds)


def adapt(
    lm: LanguageModel, task: Task, folder: Path, progress: Progress, budget: Budget
) -> Adapted:
    """Return a model with the adapters of a task's poles, trained now or read from the folder.

    Adapters are float32 whatever the model's dtype; the loss is next-token likelihood.

    Args:
        lm: The language model.
        task: Whose texts they learn.
        folder: A method's own; the adapters are beside it, where the other methods look too.
        progress: Told how far it is.
        budget: How long each is trained.

    Raises:
        InputError: If peft is missing, the task has no two poles or the folder cannot be written.
    """
    with needed("LoRA", "peft"):
        from peft import set_peft_model_state_dict
    shared = folder.parent / "adapters"
    learned = trained_poles(lm, task, shared, f"lora-{RANK}", budget, _train, progress)
    twins = {pole: with_adapter(lm, budget.seed) for pole in learned}
    for pole, twin in twins.items():
        set_peft_model_state_dict(twin.model, learned[pole].tensors)
    return Adapted(
        **twins,
        n_parameters=sum(t.numel() for each in learned.values() for t in each.tensors.values()),
        training_seconds=sum(each.seconds for each in learned.values()),
    )


def with_adapter(lm: LanguageModel, seed: int) -> LanguageModel:
    """Return a twin with a fresh adapter, which changes nothing until it is trained."""
    from peft import LoraConfig
    from transformers.pytorch_utils import Conv1D

    twin = lm.twin()
    config = LoraConfig(
        r=RANK,
        lora_alpha=ALPHA,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in twin.model.modules()),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        twin.model.add_adapter(config)
    return twin


def _train(
    lm: LanguageModel, texts: list[list[int]], budget: Budget, progress: Progress
) -> dict[str, Tensor]:
    twin = with_adapter(lm, budget.seed)
    fit(twin, texts, budget, progress)
    weights: dict[str, Any] = twin.model.get_adapter_state_dict()
    return weights
