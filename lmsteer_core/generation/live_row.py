"""A row that is being written, and its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.tokenizer import TextStream
from lmsteer_core.steers.steer import Steer


@dataclass(frozen=True)
class Token:
    """One emitted token.

    Attributes:
        id: Vocabulary index.
        text: The characters it completes; "" while a multi-token character is unfinished.
        logprob: Log-probability under the row's steered distribution, in nats, at temperature 1.
        base_logprob: The same under the unsteered model for the same context.
        epsilons: ε by steer name that it was written under.
        alternatives: Ids of the likeliest tokens in its place, with log-probabilities as above;
            as many as the row asks for.
    """

    id: int
    text: str
    logprob: float
    base_logprob: float
    epsilons: Mapping[str, float] = field(default_factory=dict)
    alternatives: tuple[tuple[int, float], ...] = ()

    @property
    def shift(self) -> float:
        """How much steering moved this token: log p_steered − log p_base, in nats."""
        return self.logprob - self.base_logprob


@dataclass(eq=False)
class LiveRow:
    """A text that is being written.

    Attributes:
        ids: The prompt's tokens.
        epsilons: ε by steer name; whatever mapping stands here at a step counts for that step's
            token.
        steers: Steers by those names.
        sampling: How its tokens are drawn.
        seed_offset: Added to the seed, so that rows of one request may draw other numbers.
        logprobs: Score its tokens; else their log-probabilities are NaN.
        n_alternatives: Likeliest tokens that each of its tokens comes with.
        pace: Tokens a second that it gets at most, as many as there can be if None.
    """

    ids: list[int]
    epsilons: Mapping[str, float]
    steers: Mapping[str, Steer]
    sampling: Sampling
    seed_offset: int = 0
    logprobs: bool = True
    n_alternatives: int = 0
    pace: float | None = None
    n_new: int = 0
    decoder: TextStream = field(init=False)

    def __post_init__(self) -> None:
        """Let the text begin behind its prompt."""
        self.decoder = TextStream(self.ids)

    @property
    def noise_key(self) -> tuple[int, int, int]:
        """What the next token's noise is drawn from: seed, offset, absolute position."""
        return self.sampling.seed, self.seed_offset, len(self.ids) + self.n_new
