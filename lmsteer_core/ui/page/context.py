"""What every tab builds on and shares with the others."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gradio as gr

from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.events import QUIET, call_js
from lmsteer_core.ui.page.link import Choice, Reading
from lmsteer_core.ui.page.links import Links
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
        demo: The app, whose `unload` event tells that a visitor's page was closed.
        tabs: The row of tabs, to go to another one.
        steers: The steers that visitors made, each for one page.
        links: The widgets that a link restores.
        visits: The visitors' pages, which outlive their connections.
        job_queue: The one worker for all that takes the machine for long.
        announcement: Holds the last `Announcement` of each visitor's page.
    """

    workbench: Workbench
    demo: gr.Blocks
    tabs: gr.Tabs
    steers: PageSteers
    links: Links
    visits: Visits
    job_queue: ThreadPoolExecutor
    announcement: gr.State
    _notice: gr.HTML = field(repr=False)
    _versions: Iterator[int] = field(repr=False)
    _openers: list[tuple[str, tuple[dict[str, Any], ...]]] = field(default_factory=list, repr=False)

    @classmethod
    def create(cls, workbench: Workbench, demo: gr.Blocks) -> Page:
        """Add the row of tabs, still empty, to the app, which must be open."""
        visits = Visits()
        return cls(
            workbench,
            demo,
            steers=PageSteers(workbench, visits),
            links=Links(),
            visits=visits,
            job_queue=ThreadPoolExecutor(1, "job"),
            announcement=gr.State(Announcement()),
            _notice=gr.HTML(elem_id="link-notice", padding=False),
            _versions=itertools.count(1),
            tabs=gr.Tabs(),
        )

    def announce(self, newest: str | None) -> Announcement:
        """Return what an event must put into `announcement` after it changed a page's steers."""
        return Announcement(next(self._versions), newest)

    def when_open(self, tab: str, *steps: dict[str, Any]) -> None:
        """Let events run one after the other once a tab shows what a link says.

        Args:
            tab: The tab's id.
            steps: The arguments of each event.
        """
        self._openers.append((tab, steps))

    def read(
        self, session: str, fragment: str, *, unlocked: bool = False, whole: str | None = None
    ) -> tuple[Reading, dict[Any, Any]]:
        """Return what a link says on a page, and what restores it; as `Links.read`."""
        steers = {name: self.steers.steer(session, name) for name in self.steers.names(session)}
        tabs = {"tab": Choice({tab.id: tab.id for tab in self._tabs})}
        slots = self.steers.slots(session)
        model_id = self.workbench.model_id
        return self.links.read(
            fragment, steers, slots, model_id, tabs, unlocked=unlocked, whole=whole
        )

    @property
    def _tabs(self) -> list[Any]:
        return [tab for tab in self.tabs.children if isinstance(tab, gr.Tab)]

    def open(self) -> None:
        """Add what happens when a page is opened; all tabs must be there."""
        token, fragment, kept, slots = (gr.Textbox(visible=False) for _ in range(4))
        tabs = self._tabs
        for tab in tabs:
            tab.select(None, None, None, js=call_js("link.keep", "tab", tabs[0].id, tab.id))

        def arrive(request: gr.Request, token: str, fragment: str) -> dict[Any, Any]:
            session = session_of(request)
            self.visits.arrive(session, token)
            own = self.steers.by_name(session)
            reading, updates = self.read(session, fragment)
            if own:
                updates[self.announcement] = self.announce(next(reversed(own)))
            if "tab" in reading.values:
                updates[self.tabs] = gr.Tabs(selected=reading.values["tab"])
            note = widgets.note(" ".join(reading.problems), "warning")
            return {**updates, self._notice: note, kept: "&".join(reading.kept)}

        def leave(request: gr.Request) -> None:
            self.visits.leave(session_of(request))

        arrival = self.demo.load(
            arrive,
            [token, fragment],
            [*self.links.components, self.announcement, self.tabs, self._notice, kept],
            js=call_js("link.opened"),
            **_IN_LINE,
        )
        arrival.then(None, kept, None, js=call_js("link.restored", self.workbench.model_id))
        arrival.then(None, None, None, js=call_js("lesson.turned"))
        self._run_openers(arrival, [tab.id for tab in tabs])
        for tab in tabs:
            self._add_turn(tab.id)
        self.demo.unload(leave)
        self.announcement.change(self._slot_names, None, slots, **QUIET).then(
            None, slots, None, js=call_js("link.nameSlots")
        )

    def _add_turn(self, tab: str) -> None:
        """Add what a lesson asks for: one tab in the state of a link, without loading the page."""
        fragment = gr.Textbox(visible=False)
        ask = gr.Button("Turn", visible="hidden", elem_id=f"turn-{tab}")

        def turn(request: gr.Request, fragment: str) -> dict[Any, Any]:
            reading, updates = self.read(session_of(request), fragment, whole=tab)
            note = widgets.note(" ".join(reading.problems), "warning")
            return {**updates, self.tabs: gr.Tabs(selected=tab), self._notice: note}

        outputs = [*self.links.of_tab(tab), self.tabs, self._notice]
        turned = ask.click(turn, fragment, outputs, js=call_js("lesson.fragment"), **QUIET)
        turned.then(None, None, None, js=call_js("lesson.turned"))
        self._run_openers(turned, [tab])

    def _run_openers(self, after: Any, tabs: Collection[str]) -> None:
        for tab, steps in self._openers:
            event = after
            for step in steps if tab in tabs else ():
                event = event.then(**step)

    def _slot_names(self, request: gr.Request) -> str:
        slots = self.steers.slots(session_of(request))
        return json.dumps([steer and steer.name for steer in slots])
