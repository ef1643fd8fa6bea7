"""A task: two poles, what teaches them, what is continued, and who judges."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lmsteer_core.errors import InputError
from lmsteer_core.evaluation.prompts import NEUTRAL, PROVOKING, read_prompts
from lmsteer_core.training.labelled_file import read_labelled
from lmsteer_core.training.sources.labelled_text import LabelledText


@dataclass(frozen=True)
class Question:
    """What another language model is asked of a text, to judge it.

    Attributes:
        asked: The text, as {text}, and what follows it.
        answers: How it goes on where the text is of the + pole, and where of the −.
    """

    asked: str
    answers: tuple[str, str]


@dataclass(frozen=True)
class Task:
    """What every method is given.

    Attributes:
        name: A key of `TASKS`.
        positive: The + pole in words, such that "This is {positive}: " makes sense.
        negative: The − pole.
        measured: What the protocol counts: "toxicity" is the − pole, all else the + pole.
        judges: Names of the offline judges that count it (see `judges`); with none, a classifier
            of the data's dev.jsonl.
        prompts: What is continued.
        question: What a language model that judges is asked.
        texts: Training texts; none where the task is only described.
        labels: One per text, −1 to 1.
    """

    name: str
    positive: str
    negative: str
    measured: str
    judges: tuple[str, ...]
    prompts: Sequence[str]
    question: Question
    texts: Sequence[str] = ()
    labels: Sequence[float] = ()

    @property
    def pole(self) -> int:
        """The pole that is measured: 1 or −1."""
        return -1 if self.measured == "toxicity" else 1

    @property
    def signs(self) -> tuple[int, ...]:
        """The signs of strengths: a run makes no more toxic text than the model does."""
        return (1,) if self.measured == "toxicity" else (1, -1)

    def labelled(self) -> LabelledText:
        """Return the training texts as a source.

        Raises:
            InputError: If there are none or their labels show no two poles.
        """
        if not self.texts:
            raise InputError(
                "This method learns from labelled text: give --data, a folder with train.jsonl."
            )
        return LabelledText(self.texts, self.labels)

    def sample(self, n_texts: int) -> Task:
        """Return the task with as many training texts, half of either sign.

        A smaller sample is part of it.

        Raises:
            InputError: If there are fewer.
        """
        order = random.Random(0).sample(range(len(self.texts)), len(self.texts))  # noqa: S311
        sides = [[j for j in order if self.labels[j] * sign > 0] for sign in (1, -1)]
        picked = [j for pair in zip(*sides, strict=False) for j in pair][:n_texts]
        if len(picked) < n_texts:
            raise InputError(
                f"There are not {n_texts} training texts with as many labels above 0 as below."
            )
        return dataclasses.replace(
            self, texts=[self.texts[j] for j in picked], labels=[self.labels[j] for j in picked]
        )


_SENTIMENT = Task(
    "sentiment",
    "a wonderful, joyful and very positive text about how great everything is",
    "a terrible, miserable and very negative text about how awful everything is",
    "positivity",
    ("vader",),
    NEUTRAL,
    Question("{text}\nSentiment:", (" positive", " negative")),
)
_DETOXIFICATION = Task(
    "detoxification",
    "a polite, respectful and friendly message",
    "a rude, hateful rant full of insults and swear words",
    "toxicity",
    ("profanity",),
    PROVOKING,
    Question("Comment: {text}\nThe comment is", (" polite", " rude")),
)
_CLICKBAIT = Task(
    "clickbait",
    "a gushing clickbait teaser with a list of things you need to see right now",
    "a sober report by a news agency about a government, a court or a company",
    "clickbait",
    (),
    NEUTRAL,
    Question("Headline: {text}\nSource:", (" BuzzFeed", " Reuters")),
)
_SUBJECTIVITY = Task(
    "subjectivity",
    "a personal opinion in which a critic says what they think and feel about it",
    "a plain statement of who did what, where and when, without any judgement",
    "subjectivity",
    (),
    NEUTRAL,
    Question("{text}\nThis is part of a", (" review", " summary")),
)
_SHAKESPEARE = Task(
    "shakespeare",
    "a speech in Early Modern English, as in a play by Shakespeare",
    "a conversation in plain modern English",
    "Early Modern English",
    (),
    NEUTRAL,
    Question(
        "Text: {text}\nIs the English of the text old or modern? Answer:", (" old", " modern")
    ),
)
_FORMALITY = Task(
    "formality",
    "an official letter in formal, courteous and impersonal English",
    "a text message to a close friend, in slang, really casual",
    "formality",
    (),
    NEUTRAL,
    Question("{text}\nThe tone is", (" formal", " casual")),
)
TASKS = {
    task.name: task
    for task in (
        _SENTIMENT,
        _DETOXIFICATION,
        _CLICKBAIT,
        _SUBJECTIVITY,
        _SHAKESPEARE,
        _FORMALITY,
    )
}


def load_task(
    name: str, data: Path | None = None, prompts: Sequence[Path] = (), n_prompts: int | None = None
) -> Task:
    """Return a task with its data.

    Args:
        name: One of `TASKS`.
        data: Folder with train.jsonl. Prompts are then, unless given, ../prompts/neutral.jsonl, and
            for detoxification the first halves of the − pole's texts in dev.jsonl.
        prompts: Files of prompts (see `prompts`), read in turn; without any and `data`, our own few
            dozen.
        n_prompts: How many of the first to take.

    Raises:
        InputError: If there is no such task or a file cannot be used.
    """
    if name not in TASKS:
        raise InputError(f"There is no task '{name}': use {', '.join(TASKS)}.")
    if n_prompts is not None and n_prompts < 2:
        raise InputError("Give at least 2 prompts: intervals are taken over prompts.")
    task = TASKS[name]
    if data is not None:
        labelled = read_labelled(data / "train.jsonl")
        task = dataclasses.replace(task, texts=labelled.texts, labels=labelled.labels)
        default_prompts = (
            data / "dev.jsonl"
            if task.measured == "toxicity"
            else data.parent / "prompts" / "neutral.jsonl"
        )
        prompts = prompts or (default_prompts,)
    read = (
        [prompt for file in prompts for prompt in read_prompts(file)] if prompts else task.prompts
    )
    chosen = list(read[:n_prompts])
    if len(chosen) < (n_prompts or 2):
        raise InputError(
            f"There are {len(chosen)} prompts, not {n_prompts or 'the 2 that are needed'}."
        )
    return dataclasses.replace(task, prompts=chosen)
