"""Contrastive prompting: what the model says behind either description moves what it says plainly.

    logits = z + γ/2 (z⁺ − z⁻)

with z⁺ and z⁻ behind the descriptions. Pei et al., Findings of ACL 2023 (PREADD, arXiv 2307.03214),
and Sanchez et al. (classifier-free guidance, arXiv 2306.17806). It is the amplified teacher that a
steer is fitted to, asked at every token: three passes of the model where a steer takes one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmsteer_core.evaluation.methods.ensembles import Ensemble, Memory
from lmsteer_core.evaluation.methods.prompting import PREFIX
from lmsteer_core.evaluation.task import Task
from lmsteer_core.generation.generate import Generated, Row, generate
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.decoder import Decoder, Output
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress


class ContrastiveModel(Ensemble):
    """One model that reads every text plainly and behind two prefixes."""

    def __init__(
        self, lm: LanguageModel, positive: str, negative: str, amplification: float
    ) -> None:
        """Combine at γ, negative for the − pole."""
        super().__init__(lm, _behind(lm, positive), _behind(lm, negative))
        self._amplification = amplification

    def combine(
        self,
        base: Tensor,
        positive: Tensor,
        negative: Tensor,
        memory: Memory,
        read: Tensor,
        n_read: int,
    ) -> Tensor:
        """Return z + γ/2 (z⁺ − z⁻)."""
        del memory, read, n_read
        return base + self._amplification / 2 * (positive - negative)


class _BehindPrefix:
    """A decoder that reads every row behind the same tokens."""

    def __init__(self, decoder: Decoder, prefix: Sequence[int], n_start: int) -> None:
        """Read with a decoder.

        Args:
            decoder: Reads the rows.
            prefix: Tokens before each of them.
            n_start: Tokens at a row's beginning that only begin a text: they are not read.
        """
        self.pads, self.rounds_singly = decoder.pads, decoder.rounds_singly
        self._decoder, self._prefix, self._n_start = decoder, prefix, n_start

    def read(self, ids: Tensor, mask: Tensor, cache: Any) -> Output:
        """Read tokens on; arguments as for `Decoder.read`, without the prefix."""
        prefix = torch.tensor([self._prefix] * len(ids), device=ids.device)
        if cache is None:
            ids = torch.cat([prefix, ids], dim=1)
        start = mask.argmax(dim=1, keepdim=True) + torch.arange(self._n_start, device=mask.device)
        return self._decoder.read(
            ids, torch.cat([torch.ones_like(prefix), mask.scatter(1, start, 0)], dim=1), cache
        )


def _behind(lm: LanguageModel, description: str) -> LanguageModel:
    behind = copy.copy(lm)
    prefix = lm.encode(f"{PREFIX.format(description).strip()}\n\n")[0]
    behind.reference = _BehindPrefix(lm.reference, prefix, len(lm.prefix_ids))
    return behind


@dataclass(frozen=True)
class Contrastive:
    """A method of `evaluation`: the strength is γ."""

    lm: LanguageModel
    positive: str
    negative: str
    name: str = "contrastive prompting"
    n_parameters: int = 0
    training_seconds: float = 0.0
    strengths: tuple[float, ...] = (1.0, 2.0, 4.0)

    def continue_rows(
        self, rows: Sequence[Row], strength: float, sampling: Sampling
    ) -> list[Generated]:
        """Continue rows, with the nucleus of the combined distribution."""
        model = ContrastiveModel(self.lm, self.positive, self.negative, strength)
        return generate(model.language_model, rows, {}, sampling, logprobs=False)


def contrastive(lm: LanguageModel, task: Task, _folder: Path, _progress: Progress) -> Contrastive:
    """Return the task's descriptions as two prompts to contrast."""
    return Contrastive(lm, task.positive, task.negative)
