"""What the trained methods share: a loss, a loop of Adam, files that spare a second training."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lmsteer_core.errors import InputError
from lmsteer_core.evaluation.methods.budget import Budget
from lmsteer_core.models.batched import like_lengths, token_ids
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress, part
from lmsteer_core.steers.fingerprint import fingerprint_digest

if TYPE_CHECKING:
    from lmsteer_core.evaluation.task import Task

POLES = {"positive": 1, "negative": -1}
"""The sign of the labels of either pole's texts."""

_IGNORED = -100


@dataclass(frozen=True)
class Trained:
    """Weights by name and the seconds that their training took."""

    tensors: dict[str, Tensor]
    seconds: float


Train = Callable[[LanguageModel, list[list[int]], Budget, Progress], dict[str, Tensor]]
"""Returns the weights that a model learns from texts as tokens."""


def trained(
    folder: Path, name: str, recipe: Mapping[str, object], train: Callable[[], dict[str, Tensor]]
) -> Trained:
    """Return what a recipe trains: from the folder where it was trained before, else anew.

    Args:
        folder: Where weights are kept, one safetensors file a recipe.
        name: Begins the file's name.
        recipe: Everything the weights depend on, fit for JSON; its digest ends the file's name.
        train: Makes the weights.

    Raises:
        InputError: If the file cannot be written.
    """
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]
    file = folder / f"{name}-{digest}.safetensors"
    try:
        with safe_open(file, framework="pt") as saved:
            tensors = {key: saved.get_tensor(key) for key in saved.keys()}  # noqa: SIM118
            return Trained(tensors, float((saved.metadata() or {})["seconds"]))
    except (OSError, SafetensorError, KeyError):
        pass  # absent, or cut off by a full disk
    start = time.perf_counter()
    tensors = {name: t.detach().cpu().contiguous() for name, t in train().items()}
    seconds = time.perf_counter() - start
    scratch = file.with_suffix(".writing")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, scratch, {"seconds": str(seconds)})
        os.replace(scratch, file)
    except (OSError, SafetensorError) as error:
        raise InputError(f"Cannot write {file}: {error}.") from error
    return Trained(tensors, seconds)


def trained_poles(
    lm: LanguageModel,
    task: Task,
    folder: Path,
    name: str,
    budget: Budget,
    train: Train,
    progress: Progress,
) -> dict[str, Trained]:
    """Return what either pole's texts teach, by the pole's name.

    Args:
        lm: The language model; `train` gets its copy for batches.
        task: Whose texts are read.
        folder: Where the weights are kept.
        name: Begins the files' names.
        budget: How long each pole is trained.
        train: Trains one pole.
        progress: Told how far both are.

    Raises:
        InputError: If the task's labels show no two poles or the folder cannot be written.
    """
    by_pole = {}
    for i, (pole, sign) in enumerate(POLES.items()):
        texts = pole_texts(task, sign)
        learn = partial(_learn, lm, texts, budget, train, part(progress, i / 2, (i + 1) / 2))
        recipe = recipe_of(lm, texts, **dataclasses.asdict(budget))
        by_pole[pole] = trained(folder, f"{name}-{pole}", recipe, learn)
    return by_pole


def pole_texts(task: Task, sign: int) -> list[str]:
    """Return the texts whose label has this sign.

    Raises:
        InputError: If there is no labelled text or its labels show no two poles.
    """
    source = task.labelled()
    return [
        text for text, label in zip(source.texts, source.labels, strict=True) if label * sign > 0
    ]


def recipe_of(lm: LanguageModel, texts: Sequence[str], **settings: object) -> dict[str, object]:
    """Return what weights depend on: the model, the texts and the settings of their training."""
    return {"model": fingerprint_digest(lm.fingerprint_rows), "texts": list(texts), **settings}


def fit(
    lm: LanguageModel,
    texts: Sequence[Sequence[int]],
    budget: Budget,
    progress: Progress,
    *,
    half: bool = False,
) -> None:
    """Let a model's parameters that require a gradient learn to predict texts, by Adam.

    Args:
        lm: The language model.
        texts: Texts as tokens, two at least in each.
        budget: How long.
        progress: Told every step and its loss; whatever it raises stops the training.
        half: Multiply in bf16 what is kept in float32.
    """

    def loss(group: Sequence[int]) -> Tensor:
        with torch.autocast(lm.device.type, torch.bfloat16, enabled=half):
            return negative_log_likelihood(lm, [texts[i] for i in group])

    minimise(loss, [p for p in lm.model.parameters() if p.requires_grad], texts, budget, progress)


def minimise(
    loss: Callable[[Sequence[int]], Tensor],
    parameters: Sequence[Tensor],
    texts: Sequence[Sequence[int]],
    budget: Budget,
    progress: Progress,
) -> None:
    """Let parameters learn by Adam to make a loss small, in nats a token.

    Args:
        loss: Indices of texts of like length → the sum of the loss over their tokens, (), with its
            gradient.
        parameters: What learns.
        texts: Texts as tokens, two at least in each.
        budget: How long.
        progress: Told every step and its loss; whatever it raises stops the training.
    """
    adam = torch.optim.Adam(parameters, budget.learning_rate)
    order = torch.Generator().manual_seed(budget.seed)
    batches = _batches(len(texts), budget.batch_size, order)
    for step, batch in zip(range(1, budget.n_steps + 1), batches, strict=False):
        adam.zero_grad()
        n_targets = sum(len(texts[i]) - 1 for i in batch)
        total = 0.0
        for group in like_lengths(batch, texts):
            share = loss(group) / n_targets
            share.backward()
            total += share.item()
        adam.step()
        progress(
            step / budget.n_steps, f"step {step} of {budget.n_steps}, loss {total:.3f} nats a token"
        )


def negative_log_likelihood(lm: LanguageModel, texts: Sequence[Sequence[int]]) -> Tensor:
    """Return the sum of −log P over all tokens but each text's first, in nats, (), float32.

    It carries its gradient.
    """
    width = max(map(len, texts))
    ids = torch.tensor([[*t, *[0] * (width - len(t))] for t in texts], device=lm.device)
    mask = torch.tensor([[1] * len(t) + [0] * (width - len(t)) for t in texts], device=lm.device)
    logits = lm.model(ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    targets = ids[:, 1:].masked_fill(mask[:, 1:] == 0, _IGNORED)
    return nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=_IGNORED, reduction="sum"
    )


@contextmanager
def needed(method: str, install: str) -> Iterator[None]:
    """Say in one sentence which package a method lacks and how pip gets it."""
    try:
        yield
    except ImportError as error:
        package = install.split()[-1]
        raise InputError(f"{method} needs the package {package}: pip install {install}") from error


def _learn(
    lm: LanguageModel, texts: Sequence[str], budget: Budget, train: Train, progress: Progress
) -> dict[str, Tensor]:
    return train(lm.for_batches, token_ids(lm, texts, budget.max_tokens), budget, progress)


def _batches(n_texts: int, size: int, order: torch.Generator) -> Iterator[list[int]]:
    """Yield batches of indices for ever, every text once before any comes again."""
    while True:
        for batch in torch.randperm(n_texts, generator=order).split(size):
            yield batch.tolist()
