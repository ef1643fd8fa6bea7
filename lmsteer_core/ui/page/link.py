"""A page's state as text: what a link's fragment says of it, checked part by part.

A fragment is a list of `key=value` like a query, e.g. `prompt=My+life+is&steer.sentiment=2&seed=7`,
and names only what differs from a page that was just opened. Links that a page writes begin with
`v` and end with `model`, so that one that was cut off on its way can be told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from lmsteer_core.errors import InputError
from lmsteer_core.steers.steer import Steer

VERSION = "1"
ORIGIN = frozenset(("v", "model"))
"""Keys that tell where a link comes from."""

MAX_CHARACTERS = 50_000
"""Of a longer link only the beginning is read."""

MAX_TEXT = 20_000
FIRST_TAB = "steer"
"""Its keys have no prefix, or `STEER_PREFIX`."""
STEER_PREFIX = "steer."
"""Begins the key of each ε on the Steer tab; the steer's name follows."""

_SHOWN_CHARACTERS, _SHOWN_NAMES = 40, 5

Values = Mapping[str, Any]
"""What widgets hold, by their keys."""


class MissingSteer(InputError):
    """The link names a steer that this page does not hold."""


class Kind(Protocol):
    """What a widget may hold."""

    def read(self, texts: Sequence[str], steers: Mapping[str, Steer], others: Values) -> Any:
        """Return the value that a link gives.

        Args:
            texts: What stands in the link, at least one text.
            steers: The page's steers by name.
            others: What other widgets will hold, by their keys.

        Raises:
            MissingSteer: If the page lacks a steer; its name is the message.
            InputError: Says what the value must be, as the end of a sentence.
        """
        ...


@dataclass(frozen=True)
class Text:
    """Any text up to a length in characters."""

    limit: int = MAX_TEXT

    def read(self, texts: Sequence[str], _steers: Mapping[str, Steer], _others: Values) -> str:
        """Return the text."""
        if len(texts[-1]) > self.limit:
            raise InputError(f"must be at most {self.limit:,} characters long")
        return texts[-1]


@dataclass(frozen=True)
class Words:
    """A few short texts."""

    most: int
    limit: int = 60

    def read(
        self, texts: Sequence[str], _steers: Mapping[str, Steer], _others: Values
    ) -> list[str]:
        """Return the texts; empty ones stand for none."""
        words = [text for text in texts if text]
        if len(words) > self.most or any(len(word) > self.limit for word in words):
            raise InputError(f"must be at most {self.most} short words")
        return words


@dataclass(frozen=True)
class Number:
    """A number between two limits, rounded to a step."""

    low: float
    high: float
    step: float

    def read(self, texts: Sequence[str], _steers: Mapping[str, Steer], _others: Values) -> float:
        """Return the number."""
        try:
            value = float(texts[-1])
        except ValueError:
            value = math.nan
        is_whole = self.step == int(self.step)
        if not self.low <= value <= self.high or (is_whole and not value.is_integer()):
            kind = "whole number" if is_whole else "number"
            raise InputError(f"must be a {kind} from {self.low:.10g} to {self.high:.10g}")
        return int(value) if is_whole else round(round(value / self.step) * self.step, 9)


@dataclass(frozen=True)
class Choice:
    """One of several values, by the text that stands for it in a link."""

    options: Mapping[str, Any]

    def read(self, texts: Sequence[str], _steers: Mapping[str, Steer], _others: Values) -> Any:
        """Return the value."""
        if texts[-1] not in self.options:
            raise InputError(f"must be one of {', '.join(self.options)}")
        return self.options[texts[-1]]


@dataclass(frozen=True)
class SteerName:
    """A steer of the page, or the word for none."""

    none: str | None = None

    def read(self, texts: Sequence[str], steers: Mapping[str, Steer], _others: Values) -> str:
        """Return its name."""
        if texts[-1] not in steers and texts[-1] != self.none:
            raise MissingSteer(texts[-1])
        return texts[-1]


