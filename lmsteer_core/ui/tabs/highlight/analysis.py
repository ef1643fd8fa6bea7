"""What texts say about steers, made in steps a page can watch and leave, and kept for a while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from lmsteer_core.analysis.evidence import Weighed
from lmsteer_core.analysis.reading import ReadText
from lmsteer_core.progress import Steps, scaled
from lmsteer_core.steers.card import SteerCard
from lmsteer_core.steers.steer import Steer
from lmsteer_core.workbench import Workbench

PROFILE_TOKENS = 2_048
"""Of a longer text only this much is weighed by every steer; the chosen one weighs all of it."""

_KEPT_TEXTS = 4
_KEPT_RESULTS = 256
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Analysis:
    """One text and what it says about one steer, or about several.

    Attributes:
        token_texts: The characters each token covers; joined they are the text that was read.
        cut: Whether the text was longer than the model reads.
        weighed: What the whole text says about the chosen steer.
        profile: What it says about every steer, of its first `PROFILE_TOKENS`; empty until made.
    """

    token_texts: list[str]
    cut: bool
    weighed: Weighed
    profile: tuple[Weighed, ...] = ()

    @property
    def n_tokens(self) -> int:
        """Tokens that were read."""
        return len(self.token_texts)

    @property
    def n_profiled(self) -> int:
        """Tokens behind the profile."""
        return min(self.n_tokens, PROFILE_TOKENS)


@dataclass(frozen=True)
class Shown:
    """What a page shows, and saves.

    Attributes:
        card: Of the chosen steer.
        texts: One text, or two that are compared.
        cards: Of every steer, in the order of the profiles.
    """

    card: SteerCard
    texts: tuple[Analysis, ...]
    cards: tuple[SteerCard, ...] = ()

    @property
    def poles(self) -> tuple[str, str]:
        """The chosen steer's poles, − first."""
        return self.card.negative, self.card.positive


class Analyst:
    """Reads texts and weighs steers on one model; the latest results are kept."""

    def __init__(self, workbench: Workbench) -> None:
        """Start with nothing kept."""
        self._workbench = workbench
        self._texts: _Kept[ReadText] = _Kept(_KEPT_TEXTS)
        self._results: _Kept[Weighed] = _Kept(_KEPT_RESULTS)

    def weigh(self, text: str, steer: Steer) -> Steps[Analysis]:
        """Return what the whole text says about one steer.

        Raises:
            InputError: If the text is empty.
        """
        read = yield from scaled(self._read(text), 0, 0.5)
        (weighed,) = yield from scaled(self._weigh(text, read, [steer]), 0.5, 1)
        return Analysis(read.token_texts, read.cut, weighed)

    def profile(self, text: str, steers: Sequence[Steer]) -> Steps[tuple[Weighed, ...]]:
        """Return what the text's first `PROFILE_TOKENS` say about every steer."""
        read = yield from self._read(text)
        return tuple((yield from self._weigh(text, read.beginning(PROFILE_TOKENS), steers)))

    def _read(self, text: str) -> Steps[ReadText]:
        read = self._texts.get(text)
        if read is None:
            read = yield from self._workbench.read(text)
            self._texts.put(text, read)
        return read

    def _weigh(self, text: str, read: ReadText, steers: Sequence[Steer]) -> Steps[list[Weighed]]:
        """Weigh those steers that have not weighed this much of the text yet, all in one go."""

        def key(steer: Steer) -> Hashable:
            return text, len(read.token_ids), steer

        results = {steer: self._results.get(key(steer)) for steer in steers}
        missing = [steer for steer, weighed in results.items() if weighed is None]
        if missing:
            for steer, weighed in zip(
                missing, (yield from self._workbench.profile(read, missing)), strict=True
            ):
                results[steer] = weighed
                self._results.put(key(steer), weighed)
        return [weighed for weighed in results.values() if weighed]


class _Kept(Generic[_Value]):
    """The latest few values by key."""

    def __init__(self, size: int) -> None:
        self._values: OrderedDict[Hashable, _Value] = OrderedDict()
        self._size = size

    def get(self, key: Hashable) -> _Value | None:
        return self._values.get(key)

    def put(self, key: Hashable, value: _Value) -> None:
        self._values[key] = value
        while len(self._values) > self._size:
            self._values.popitem(last=False)
