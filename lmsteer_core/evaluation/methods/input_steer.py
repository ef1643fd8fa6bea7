"""Input-Steer: (I + ε W) on the input embeddings instead of the output embeddings.

The variant of LM-Steer (Han et al., ACL 2024, arXiv 2305.12798) whose control need not be linear in
ε: what enters the first layer passes through all others. The recipe is the published one of
`official`, rank, ε₀, dummy and all, but for a shorter training; every step goes back through the
whole model. Tied output embeddings are left alone, because what is moved is what the input
embedding returns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lmsteer_core.evaluation.methods.budget import BUDGETS, Budget
from lmsteer_core.evaluation.methods.learning import (
    negative_log_likelihood,
    pole_texts,
    recipe_of,
    trained,
)
from lmsteer_core.generation.generate import Generated, Row, generate
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.batched import like_lengths
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress
from lmsteer_core.steers.steer import steer_hidden
from lmsteer_core.training.official_recipe import OfficialTraining, train_official

if TYPE_CHECKING:
    from lmsteer_core.evaluation.task import Task

RANK = 1000


class InputTraining(OfficialTraining):
    """The official recipe, its steers on the input embeddings."""

    def _backward(self, batch: Sequence[int]) -> float:
        n_targets = sum(len(self._token_ids[i]) - 1 for i in batch)
        total = 0.0
        for group in like_lengths(batch, self._token_ids):
            strengths = torch.tensor(
                [[[self._labels[i], 1.0]] for i in group], device=self._lm.device
            )
            with input_moved(self._lm, lambda e, v=strengths: self._steered(e, v)):  # type: ignore[misc]
                loss = (
                    negative_log_likelihood(self._lm, [self._token_ids[i] for i in group])
                    / n_targets
                )
            loss.backward()
            total += loss.item()
        return total


@dataclass(frozen=True)
class InputSteer:
    """A method of `evaluation`: the strength is ε, 1 the strength it was trained at.

    Attributes:
        twin: What writes.
        left: (d_model, k).
        right: (k, d_model); an input embedding e becomes e + ε (e left) right.
        n_parameters: Numbers in the published factors, 2 · d_model · rank; the dummy is thrown
            away.
        training_seconds: Of both poles, which are one W.
        held: Factors of other steers and the ε of each.
    """

    twin: LanguageModel
    left: Tensor
    right: Tensor
    n_parameters: int
    training_seconds: float
    name: str = "Input-Steer"
    strengths: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    held: tuple[tuple[Tensor, Tensor, float], ...] = ()

    def beside(self, other: InputSteer, strength: float) -> InputSteer:
        """Return this steer with another one held at a strength: ε₁ W₁ + ε₂ W₂ is added."""
        return replace(self, held=(*self.held, (other.left, other.right, strength)))

    def continue_rows(
        self, rows: Sequence[Row], strength: float, sampling: Sampling
    ) -> list[Generated]:
        """Continue rows, whose prompts are read steered too."""
        steers = [(self.left, self.right, strength), *self.held]
        left = torch.cat([left for left, _, _ in steers], dim=1)
        right = torch.cat([right for _, right, _ in steers])
        epsilon = torch.cat(
            [left.new_full((left.shape[1],), epsilon) for left, _, epsilon in steers]
        )
        with input_moved(self.twin, lambda e: steer_hidden(e, left, right, epsilon)):
            return generate(self.twin, rows, {}, sampling, logprobs=False)


def make_input_steer(
    lm: LanguageModel,
    task: Task,
    folder: Path,
    progress: Progress,
    *,
    budget: Budget = BUDGETS["input-steer"],
) -> InputSteer:
    """Return a steer of the input embeddings, trained now or read from the folder.

    Raises:
        InputError: If the task has no two poles or the folder cannot be written.
    """
    pole_texts(task, 1)  # refuses what cannot be learned

    def train() -> dict[str, Tensor]:
        steer = train_official(
            lm.for_batches.twin(),
            "input-steer",
            task.texts,
            task.labels,
            snapshots=(budget.n_steps,),
            rank=RANK,
            learning_rate=budget.learning_rate,
            batch_size=budget.batch_size,
            seed=budget.seed,
            max_tokens=budget.max_tokens,
            recipe=InputTraining,
            progress=progress,
        )[budget.n_steps]
        return {"left": steer.left, "right": steer.right}

    recipe = recipe_of(
        lm, task.texts, labels=list(task.labels), rank=RANK, **dataclasses.asdict(budget)
    )
    learned = trained(folder, "input-steer", recipe, train)
    left, right = (learned.tensors[side].float().to(lm.device) for side in ("left", "right"))
    return InputSteer(lm.twin(), left, right, 2 * lm.d_model * RANK, learned.seconds)


@contextmanager
def input_moved(lm: LanguageModel, move: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let input embeddings (n_rows, n_tokens, d_model), float32, be moved before layer 1."""

    def after(_module: object, _args: object, embedded: Tensor) -> Tensor:
        return move(embedded.float()).to(embedded.dtype)

    embedding: Any = lm.model.get_input_embeddings()
    handle = embedding.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()
