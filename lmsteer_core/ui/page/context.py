"""What every tab builds on and shares with the others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import gradio as gr

from lmsteer_core.ui.page.jobs import Trainings
from lmsteer_core.ui.page.page_steers import PageSteers
from lmsteer_core.workbench import Workbench


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
        jobs: The one queue of all that takes the machine for long.
        announcement: Holds the last `Announcement` of each visitor's page.
    """

    workbench: Workbench
    demo: gr.Blocks
    tabs: gr.Tabs
    steers: PageSteers
    jobs: Trainings
    announcement: gr.State
    _versions: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    @classmethod
    def create(cls, workbench: Workbench, demo: gr.Blocks) -> Page:
        """Add the row of tabs, still empty, to the app, which must be open."""
        return cls(
            workbench,
            demo,
            tabs=gr.Tabs(),
            steers=PageSteers(workbench),
            jobs=Trainings(),
            announcement=gr.State(Announcement()),
        )

    def announce(self, newest: str | None) -> Announcement:
        """Return what an event must put into `announcement` after it changed a page's steers."""
        return Announcement(next(self._versions), newest)
