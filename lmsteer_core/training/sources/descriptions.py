"""A steer from two descriptions."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

from lmsteer_core.errors import InputError
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.models.tokenizer import chat_text
from lmsteer_core.progress import Progress
from lmsteer_core.steers.card import shortened
from lmsteer_core.text import check_text
from lmsteer_core.training.neutral_text import PlainText
from lmsteer_core.training.sources.prefixes import log_odds, taught_shift
from lmsteer_core.training.sources.source import Shift, StyleScore

_TEMPLATES = (
    "This is {}: ",
    "Here is a piece of writing. It is {}. It reads: ",
    "Style: {}\n\n",
    "The following sentence is {}.\n\n",
)
"""Ways to put a description in front of a text; their average keeps any one wording out of W."""

_CHAT_REQUEST = "Write one sentence. It must be {}."

_MAX_POLE_CHARACTERS = 2_000


@dataclass(frozen=True)
class Descriptions:
    """Two poles in the user's words.

    The descriptions' own content words are left out of Δμ, so that "a pirate" does not only say
    "pirate"; `keep_own_words` is for descriptions that are themselves written in the style.

    Raises:
        InputError: If a description is empty or too long, or they are the same.
    """

    positive: str
    negative: str
    keep_own_words: bool = False

    def __post_init__(self) -> None:
        """Refuse what describes no two poles."""
        for pole, what in ((self.positive, "“more like”"), (self.negative, "“less like”")):
            check_text(pole, f"{what} description")
            if len(pole) > _MAX_POLE_CHARACTERS:
                raise InputError(
                    f"The {what} description is too long; a sentence or two is enough."
                )
        if _plain(self.positive) == _plain(self.negative):
            raise InputError("The two descriptions are the same; describe two different poles.")

    def shift(self, lm: LanguageModel, plain: PlainText, progress: Progress) -> Shift:
        """Return mean(h Δμᵀ) behind the descriptions, averaged over several templates."""
        own_words = (
            [] if self.keep_own_words else _word_token_ids(lm, f"{self.positive} {self.negative}")
        )
        return taught_shift(lm, plain, self._prefixes(lm), own_words, progress)

    def style_score(self, lm: LanguageModel) -> StyleScore:
        """Return the model's own log-odds of the descriptions, nats a token."""
        return log_odds(lm, self._prefixes(lm)[0])

    @property
    def poles(self) -> tuple[str, str]:
        """The descriptions, shortened; where that leaves the same, from where they part."""
        negative, positive = shortened(self.negative), shortened(self.positive)
        if negative == positive:
            less, more = self.negative.split(), self.positive.split()
            n_shared = next(
                (i for i, (a, b) in enumerate(zip(less, more, strict=False)) if a != b), 0
            )
            negative, positive = (shortened(" ".join(words[n_shared:])) for words in (less, more))
        return negative, positive

    @property
    def summary(self) -> str:
        """What the steer was made from."""
        return f"two descriptions, “{self.positive.strip()}” against “{self.negative.strip()}”"

    def _prefixes(self, lm: LanguageModel) -> list[tuple[list[int], list[int]]]:
        poles = self.positive.strip(), self.negative.strip()
        texts = [tuple(template.format(pole) for pole in poles) for template in _TEMPLATES]
        pairs = [tuple(lm.encode(text)[0] for text in pair) for pair in texts]
        if lm.tokenizer.chat_template:
            with suppress(InputError):  # not every template lets a user begin
                pairs.append(tuple(_chat_ids(lm, _CHAT_REQUEST.format(pole)) for pole in poles))
        longest = max(len(ids) for pair in pairs for ids in pair)
        if longest > lm.context_length // 4:
            raise InputError("A description is too long; a sentence or two is enough.")
        return [(plus, minus) for plus, minus in pairs]


def _chat_ids(lm: LanguageModel, request: str) -> list[int]:
    """Return the tokens of a chat in which the model is about to answer a request."""
    return lm.token_ids(chat_text(lm.tokenizer, [{"role": "user", "content": request}]))


def _word_token_ids(lm: LanguageModel, text: str) -> list[int]:
    """Return the tokens of the text's content words, their families and what spells them.

    The family of fireside holds fire and firesides; where "grumpy" is no token, what begins it is.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words = set(re.findall(r"[^\W\d_]{3,}", text.lower())) - ENGLISH_STOP_WORDS
    starts = tuple(word for word in words if len(word) > 3)  # "sea" is not the start of "season"
    known = words | {word[:n] for word in starts for n in range(4, len(word))}
    plain = [token.strip().lower() for token in lm.token_texts]
    forms = (
        before + form for w in words for form in (w, w.title(), w.upper()) for before in ("", " ")
    )
    spelling = {
        i for form in forms for i in lm.token_ids(form) if plain[i] not in ENGLISH_STOP_WORDS
    }
    return [
        i
        for i, token in enumerate(plain)
        if i in spelling or token in known or (starts and token.startswith(starts))
    ]


def _plain(text: str) -> str:
    return re.sub(r"[\s.,;:!?]+", " ", text.casefold()).strip()
