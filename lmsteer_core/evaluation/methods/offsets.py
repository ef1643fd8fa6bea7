"""Methods that add the same offset to the logits at every place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from lmsteer_core.evaluation.methods.base import STRENGTHS
from lmsteer_core.evaluation.methods.kept import kept_tensor
from lmsteer_core.evaluation.task import Task
from lmsteer_core.generation.generate import Generated, Row, generate
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.batched import batches, expected_embedding, next_word, tokens_per_chunk
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress
from lmsteer_core.training.calibration import FULL_EPSILON, TARGET_KL, scale_to_divergence
from lmsteer_core.training.fit import AMPLIFICATION, DAMPING, Lesson, Objective
from lmsteer_core.training.neutral_text import neutral_text
from lmsteer_core.training.projection import Curvature, Damping, inverse_roots
from lmsteer_core.training.sources.descriptions import Descriptions
from lmsteer_core.training.sources.labelled_text import LabelledText

_MAX_TEXT_TOKENS = 256
_N_KL_TOKENS = 200
_N_STEPS = 30


@dataclass(frozen=True)
class Offset:
    """An offset b of the logits, the same at every place: E h + ε b.

    Attributes:
        offset: b, (vocab_size,), float32.
    """

    lm: LanguageModel
    name: str
    offset: Tensor
    n_parameters: int
    training_seconds: float
    strengths: tuple[float, ...] = STRENGTHS
    held: Tensor | None = None

    def beside(self, other: Offset, strength: float) -> Offset:
        """Return this offset with another one held at a strength."""
        return replace(self, held=strength * other.offset + (0 if self.held is None else self.held))

    def continue_rows(
        self, rows: Sequence[Row], strength: float, sampling: Sampling
    ) -> list[Generated]:
        """Continue prompts with strength · b added to the head's output."""
        added = strength * self.offset + (0 if self.held is None else self.held)
        head = self.lm.model.get_output_embeddings()
        with head.register_forward_hook(lambda _head, _args, logits: logits + added.to(logits)):
            return generate(self.lm, rows, {}, sampling, logprobs=False)


def word_offsets(lm: LanguageModel, task: Task, folder: Path, progress: Progress) -> Offset:
    """Return the soft blacklist in closed form.

    b_v = ½ log((n⁺_v + 1) / (n⁻_v + 1)), with the counts of token v in the texts, each weighted by
    the size of its label and either pole scaled to the same total: the offsets that a classifier of
    single tokens learns.
    """
    source = task.labelled()

    def make() -> Tensor:
        progress(0.0, "counting words")
        counts = torch.zeros(2, lm.vocab_size, dtype=torch.float64)
        for text, label in zip(source.texts, source.labels, strict=True):
            ids = torch.tensor(
                lm.tokenizer(text, add_special_tokens=False)["input_ids"], dtype=torch.long
            )
            counts[int(label > 0)] += (
                abs(label) * ids.bincount(minlength=lm.vocab_size)[: lm.vocab_size]
            )
        totals = counts.sum(dim=1, keepdim=True)
        negative, positive = (counts * totals.mean() / totals + 1).log()
        offset: Tensor = ((positive - negative) / 2).float()
        return offset.mul_(_scale(lm, offset))

    offset, seconds = kept_tensor(folder, "offset", make)
    return Offset(lm, "word offsets (soft blacklist)", offset.to(lm.device), lm.vocab_size, seconds)


def additive(lm: LanguageModel, task: Task, folder: Path, progress: Progress) -> Offset:
    """Return one vector u that is added to the hidden state, so that b = E u.

    u = (A + λ tr(A)/d · I)⁻¹ mean(s_t (e_{x_t} − μ_t)): the projection of training/projection.py
    for a shift that does not depend on the hidden state. Added to the embeddings themselves, u
    would move every logit by the same h · u and change nothing.
    """
    source = task.labelled()

    def make() -> Tensor:
        plain = neutral_text(lm, progress=progress)
        shift = _mean_shift(lm, source, progress)
        curvature = plain.curvature.embedding.to(shift)
        ridge = Damping().embedding * curvature.trace() / lm.d_model
        u: Tensor = torch.linalg.solve(
            curvature + ridge * torch.eye(lm.d_model).to(shift), shift
        ).float()
        return u.mul_(_scale(lm, lm.output_embedding.float() @ u))

    u, seconds = kept_tensor(folder, "vector", make)
    return Offset(
        lm, "additive vector", lm.output_embedding.float() @ u.to(lm.device), lm.d_model, seconds
    )


