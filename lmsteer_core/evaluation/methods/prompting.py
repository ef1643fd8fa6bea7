"""A pole in words before the prompt: as a prefix, as a request in a chat, with a steer beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmsteer_core.errors import InputError
from lmsteer_core.evaluation.methods.base import STRENGTHS
from lmsteer_core.evaluation.methods.steers import steer_from_descriptions
from lmsteer_core.evaluation.task import Task
from lmsteer_core.generation.batch import Batch, check_drawn
from lmsteer_core.generation.generate import Generated, Row, live_rows
from lmsteer_core.generation.live_row import LiveRow, Token
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.models.tokenizer import chat_text
from lmsteer_core.progress import Progress
from lmsteer_core.steers.steer import Steer

PREFIX = "This is {}: "
REQUEST = "Write {}. Begin with these words: {}"


@dataclass(frozen=True)
class Prompted:
    """Words before the prompt that ask for the pole of the strength's sign.

    Attributes:
        lm: The language model.
        name: Its name in tables.
        behind: Prompt and sign → tokens that end with the prompt's.
        steer: A steer that acts too, at ε = the strength; without one the strengths are −1 and 1.
    """

    lm: LanguageModel
    name: str
    behind: Callable[[str, int], list[int]]
    steer: Steer | None = None
    n_parameters: int = 0
    training_seconds: float = 0.0
    strengths: tuple[float, ...] = (1.0,)

    def continue_rows(
        self, rows: Sequence[Row], strength: float, sampling: Sampling
    ) -> list[Generated]:
        """Continue prompts behind the words, with the random numbers of the bare prompts."""
        sign = (strength > 0) - (strength < 0)
        if self.steer is None and strength != sign:
            raise InputError(f"A prompt has no strength but −1, 0 and 1, so not {strength:g}.")
        live = live_rows(self.lm, rows, {}, sampling, logprobs=False)
        if sign:
            epsilons, steers = ({"own": strength}, {"own": self.steer}) if self.steer else ({}, {})
            live = [
                _Behind(
                    self.behind(row.prompt, sign),
                    epsilons,
                    steers,
                    sampling,
                    row.seed_offset,
                    logprobs=False,
                    bare=bare,
                )
                for row, bare in zip(rows, live, strict=True)
            ]
        batch, tokens = Batch(self.lm), {row: list[Token]() for row in live}
        batch.join(live)
        while batch.rows:
            for row, token in check_drawn(batch.step()).items():
                tokens[row] += [token] if token else []
        return [Generated(row, tokens[live_row]) for row, live_row in zip(rows, live, strict=True)]


@dataclass(eq=False, kw_only=True)
class _Behind(LiveRow):
    """A row behind other words that rolls the dice of the row without them."""

    bare: LiveRow

    @property
    def noise_key(self) -> tuple[int, int, int]:
        seed, offset, position = self.bare.noise_key
        return seed, offset, position + self.n_new


def prompt_prefix(lm: LanguageModel, task: Task, _folder: Path, _progress: Progress) -> Prompted:
    """Return the task's descriptions as prefixes."""
    return Prompted(lm, "prompt prefix", _prefixed(lm, task))


def chat_prompt(lm: LanguageModel, task: Task, _folder: Path, _progress: Progress) -> Prompted:
    """Return a request for the description in the chat template, its answer begun by the prompt.

    Raises:
        InputError: If the model has no chat template.
    """
    if not lm.tokenizer.chat_template:
        raise InputError(f"{lm.model_id} has no chat template; leave the method chat-prompt out.")

    def behind(prompt: str, sign: int) -> list[int]:
        request = REQUEST.format(_pole(task, sign), prompt)
        chat = chat_text(lm.tokenizer, [{"role": "user", "content": request}])
        return lm.token_ids(chat) + lm.token_ids(prompt)

    return Prompted(lm, "chat prompt", behind)


def prompt_and_steer(lm: LanguageModel, task: Task, folder: Path, progress: Progress) -> Prompted:
    """Return the prefix and our steer from the same descriptions, which the two methods share."""
    ours = steer_from_descriptions(lm, task, folder.parent / "lm-steer-descriptions", progress)
    return Prompted(
        lm,
        "prompt prefix + LM-Steer",
        _prefixed(lm, task),
        ours.steer,
        ours.n_parameters,
        ours.training_seconds,
        STRENGTHS,
    )


def _prefixed(lm: LanguageModel, task: Task) -> Callable[[str, int], list[int]]:
    return lambda prompt, sign: lm.encode(PREFIX.format(_pole(task, sign)) + prompt)[0]


def _pole(task: Task, sign: int) -> str:
    return task.positive if sign > 0 else task.negative
