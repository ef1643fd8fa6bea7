"""The descriptions in front of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lmsteer_core.errors import InputError
from lmsteer_core.evaluation.task import Task
from lmsteer_core.generation.batch import Batch, check_drawn
from lmsteer_core.generation.generate import Generated, Row, live_rows
from lmsteer_core.generation.live_row import LiveRow, Token
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress

PREFIX = "This is {}: "


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

    def continue_rows(
        self, rows: Sequence[Row], strength: float, sampling: Sampling
    ) -> list[Generated]:
        """Continue prompts behind a description, with the dice of the bare prompts."""
        if strength not in (-1, 0, 1):
            raise InputError(
                f"A prompt prefix has no strength but −1, 0 and 1, so not {strength:g}."
            )
        live = live_rows(self.lm, rows, {}, sampling, logprobs=False)
        if strength:
            prefix = PREFIX.format(self.positive if strength > 0 else self.negative)
            behind = [replace(row, prompt=prefix + row.prompt) for row in rows]
            longer = live_rows(self.lm, behind, {}, sampling, logprobs=False)
            live = [
                _Behind(row.ids, {}, {}, sampling, row.seed_offset, logprobs=False, bare=bare)
                for row, bare in zip(longer, live, strict=True)
            ]
        batch, tokens = Batch(self.lm), {row: list[Token]() for row in live}
        batch.join(live)
        while batch.rows:
            for row, token in check_drawn(batch.step()).items():
                tokens[row] += [token] if token else []
        return [Generated(row, tokens[live_row]) for row, live_row in zip(rows, live, strict=True)]


@dataclass(eq=False, kw_only=True)
class _Behind(LiveRow):
    """A row behind a prefix that rolls the dice of the row without it."""

    bare: LiveRow

    @property
    def noise_key(self) -> tuple[int, int, int]:
        seed, offset, position = self.bare.noise_key
        return seed, offset, position + self.n_new


def prompt_prefix(lm: LanguageModel, task: Task, _folder: Path, _progress: Progress) -> Prefixed:
    """Return the task's descriptions as prefixes."""
    return Prefixed(lm, task.positive, task.negative)