@dataclass(frozen=True)
class Epsilon:
    """ε of a steer, which is given by its name or by the key of the widget that chooses it."""

    range: Number
    name: str | None = None
    chosen_by: str = ""
    is_unlocked: bool = False

    def read(self, texts: Sequence[str], steers: Mapping[str, Steer], others: Values) -> float:
        """Return ε."""
        value = self.range.read(texts, steers, others)
        steer = steers.get(self.name or others.get(self.chosen_by) or "")
        if steer and value < steer.card.lowest(value, self.is_unlocked):
            raise InputError(
                f"must not be below 0: the − pole of {steer.name} is locked, and only you can "
                "unlock it"
            )
        return value


@dataclass(frozen=True)
class Reading:
    """What could be made of a link.

    Attributes:
        values: What the widgets shall hold, by their keys.
        kept: The parts of the link that hold, as they stand in it; also those of missing steers,
            which count when the page is loaded again with the steer.
        problems: A sentence for all that could not be restored.
    """

    values: dict[str, Any] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def tab_of(key: str) -> str:
    """Return the tab on which the widget with a key stands."""
    return key.partition(".")[0] if "." in key else FIRST_TAB


def read_link(
    fragment: str,
    kinds: Mapping[str, Kind],
    openings: Values,
    steers: Mapping[str, Steer],
    model_id: str,
) -> Reading:
    """Return what a link's fragment says; what it does not name keeps its opening value.

    Args:
        fragment: As in the address, "" for none.
        kinds: What each key's widget may hold.
        openings: What the widgets hold on a page that was just opened.
        steers: The page's steers by name.
        model_id: The app's model.
    """
    found = Reading()
    parts = _parts(fragment, found.problems)
    texts = {key: [_decoded(value) for _, value in items] for key, items in parts.items()}
    _check_origin(texts, model_id, found.problems)
    for key in ORIGIN & parts.keys():
        del parts[key]
    unknown: list[str] = []
    missing: list[str] = []
    # What chooses a steer is read before the ε of that steer.
    for key in sorted(parts, key=lambda key: isinstance(kinds.get(key), Epsilon)):
        try:
            if key in kinds:
                others = {**openings, **found.values}
                found.values[key] = kinds[key].read(texts[key], steers, others)
            elif key.startswith(STEER_PREFIX):
                raise MissingSteer(key.removeprefix(STEER_PREFIX))
            else:
                unknown.append(key)
                continue
            if any("\ufffd" in text for text in texts[key]):
                found.problems.append(f"“{_short(key)}” is damaged: some characters are missing.")
        except MissingSteer as error:
            missing.append(str(error))
        except InputError as error:
            found.problems.append(f"“{key}” {error}, not “{_short(texts[key][-1])}”.")
            continue
        found.kept.extend(part for part, _ in parts[key])
    if missing:
        found.problems.append(
            f"This page has no steer {_listed(missing)}: if you have its file, upload it on the "
            "New steer tab, then load the page again."
        )
    if unknown:
        found.problems.append(f"Nothing here is called {_listed(unknown)}.")
    return found


def _parts(fragment: str, problems: list[str]) -> dict[str, list[tuple[str, str]]]:
    """Return the parts of a fragment by their keys: each as it stands there, and its value."""
    text = fragment.encode(errors="replace").decode().removeprefix("#")
    if len(text) > MAX_CHARACTERS:
        problems.append(f"Of this long link only the first {MAX_CHARACTERS:,} characters count.")
        text = text[:MAX_CHARACTERS]
    parts: dict[str, list[tuple[str, str]]] = {}
    for part in filter(None, text.split("&")):
        key, _, value = part.partition("=")
        parts.setdefault(_decoded(key), []).append((part, value))
    return parts


def _check_origin(texts: dict[str, list[str]], model_id: str, problems: list[str]) -> None:
    """Say what is to be said of a link's `v` and `model`, which stand for no widget."""
    version, model = (texts.get(key, [""])[-1] for key in ("v", "model"))
    if version not in ("", VERSION):
        problems.append("The link comes from another version of this app.")
    elif version and (not model or (model != model_id and model_id.startswith(model))):
        problems.append("The link was cut off: what stood at its end is missing.")
    elif model not in ("", model_id):
        problems.append(
            f"The link was made with the model {_short(model)}; this is {model_id}, which writes "
            "other texts."
        )


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode(errors="replace")


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _listed(names: Sequence[str]) -> str:
    shown = [f"“{_short(name)}”" for name in dict.fromkeys(names)]
    more = len(shown) - _SHOWN_NAMES
    return ", ".join(shown[:_SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")
