"""Contrastive activation addition: one vector added to what one layer returns, at every token.

Rimsky et al., ACL 2024 (arXiv 2312.06681), through the library `steering-vectors`. The vector is
the mean difference of a layer's output at the last token of a text read behind "This is {+
description}: " and behind "This is {− description}: ". Texts are the task's; half of them choose
the layer.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lmsteer_core.errors import InputError
from lmsteer_core.evaluation.methods.learning import (
    POLES,
    needed,
    negative_log_likelihood,
    pole_texts,
    recipe_of,
    trained,
)
from lmsteer_core.evaluation.methods.prompting import PREFIX
from lmsteer_core.generation.generate import Generated, Row, generate
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.batched import token_ids
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress

if TYPE_CHECKING:
    from lmsteer_core.evaluation.task import Task

LIBRARY = "--no-deps steering-vectors==0.12.2"
"""It works with transformers 5 but asks for 4, hence --no-deps; what it needs is there anyway."""

_BATCH = 8


@dataclass(frozen=True)
class ActivationAddition:
    """A method of `evaluation`: the strength multiplies the vector; 1 is the measured difference.

    Attributes:
        twin: What writes.
        layer: The layer, 0 the first.
        vector: (d_model,), float32.
        n_parameters: Numbers in the vector.
        training_seconds: Of both poles, which are one vector, and of the choice of the layer.
    """

    twin: LanguageModel
    layer: int
    vector: Tensor
    n_parameters: int
    training_seconds: float
    name: str = "activation addition"
    strengths: tuple[float, ...] = (1.0, 2.0, 4.0)

    def continue_rows(
        self, rows: Sequence[Row], strength: float, sampling: Sampling
    ) -> list[Generated]:
        """Continue rows, with the vector added at the prompt's tokens too."""
        with _steering_vector(self.layer, self.vector).apply(self.twin.model, multiplier=strength):
            return generate(self.twin, rows, {}, sampling, logprobs=False)


def make_activation_addition(
    lm: LanguageModel,
    task: Task,
    folder: Path,
    progress: Progress,
    *,
    n_texts: int = 128,
    max_tokens: int = 64,
) -> ActivationAddition:
    """Return the vector of the layer that tells the poles apart best, kept in the folder.

    Best is the layer where adding the vector to texts of the + pole and subtracting it from texts
    of the − pole, rather than the reverse, gains most likelihood per token, on texts the vector was
    not made of.

    Args:
        lm: The language model.
        task: Its descriptions make the vector, its labelled texts choose the layer.
        folder: Where the vector is kept.
        progress: Told how far it is.
        n_texts: Texts read, half of them of either pole, half of them for the choice.
        max_tokens: Tokens read of each.

    Raises:
        InputError: If steering-vectors is missing, the task has no two poles or the folder cannot
            be written.
    """
    with needed("Activation addition", LIBRARY):
        import steering_vectors  # noqa: F401
    chosen = [
        (sign, text)
        for sign in POLES.values()
        for text in _sample(pole_texts(task, sign), n_texts // 2)
    ]
    recipe = recipe_of(
        lm,
        [text for _, text in chosen],
        max_tokens=max_tokens,
        poles=[task.positive, task.negative],
    )
    learn = partial(_learn, lm.for_batches.twin(), task, chosen, max_tokens, progress)
    learned = trained(folder, "activation-addition", recipe, learn)
    vector = learned.tensors["vector"].to(lm.device)
    return ActivationAddition(
        lm.twin(), int(learned.tensors["layer"]), vector, len(vector), learned.seconds
    )


def _sample(texts: Sequence[str], n_texts: int) -> list[str]:
    if min(len(texts), n_texts) < 2:
        raise InputError(
            "Activation addition needs 2 texts of either pole: one to learn from, one to test."
        )
    return random.Random(0).sample(texts, min(len(texts), n_texts))  # noqa: S311


def _learn(
    lm: LanguageModel,
    task: Task,
    chosen: Sequence[tuple[int, str]],
    max_tokens: int,
    progress: Progress,
) -> dict[str, Tensor]:
    from steering_vectors import train_steering_vector

    ids = token_ids(lm, [text for _, text in chosen], max_tokens)
    prefixes = [PREFIX.format(description) for description in (task.positive, task.negative)]
    read = [str(lm.tokenizer.decode(text, skip_special_tokens=True)) for text in ids[::2]]
    pairs = [tuple(prefix + text for prefix in prefixes) for text in read]
    held_out = [(sign, text) for (sign, _), text in zip(chosen, ids, strict=True)][1::2]
    progress(0.0, "reading contrasts")
    tokenizer = copy.deepcopy(lm.tokenizer)  # the library may give it a pad token
    vectors = train_steering_vector(lm.model, tokenizer, pairs, batch_size=_BATCH).layer_activations
    gaps = {}
    for layer, vector in vectors.items():
        gaps[layer] = _gap(lm, layer, vector.float(), held_out)
        progress(
            len(gaps) / len(vectors),
            f"layer {layer}: the poles differ by {gaps[layer]:.3f} nats a token",
        )
    best = max(gaps, key=gaps.__getitem__)
    return {"layer": torch.tensor(best), "vector": vectors[best].float()}


@torch.inference_mode()
def _gap(
    lm: LanguageModel, layer: int, vector: Tensor, texts: Sequence[tuple[int, Sequence[int]]]
) -> float:
    """Return log P of texts under their own sign of the vector less the other's, nats a token."""
    total = 0.0
    for pole_sign in POLES.values():
        group = [text for sign, text in texts if sign == pole_sign]
        for direction in (1.0, -1.0):
            with _steering_vector(layer, vector).apply(lm.model, multiplier=direction):
                for start in range(0, len(group), _BATCH):
                    nll = negative_log_likelihood(lm, group[start : start + _BATCH])
                    total -= pole_sign * direction * float(nll)
    return total / sum(len(text) - 1 for _, text in texts)


def _steering_vector(layer: int, vector: Tensor) -> Any:
    from steering_vectors import SteeringVector

    return SteeringVector({layer: vector})
