"""One steer under one reading: what the Words tab shows of it, computed once and kept."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup, escape

from lmsteer_core.analysis.dimensions import Place, ranks
from lmsteer_core.analysis.vocabulary import word_index
from lmsteer_core.analysis.word_map import WordMap
from lmsteer_core.errors import InputError
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.figures.spectrum import spectrum
from lmsteer_core.ui.figures.word_map import word_map
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.dimensions import dimension_table
from lmsteer_core.ui.markup.format import visible
from lmsteer_core.ui.tabs.words import markup

N_DIMS = 8
_N_COMMON, _N_MOVED = 5000, 1000
_N_PINS, _LONGEST = 12, 40
_N_MAPS = 4
READINGS = {
    "Divergence": (
        "divergence",
        "the singular dimensions of W in ordinary text: each one's squared size is twice the "
        "divergence it causes there at ε = 1. A word's score is the nats it gains by ε = 1 where "
        "the text speaks to the dimension as strongly as it usually does.",
    ),
    "SVD of W": (
        "svd",
        "the singular dimensions of W itself, as in the paper: they count every direction alike, "
        "those that no text visits too.",
    ),
    "PCA of W e": (
        "pca",
        "the principal axes of the moves W eᵥ over the vocabulary: where most words go, whether "
        "the model ever says them or not.",
    ),
    "Varimax": (
        "varimax",
        "the dimensions of the divergence, turned until each moves few words much and the others "
        "little. They are readable one by one, and less in order of size.",
    ),
    "ICA": (
        "ica",
        "the dimensions of the divergence, turned until the words' scores on them are as "
        "independent as may be: what words gain by one says least about the others.",
    ),
    "Sparse": (
        "sparse",
        "the dimensions of the divergence, turned until each word is moved by few of them.",
    ),
}
"""By label: the reading's name, and what it is."""
DEFAULT_LABEL = next(iter(READINGS))


class Lens:
    """A steer's dimensions under a reading and the vocabulary on them."""

    def __init__(self, steer: Steer, label: str, raw: bool, mapped: WordMap) -> None:
        """Show the map of a steer under a reading; with `raw` all tokens count as words."""
        self._steer, self._raw, self._label = steer, raw, label
        self._dimensions, self._sizes, self._words = mapped.dimensions, mapped.sizes, mapped.words
        self._shares = mapped.shares
        self._positions, self._moves = mapped.positions, mapped.moves
        self._shifts = mapped.shifts
        self._maps: dict[tuple[int, int], Any] = {}

    def table(self) -> Markup:
        """Return the words at both ends of every dimension, each of which can be tried alone."""
        poles = (self._steer.card.negative, self._steer.card.positive)
        return dimension_table(self._dimensions, poles, can_open=True)

    @property
    def first_words(self) -> str:
        """The first words at both ends of the first dimension, with commas between them."""
        first = self._dimensions[0]
        return ", ".join([*first.positive[:2], *first.negative[:2]])

    def choices(self) -> list[tuple[str, int]]:
        """Return what the map's axes can be: dimensions by number, called by their words."""
        ends = [f" · {self._ends(i)}" for i in range(len(self._dimensions))]
        return [(f"{i + 1}{''.join(ends[i : i + 1])}", i + 1) for i in range(N_DIMS)]

    def spectrum(self) -> Any:
        """Return the figure of the dimensions' sizes."""
        return spectrum(self._sizes, self._shares)

    def map(self, x: int, y: int) -> Any:
        """Return the figure of the words on two dimensions, counted from 1."""
        if (x, y) not in self._maps:
            # The vocabulary rises by token id, and a tokenizer numbers the commonest first.
            moved = self._shifts.abs().topk(min(_N_MOVED, len(self._words))).indices.tolist()
            shown = sorted({*range(min(_N_COMMON, len(self._words))), *moved})
            axes = self._axes(x, y)
            if len(self._maps) >= _N_MAPS:
                self._maps.clear()
            self._maps[x, y] = word_map(
                [self._words[i] for i in shown],
                self._positions[shown][:, axes].tolist(),
                self._moves[shown][:, axes].tolist(),
                self._shifts[shown].tolist(),
                (self._title(axes[0]), self._title(axes[1])),
                self._key(x, y),
            )
        return self._maps[x, y]

    def find(self, typed: str, x: int, y: int) -> tuple[Markup, Markup]:
        """Return where the comma-separated words of `typed` sit, and a note on unknown ones.

        The first holds the table and what the page pins on the map of dimensions x and y.

        Raises:
            InputError: If there are too many.
        """
        words = list(dict.fromkeys(filter(None, map(str.strip, re.split("[,;\n，、]", typed)))))
        if len(words) > _N_PINS:
            raise InputError(f"That is {len(words):,} words; at most {_N_PINS} fit on the map.")
        indices: dict[int, None] = {}
        unknown = []
        for word in words:
            matches = self._indices(word)
            indices.update(dict.fromkeys(matches))
            if not matches:
                unknown.append(f"'{word if len(word) <= _LONGEST else word[:_LONGEST] + '…'}'")
        axes = self._axes(x, y)
        places = [
            Place(self._words[i], self._moves[i].tolist(), ranks(self._moves, i), len(self._words))
            for i in indices
        ]
        pinned = [
            [*self._positions[i, axes].tolist(), *self._moves[i, axes].tolist()] for i in indices
        ]
        styles = [float(self._shifts[i]) for i in indices]
        extremes = self._moves.abs().amax(dim=0).tolist()
        pins = markup.pins(
            self._key(x, y),
            [place.word for place in places],
            [[*place, style] for place, style in zip(pinned, styles, strict=True)],
        )
        kind = "tokens" if self._raw else "whole words"
        sentence = (
            f"Not among the {len(self._words):,} {kind} that this model uses: {', '.join(unknown)}."
        )
        return (
            markup.place_table(places, styles, extremes) + pins,
            widgets.note(sentence if unknown else "", "error"),
        )

    def _indices(self, word: str) -> list[int]:
        """Return where a word is in the vocabulary.

        A token may be there with a space before it too.
        """
        spellings = (f" {word}", word) if self._raw else (word,)
        places = [word_index(self._words, each, raw=self._raw) for each in spellings]
        return [place for place in places if place is not None]

    def _axes(self, x: int, y: int) -> list[int]:
        return [min(i, len(self._dimensions)) - 1 for i in (x, y)]

    def _title(self, axis: int) -> str:
        return escape(f"dimension {axis + 1} ({self._ends(axis)})")

    def _ends(self, axis: int) -> str:
        dimension = self._dimensions[axis]
        ends = (
            visible(words[0]) if words else "" for words in (dimension.negative, dimension.positive)
        )
        return "− {} … {} +".format(*ends)

    def _key(self, x: int, y: int) -> str:
        return f"{self._steer.name} {self._label} {self._raw} {x} {y}"
