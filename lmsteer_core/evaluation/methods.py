"""The methods that move only the head, and what every method of the evaluation can do.

A maker is `make(lm, task, folder, progress)`: it makes a method or reads what an earlier call has
left in the folder. Those of budget.py take a keyword `budget` too. `MAKERS` here and in baselines/ name
them for the command line.

    unsteered                the model itself
    lm-steer-labels          ours, from the task's labelled text
    lm-steer-descriptions    ours, from its two descriptions and no text
    lm-steer-official        the published recipe on the labelled text, stopped early
    lm-steer-official-1000   the same as long as published
    word-offsets             soft blacklist: one offset per vocabulary entry
    additive                 one vector u: E (h + ε u)
    prompt-prefix            the same descriptions in front of the prompt
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lmsteer_core.calibration import FULL_EPSILON, TARGET_KL, scale_to_divergence
from lmsteer_core.decoding import Batch, LiveRow, Sampling, Token, check_drawn
from lmsteer_core.errors import InputError
from lmsteer_core.evaluation.budget import BUDGETS, PUBLISHED, Budget
from lmsteer_core.evaluation.task import Task
from lmsteer_core.generation import Generated, Row, generate, live_rows
from lmsteer_core.language_model import LanguageModel
from lmsteer_core.neutral import Progress, batches, neutral_text, tokens_per_chunk
from lmsteer_core.official import train_official
from lmsteer_core.projection import Damping, expected_embedding, next_word
from lmsteer_core.sources import Descriptions, LabelledText
from lmsteer_core.steer import Steer
from lmsteer_core.training import calibrated, train

STRENGTHS = (1.0, 2.0, 3.0)
"""What calibrated methods are swept over: 3 is the end of a steer's useful range."""

PREFIX = "This is {}: "

_MAX_TEXT_TOKENS = 256
_N_KL_TOKENS = 200


class Method(Protocol):
    """A way to write towards the + pole or the − pole of a task.

    Attributes:
        name: Its name in tables.
        n_parameters: Numbers it has beyond the model's own; 0 for a prompt.
        training_seconds: What making it took, calibration included.
        strengths: Positive strengths to sweep; −s is the other pole.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def n_parameters(self) -> int: ...  # noqa: D102
    @property
    def training_seconds(self) -> float: ...  # noqa: D102
    @property
    def strengths(self) -> tuple[float, ...]: ...  # noqa: D102

    def continue_rows(self, rows: Sequence[Row], strength: float, sampling: Sampling) -> list[Generated]:
        """Continue prompts; the strength 0 is the model itself, with the same dice the same text."""
        ...


@runtime_checkable
class Composable(Method, Protocol):
    """A method of which two can act at once, each with its own strength."""

    def beside(self, other: Self, strength: float) -> Method:
        """Return this method with another of its kind held at a strength."""
        ...


Maker = Callable[..., Method]
"""(lm, task, folder, progress) → a method."""


@dataclass(frozen=True)
class Unsteered:
    """The model itself."""

    lm: LanguageModel
    name: str = "unsteered"
    n_parameters: int = 0
    training_seconds: float = 0.0
    strengths: tuple[float, ...] = ()

    def continue_rows(self, rows: Sequence[Row], strength: float, sampling: Sampling) -> list[Generated]:
        """Continue prompts; there is no strength but 0."""
        if strength:
            raise InputError("The unsteered model has no strength but 0.")
        return generate(self.lm, rows, {}, sampling, logprobs=False)


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

    def continue_rows(self, rows: Sequence[Row], strength: float, sampling: Sampling) -> list[Generated]:
        """Continue prompts at ε = strength."""
        steers = {"own": self.steer, **{name: steer for name, (steer, _) in self.held.items()}}
        epsilons = {"own": strength, **{name: epsilon for name, (_, epsilon) in self.held.items()}}
        rows = [replace(row, epsilons=epsilons) for row in rows]
        return generate(self.lm, rows, steers, sampling, logprobs=False)


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

    def continue_rows(self, rows: Sequence[Row], strength: float, sampling: Sampling) -> list[Generated]:
        """Continue prompts with strength · b added to the head's output."""
        added = strength * self.offset + (0 if self.held is None else self.held)
        head = self.lm.model.get_output_embeddings()
        with head.register_forward_hook(lambda _head, _args, logits: logits + added.to(logits)):
            return generate(self.lm, rows, {}, sampling, logprobs=False)