def additive_from_descriptions(
    lm: LanguageModel, task: Task, folder: Path, progress: Progress
) -> Offset:
    """Return one vector u from the two descriptions, fitted to the amplified teacher as W is."""

    def make() -> Tensor:
        fast = lm.for_batches
        plain = neutral_text(fast, progress=progress)
        lesson = Descriptions(task.positive, task.negative).shift(fast, plain, progress).lesson
        assert lesson is not None
        u = fit_vector(fast, lesson, plain.curvature)
        return u.mul_(_scale(lm, lm.output_embedding.float() @ u))

    u, seconds = kept_tensor(folder, "vector", make)
    offset = lm.output_embedding.float() @ u.to(lm.device)
    return Offset(lm, "additive vector, descriptions", offset, lm.d_model, seconds)


def fit_vector(lm: LanguageModel, lesson: Lesson, curvature: Curvature) -> Tensor:
    """Return the u that minimises what `fit` minimises, with u in the place of Wᵀ h, (d_model,)."""
    objective = Objective(lm, lesson, curvature, AMPLIFICATION, DAMPING)
    root, _ = inverse_roots(curvature, DAMPING)
    undamped = root @ curvature.embedding @ root
    whitened = torch.zeros_like(root[0], requires_grad=True)
    solver = torch.optim.LBFGS([whitened], max_iter=_N_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        x = whitened.detach()
        total, slopes = objective.divergence((root @ x).to(lesson.hidden).expand_as(lesson.hidden))
        away = x - undamped @ x
        whitened.grad = root @ slopes.double().mean(dim=0) + away
        return torch.tensor(total / len(slopes) + float(x @ away) / 2, dtype=torch.float64)

    solver.step(closure)
    return (root @ whitened.detach()).float()


def _mean_shift(lm: LanguageModel, source: LabelledText, progress: Progress) -> Tensor:
    """Return the mean over tokens of label · (e_x − μ), (d_model,), float64.

    Labels are centred by tokens.
    """
    texts = [
        (lm.start_ids + lm.encode(t)[0][len(lm.prefix_ids) :])[:_MAX_TEXT_TOKENS]
        for t in source.texts
    ]
    lengths = torch.tensor([len(t) - 1.0 for t in texts], dtype=torch.float64)
    labels = torch.tensor(source.labels, dtype=torch.float64)
    centred = labels - (labels * lengths).sum() / lengths.sum()
    total, done = torch.zeros(lm.d_model, dtype=torch.float64, device=lm.device), 0
    for group in batches(texts):
        states = lm.hidden_states([texts[j] for j in group])
        hidden = torch.cat([h[:-1] for h in states])
        next_ids = torch.tensor([i for j in group for i in texts[j][1:]], device=lm.device)
        sign = torch.cat([centred[j].expand(len(texts[j]) - 1) for j in group]).to(lm.device)
        for h, x, s in zip(
            *(t.split(tokens_per_chunk(lm)) for t in (hidden, next_ids, sign)), strict=True
        ):
            away = lm.output_embedding[x].float() - expected_embedding(lm, next_word(lm, h))
            total += s @ away.double()
        done += len(group)
        progress(done / len(texts), f"reading labelled text ({done:,} of {len(texts):,})")
    return total / lengths.sum().to(lm.device)


def _scale(lm: LanguageModel, offset: Tensor) -> float:
    """Return the factor that gives 3 · offset a steer's divergence at ε = 3 before any text."""
    hidden = torch.cat(neutral_text(lm).hidden)
    tables = [
        lm.unembed(h.to(lm.output_embedding.dtype)).float()
        for h in hidden[:: max(1, len(hidden) // _N_KL_TOKENS)].split(tokens_per_chunk(lm))
    ]
    offset = offset.to(lm.device)

    def kl(scale: float) -> float:
        total, n_tokens = 0.0, 0
        for table in tables:
            log_p, base = (lm.finish(table + s * offset).log_softmax(dim=1) for s in (scale, 0.0))
            total += float((log_p.exp() * (log_p - base)).sum())
            n_tokens += len(table)
        return total / n_tokens

    return scale_to_divergence(lambda scale: (kl(scale) + kl(-scale)) / 2, TARGET_KL) / FULL_EPSILON
