"""What a word adds itself, and what it does to the words after it: the text is read without it."""

from __future__ import annotations

from dataclasses import dataclass

from lmsteer_core.analysis.reading import read_text
from lmsteer_core.analysis.spans import units
from lmsteer_core.analysis.style_reading import read_styles
from lmsteer_core.errors import InputError
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Steps, finished
from lmsteer_core.steers.steer import Steer

MAX_WORDS = 100
"""Longest text that is split: each of its words is one more reading."""


@dataclass(frozen=True)
class WordEffect:
    """One word's part in a text's total, in nats.

    Attributes:
        text: The word, with its punctuation.
        own: Its own score.
        on_later: What the scores of all other words lose where it is left out; of those, only later
            ones can change. A “not” that turns what follows has it of the opposite sign.
    """

    text: str
    own: float
    on_later: float


def word_effects(lm: LanguageModel, text: str, steer: Steer) -> list[WordEffect]:
    """Return the effects of a short text's words, in its order.

    Raises:
        InputError: If the text is empty or has more than `MAX_WORDS` words.
    """
    return finished(splitting(lm, text, steer))


def splitting(lm: LanguageModel, text: str, steer: Steer) -> Steps[list[WordEffect]]:
    """Do what `word_effects` does, a word at a time."""
    n_words = len(units(text, [0.0] * len(text), "words"))
    if n_words > MAX_WORDS:
        raise InputError(
            f"A text of {n_words:,} words is too long to be read again without each; "
            f"{MAX_WORDS} are the most."
        )
    read = read_text(lm, text)
    (whole,) = read_styles(lm, read, [steer])
    words = units(read.token_texts, whole.scores, "words")
    effects = []
    for i, word in enumerate(words, 1):
        yield i / (len(words) + 1)
        rest = (text[: word.start] + text[word.end :].lstrip()).strip()
        total = read_styles(lm, read_text(lm, rest), [steer])[0].total if rest else 0.0
        effects.append(WordEffect(word.text, word.evidence, whole.total - word.evidence - total))
    return effects
