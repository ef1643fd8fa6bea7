"""Handlers that name what they update."""

from __future__ import annotations

import inspect

import gradio as gr
import pytest
from support.coroutines import run_apart

from lmsteer_core.ui.page.wiring import wired

REQUEST = gr.Request(session_hash="a", headers={})
PARTS = {"title": gr.HTML(), "text": gr.HTML()}


def stream(_request: gr.Request, texts: list[str]):
    for text in texts:
        yield {"text": text}


async def stream_async(_request: gr.Request, texts: list[str]):
    for text in texts:
        yield {"text": text}


def updates(handler, texts: list[str]) -> list[object]:
    """Return all that Gradio gets from a handler."""
    fn = wired(handler, [], PARTS)["fn"]

    async def collect() -> list[object]:
        return [update async for update in fn(REQUEST, texts)]

    return run_apart(collect()) if inspect.isasyncgenfunction(fn) else [*fn(REQUEST, texts)]


@pytest.mark.parametrize("handler", [stream, stream_async])
def test_each_update_reaches_its_widget(handler) -> None:
    assert updates(handler, ["a", "b"]) == [{PARTS["text"]: "a"}, {PARTS["text"]: "b"}]


@pytest.mark.parametrize("handler", [stream, stream_async])
def test_a_handler_that_yields_nothing_leaves_every_widget_as_it_is(handler) -> None:
    assert updates(handler, []) == [gr.skip()]
