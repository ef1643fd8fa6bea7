"""Sources of a steer: where should the expected output embedding move, token by token?

    descriptions     Δμ_t = ½ (μ_t behind the + description − μ_t behind the − description)
    examples         the same, behind a few examples of each pole
    labelled text    Δμ_t = label · (e_{x_t} − μ_t)

with μ_t = E[e | p_t]. Each returns mean(h Δμᵀ), all that the projection needs of it. The first two
have a teacher: the model itself, reading the same neutral text behind a prefix. Its shifts are
expectations, not observed words, so a few thousand tokens hold no noise to speak of; what it says
of each token is the lesson that W is fitted to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress
from lmsteer_core.training.fit import Lesson
from lmsteer_core.training.neutral_text import PlainText

StyleScore = Callable[[Sequence[str]], Sequence[float]]
"""How far texts lean to the + pole, above 0 or below, by a judge that has not seen the steer."""


@dataclass(frozen=True)
class Shift:
    """What a source says.

    Attributes:
        halves: mean(h Δμᵀ) over either half of the texts, (2, d_model, d_model), float64. Two, so
            that what one half taught can be tested on the other.
        lesson: What a teacher says token by token, if the source has one.
        held_out: Tokens that took no part, if the source is labelled text.
    """

    halves: Tensor
    lesson: Lesson | None = None
    held_out: HeldOut | None = None


@dataclass(frozen=True)
class HeldOut:
    """Labelled tokens kept back: hidden (n_tokens, d_model), the next token's id and the label."""

    hidden: Tensor
    next_ids: Tensor
    labels: Tensor


@runtime_checkable
class Source(Protocol):
    """Anything that says where the expected output embedding should move."""

    def shift(self, lm: LanguageModel, plain: PlainText, progress: Progress) -> Shift:
        """Return mean(h Δμᵀ) of two halves; `progress` may raise to stop."""
        ...

    def style_score(self, lm: LanguageModel) -> StyleScore:
        """Return a judge of the two poles that does not know the steer."""
        ...

    @property
    def poles(self) -> tuple[str, str]:
        """Short names of the − pole and the + pole."""
        ...

    @property
    def summary(self) -> str:
        """What the steer was made from, for its card."""
        ...
