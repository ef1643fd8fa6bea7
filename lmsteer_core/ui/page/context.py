"""What every tab builds on and shares with the others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gradio as gr
from gradio.events import Dependency

from lmsteer_core.ui.page.events import QUIET, call_js
from lmsteer_core.ui.page.page_steers import PageSteers
from lmsteer_core.ui.page.request import session_of
from lmsteer_core.ui.page.visits import Visits
from lmsteer_core.workbench import Workbench

_IN_LINE: dict[str, Any] = {**QUIET, "queue": True, "concurrency_limit": None}
"""As QUIET, but through gradio's queue: without it a change of a State starts nothing."""


class Announcement(NamedTuple):
    """That the steers of a visitor's page have changed; all tabs observe it.

    Attributes:
        version: Another number each time, so that no two announcements are equal.
        newest: Name of the newest steer, or None if none is left.
    """

    version: int = 0
    newest: str | None = None


@dataclass(frozen=True)
class Page:
    """The context of every tab.

    Attributes:
        workbench: The model and the steers that all visitors share.
        demo: The app, whose `load` and `unload` events tell of a visitor's page.
        tabs: The row of tabs, to go to another one.
        steers: The steers that visitors made, each for one page.
        visits: The visitors' pages, which outlive their connections.
        arrival: The event after which a page is known, and found again if it was here before.
        job_queue: The one worker for all that takes the machine for long.
        announcement: Holds the last `Announcement` of each visitor's page.
    """

    workbench: Workbench
    demo: gr.Blocks
    tabs: gr.Tabs
    steers: PageSteers
    visits: Visits
    arrival: Dependency
    job_queue: ThreadPoolExecutor
    announcement: gr.State
    _versions: Iterator[int] = field(repr=False)

    @classmethod
    def create(cls, workbench: Workbench, demo: gr.Blocks) -> Page:
        """Add the row of tabs, still empty, to the app, which must be open."""
        visits = Visits()
        steers = PageSteers(workbench, visits)
        announcement = gr.State(Announcement())
        versions = itertools.count(1)

        def arrive(request: gr.Request, token: str) -> Announcement | dict[str, Any]:
            visits.arrive(session_of(request), token)
            newest = next(reversed(steers.by_name(session_of(request))), None)
            return Announcement(next(versions), newest) if newest else gr.skip()

        def leave(request: gr.Request) -> None:
            visits.leave(session_of(request))

        token = gr.Textbox(visible=False)
        arrival = demo.load(arrive, token, announcement, js=call_js("page.token"), **_IN_LINE)
        demo.unload(leave)
        return cls(
            workbench,
            demo,
            tabs=gr.Tabs(),
            steers=steers,
            visits=visits,
            arrival=arrival,
            job_queue=ThreadPoolExecutor(1, "job"),
            announcement=announcement,
            _versions=versions,
        )

    def announce(self, newest: str | None) -> Announcement:
        """Return what an event must put into `announcement` after it changed a page's steers."""
        return Announcement(next(self._versions), newest)
