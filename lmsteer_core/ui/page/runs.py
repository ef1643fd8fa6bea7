"""Which run of which browser session is the latest: a newer one, or Stop, ends the older."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import gradio as gr
from markupsafe import Markup

from lmsteer_core.errors import LMSteerError
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.live_feed import FEEDS
from lmsteer_core.ui.page.live_view import LiveView
from lmsteer_core.ui.page.request import requested_at, session_of
from lmsteer_core.ui.page.written import WRITTEN

_STOPPED = 0

Wanted = Callable[[], bool]


class Runs:
    """Numbers the runs of every session; only the last number of a session is current."""

    def __init__(self) -> None:
        """Start with no session."""
        self._numbers = itertools.count(1)
        # by session: when it was requested, its number
        self._latest: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def start(self, session: str, requested: float = 0.0) -> int:
        """Begin a run that supersedes those the session requested earlier.

        Args:
            session: Whose run it is.
            requested: When the page sent the request (`requested_at`): a busy server may begin
                runs in another order.
        """
        number = next(self._numbers)
        self._settle(session, requested, number)
        return number

    def is_current(self, session: str, number: int) -> bool:
        """Return whether no newer run or Stop came after this one."""
        return self._number(session) == number

    def stop(self, session: str, requested: float = 0.0) -> None:
        """End the session's run without beginning another; also one requested before."""
        self._settle(session, requested, _STOPPED)

    def is_stopped(self, session: str) -> bool:
        """Return whether Stop was the session's latest word."""
        return self._number(session) == _STOPPED

    def unless_begun(self, request: gr.Request, example: Future[LiveView]) -> tuple[Any, ...]:
        """Wait for an opening example's panels; leave the page's own if a run began meanwhile."""
        view = example.result()
        session, panels = session_of(request), (*view.html(), view.note)
        if session in self._latest:
            return (gr.skip(),) * len(panels)
        WRITTEN.put(session, view.written())
        return panels

    def forget(self, session: str) -> None:
        """Drop a session whose page was closed, which also ends its run."""
        WRITTEN.forget(session)
        with self._lock:
            self._latest.pop(session, None)

    def _settle(self, session: str, requested: float, number: int) -> None:
        with self._lock:
            if requested >= self._latest.get(session, (0.0, _STOPPED))[0]:
                self._latest[session] = requested, number

    def _number(self, session: str) -> int | None:
        return self._latest.get(session, (0.0, None))[1]

    def follow(
        self,
        request: gr.Request,
        n_panels: int,
        write: Callable[[Wanted], Iterator[tuple[Any, ...]]],
        *,
        stopped: str = "Stopped.",
    ) -> Iterator[tuple[Any, ...]]:
        """Yield what a new run writes, until it ends, is stopped or is superseded.

        Args:
            request: Whose run it is.
            n_panels: Panels before the status line; a mistake leaves them as they are.
            write: Given a check whether it is still wanted, yields panels and a status line.
            stopped: The status line after Stop.
        """
        session, is_wanted = self._begin(request)
        keep = [gr.skip()] * n_panels
        try:
            for panels in write(is_wanted):
                if not is_wanted():
                    break
                yield panels
            if self.is_stopped(session):
                yield *keep, widgets.note(stopped)
            elif not is_wanted():
                # Gradio shows a run's last panels again when the run ends,
                # which may be after the newer run.
                yield *keep, gr.skip()
        except LMSteerError as error:
            yield *keep, widgets.note(str(error), "error")

    def follow_live(
        self,
        request: gr.Request,
        n_panels: int,
        write: Callable[[Wanted], Iterator[LiveView]],
        *,
        stopped: str = "Stopped.",
    ) -> Iterator[tuple[Any, ...]]:
        """Show what a new run writes as it grows, and yield its panels once they are at their end.

        Arguments as for `follow`, but `write` yields its view whenever it has grown.
        """
        session, is_wanted = self._begin(request)
        keep = [gr.skip()] * n_panels
        view: LiveView | None = None
        noted: LiveView | None = None

        def is_replaced() -> bool:
            return not is_wanted() and not self.is_stopped(session)

        yield *keep, gr.skip()  # until its first answer comes, gradio's page counts the seconds
        with FEEDS.showing(session, is_replaced) as shown:
            try:
                for view in write(is_wanted):
                    if not is_wanted():
                        break
                    if view is not noted:
                        WRITTEN.put(session, view.written())
                        noted = view
                    shown.show(view)
                note = view.note if view else Markup()
            except LMSteerError as error:
                note = widgets.note(str(error), "error")
            if self.is_stopped(session):
                note = widgets.note(stopped)
            if view:
                view.finish(note)
        if is_replaced():
            yield *keep, gr.skip()
        else:
            yield *(view.html() if view else keep), note

    def _begin(self, request: gr.Request) -> tuple[str, Wanted]:
        """Start a run; return whose it is and a check whether it is still wanted."""
        session = session_of(request)
        number = self.start(session, requested_at(request))
        return session, lambda: self.is_current(session, number)
