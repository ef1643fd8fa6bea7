"""What the Steer tab does when its widgets are used."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import gradio as gr

from lmsteer_core.errors import LMSteerError
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page import live_text
from lmsteer_core.ui.page.baselines import Baselines
from lmsteer_core.ui.page.branch import branch
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.live_view import LiveView
from lmsteer_core.ui.page.reopen import reopen
from lmsteer_core.ui.page.request import requested_at, session_of
from lmsteer_core.ui.page.runs import Runs, Wanted
from lmsteer_core.ui.page.theme import SLIDER_EXTENT
from lmsteer_core.ui.tabs.steer.drive_handlers import DriveHandlers
from lmsteer_core.ui.tabs.steer.settings import (
    DRIVE,
    SIDE_BY_SIDE,
    SLOT_BOXES,
    ContinuumSettings,
    SliderSettings,
    chosen_steers,
    continuum_grid,
)


class SteerHandlers:
    """The handlers of the tab's events.

    Attributes:
        drive: The handlers of the view Drive.
        baselines: The unsteered texts.
    """

    def __init__(self, page: Page) -> None:
        """Start with nothing being written."""
        self._page = page
        self._column_runs, self._continuum_runs = Runs(), Runs()
        self.drive = DriveHandlers(page)
        self.baselines = Baselines(page.workbench)

    def write_columns(
        self, request: gr.Request, settings: SliderSettings
    ) -> Iterator[tuple[Any, ...]]:
        """Show both texts as they grow; yield them, whole, and a status line."""
        session = session_of(request)

        def write(is_wanted: Wanted) -> Iterator[LiveView]:
            epsilons, _ = chosen_steers(self._page.steers, session, settings)
            yield from live_text.side_by_side(
                self._page.workbench,
                self.baselines.of(session, settings.prompt, settings.sampling),
                settings.prompt,
                epsilons,
                settings.sampling,
                is_wanted,
                self._page.steers.by_name(session),
                live_text.ColumnIds(),
                unlock=settings.unlocked,
            )

        yield from self._column_runs.follow_live(request, 2, write)

    def write_branch(self, request: gr.Request, message: str) -> Iterator[tuple[Any, ...]]:
        """Let both columns go on from another token of a text; yield them as `write_columns`."""
        session = session_of(request)

        def write(is_wanted: Wanted) -> Iterator[LiveView]:
            return branch(session, message, self.baselines, is_wanted, live_text.ColumnIds())

        yield from self._column_runs.follow_live(request, 2, write)

    def reopen(
        self, request: gr.Request, message: str, unlocked: bool
    ) -> Iterator[tuple[Any, ...]]:
        """Write a run again that the page kept; yield the columns as `write_columns`."""
        session = session_of(request)

        def write(is_wanted: Wanted) -> Iterator[LiveView]:
            return reopen(
                self._page.workbench,
                session,
                message,
                self.baselines,
                self._page.steers.by_name(session),
                is_wanted,
                unlock=unlocked,
            )

        yield from self._column_runs.follow_live(request, 2, write)

    def write_opening(
        self,
        request: gr.Request,
        settings: SliderSettings,
        opening: SliderSettings,
        example: Future[LiveView],
    ) -> Iterator[tuple[Any, ...]]:
        """Write what a link asks for, or show the opening example where none asks for anything.

        A driven text has no end, so it waits for its button.
        """
        if settings == opening:
            yield self._column_runs.unless_begun(request, example)
        elif settings.view == SIDE_BY_SIDE:
            yield from self.write_columns(request, settings)
        else:
            yield gr.skip(), gr.skip(), gr.skip()

    def follow_slider(
        self, request: gr.Request, settings: SliderSettings
    ) -> Iterator[tuple[Any, ...]]:
        """Write the columns anew, or set ε of the driven text from its next token on."""
        if settings.view == SIDE_BY_SIDE:
            yield from self.write_columns(request, settings)
            return
        try:
            self.drive.steer(request, settings)
        except LMSteerError as error:
            raise gr.Error(str(error)) from error
        yield gr.skip(), gr.skip(), gr.skip()

    def write_continuum(
        self, request: gr.Request, settings: ContinuumSettings
    ) -> Iterator[tuple[Any, ...]]:
        """Show the continuum as it grows; yield it, whole, and a status line."""

        def write(is_wanted: Wanted) -> Iterator[LiveView]:
            steer = self._page.steers.steer(session_of(request), settings.steer_name)
            grid = continuum_grid(steer.card, int(settings.n_lines), settings.unlocked)
            yield from live_text.continuum(
                self._page.workbench,
                settings.prompt,
                steer,
                grid,
                settings.sampling,
                is_wanted,
                "continuum",
                unlock=settings.unlocked,
            )

        yield from self._continuum_runs.follow_live(request, 1, write)

    def show_view(self, request: gr.Request, view: str) -> tuple[Any, Any]:
        """Stop what is being written and show the columns or the driven text."""
        self.stop(request)
        return view_boxes(view)

    def lock_sliders(self, request: gr.Request, unlocked: bool) -> list[Any]:
        """Return updates that lock or unlock offensive poles, one per slider, and the notice."""
        low = -SLIDER_EXTENT if unlocked else 0.0
        steers = self._page.steers.behind_sliders(session_of(request))
        notices = [steer.card.notice if steer else "" for steer in steers]
        text = " ".join(dict.fromkeys(filter(None, notices))) if unlocked else ""
        return [
            *(gr.update(minimum=low, value=0.0) if notice else gr.skip() for notice in notices),
            gr.update(value=widgets.note(text, "warning"), visible=bool(text)),
        ]

    def show_slots(self, request: gr.Request, unlocked: bool) -> list[Any]:
        """Return updates of every slot's box, slider and poles, and of the offer to unlock."""
        session = session_of(request)
        updates: list[Any] = []
        for box_id, steer in zip(SLOT_BOXES, self._page.steers.slots(session), strict=True):
            if steer:
                low = steer.card.lowest(-SLIDER_EXTENT, unlocked)
                slider = gr.update(label=steer.name, minimum=low)
                updates += [gr.update(visible=True), slider, widgets.poles(steer.card, box_id)]
            else:
                updates += [gr.update(visible=False), 0.0, gr.skip()]
        has_notice = any(
            steer and steer.card.is_locked for steer in self._page.steers.behind_sliders(session)
        )
        return [*updates, gr.update(visible=has_notice)]

    def stop(self, request: gr.Request) -> None:
        """Stop whatever is being written for the page."""
        for runs in (self._column_runs, self._continuum_runs):
            runs.stop(session_of(request), requested_at(request))
        self.baselines.cut(session_of(request))
        self.drive.stop(request)

    def forget(self, request: gr.Request) -> None:
        """Drop what belongs to a connection that ended."""
        for runs in (self._column_runs, self._continuum_runs):
            runs.forget(session_of(request))
        self.baselines.forget(session_of(request))
        self.drive.forget(request)


def view_boxes(view: str) -> tuple[Any, Any]:
    """Return the updates that show the columns or the driven text."""
    return gr.update(visible=view == SIDE_BY_SIDE), gr.update(visible=view == DRIVE)
