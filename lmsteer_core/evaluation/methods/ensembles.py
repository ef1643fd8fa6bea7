"""What decides together while decoding: DExperts, GeDi and contrastive prompting.

An `Ensemble` is a decoder made of models. All read the same tokens, each with its own keys and
values, and their next-token logits become one; rows, random numbers and prompts are handled by
`generate` as for any model.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from lmsteer_core.errors import ModelError
from lmsteer_core.evaluation.methods.budget import BUDGETS, Budget
from lmsteer_core.evaluation.methods.lora import Adapted, adapt
from lmsteer_core.generation.generate import Generated, Row, generate, live_rows
from lmsteer_core.generation.sampling import Sampling, nucleus
from lmsteer_core.models.decoder import Cache, Output
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.models.probe import LogitMap
from lmsteer_core.progress import Progress

if TYPE_CHECKING:
    from lmsteer_core.evaluation.task import Task


@dataclass
class Memory:
    """What an ensemble keeps from token to token, in the place of a cache.

    Attributes:
        caches: A cache for each model.
        rows: Whatever else belongs to a row, each (n_rows, …).
    """

    caches: list[Any]
    rows: dict[str, Tensor] = field(default_factory=dict)
    can_be_joined = False

    def select(self, index: Sequence[int]) -> None:
        """Keep these rows, in this order."""
        for cache in self.caches:
            cache.select(index)
        self.rows = {name: tensor[list(index)] for name, tensor in self.rows.items()}


class Ensemble:
    """The base model, a + pole's and a − pole's as the decoder of one language model."""

    pads = True
    rounds_singly = False

    def __init__(self, lm: LanguageModel, positive: LanguageModel, negative: LanguageModel) -> None:
        """Take three models of one vocabulary."""
        self._members = (lm, positive, negative)
        # not a new one, which would hook the base model's head again
        self.language_model = copy.copy(lm)
        self.language_model.decoder = self.language_model.reference = self
        as_they_are = LogitMap(1.0, None, lm.vocab_size)
        self.language_model.probed = replace(lm.probed, logit_map=as_they_are)

    def combine(
        self,
        base: Tensor,
        positive: Tensor,
        negative: Tensor,
        memory: Memory,
        read: Tensor,
        n_read: int,
    ) -> Tensor:
        """Return next-token logits, (n_rows, vocab_size).

        Args:
            base: The base model's next-token logits, (n_rows, vocab_size), float32.
            positive: The same of the + pole's model.
            negative: The same of the − pole's.
            memory: What belongs to the rows.
            read: The tokens read in this step, (n_rows, n_tokens).
            n_read: Tokens read so far, padding included.
        """
        raise NotImplementedError

    def read(self, ids: Tensor, mask: Tensor, cache: Memory | None) -> Output:
        """Read tokens on; arguments as for `Decoder.read`, and logits in the place of E h."""
        memory = cache or Memory([None] * len(self._members))
        outputs = [
            member.reference.read(ids, mask, its_cache)
            for member, its_cache in zip(self._members, memory.caches, strict=True)
        ]
        memory.caches = [output.cache for output in outputs]
        if None in memory.caches:
            raise ModelError(
                "Ensembles need a model that keeps a cache; leave DExperts, GeDi and contrastive "
                "prompting out here."
            )
        base, positive, negative = (
            member.finish(output.product[:, : member.vocab_size])
            for member, output in zip(self._members, outputs, strict=True)
        )
        combined = self.combine(base, positive, negative, memory, ids, mask.shape[1])
        return Output(combined, outputs[0].hidden, cast("Cache", memory))


class DExpertsModel(Ensemble):
    """base + α (expert − anti-expert), among the tokens of the base model's nucleus.

    Liu et al., ACL 2021 (arXiv 2105.03023): z = z_base + α (z⁺ − z⁻). The nucleus is the base
    model's and is taken before, so a token that the base model finds implausible stays out.
    """

    def __init__(
        self, lm: LanguageModel, adapted: Adapted, alpha: float, sampling: Sampling
    ) -> None:
        """Combine at α, negative for the − pole; the sampling's nucleus is the base model's."""
        super().__init__(lm, adapted.positive, adapted.negative)
        self._alpha, self._sampling = alpha, sampling

    def combine(
        self,
        base: Tensor,
        positive: Tensor,
        negative: Tensor,
        memory: Memory,
        read: Tensor,
        n_read: int,
    ) -> Tensor:
        """Return z_base + α (z⁺ − z⁻), −∞ outside the base model's nucleus."""
        del memory, read, n_read
        moved = base + self._alpha * (positive - negative)
        combined = torch.full_like(base, -torch.inf)
        for i, row in enumerate(base / (self._sampling.temperature or 1.0)):
            kept = nucleus(row, self._sampling.top_p)
            combined[i, kept] = moved[i, kept]
        return combined