@dataclass(frozen=True)
class Prefixed:
    """A description in front of the prompt; strength 1 is the + pole's, −1 the − pole's."""

    lm: LanguageModel
    positive: str
    negative: str
    name: str = "prompt prefix"
    n_parameters: int = 0
    training_seconds: float = 0.0
    strengths: tuple[float, ...] = (1.0,)

    def continue_rows(self, rows: Sequence[Row], strength: float, sampling: Sampling) -> list[Generated]:
        """Continue prompts behind a description, with the dice of the bare prompts."""
        if strength not in (-1, 0, 1):
            raise InputError(f"A prompt prefix has no strength but −1, 0 and 1, so not {strength:g}.")
        live = live_rows(self.lm, rows, {}, sampling, logprobs=False)
        if strength:
            prefix = PREFIX.format(self.positive if strength > 0 else self.negative)
            behind = [replace(row, prompt=prefix + row.prompt) for row in rows]
            longer = live_rows(self.lm, behind, {}, sampling, logprobs=False)
            live = [_Behind(**vars(row), bare=bare) for row, bare in zip(longer, live, strict=True)]
        batch, tokens = Batch(self.lm), {row: list[Token]() for row in live}
        batch.join(live)
        while batch.rows:
            for row, token in check_drawn(batch.step()).items():
                tokens[row] += [token] if token else []
        return [Generated(row, tokens[own]) for row, own in zip(rows, live, strict=True)]


@dataclass(eq=False, kw_only=True)
class _Behind(LiveRow):
    """A row behind a prefix that rolls the dice of the row without it."""

    bare: LiveRow

    @property
    def dice(self) -> tuple[int, int, int]:
        seed, offset, position = self.bare.dice
        return seed, offset, position + self.n_new


def unsteered(lm: LanguageModel, _task: Task, _folder: Path, _progress: Progress) -> Unsteered:
    """Return the model itself."""
    return Unsteered(lm)


def prompt_prefix(lm: LanguageModel, task: Task, _folder: Path, _progress: Progress) -> Prefixed:
    """Return the task's descriptions as prefixes."""
    return Prefixed(lm, task.positive, task.negative)


def steer_from_labels(lm: LanguageModel, task: Task, folder: Path, progress: Progress) -> Steered:
    """Return our steer of the labelled text."""
    source = task.labelled()
    steer, seconds = _kept_steer(folder, lambda: train(lm, task.name, source, progress=progress))
    return Steered(lm, "LM-Steer, labels", steer, seconds)


def steer_from_descriptions(lm: LanguageModel, task: Task, folder: Path, progress: Progress) -> Steered:
    """Return our steer of the two descriptions."""
    source = Descriptions(task.positive, task.negative)
    steer, seconds = _kept_steer(folder, lambda: train(lm, task.name, source, progress=progress))
    return Steered(lm, "LM-Steer, descriptions", steer, seconds)


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
            lm, task.name, source.texts, source.labels, snapshots=[budget.n_steps],
            learning_rate=budget.learning_rate, batch_size=budget.batch_size, seed=budget.seed,
            max_tokens=budget.max_tokens, progress=progress,
        )[budget.n_steps]  # fmt: skip
        return calibrated(lm, raw, source, progress=progress)

    steer, seconds = _kept_steer(folder, make)
    return Steered(lm, f"LM-Steer, official, {budget.n_steps:,} steps", steer, seconds)


def word_offsets(lm: LanguageModel, task: Task, folder: Path, progress: Progress) -> Offset:
    """Return the soft blacklist in closed form.

    b_v = ½ log((n⁺_v + 1) / (n⁻_v + 1)), with the counts of token v in the texts, each weighted by the
    size of its label and either pole scaled to the same total: the offsets that a classifier of single
    tokens learns.
    """
    source = task.labelled()

    def make() -> Tensor:
        progress(0.0, "counting words")
        counts = torch.zeros(2, lm.vocab_size, dtype=torch.float64)
        for text, label in zip(source.texts, source.labels, strict=True):
            ids = torch.tensor(lm.tokenizer(text, add_special_tokens=False)["input_ids"], dtype=torch.long)
            counts[int(label > 0)] += abs(label) * ids.bincount(minlength=lm.vocab_size)[: lm.vocab_size]
        totals = counts.sum(dim=1, keepdim=True)
        negative, positive = (counts * totals.mean() / totals + 1).log()
        offset: Tensor = ((positive - negative) / 2).float()
        return offset.mul_(_scale(lm, offset))

    offset, seconds = _kept_tensor(folder, "offset", make)
    return Offset(lm, "word offsets (soft blacklist)", offset.to(lm.device), lm.vocab_size, seconds)


