"""What a word adds itself, and what it does to the words after it: the text is read without it."""

from __future__ import annotations

from dataclasses import dataclass

from lmsteer_core.analysis.reading import read_text
from lmsteer_core.analysis.spans import units
from lmsteer_core.analysis.style_reading import read_styles
from lmsteer_core.errors import InputError
from lmsteer_core.models.language_model import LanguageModel
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
    read = read_text(lm, text)
    (whole,) = read_styles(lm, read, [steer])
    words = units(read.token_texts, whole.scores, "words")
    if len(words) > MAX_WORDS:
        raise InputError(f"Split a text of at most {MAX_WORDS} words; this has {len(words):,}.")
    effects = []
    for word in words:
        rest = (text[: word.start].rstrip() + " " + text[word.end :].lstrip()).strip()
        total = read_styles(lm, read_text(lm, rest), [steer])[0].total if rest else 0.0
        effects.append(WordEffect(word.text, word.evidence, whole.total - word.evidence - total))
    return effects