class GeDiModel(Ensemble):
    """The base model reweighted by the posterior of a class, the two poles' models its likelihoods.

    Krause et al., Findings of EMNLP 2021 (arXiv 2009.06367). For a token v after the words x of a
    continuation, T tokens in all,

        log P(c | x v) = log σ(± (log P⁺(x v) − log P⁻(x v)) / T)
        logits = log p_base + ω log P(c | ·)

    with equal priors. The published discriminator is trained for this and learns a scale for the
    posterior, and it reads the prompt as part of x; here the scale is 1 and x the continuation
    alone. Then the least fitting tokens go, as published: up to a mass of ρ = 0.8, unless their
    posterior is 0.8 or more.
    """

    _RHO = 0.8
    _TAU = 0.8

    def __init__(self, lm: LanguageModel, adapted: Adapted, omega: float, n_prompt: int) -> None:
        """Reweight with ω, negative for the − pole.

        What is read beyond `n_prompt` tokens counts.
        """
        super().__init__(lm, adapted.positive, adapted.negative)
        self._omega, self._n_prompt = omega, n_prompt

    def combine(
        self,
        base: Tensor,
        positive: Tensor,
        negative: Tensor,
        memory: Memory,
        read: Tensor,
        n_read: int,
    ) -> Tensor:
        """Return log p_base + ω log P(c | ·), −∞ for what the filter takes out."""
        n_written = n_read - self._n_prompt
        evidence = base.new_zeros(len(base), 1)  # log P⁺(x) − log P⁻(x)
        if n_written > 0:
            evidence = memory.rows["evidence"] + memory.rows["odds"].gather(1, read)
        odds = positive.log_softmax(dim=1) - negative.log_softmax(dim=1)
        memory.rows = {"evidence": evidence, "odds": odds}
        if not self._omega:
            return base
        sign = math.copysign(1.0, self._omega)
        posterior = nn.functional.logsigmoid(sign * (evidence + odds) / (max(n_written, 0) + 1))
        weighted = base.log_softmax(dim=1) + abs(self._omega) * posterior
        return weighted.masked_fill(self._unfit(weighted, posterior), -torch.inf)

    def _unfit(self, weighted: Tensor, posterior: Tensor) -> Tensor:
        least_first = posterior.argsort(dim=1)
        mass = weighted.softmax(dim=1).gather(1, least_first).cumsum(dim=1)
        drop = (mass < self._RHO) & (posterior.gather(1, least_first) < math.log(self._TAU))
        return torch.zeros_like(drop).scatter(1, least_first, drop)


@dataclass(frozen=True)
class DExperts:
    """A method of `evaluation`: the strength is α."""

    lm: LanguageModel
    adapted: Adapted
    n_parameters: int
    training_seconds: float
    name: str = "DExperts"
    strengths: tuple[float, ...] = (1.0, 2.0)

    def continue_rows(
        self, rows: Sequence[Row], strength: float, sampling: Sampling
    ) -> list[Generated]:
        """Continue rows; `sampling.top_p` is the base model's nucleus, the only one."""
        model = DExpertsModel(self.lm, self.adapted, strength, sampling)
        return generate(
            model.language_model, rows, {}, replace(sampling, top_p=1.0), logprobs=False
        )


@dataclass(frozen=True)
class GeDi:
    """A method of `evaluation`: the strength is ω, and 0 leaves the filter out too."""

    lm: LanguageModel
    adapted: Adapted
    n_parameters: int
    training_seconds: float
    name: str = "GeDi-style"
    strengths: tuple[float, ...] = (5.0, 30.0)

    def continue_rows(
        self, rows: Sequence[Row], strength: float, sampling: Sampling
    ) -> list[Generated]:
        """Continue rows; the nucleus is taken after the reweighting, as published."""
        n_prompt = max(len(row.ids) for row in live_rows(self.lm, rows, {}, sampling))
        model = GeDiModel(self.lm, self.adapted, strength, n_prompt)
        return generate(model.language_model, rows, {}, sampling, logprobs=False)


def make_dexperts(
    lm: LanguageModel,
    task: Task,
    folder: Path,
    progress: Progress,
    *,
    budget: Budget = BUDGETS["dexperts"],
) -> DExperts:
    """Return DExperts of the adapters that LoRA has or will have; errors as for `adapt`."""
    adapted = adapt(lm, task, folder, progress, budget)
    return DExperts(lm, adapted, adapted.n_parameters, adapted.training_seconds)


def make_gedi(
    lm: LanguageModel,
    task: Task,
    folder: Path,
    progress: Progress,
    *,
    budget: Budget = BUDGETS["gedi"],
) -> GeDi:
    """Return GeDi of the adapters that LoRA has or will have; errors as for `adapt`."""
    adapted = adapt(lm, task, folder, progress, budget)
    return GeDi(lm, adapted, adapted.n_parameters, adapted.training_seconds)
