"""New tokens on their way to the page: as comments in the event stream that it reads anyway.

Gradio's own messages cost the page some 20 ms each, whatever they hold, and a connection of its own
would take one of the six that a browser opens to one host. A comment is a line that begins with a
colon; the page's `live.js` reads ours, and everybody else passes over them.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lmsteer_core.ui.page.live_view import LiveView

_PATH = "/queue/data"
"""The end of the path from which a page reads gradio's events."""

_PREFIX = b": lmsteer "

_PAUSE_SECONDS, _LONG_PAUSE_SECONDS, _N_FEW = 0.04, 0.09, 4
"""Between two updates of a page: while few runs write, and while many do."""

_FLUSH_SECONDS = 3.0


class _Reader:
    """A page's open event stream."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.changed, self.is_urgent = asyncio.Event(), asyncio.Event()

    def wake(self, *, urgent: bool) -> None:
        """Say that there is news; called from any thread."""

        def wake() -> None:
            self.changed.set()
            if urgent:
                self.is_urgent.set()

        with suppress(RuntimeError):  # the server has stopped
            self._loop.call_soon_threadsafe(wake)


class _Feed:
    """What one page is shown, and who reads it."""

    def __init__(self) -> None:
        self.views: list[LiveView] = []
        self.readers: list[_Reader] = []
        self.n_users = 0

    def wake(self, *, urgent: bool = False) -> None:
        for reader in list(self.readers):
            reader.wake(urgent=urgent)


class Shown:
    """What one run shows a page."""

    def __init__(self, feed: _Feed) -> None:
        """Made by `Feeds.showing`."""
        self._feed = feed
        self._view: LiveView | None = None

    def show(self, view: LiveView) -> None:
        """Show a view, the same one each time, or what is new in it."""
        if self._view is None:
            self._view = view
            self._feed.views.append(view)
        self._feed.wake()

    def close(self, *, is_replaced: bool) -> None:
        """Let the page have the rest before gradio's last message comes; drop it if replaced."""
        view, feed = self._view, self._feed
        if view is None:
            return
        if not is_replaced:
            view.is_over = True
            feed.wake(urgent=True)
            if feed.readers:
                view.is_flushed.wait(_FLUSH_SECONDS)
        feed.views.remove(view)


class Feeds:
    """The feeds of all pages, by gradio's session."""

    def __init__(self) -> None:
        """Start with no page."""
        self._feeds: dict[str, _Feed] = {}
        self._lock = threading.Lock()

    @contextmanager
    def showing(self, session: str, is_replaced: Callable[[], bool]) -> Iterator[Shown]:
        """Let a page see what is handed to `Shown.show`, until the context is left.

        Args:
            session: Whose page.
            is_replaced: Whether a newer run shows its text in the same place.
        """
        with self._joined(session) as feed:
            shown = Shown(feed)
            try:
                yield shown
            finally:
                shown.close(is_replaced=is_replaced())

    async def pump(self, session: str, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Send a page its news until cancelled, all of it first."""
        reader = _Reader()
        sent: dict[LiveView, dict[str, Any]] = {}
        with self._joined(session) as feed:
            feed.readers.append(reader)
            try:
                reader.changed.set()  # what is there already
                while True:
                    await reader.changed.wait()
                    reader.changed.clear()
                    reader.is_urgent.clear()
                    views = list(feed.views)
                    over = [view for view in views if view.is_over]
                    sent = {view: sent.get(view, {}) for view in views}
                    news = [view.news(of_view) for view, of_view in sent.items()]
                    if any(news):
                        await send(b"".join(_comment(each) for each in news if each))
                    # Gradio's page closes its stream now and then and opens another.
                    if reader is feed.readers[-1]:
                        for view in over:
                            view.is_flushed.set()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(reader.is_urgent.wait(), self._pause())
            finally:
                feed.readers.remove(reader)

    @contextmanager
    def _joined(self, session: str) -> Iterator[_Feed]:
        with self._lock:
            feed = self._feeds.setdefault(session, _Feed())
            feed.n_users += 1
        try:
            yield feed
        finally:
            with self._lock:
                feed.n_users -= 1
                if not feed.n_users:
                    del self._feeds[session]

    def _pause(self) -> float:
        n_running = sum(len(feed.views) for feed in list(self._feeds.values()))
        return _PAUSE_SECONDS if n_running <= _N_FEW else _LONG_PAUSE_SECONDS


FEEDS = Feeds()
"""The feeds of this process."""


class FeedMiddleware:
    """Adds a page's feed to the event stream that it reads."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before the app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        sessions = parse_qs(scope.get("query_string", b"").decode()).get("session_hash")
        if scope["type"] != "http" or not scope["path"].endswith(_PATH) or not sessions:
            await self._app(scope, receive, send)
            return
        turn = asyncio.Lock()
        is_open = asyncio.Event()

        async def send_event(message: Message) -> None:
            async with turn:
                await send(message)
                if message["type"] == "http.response.body" and message.get("more_body"):
                    is_open.set()
                elif message["type"] == "http.response.body":
                    is_open.clear()

        async def send_comment(comment: bytes) -> None:
            async with turn:
                if is_open.is_set():
                    message = {"type": "http.response.body", "body": comment, "more_body": True}
                    await send(message)

        async def pump() -> None:
            await is_open.wait()
            await FEEDS.pump(sessions[0], send_comment)

        pumping = asyncio.create_task(pump())
        try:
            await self._app(scope, receive, send_event)
        finally:
            pumping.cancel()


def _comment(news: dict[str, Any]) -> bytes:
    return _PREFIX + json.dumps(news, ensure_ascii=False).encode() + b"\n\n"
