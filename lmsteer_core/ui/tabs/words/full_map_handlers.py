"""What the full map is sent when it is opened and when what it shows changes."""

from __future__ import annotations

import functools
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import gradio as gr
import torch

from lmsteer_core.analysis.word_plane import WordPlane
from lmsteer_core.errors import LMSteerError
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.format import visible
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.request import session_of
from lmsteer_core.ui.tabs.words.full_map_message import plane_message, words_message
from lmsteer_core.ui.tabs.words.lens import N_DIMS, READINGS

DIMENSIONS = "The steer's dimensions"
PRINCIPAL = "Principal axes of all words"
NEIGHBOURHOODS = "Neighbourhoods (t-SNE)"
NO_SECOND = "No second map"
AXES = [DIMENSIONS, PRINCIPAL, NEIGHBOURHOODS]

_WAITING = (
    "The neighbourhoods of this model's words are computed, once: it takes a minute or two, and "
    "longer while a steer is made. They appear here when they are there."
)
_NO_STEER = "No steer fits this model yet, so ε moves nothing; a steer's dimensions need one."


@dataclass(frozen=True)
class FullMapSettings:
    """What the full map shows.

    Attributes:
        is_open: Whether it is shown.
        steer_name: The steer.
        reading: One of `lens.READINGS`.
        across: The dimension along x, counted from 1.
        up: The dimension along y, counted from 1.
        unlocked: Whether the words of a locked pole may be shown.
        axes: One of `AXES`.
        beside: One of `AXES`, or `NO_SECOND`.
    """

    is_open: bool
    steer_name: str | None
    reading: str
    across: float
    up: float
    unlocked: bool
    axes: str
    beside: str


@dataclass(frozen=True)
class _View:
    """A steer under a reading, and whether its locked words are hidden."""

    steer: Steer | None
    reading: str
    unlocked: bool


class FullMapHandlers:
    """The handlers of the full map's events; what was computed last is kept."""

    def __init__(self, page: Page) -> None:
        """Start with nothing kept."""
        self._page = page
        self._words = functools.lru_cache(maxsize=1)(self._read_words)
        self._message = functools.lru_cache(maxsize=16)(self._read_message)
        self._shifts = functools.lru_cache(maxsize=8)(self._read_shifts)
        self._lock = threading.Lock()
        self._neighbourhoods: Future[WordPlane] | None = None

    def show(self, request: gr.Request, settings: FullMapSettings) -> tuple[Any, ...]:
        """Return the panel, a note, a timer for what is computed, the words and both planes."""
        if not settings.is_open:
            return gr.update(visible=False), "", gr.update(active=False), *[gr.skip()] * 3
        try:
            view = self._view(request, settings)
            words = self._words()
            notes = [] if view.steer else [widgets.note(_NO_STEER)]
            messages = []
            for axes in (settings.axes, settings.beside):
                plane = self._plane(view, axes, int(settings.across), int(settings.up))
                messages.append(plane)
                if plane is None:
                    notes.append(widgets.note(_WAITING))
        except LMSteerError as error:
            problem = widgets.note(str(error), "error")
            return gr.update(visible=True), problem, gr.update(active=False), *[gr.skip()] * 3
        is_waiting = None in messages
        return (
            gr.update(visible=True),
            "".join(notes),
            gr.update(active=is_waiting),
            words,
            *(gr.skip() if message is None else message for message in messages),
        )

    def _view(self, request: gr.Request, settings: FullMapSettings) -> _View:
        session = session_of(request)
        steer = None
        if settings.steer_name or self._page.steers.names(session):
            steer = self._page.steers.steer(session, settings.steer_name)
        return _View(steer, settings.reading, settings.unlocked)

    def _plane(self, view: _View, axes: str, x: int, y: int) -> str | None:
        """Return a map's message, "" for no map, or None while it is computed."""
        if axes == NO_SECOND:
            return ""
        if axes == NEIGHBOURHOODS and not self._started().done():
            return None
        if axes == DIMENSIONS and view.steer is None:
            axes = PRINCIPAL
        return self._message(view, axes, *((x, y) if axes == DIMENSIONS else (1, 2)))

    def _started(self) -> Future[WordPlane]:
        with self._lock:
            job = self._neighbourhoods
            if job is None or (job.done() and job.exception() is not None):
                queue = self._page.job_queue
                job = queue.submit(self._page.workbench.neighbourhood_plane)
                self._neighbourhoods = job
            return job

    def _read_words(self) -> str:
        words, probability = self._page.workbench.whole_words()
        return words_message(words, probability, self._page.workbench.word_clusters())

    def _read_message(self, view: _View, axes: str, x: int, y: int) -> str:
        steer, workbench = view.steer, self._page.workbench
        name = steer.name if steer else ""
        if axes == NEIGHBOURHOODS:
            plane, key = self._started().result(), axes
        elif axes == PRINCIPAL:
            plane, key = workbench.principal_plane(steer), axes
        else:
            assert steer is not None
            plane, key = self._dimension_plane(view, steer, x, y), f"{name} {view.reading} {x} {y}"
        return plane_message(key, name, plane, self._shifts(steer, view.unlocked))

    def _read_shifts(self, steer: Steer | None, unlocked: bool) -> torch.Tensor:
        return self._page.workbench.word_shifts(steer, unlock=unlocked)

    def _dimension_plane(self, view: _View, steer: Steer, x: int, y: int) -> WordPlane:
        mapped = self._page.workbench.word_map(
            steer, n_dims=N_DIMS, reading=READINGS[view.reading][0], unlock=view.unlocked
        )
        axes = [min(i, len(mapped.dimensions)) - 1 for i in (x, y)]
        n_words = len(self._shifts(steer, view.unlocked))
        positions, moves = (torch.full((n_words, 2), torch.nan) for _ in range(2))
        positions[mapped.shown] = mapped.positions[:, axes]
        moves[mapped.shown] = mapped.moves[:, axes]
        titles = []
        for i in axes:
            dimension = mapped.dimensions[i]
            ends = (
                visible(words[0]) if words else ""
                for words in (dimension.negative, dimension.positive)
            )
            titles.append("dimension {} (− {} … {} +)".format(i + 1, *ends))
        return WordPlane((titles[0], titles[1]), positions, moves)
