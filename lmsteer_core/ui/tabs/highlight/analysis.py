"""What texts say about steers, made in steps a page can watch and leave, and kept for a while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from lmsteer_core.analysis.evidence import Weighed
from lmsteer_core.analysis.reading import ReadText
from lmsteer_core.analysis.spans import UnitKind
from lmsteer_core.analysis.style_reading import StyleReading
from lmsteer_core.progress import Steps, scaled
from lmsteer_core.steers.card import SteerCard
from lmsteer_core.steers.steer import Steer
from lmsteer_core.workbench import Workbench

_KEPT_TEXTS = 4
_KEPT_RESULTS = 256
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Analysis:
    """One text and what it says about one steer, or about several.

    Attributes:
        token_texts: The characters each token covers; joined they are the text that was read.
        cut: Whether the text was longer than the model reads.
        weighed: What the paper's formula says about the chosen steer.
        style: What is read of the chosen steer's style, against ordinary text.
        profile: What is read of every steer's style.
        token_ids: The tokens themselves.
    """

    token_texts: list[str]
    cut: bool
    weighed: Weighed
    style: StyleReading
    profile: tuple[StyleReading, ...] = ()
    token_ids: tuple[int, ...] = ()

    @property
    def n_tokens(self) -> int:
        """Tokens that were read."""
        return len(self.token_texts)


@dataclass(frozen=True)
class Measure:
    """What a token is given.

    Attributes:
        name: As it is chosen.
        unit: Of its values.
        full_tint: The |value| of a unit at which its tint is strongest.
        least: Weaker spans are not listed: they are noise.
        tip: What full tint means, behind its number.
    """

    name: str
    unit: str
    full_tint: dict[UnitKind, float]
    least: float
    tip: str

    def values(self, analysis: Analysis) -> list[float]:
        """Return the value of each token for the chosen steer."""
        if self is PAPER:
            return analysis.weighed.evidence
        spread = analysis.style.base_rate.deviation or 1.0
        return [score / spread for score in analysis.style.scores]


ORDINARY = Measure(
    "against ordinary text",
    "σ",
    {"tokens": 5.0, "words": 5.0, "sentences": 10.0},
    2.0,
    "1 σ is how far the words of ordinary text spread.",
)
PAPER = Measure(
    "log P₊ − log P₋",
    "nats",
    {"tokens": 4.0, "words": 4.0, "sentences": 12.0},
    1.0,
    "4 nats are 55 times likelier under that pole.",
)
MEASURES = {measure.name: measure for measure in (ORDINARY, PAPER)}


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

    def weigh(self, text: str, steer: Steer, steers: Sequence[Steer] = ()) -> Steps[Analysis]:
        """Return what the whole text says about one steer, and what is read of every other.

        Raises:
            InputError: If the text is empty.
        """
        read = yield from scaled(self._read(text), 0, 0.5)
        weighed = yield from scaled(self._weigh(text, read, steer), 0.5, 1)
        style, *profile = self._workbench.read_styles(read, [steer, *steers])
        return Analysis(
            read.token_texts, read.cut, weighed, style, tuple(profile), tuple(read.token_ids)
        )

    def _read(self, text: str) -> Steps[ReadText]:
        read = self._texts.get(text)
        if read is None:
            read = yield from self._workbench.read(text)
            self._texts.put(text, read)
        return read

    def _weigh(self, text: str, read: ReadText, steer: Steer) -> Steps[Weighed]:
        """Weigh the text by the steer, unless it is known what comes of it."""
        key: Hashable = (text, steer)
        weighed = self._results.get(key)
        if weighed is None:
            (weighed,) = yield from self._workbench.profile(read, [steer])
            self._results.put(key, weighed)
        return weighed


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
