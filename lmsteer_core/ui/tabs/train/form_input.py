"""What a visitor typed or uploaded → a source to train on, and what was understood of it."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lmsteer_core.errors import InputError, LMSteerError
from lmsteer_core.training.labelled_file import Labelled, read_labelled
from lmsteer_core.training.sources.descriptions import Descriptions
from lmsteer_core.training.sources.examples import Examples
from lmsteer_core.training.sources.labelled_text import LabelledText
from lmsteer_core.ui.markup import widgets

MAX_TEXTS = 1000
"""Labelled texts used of one file, so that a shared machine is done in minutes."""

DESCRIPTIONS, EXAMPLES, FILE = "Descriptions", "Examples", "Labelled file"

NO_NAME = "my-steer"

_STOP_WORDS = frozenset(
    ("a", "an", "and", "as", "at", "by", "for", "from", "in", "into", "is", "it", "its", "my", "of")
    + ("old", "on", "or", "that", "the", "this", "to", "told", "with", "very", "written")
)


@dataclass(frozen=True)
class FormInput:
    """The form's fields; `path` is the uploaded file."""

    name: str
    mode: str
    positive: str
    negative: str
    more: str
    less: str
    path: str | None
    zero_is_negative: bool = False

    def source(self) -> Descriptions | Examples | LabelledText:
        """Return what the steer is made from.

        Raises:
            InputError: If the mode's fields do not hold what a steer needs.
        """
        if self.mode == DESCRIPTIONS:
            return Descriptions(self.positive, self.negative)
        if self.mode == EXAMPLES:
            return Examples(split_texts(self.more), split_texts(self.less))
        if not self.path:
            raise InputError("Choose a CSV or JSONL file with the columns text and label first.")
        used = sampled(self._labelled(self.path))
        return LabelledText(used.texts, used.labels)

    def suggested_name(self) -> str:
        """Return a name made of the first telling words."""
        if self.mode == EXAMPLES:
            return "my-examples"
        words = self.positive if self.mode == DESCRIPTIONS else Path(self.path or "").stem
        content_words = [
            word
            for word in re.findall(r"(?<!['’])\b[a-z0-9]+", words.casefold())
            if word not in _STOP_WORDS
        ]
        return "-".join(content_words[:2])[:40] or NO_NAME

    def preview(self) -> str:
        """Return what was understood, as HTML.

        It is empty while fields are; once all are filled it also names mistakes.
        """
        previews: dict[str, Callable[[], str]] = {
            DESCRIPTIONS: self._preview_descriptions,
            EXAMPLES: self._preview_examples,
            FILE: self._preview_file,
        }
        try:
            return previews[self.mode]()
        except LMSteerError as error:
            return widgets.note(str(error), "error")

    def _preview_descriptions(self) -> str:
        if not (self.positive.strip() and self.negative.strip()):
            return ""
        negative, positive = self.source().poles
        sentence = f"− {negative} ↔ {positive} +"
        if min(len(self.positive.split()), len(self.negative.split())) == 1:
            sentence += ". One word is enough, but a phrase works better: say who writes, and what."
        return widgets.note(sentence)

    def _preview_examples(self) -> str:
        if not (self.more.strip() and self.less.strip()):
            return ""
        self.source()
        n_more, n_less = len(split_texts(self.more)), len(split_texts(self.less))
        return widgets.note(f"{n_more} texts to be more like, {n_less} to be less like.")

    def _preview_file(self) -> str:
        if not self.path:
            return ""
        labelled = self._labelled(self.path)
        used = sampled(labelled)
        LabelledText(used.texts, used.labels)
        sentence = f"{len(labelled.texts):,} texts"
        if labelled.n_duplicates:
            sentence += f", after {labelled.n_duplicates:,} repeated ones were dropped"
        if len(used.texts) < len(labelled.texts):
            sentence += (
                f"; {len(used.texts):,} of them, drawn at random from both sides, are used here"
            )
        sentences = " ".join([f"{sentence}.", *labelled.notes, "Their labels:"])
        return widgets.note(sentences) + widgets.histogram(labelled.labels)

    def _labelled(self, path: str) -> Labelled:
        return read_labelled(path, zero_is_negative=self.zero_is_negative)


def sampled(labelled: Labelled) -> Labelled:
    """Return at most MAX_TEXTS rows, half with labels above 0 where there are enough.

    Rows labelled 0 come last.
    """
    pairs = list(zip(labelled.texts, labelled.labels, strict=True))
    if len(pairs) <= MAX_TEXTS:
        return labelled
    random.Random(0).shuffle(pairs)
    above = [pair for pair in pairs if pair[1] > 0]
    below = sorted((pair for pair in pairs if pair[1] <= 0), key=lambda pair: pair[1] == 0)
    n_above = max(min(len(above), MAX_TEXTS // 2), MAX_TEXTS - len(below))
    chosen = [*above[:n_above], *below[: MAX_TEXTS - n_above]]
    return dataclasses.replace(
        labelled, texts=[text for text, _ in chosen], labels=[label for _, label in chosen]
    )


def split_texts(field: str) -> list[str]:
    """Return paragraphs where empty lines part them, else lines."""
    field = field.strip()
    parts = re.split(r"\n\s*\n", field) if re.search(r"\n\s*\n", field) else field.split("\n")
    return [part.strip() for part in parts if part.strip()]
