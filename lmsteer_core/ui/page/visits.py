"""What the server holds for a page: a page that loses its connection comes back to it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")

HOLD_SECONDS = 3600.0
"""How long a page's steers are held while nothing is heard from it."""

JOB_SECONDS = 120.0
"""How long its training goes on meanwhile."""

MAX_ABSENT = 200
"""Absent pages for which something is held; beyond it the longest absent is dropped first."""

_TOKEN = re.compile("[0-9a-f]{32}")


@dataclass
class _Visit:
    """A page's open sessions, and when something was last heard from it, in the clock's seconds."""

    last_seen: float
    sessions: set[str] = field(default_factory=set)


class Visits:
    """The pages that are here or were lately, each known by a token that only its own tab has.

    Gradio makes a new session whenever a page is loaded, and loads a page anew when its connection
    was lost: the token stays. A page that gives no token is known by its session.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no page."""
        self._clock = clock
        self._pages: dict[str, str] = {}  # by session
        self._visits: dict[str, _Visit] = {}  # by page
        self._holds: list[Hold[Any]] = []
        self._lock = threading.RLock()

    def hold(self) -> Hold[T]:
        """Return room for a value of every page, dropped when the page stays away too long."""
        new: Hold[T] = Hold(self)
        self._holds.append(new)
        return new

    def arrive(self, session: str, token: str = "") -> None:
        """Open a session, of the page with this token if there is one."""
        with self._lock:
            self._drop_absent()  # first, for it may be this page that was away too long
            if _TOKEN.fullmatch(token):
                self._pages[session] = token
            self._visits[self.page_of(session)].sessions.add(session)

    def leave(self, session: str) -> None:
        """Close a session, whose page may come back."""
        with self._lock:
            self._visits[self.page_of(session)].sessions.discard(session)
            self._drop_absent()

    def page_of(self, session: str) -> str:
        """Return the page of a session that is heard from right now."""
        with self._lock:
            page = self._pages.setdefault(session, session)
            self._visits.setdefault(page, _Visit(0.0)).last_seen = self._clock()
            return page

    def absent_seconds(self, page: str) -> float:
        """Return how long nothing was heard from a page; 0 while it has an open session."""
        with self._lock:
            visit = self._visits.get(page)
            if visit is None:
                return float("inf")
            return 0.0 if visit.sessions else self._clock() - visit.last_seen

    def _drop_absent(self) -> None:
        absent = {page: seconds for page in self._visits if (seconds := self.absent_seconds(page))}
        late = {page for page, seconds in absent.items() if seconds > HOLD_SECONDS}
        holding = [page for page in absent if any(page in hold.values for hold in self._holds)]
        late.update(sorted(holding, key=lambda page: absent[page])[MAX_ABSENT:])
        for page in late:
            del self._visits[page]
            for hold in self._holds:
                hold.values.pop(page, None)
        self._pages = {s: page for s, page in self._pages.items() if page in self._visits}


class Hold(Generic[T]):
    """One value for every page, asked for by its session."""

    def __init__(self, visits: Visits) -> None:
        """Start empty."""
        self._visits = visits
        self.values: dict[str, T] = {}  # by page

    def get(self, session: str) -> T | None:
        """Return the page's value, if it has one."""
        return self.values.get(self._visits.page_of(session))

    def put(self, session: str, value: T) -> None:
        """Hold a value in place of the page's earlier one."""
        self.values[self._visits.page_of(session)] = value
