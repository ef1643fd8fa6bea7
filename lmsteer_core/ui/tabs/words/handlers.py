"""What the Words tab does when its widgets are used."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lmsteer_core.analysis.dimensions import overlap
from lmsteer_core.errors import LMSteerError
from lmsteer_core.steers.steer import Steer
from lmsteer_core.text import check_text
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.request import session_of
from lmsteer_core.ui.tabs.words import markup, page_markup
from lmsteer_core.ui.tabs.words.lens import DEFAULT_LABEL, N_DIMS, READINGS, Lens


@dataclass(frozen=True)
class LensSettings:
    """What of which steer is shown.

    Attributes:
        steer_name: The steer.
        reading: One of `lens.READINGS`.
        raw: Whether all tokens count as words.
        across: The dimension along the map's x axis, counted from 1.
        up: The dimension along its y axis, counted from 1.
        unlocked: Whether the words of a locked pole may be shown.
    """

    steer_name: str | None
    reading: str
    raw: bool
    across: float
    up: float
    unlocked: bool


@dataclass(frozen=True)
class FindSettings(LensSettings):
    """Which words are looked for.

    Attributes:
        typed: The words, separated by commas.
    """

    typed: str | None


class WordsHandlers:
    """The handlers of the tab's events; what was computed last is kept."""

    def __init__(self, page: Page) -> None:
        """Start with nothing kept."""
        self._page = page
        self._lens = functools.lru_cache(maxsize=32)(self._read_lens)
        self._overlap = functools.lru_cache(maxsize=32)(_overlap_table)

    def show(self, request: gr.Request, settings: LensSettings) -> tuple[Any, ...]:
        """Return table, spectrum, map, what they show, the offer to unlock, and both axes."""
        try:
            steer = self._steer(request, settings.steer_name)
            offer = gr.update(visible=steer.card.is_locked)
            is_hidden = steer.card.is_locked and not settings.unlocked
            lens = self._lens(steer, settings.reading, settings.raw, is_hidden)
            _, meaning = READINGS[settings.reading]
            about = markup.about(steer.card, steer.rank, settings.reading, meaning)
            if is_hidden:
                locked = f"{steer.card.notice} Tick the box to see the words of its − pole too."
                about = widgets.note(locked, "warning") + about
            return (
                lens.table(),
                lens.spectrum(),
                lens.map(int(settings.across), int(settings.up)),
                about,
                offer,
                *[gr.update(choices=lens.choices())] * 2,
            )
        except LMSteerError as error:
            problem = widgets.note(str(error), "error")
            return *[gr.skip()] * 3, problem, *[gr.skip()] * 3

    def find(self, request: gr.Request, settings: FindSettings) -> tuple[Any, Any]:
        """Return where the words sit, and a note on those that are not in the vocabulary."""
        try:
            steer = self._steer(request, settings.steer_name)
            is_hidden = steer.card.is_locked and not settings.unlocked
            lens = self._lens(steer, settings.reading, settings.raw, is_hidden)
            return lens.find(settings.typed or "", int(settings.across), int(settings.up))
        except LMSteerError as error:
            return gr.skip(), widgets.note(str(error), "error")

    def try_dimension(
        self,
        request: gr.Request,
        event: gr.EventData,
        steer_name: str | None,
        reading: str,
        unlocked: bool,
    ) -> tuple[Any, Any]:
        """Make a steer of the dimension that was clicked; return a note and an announcement."""
        try:
            steer = self._steer(request, steer_name)
            part = self._page.workbench.dimension_steer(
                steer, int(event.dimension), unlock=unlocked, reading=READINGS[reading][0]
            )
            self._page.steers.add(session_of(request), part)
        except LMSteerError as error:
            return widgets.note(str(error), "error"), gr.skip()
        return markup.tried(part.card), self._page.announce(part.name)

    def look(
        self,
        request: gr.Request,
        event: gr.EventData,
        steer_name: str | None,
        reading: str,
        unlocked: bool,
        text: str | None,
    ) -> tuple[Any, Any]:
        """Return the page of the dimension that was clicked, and its index."""
        i = int(event.dimension)
        return self.read(request, i, steer_name, reading, unlocked, text), i

    def read(
        self,
        request: gr.Request,
        i: int | None,
        steer_name: str | None,
        reading: str,
        unlocked: bool,
        text: str | None,
    ) -> Any:
        """Return a dimension's page with a text of the visitor's."""
        if i is None:
            return widgets.note("Choose a dimension first: press Look in the table.", "error")
        try:
            page = self._page.workbench.dimension_page(
                self._steer(request, steer_name),
                i,
                reading=READINGS[reading][0],
                text=text or "",
                unlock=unlocked,
            )
        except LMSteerError as error:
            return widgets.note(str(error), "error")
        return page_markup.dimension_page(page)

    def neighbours(
        self,
        request: gr.Request,
        word: str | None,
        steer_name: str | None,
        epsilon: float | None,
        unlocked: bool,
    ) -> Any:
        """Return a word's neighbours before and after the map's ε."""
        try:
            check_text(word or "", "word")
            steer = self._steer(request, steer_name)
            at = steer.card.lowest(epsilon or 0.0, unlocked) if (epsilon or 0.0) < 0 else epsilon
            found = self._page.workbench.neighbours(
                word or "", steer=steer, epsilon=at or 0.0, unlock=unlocked
            )
        except LMSteerError as error:
            return widgets.note(str(error), "error")
        return page_markup.neighbour_table(found, at or 0.0)

    def change_steer(
        self,
        request: gr.Request,
        kept: dict[str, str],
        shown: str | None,
        steer_name: str | None,
        typed: str | None,
    ) -> tuple[dict[str, str], str | None, str]:
        """Keep the pinned words of the steer that was shown; return those of the one chosen."""
        kept = kept | ({shown: typed or ""} if shown else {})
        try:
            steer = self._steer(request, steer_name)
        except LMSteerError:
            return kept, steer_name, ""
        if steer.name not in kept:
            lens = self._lens(steer, DEFAULT_LABEL, False, steer.card.is_locked)
            kept = kept | {steer.name: lens.first_words}
        return kept, steer_name, kept[steer.name]

    def show_overlap(self, request: gr.Request) -> str:
        """Return the cosines between all steers of the page."""
        names = self._page.steers.names(session_of(request))
        return self._overlap(tuple(self._steer(request, name) for name in names))

    def _steer(self, request: gr.Request, name: str | None) -> Steer:
        return self._page.steers.steer(session_of(request), name)

    def _read_lens(self, steer: Steer, reading: str, raw: bool, is_hidden: bool) -> Lens:
        word_map = self._page.workbench.word_map(
            steer, n_dims=N_DIMS, raw=raw, reading=READINGS[reading][0], unlock=not is_hidden
        )
        return Lens(steer, reading, raw, word_map)


def _overlap_table(steers: tuple[Steer, ...]) -> str:
    return markup.overlap_table([steer.name for steer in steers], overlap(steers))
