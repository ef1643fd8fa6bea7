"""A text without end whose ε may change: each change holds from the next token."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping

from lmsteer_core.generation.live_row import LiveRow, Token
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.serving.engine import Engine
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.steers.steer import Steer

_WINDOW = 512
"""Tokens the text remembers when it is read anew, and tokens it
then grows by until the next time."""

PACE = 15.0
"""Tokens a second at most: twice as fast as people read, so that a slider's effect soon shows."""

_BREAK = "\n\n"

_STUCK_TOKENS, _STUCK_KINDS = 24, 4
"""So many tokens in a row of no more than so many kinds are a
loop, which no later ε would leave."""


class Drive:
    """One endless text.

    The model's own end of text becomes a new paragraph, and so does a loop of a few words, after
    which the model reads the prompt alone again. The text is written in stretches, of which each
    begins with the end of the one before, so that neither memory nor the time per token grows with
    it.

    Attributes:
        prompt: What was continued.
        steers: Steers by the names that tokens use.
        written: All tokens so far, each with the ε it was written under.
    """

    def __init__(self, lm: LanguageModel, engine: Engine, prompt: str, sampling: Sampling) -> None:
        """Begin after a prompt, unsteered.

        Args:
            lm: The engine's language model.
            engine: Writes the text, beside everybody else's.
            prompt: What to continue.
            sampling: How to draw; its limit of new tokens does not count.

        Raises:
            InputError: If the prompt cannot be used.
        """
        self._window = min(_WINDOW, lm.context_length // 2)
        self._lm, self._engine = lm, engine
        self._sampling = dataclasses.replace(sampling, max_new_tokens=self._window)
        self._ids = self._prompt_ids = lm.encode(prompt, reserve=self._window)[0]
        self._break = lm.token_ids(_BREAK)
        self._steers: dict[str, Steer] = {}
        self._epsilons: dict[str, float] = {}
        self._row: LiveRow | None = None
        self._n_stretches = 0
        self._stretches: list[tuple[int, list[int]]] = []  # place where it begins, what it reads
        self.steers: Mapping[str, Steer] = self._steers
        self.prompt = prompt
        self.written: list[Token] = []

    def steer(
        self,
        epsilons: Mapping[str, float],
        steers: Mapping[str, Steer],
        *,
        unlock: bool = False,
    ) -> None:
        """Set ε by steer name, from the next token on.

        Raises:
            InputError: If an ε is not usable, or leads to a locked pole and `unlock` is False; the
                old ones stay.
        """
        epsilons = {name: check_epsilon(e, name) for name, e in epsilons.items() if e}
        for name, epsilon in epsilons.items():
            steers[name].card.check_unlocked(epsilon, unlock)
        # Only added to: the engine may be reading both at this moment.
        self._steers.update({name: steers[name] for name in epsilons})
        self._epsilons = epsilons
        if self._row:
            self._row.epsilons = epsilons

    def tokens(self, is_wanted: Callable[[], bool]) -> Iterator[Token]:
        """Write on and yield each token until `is_wanted` turns False.

        Calling again goes on from there.

        Raises:
            LMSteerError: If the engine cannot go on.
        """
        while is_wanted():
            # Positions start anew with each stretch, and the dice with
            # them, unless they have another name.
            self._row = row = LiveRow(
                self._remembered(),
                self._epsilons,
                self._steers,
                self._sampling,
                self._n_stretches,
                pace=PACE,
            )
            self._n_stretches += 1
            n_before, is_stuck = len(self.written), False
            self._stretches.append((n_before, row.ids))
            for (token,) in self._engine.submit([row]).steps(is_wanted):
                if token:
                    yield self._add(token)
                    last = self.written[n_before:][-_STUCK_TOKENS:]
                    if (
                        len(last) == _STUCK_TOKENS
                        and len({each.id for each in last}) <= _STUCK_KINDS
                    ):
                        is_stuck = True
                        break
            if is_stuck or (is_wanted() and len(self.written) - n_before < self._window):
                for i, token_id in enumerate(self._break):
                    yield self._add(
                        Token(token_id, "" if i else _BREAK, math.nan, math.nan, self._epsilons)
                    )
            if is_stuck:
                self._ids = self._prompt_ids

    def ids_before(self, place: int) -> list[int]:
        """Return all that the model had read when it wrote a token, by the token's place."""
        start, read = max(
            (each for each in self._stretches if each[0] <= place), key=lambda each: each[0]
        )
        return [*read, *(token.id for token in self.written[start:place])]

    def _remembered(self) -> list[int]:
        """Return the end of the text, behind what the model reads before every text."""
        prefix = self._lm.prefix_ids
        is_cut = len(self._ids) > self._window
        return prefix + self._ids[len(prefix) - self._window :] if is_cut else self._ids

    def _add(self, token: Token) -> Token:
        self.written.append(token)
        self._ids = [*self._ids[-self._window :], token.id]
        return token
