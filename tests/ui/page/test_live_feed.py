"""The feed of a page, in the event stream that it reads."""

from __future__ import annotations

import asyncio
import functools
import json
import math
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from lmsteer_core.generation.live_row import Token
from lmsteer_core.ui.markup.tokens import Continuation
from lmsteer_core.ui.page.live_feed import FEEDS, FeedMiddleware
from lmsteer_core.ui.page.live_view import LivePanel, LiveView


def read(session: str, n_events: int = 30) -> str:
    """Return what a page reads; in a thread, since a browser's tests keep a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, events_of(session, n_events)).result()


async def events_of(session: str, n_events: int) -> str:
    """Return what a page reads whose app sends an event every 20 ms."""

    async def events(_request: Request) -> StreamingResponse:
        async def stream() -> AsyncIterator[bytes]:
            for i in range(n_events):
                yield f"data: {i}\n\n".encode()
                await asyncio.sleep(0.02)

        return StreamingResponse(stream(), media_type="text/event-stream")

    app = FeedMiddleware(Starlette(routes=[Route("/api/queue/data", events)]))
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/queue/data",
        "query_string": f"session_hash={session}".encode(),
        "headers": [],
    }
    body = []

    async def send(message) -> None:
        body.append(message.get("body", b""))

    async def receive():
        await asyncio.Event().wait()

    await app(scope, receive, send)
    return b"".join(body).decode()


def news_in(stream: str) -> list[dict]:
    lines = [line for line in stream.split("\n") if line.startswith(": lmsteer ")]
    return [json.loads(line.removeprefix(": lmsteer ")) for line in lines]


@pytest.fixture
def writing():
    """Write ten tokens for the page of session "a", in a thread."""
    text = Continuation("p")
    view = LiveView([LivePanel("steered", [text], Markup().join)], "status")

    def write() -> None:
        with FEEDS.showing("a", lambda: False) as shown:
            for i in range(10):
                text.add(Token(i, f" w{i}", math.log(0.2), math.log(0.1)))
                shown.show(view)
                view.is_flushed.wait(0.02)

    thread = threading.Thread(target=write)
    thread.start()
    yield view
    thread.join()


def test_a_page_gets_every_token_once_between_its_events(writing) -> None:
    stream = read("a")
    events = [line for line in stream.split("\n") if line.startswith("data")]
    assert events == [f"data: {i}" for i in range(30)]
    told = news_in(stream)
    words = [
        p[5]
        for news in told
        for panel in news["panels"]
        for text in panel["texts"]
        for p in text["pieces"]
    ]
    assert words == [f"w{i}" for i in range(10)]
    assert [news["isOver"] for news in told] == [False] * (len(told) - 1) + [True]
    assert writing.is_flushed.is_set()


@pytest.mark.usefixtures("writing")
def test_another_page_gets_nothing() -> None:
    assert news_in(read("b", 5)) == []


def test_a_run_that_is_replaced_does_not_end_its_text_on_the_page() -> None:
    view = LiveView([], "status")
    with FEEDS.showing("a", lambda: True) as shown:
        shown.show(view)
    assert not view.is_over


def test_a_run_waits_for_the_stream_that_the_page_opened_last() -> None:
    text = Continuation("p")
    view = LiveView([LivePanel("steered", [text], Markup().join)], "status")

    async def read_twice() -> tuple[bool, bool]:
        may_send, ends = asyncio.Event(), (asyncio.Event(), asyncio.Event())

        async def send(comment: bytes, *, number: int) -> None:
            if number == 1:
                await may_send.wait()
            if b'"isOver": true' in comment:
                ends[number].set()

        pumps = []
        for number in range(2):
            sending = functools.partial(send, number=number)
            pumps.append(asyncio.create_task(FEEDS.pump("c", sending)))
            await asyncio.sleep(0)

        def write() -> None:
            with FEEDS.showing("c", lambda: False) as shown:
                shown.show(view)

        run = asyncio.create_task(asyncio.to_thread(write))
        await ends[0].wait()
        is_early = view.is_flushed.is_set() or run.done()
        may_send.set()
        await ends[1].wait()
        await run
        for pump in pumps:
            pump.cancel()
        return is_early, view.is_flushed.is_set()

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(asyncio.run, read_twice()).result(timeout=30) == (False, True)
