"""A steer's card: its name, poles, range of ε and where it is from; which ε and names are valid."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lmsteer_core.errors import InputError, SteerError
from lmsteer_core.limits import as_number

CARD_FILE = "card.json"

EPSILON_LIMIT = 10.0
"""Largest |ε| accepted anywhere: calibrated steers are useful to
about 3 and babble well before 10."""

_RANGES = frozenset({"epsilon_range", "collapse_range"})
_LINKS = frozenset(
    [
        "a",
        "about",
        "an",
        "and",
        "as",
        "at",
        "by",
        "for",
        "from",
        "in",
        "of",
        "on",
        "or",
        "the",
        "to",
        "with",
    ]
)
"""Words that no shortened text should end on."""
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class SteerCard:
    """What a person should know about a steer before using it.

    Attributes:
        name: Short name, also the folder's name.
        negative: What −ε means, in a word or two.
        positive: What +ε means.
        model_id: The model it was made for.
        fingerprint: Digest of that model's output embedding (see `fingerprint_digest`).
        rank: Rank of W.
        method: How it was made, e.g. "projection and fit".
        data: What it was made from.
        epsilon_range: (lowest, highest) useful ε; the pole that goes farther ends at ±3.
        collapse_range: ε at which fluency breaks; ±10 where that was never seen.
        calibration: Figures over a grid of ε (see calibration.Curve), or {}.
        metrics: Figures measured when it was made, with units in their names.
        reading: What the factors that only read were fitted on, or "" where W reads.
        notice: A warning to show before the steer is used, or "". Where there is one, the − pole
            is locked until whoever asks for it unlocks it.
    """

    name: str
    negative: str
    positive: str
    model_id: str
    fingerprint: str = ""
    rank: int = 0
    method: str = ""
    data: str = ""
    epsilon_range: tuple[float, float] = (-3.0, 3.0)
    collapse_range: tuple[float, float] = (-EPSILON_LIMIT, EPSILON_LIMIT)
    calibration: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    reading: str = ""
    notice: str = ""

    @classmethod
    def from_json(cls, text: str) -> SteerCard:
        """Read a card; unknown keys are ignored so that older versions read newer cards.

        Raises:
            SteerError: If the text is not a card.
        """
        try:
            raw = json.loads(text)
            known = {f.name: raw[f.name] for f in dataclasses.fields(cls) if f.name in raw}
            for key in _RANGES & known.keys():
                low, high = (float(e) for e in known[key])
                known[key] = (low, high)
            card = cls(**known)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise SteerError(f"{CARD_FILE} is not a steer card: {error}.") from error
        kinds = {
            "rank": (int, "a whole number"),
            "metrics": (dict, "an object"),
            "calibration": (dict, "an object"),
            **dict.fromkeys(_RANGES, (tuple, "")),
        }
        for each in dataclasses.fields(cls):
            kind, description = kinds.get(each.name, (str, "text"))
            if not isinstance(getattr(card, each.name), kind):
                raise SteerError(f"{CARD_FILE} needs {each.name} as {description}.")
        if not card.name:
            raise SteerError(f"{CARD_FILE} needs name, and it is empty.")
        for key in sorted(_RANGES):
            low, high = getattr(card, key)
            if not (-EPSILON_LIMIT <= low <= 0 <= high <= EPSILON_LIMIT) or low == high:
                raise SteerError(
                    f"{CARD_FILE} has an {key} of {low} to {high}; it must hold 0 and stay "
                    f"within ±{EPSILON_LIMIT:g}."
                )
        return card

    @property
    def is_locked(self) -> bool:
        """Whether the − pole is only for those who unlock it."""
        return bool(self.notice)

    def lowest(self, epsilon: float, unlocked: bool) -> float:
        """Return the lowest ε that may be used, where otherwise `epsilon` ≤ 0 would be."""
        return 0.0 if self.is_locked and not unlocked else epsilon

    def check_unlocked(self, epsilon: float, unlocked: bool) -> None:
        """Check that an ε may be used.

        Args:
            epsilon: The ε; below 0 it leads to the − pole.
            unlocked: Whether the caller unlocks that pole.

        Raises:
            InputError: If it leads to a locked pole; the sentence says how to unlock it.
        """
        if epsilon < self.lowest(epsilon, unlocked):
            raise InputError(
                f"The − pole of '{self.name}' is locked. {self.notice} Unlock it with its box in "
                'the app, with --unlock in a command, or with "unlock": true in a request.'
            )

    def to_json(self) -> str:
        """Return the card as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"


def shortened(text: str, limit: int = 32) -> str:
    """Return the start of a description, without its article, cut between words: a pole's name."""
    words = text.split()
    if words and words[0].casefold() in ("a", "an", "the"):
        del words[0]
    short = " ".join(words).rstrip(" .,;:")
    if len(short) <= limit:
        return short
    while len(words) > 1 and (len(" ".join(words)) > limit or words[-1].casefold() in _LINKS):
        del words[-1]
    return " ".join(words)[:limit].rstrip(" .,;:") + " …"


def check_name(name: str) -> None:
    """Raise InputError unless `name` is a plain folder name."""
    if not _SAFE_NAME.fullmatch(name):
        raise InputError(
            "A steer's name is 1–64 letters, digits, dots, dashes or underscores, starting with a "
            "letter or digit."
        )


def check_epsilon(epsilon: object, name: str = "") -> float:
    """Return ε as a float, or raise InputError with the allowed range."""
    value = as_number(epsilon)
    if not abs(value) <= EPSILON_LIMIT:
        of_steer = f" for '{name}'" if name else ""
        raise InputError(
            f"ε{of_steer} must be a number between −{EPSILON_LIMIT:g} and "
            f"{EPSILON_LIMIT:g}, not {epsilon!r}."
        )
    return value
