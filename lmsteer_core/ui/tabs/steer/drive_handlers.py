"""What the view Drive does: a text of each page that flows on while the sliders move."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import gradio as gr
from markupsafe import Markup

from lmsteer_core.serving.endless_text import Drive
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.live_view import LivePanel, LiveView, RedrawnPanel
from lmsteer_core.ui.page.request import requested_at, session_of
from lmsteer_core.ui.page.runs import Runs, Wanted
from lmsteer_core.ui.page.written import Written
from lmsteer_core.ui.tabs.steer import drive_markup
from lmsteer_core.ui.tabs.steer.settings import SliderSettings, chosen_steers


class DriveHandlers:
    """The handlers of the view's events, and the driven texts of all pages."""

    def __init__(self, page: Page) -> None:
        """Start with no text."""
        self._workbench, self._page_steers = page.workbench, page.steers
        self._runs = Runs()
        self._drives: dict[str, Drive] = {}

    def write(self, request: gr.Request, settings: SliderSettings) -> Iterator[tuple[Any, ...]]:
        """Show the page's text and its ribbons of ε until somebody stops it, then yield them."""
        session = session_of(request)

        def write(is_wanted: Wanted) -> Iterator[LiveView]:
            sampling = settings.sampling
            chosen = chosen_steers(self._page_steers, session, settings)
            drive = self._drives.get(session)
            if drive is None:
                drive = self._workbench.endless_text(settings.prompt, sampling)
                self._drives[session] = drive
            drive.steer(*chosen, unlock=settings.unlocked)
            began, n_before = time.monotonic(), len(drive.written)
            text = drive_markup.DrivenText(drive.prompt, drive.written)
            written = Written(
                self._workbench,
                drive.prompt,
                drive.written,
                {},
                drive.steers,
                sampling,
                drive.ids_before,
            )
            view = LiveView(
                [
                    LivePanel("drive-text", [text], Markup().join, written=[written]),
                    RedrawnPanel("drive-ribbons", lambda: drive_markup.ribbons(drive.written)),
                ],
                "drive-status",
            )
            yield view
            for token in drive.tokens(is_wanted):
                text.add(token)
                n_tokens = len(drive.written)
                rate = (n_tokens - n_before) / max(time.monotonic() - began, 1e-3)
                yield view.progress(f"{n_tokens:,} tokens, {rate:.0f} a second")

        yield from self._runs.follow_live(
            request, 2, write, stopped="Paused: Start goes on from here."
        )

    def steer(self, request: gr.Request, settings: SliderSettings) -> None:
        """Set ε of the page's text from its next token on, if it is begun."""
        session = session_of(request)
        chosen = chosen_steers(self._page_steers, session, settings)
        if drive := self._drives.get(session):
            drive.steer(*chosen, unlock=settings.unlocked)

    def html_file(self, request: gr.Request) -> str:
        """Return the page's text as HTML that stands alone, named, as JSON; "" if there is none."""
        drive = self._drives.get(session_of(request))
        return _file("html", drive_markup.html_of(drive, self._workbench.model_id)) if drive else ""

    def csv_file(self, request: gr.Request) -> str:
        """Return the page's text as a table, named, as JSON; "" if there is none."""
        drive = self._drives.get(session_of(request))
        return _file("csv", drive_markup.csv_of(drive)) if drive else ""

    def stop(self, request: gr.Request) -> None:
        """Pause the page's text."""
        self._runs.stop(session_of(request), requested_at(request))

    def forget_text(self, request: gr.Request) -> None:
        """Drop the page's text, so that the next one begins from the prompt."""
        self._drives.pop(session_of(request), None)

    def forget(self, request: gr.Request) -> None:
        """Drop all of a page that was closed."""
        self._runs.forget(session_of(request))
        self.forget_text(request)


def _file(ending: str, text: str) -> str:
    return json.dumps({"name": f"drive.{ending}", "text": text})
