"""Methods that change what one decoder layer returns, for every token.

trained vector   h + s v, with v trained by Adam so that texts of the + pole are likely under + v
                 and those of the − pole under − v: what ReFT-r1 and RePS train (Wu et al., AxBench,
                 arXiv 2501.17148), without their gate
transport        Linear-AcT (Rodriguez et al., ICLR 2025, arXiv 2410.23054) at one layer: each unit
                 of h goes along the line that carries its values on texts of one pole to those of
                 the other, (1 − s) h + s (ω h + β)
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lmsteer_core.errors import ModelError
from lmsteer_core.evaluation.methods.budget import BUDGETS, Budget
from lmsteer_core.evaluation.methods.learning import (
    POLES,
    minimise,
    negative_log_likelihood,
    pole_texts,
    recipe_of,
    trained,
)
from lmsteer_core.generation.generate import Generated, Row, generate
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.batched import token_ids
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress

if TYPE_CHECKING:
    from lmsteer_core.evaluation.task import Task

N_TEXTS = 256
"""Texts of either pole whose activations are transported."""

MAX_TOKENS = 64


@dataclass(frozen=True)
class AtLayer:
    """A method of `evaluation`.

    Attributes:
        twin: What writes.
        name: Its name in tables.
        layer: The layer, 0 the first.
        moved: A layer's output, (n_rows, n_tokens, d_model), and a strength → the changed output.
        n_parameters: Numbers that it learned.
        training_seconds: Of both poles.
        strengths: Swept.
    """

    twin: LanguageModel
    name: str
    layer: int
    moved: Callable[[Tensor, float], Tensor]
    n_parameters: int
    training_seconds: float
    strengths: tuple[float, ...]

    def continue_rows(
        self, rows: Sequence[Row], strength: float, sampling: Sampling
    ) -> list[Generated]:
        """Continue rows, whose prompts are read changed too."""
        with output_moved(self.twin, self.layer, lambda h: self.moved(h, strength)):
            return generate(self.twin, rows, {}, sampling, logprobs=False)


def make_trained_vector(
    lm: LanguageModel,
    task: Task,
    folder: Path,
    progress: Progress,
    *,
    budget: Budget = BUDGETS["trained-vector"],
) -> AtLayer:
    """Return the vector of the middle layer, trained now or read from the folder.

    Raises:
        InputError: If the task has no two poles or the folder cannot be written.
    """
    labelled = [(sign, text) for sign in POLES.values() for text in pole_texts(task, sign)]
    recipe = recipe_of(lm, [text for _, text in labelled], **dataclasses.asdict(budget))
    learn = partial(_train_vector, lm.for_batches.twin(), labelled, budget, progress)
    learned = trained(folder, "trained-vector", recipe, learn)
    vector = learned.tensors["vector"].to(lm.device)
    return AtLayer(
        lm.twin(),
        "trained steering vector",
        _middle(lm),
        lambda h, s: h + s * vector.to(h),
        len(vector),
        learned.seconds,
        (1.0, 2.0, 4.0),
    )


def make_transport(lm: LanguageModel, task: Task, folder: Path, progress: Progress) -> AtLayer:
    """Return the transport of the middle layer, learned now or read from the folder.

    A text's activation is the mean over its tokens. Beyond the values seen the line goes on.

    Raises:
        InputError: If the task has no two poles or the folder cannot be written.
    """
    texts = {pole: pole_texts(task, sign) for pole, sign in POLES.items()}
    draw = random.Random(0)  # noqa: S311
    n_texts = min(N_TEXTS, *map(len, texts.values()))
    drawn = {pole: draw.sample(some, n_texts) for pole, some in texts.items()}
    recipe = recipe_of(lm, [t for some in drawn.values() for t in some], max_tokens=MAX_TOKENS)
    learn = partial(_transport, lm.for_batches.twin(), drawn, progress)
    learned = trained(folder, "transport", recipe, learn)
    maps = {pole: learned.tensors[pole].to(lm.device) for pole in POLES}

    def moved(h: Tensor, strength: float) -> Tensor:
        slope, offset = maps["positive" if strength > 0 else "negative"].to(h)
        carried: Tensor = h + abs(strength) * ((slope - 1) * h + offset)
        return carried

    return AtLayer(
        lm.twin(),
        "activation transport",
        _middle(lm),
        moved,
        sum(each.numel() for each in maps.values()),
        learned.seconds,
        (0.5, 1.0, 2.0),
    )


@contextmanager
def output_moved(lm: LanguageModel, layer: int, move: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let a layer's output, (n_rows, n_tokens, d_model), be changed while the context lasts."""

    def after(_module: nn.Module, _args: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (move(output[0]), *output[1:])
        return move(output)

    handle = decoder_layers(lm)[layer].register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


def decoder_layers(lm: LanguageModel) -> nn.ModuleList:
    """Return a model's layers.

    Raises:
        ModelError: If they are not kept as one list.
    """
    n_layers = lm.model.config.get_text_config().num_hidden_layers
    for module in lm.model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == n_layers:
            return module
    raise ModelError(f"The layers of {lm.model_id} are not known; leave this method out.")


def _middle(lm: LanguageModel) -> int:
    return (len(decoder_layers(lm)) - 1) // 2


def _train_vector(
    lm: LanguageModel, labelled: Sequence[tuple[int, str]], budget: Budget, progress: Progress
) -> dict[str, Tensor]:
    lm.model.requires_grad_(False)
    texts = token_ids(lm, [text for _, text in labelled], budget.max_tokens)
    vector = torch.zeros(lm.d_model, device=lm.device, requires_grad=True)

    def loss(group: Sequence[int]) -> Tensor:
        signs = torch.tensor([[[float(labelled[i][0])]] for i in group], device=lm.device)
        with output_moved(lm, _middle(lm), lambda h: h + (signs * vector).to(h)):
            return negative_log_likelihood(lm, [texts[i] for i in group])

    minimise(loss, [vector], texts, budget, progress)
    return {"vector": vector.detach()}


@torch.inference_mode()
def _transport(
    lm: LanguageModel, texts: dict[str, list[str]], progress: Progress
) -> dict[str, Tensor]:
    values: dict[str, Tensor] = {}
    for i, (pole, some) in enumerate(texts.items()):
        progress(i / len(texts), "reading labelled text")
        means: list[Tensor] = []

        def keep(h: Tensor, means: list[Tensor] = means) -> Tensor:
            means.append(h[0].float().mean(dim=0))
            return h

        with output_moved(lm, _middle(lm), keep):
            for ids in token_ids(lm, some, MAX_TOKENS):
                lm.model(torch.tensor([ids], device=lm.device))
        values[pole] = torch.stack(means).sort(dim=0).values
    ends = {"positive": ("negative", "positive"), "negative": ("positive", "negative")}
    return {pole: line(values[start], values[end]) for pole, (start, end) in ends.items()}


def line(source: Tensor, target: Tensor) -> Tensor:
    """Return each unit's least-squares line from its sorted values to the other's.

    Args:
        source: (n_values, n_units), each column ascending.
        target: The same.

    Returns:
        Slope and offset, (2, n_units).
    """
    from_mean, to_mean = source.mean(dim=0), target.mean(dim=0)
    away = source - from_mean
    slope = (away * (target - to_mean)).sum(dim=0) / away.square().sum(dim=0).clamp_min(1e-12)
    return torch.stack([slope, to_mean - slope * from_mean])
