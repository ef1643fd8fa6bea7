"""A steer from a few examples of each pole."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from lmsteer_core.errors import InputError
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress
from lmsteer_core.text import check_text
from lmsteer_core.training.neutral_text import PlainText
from lmsteer_core.training.sources.prefixes import log_odds, taught_shift
from lmsteer_core.training.sources.source import Shift, StyleScore

_MIN_EXAMPLES, _MAX_EXAMPLES = 3, 50
_N_SUBSETS, _SUBSET_SIZE = 10, 3


@dataclass(frozen=True)
class Examples:
    """A few texts of each pole, put in context: many small random subsets, so that topic cancels.

    Raises:
        InputError: If a side has fewer than 3 or more than 50 distinct texts, or both are the same.
    """

    positive: Sequence[str]
    negative: Sequence[str]

    def __post_init__(self) -> None:
        """Strip the texts, drop repeated ones, refuse what shows no two poles."""
        for side, what in (("positive", "“more like”"), ("negative", "“less like”")):
            texts = [text for text in dict.fromkeys(t.strip() for t in getattr(self, side)) if text]
            for text in texts:
                check_text(text, f"{what} example")
            if not _MIN_EXAMPLES <= len(texts) <= _MAX_EXAMPLES:
                raise InputError(
                    f"There are {len(texts)} different {what} examples; give "
                    f"{_MIN_EXAMPLES} to {_MAX_EXAMPLES} a side."
                )
            object.__setattr__(self, side, tuple(texts))
        if set(self.positive) & set(self.negative):
            raise InputError("An example stands on both sides; each belongs to one pole.")

    def shift(self, lm: LanguageModel, plain: PlainText, progress: Progress) -> Shift:
        """Return mean(h Δμᵀ) behind random subsets of the examples."""
        return taught_shift(lm, plain, self._prefixes(lm), [], progress)

    def style_score(self, lm: LanguageModel) -> StyleScore:
        """Return the model's own log-odds of the examples' two sides, nats a token."""
        return log_odds(lm, self._prefixes(lm)[0])

    @property
    def poles(self) -> tuple[str, str]:
        """Nothing better is known than the sides."""
        return "like the − examples", "like the + examples"

    @property
    def summary(self) -> str:
        """What the steer was made from."""
        return f"{len(self.positive)} + {len(self.negative)} examples"

    def _prefixes(self, lm: LanguageModel) -> list[tuple[list[int], list[int]]]:
        draw = random.Random(0)  # noqa: S311
        limit = min(lm.context_length // 8, 128)

        def prefix(side: Sequence[str]) -> list[int]:
            ids = list(lm.prefix_ids)
            for text in draw.sample(list(side), _SUBSET_SIZE):
                ids += lm.token_ids(text)[:limit]
                ids += lm.token_ids("\n\n")
            return ids

        return [(prefix(self.positive), prefix(self.negative)) for _ in range(_N_SUBSETS)]
