"""Steers that visitors made or uploaded: each is held for one page and forgotten with it."""

from __future__ import annotations

import threading
from typing import Any

import gradio as gr

from lmsteer_core.errors import InputError
from lmsteer_core.steers.card import check_name
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.page.request import session_of
from lmsteer_core.ui.page.visits import Hold, Visits
from lmsteer_core.workbench import Workbench

N_SLOTS = 4
"""Steers one page may hold; each has a slider waiting for it on the Steer tab."""


class PageSteers:
    """The steers of every page, by the session hash that gradio gives the page."""

    def __init__(self, workbench: Workbench, visits: Visits) -> None:
        """Start with no page; `workbench` has the steers all pages share."""
        self._workbench = workbench
        self._slots: Hold[list[Steer | None]] = visits.hold()
        self._lock = threading.Lock()

    def slots(self, session: str) -> list[Steer | None]:
        """Return what is in each of the page's N_SLOTS slots."""
        return list(self._slots.get(session) or [None] * N_SLOTS)

    def by_name(self, session: str) -> dict[str, Steer]:
        """Return the page's own steers by name."""
        return {steer.name: steer for steer in self.slots(session) if steer}

    def behind_sliders(self, session: str) -> list[Steer | None]:
        """Return the steer behind each slider: the shared ones, then those in the page's slots."""
        shared = (self._workbench.steer(name) for name in self._workbench.names)
        return [*shared, *self.slots(session)]

    def names(self, session: str) -> list[str]:
        """Return the names a page can choose from: the shared ones, then its own."""
        return [*self._workbench.names, *self.by_name(session)]

    def steer(self, session: str, name: str | None) -> Steer:
        """Return a steer by name, the page's own or a shared one.

        Raises:
            InputError: If no name is given.
            SteerError: If there is no such steer.
        """
        if not name:
            raise InputError("No steer fits this model yet: make one on the New steer tab.")
        return self.by_name(session).get(name) or self._workbench.steer(name)

    def check_addable(self, session: str, name: str) -> None:
        """Raise InputError unless the page may hold a steer of this name."""
        check_name(name)
        if name.casefold() in map(str.casefold, self._workbench.names):
            raise InputError(
                f"'{name}' is the name of a steer that is already here; choose another name."
            )
        page_steers = self.by_name(session)
        if name not in page_steers and len(page_steers) == N_SLOTS:
            raise InputError(
                f"This page holds {N_SLOTS} steers ({', '.join(page_steers)}), which is all it "
                "can; remove one of them first."
            )

    def free_name(self, session: str, name: str) -> str:
        """Return `name`, or with -2, -3 … after it where a steer has it already."""
        taken = {taken.casefold() for taken in self.names(session)}
        tries = (name, *(f"{name}-{i}" for i in range(2, len(taken) + 3)))
        return next(free for free in tries if free.casefold() not in taken)

    def add(self, session: str, steer: Steer) -> None:
        """Put a steer in a slot, in place of the page's earlier one of that name.

        Raises:
            InputError: If the name is not free or every slot is taken.
        """
        with self._lock:
            self.check_addable(session, steer.name)
            slots = self.slots(session)
            names = [held and held.name for held in slots]
            slots[names.index(steer.name if steer.name in names else None)] = steer
            self._slots.put(session, slots)

    def remove(self, session: str, name: str) -> None:
        """Empty the slot of a steer, if the page holds it."""
        with self._lock:
            slots = self.slots(session)
            left = [None if steer and steer.name == name else steer for steer in slots]
            self._slots.put(session, left)

    def update_chooser(self, request: gr.Request, chosen: str | None) -> dict[str, Any]:
        """Return the update that lists the page's steers in a chooser and keeps what was chosen."""
        names = self.names(session_of(request))
        return gr.update(
            choices=names, value=chosen if chosen in names else next(iter(names), None)
        )