def additive(lm: LanguageModel, task: Task, folder: Path, progress: Progress) -> Offset:
    """Return one vector u that is added to the hidden state, so that b = E u.

    u = (A + λ tr(A)/d · I)⁻¹ mean(s_t (e_{x_t} − μ_t)): the projection of projection.py for a shift that
    does not depend on the hidden state. Added to the embeddings themselves, u would move every logit by
    the same h · u and change nothing.
    """
    source = task.labelled()

    def make() -> Tensor:
        plain = neutral_text(lm, progress=progress)
        shift = _mean_shift(lm, source, progress)
        curvature = plain.curvature.embedding.to(shift)
        ridge = Damping().embedding * curvature.trace() / lm.d_model
        u: Tensor = torch.linalg.solve(curvature + ridge * torch.eye(lm.d_model).to(shift), shift).float()
        return u.mul_(_scale(lm, lm.output_embedding.float() @ u))

    u, seconds = _kept_tensor(folder, "vector", make)
    return Offset(lm, "additive vector", lm.output_embedding.float() @ u.to(lm.device), lm.d_model, seconds)


MAKERS: dict[str, Maker] = {
    "unsteered": unsteered,
    "lm-steer-labels": steer_from_labels,
    "lm-steer-descriptions": steer_from_descriptions,
    "lm-steer-official": official_steer,
    PUBLISHED: functools.partial(official_steer, budget=BUDGETS[PUBLISHED]),
    "word-offsets": word_offsets,
    "additive": additive,
    "prompt-prefix": prompt_prefix,
}
NEED_NO_TEXT = frozenset({"unsteered", "lm-steer-descriptions", "prompt-prefix"})
OURS = frozenset({"lm-steer-labels", "lm-steer-descriptions"})


def _kept_steer(folder: Path, make: Callable[[], Steer]) -> tuple[Steer, float]:
    """Return the folder's steer and the seconds it took, made now if it is not there."""
    seconds = _timed(folder, lambda: make().save(folder))
    return Steer.load(folder), seconds


def _kept_tensor(folder: Path, name: str, make: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """Return the folder's tensor and the seconds it took, made now if it is not there."""
    file = folder / f"{name}.safetensors"
    seconds = _timed(folder, lambda: save_file({name: make().cpu().contiguous()}, file))
    tensor: Tensor = load_file(file)[name]
    return tensor, seconds


def _timed(folder: Path, make: Callable[[], object]) -> float:
    """Return how many seconds `make` took, now or when it left its work in the folder."""
    file = folder / "training.json"  # written last: without it nothing in the folder is whole
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        make()
        file.write_text(json.dumps({"seconds": time.perf_counter() - start}))
    return float(json.loads(file.read_text())["seconds"])


def _mean_shift(lm: LanguageModel, source: LabelledText, progress: Progress) -> Tensor:
    """Return the mean over tokens of label · (e_x − μ), (d_model,), float64, labels centred by tokens."""
    texts = [(lm.start_ids + lm.encode(t)[0][len(lm.prefix_ids) :])[:_MAX_TEXT_TOKENS] for t in source.texts]
    lengths = torch.tensor([len(t) - 1.0 for t in texts], dtype=torch.float64)
    labels = torch.tensor(source.labels, dtype=torch.float64)
    centred = labels - (labels * lengths).sum() / lengths.sum()
    total, done = torch.zeros(lm.d_model, dtype=torch.float64, device=lm.device), 0
    for group in batches(texts):
        states = lm.hidden_states([texts[j] for j in group])
        hidden = torch.cat([h[:-1] for h in states])
        next_ids = torch.tensor([i for j in group for i in texts[j][1:]], device=lm.device)
        sign = torch.cat([centred[j].expand(len(texts[j]) - 1) for j in group]).to(lm.device)
        for h, x, s in zip(*(t.split(tokens_per_chunk(lm)) for t in (hidden, next_ids, sign)), strict=True):
            away = lm.output_embedding[x].float() - expected_embedding(lm, next_word(lm, h))
            total += s @ away.double()
        done += len(group)
        progress(done / len(texts), f"reading labelled text ({done:,} of {len(texts):,})")
    return total / lengths.sum().to(lm.device)


def _scale(lm: LanguageModel, offset: Tensor) -> float:
    """Return the factor that gives 3 · offset the divergence that a steer has at ε = 3 before any text."""
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
