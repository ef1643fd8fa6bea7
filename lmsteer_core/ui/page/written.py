"""The texts that each page shows, as the tokens they are made of: for whoever asks about one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lmsteer_core.errors import InputError
from lmsteer_core.generation.live_row import Token
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.steers.steer import Steer
from lmsteer_core.workbench import Workbench

_MAX_CHARACTERS = 2_000


@dataclass(frozen=True)
class Written:
    """A text that a model writes or has written, or has read.

    Attributes:
        workbench: The model.
        prompt: What it continues.
        tokens: What follows the prompt; only ever appended to.
        epsilons: ε by steer name that the run was about, also where this text is its baseline.
        steers: Steers by the names that tokens use.
        sampling: How it was drawn; None if no model wrote it.
        ids_before: Place in the text → all token ids that the model had read there.
    """

    workbench: Workbench
    prompt: str
    tokens: Sequence[Token]
    epsilons: Mapping[str, float]
    steers: Mapping[str, Steer]
    sampling: Sampling | None
    ids_before: Callable[[int], Sequence[int]]

    def parts(self, token: Token) -> list[tuple[Steer, float]]:
        """Return the steers that a token was written under, or else would be, each with its ε."""
        epsilons = token.epsilons if any(token.epsilons.values()) else self.epsilons
        return [(self.steers[name], epsilon) for name, epsilon in epsilons.items() if epsilon]


class Place(BaseModel):
    """A token of a page, as the page names it.

    Attributes:
        panel: Element id of the panel.
        text: Which of its texts.
        place: Which of the text's tokens.
        word: What is seen there; the text may have been replaced meanwhile.
        choice: Id of a token to put there, if one is chosen.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    panel: str = Field(max_length=64)
    text: int = Field(ge=0)
    place: int = Field(ge=0)
    word: str = Field(max_length=1_000)
    choice: int | None = Field(None, ge=0)

    @classmethod
    def parse(cls, json: str) -> Place:
        """Read what a page sent.

        Raises:
            InputError: If it is no place.
        """
        try:
            return cls.model_validate_json(json[:_MAX_CHARACTERS])
        except ValidationError as error:
            raise InputError("That is no token of this page: choose one in a text.") from error


class WrittenTexts:
    """What each page shows, by gradio's session and by panel."""

    def __init__(self) -> None:
        """Start with no page."""
        self._of_pages: dict[str, dict[str, Sequence[Written]]] = {}
        self._lock = threading.Lock()

    def put(self, session: str, panels: Mapping[str, Sequence[Written]]) -> None:
        """Note what a page shows from now on in some of its panels."""
        with self._lock:
            self._of_pages.setdefault(session, {}).update(panels)

    def find(self, session: str, place: Place) -> tuple[Written, int]:
        """Return a text of a page and the token's place; of a character's tokens the first one's.

        Raises:
            InputError: If the page does not show that token, or no longer.
        """
        texts = self._of_pages.get(session, {}).get(place.panel, ())
        if place.text >= len(texts):
            raise InputError("That text is no longer held here: let it be written again.")
        text = texts[place.text]
        token = text.tokens[place.place] if place.place < len(text.tokens) else None
        if token is None or (token.text.lstrip() or token.text) != place.word:
            raise InputError("That text was replaced meanwhile: choose a token of the new one.")
        start = place.place
        while start and not text.tokens[start - 1].text:
            start -= 1
        return text, start

    def forget(self, session: str) -> None:
        """Drop what a page showed that was closed."""
        with self._lock:
            self._of_pages.pop(session, None)


WRITTEN = WrittenTexts()
"""The texts of this process."""
