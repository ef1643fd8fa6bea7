"""Handlers that name what they update and know no widgets."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any

import gradio as gr
from gradio.components import Component

from lmsteer_core.ui.page.events import Inputs

Updates = dict[str, Any]
"""New values of widgets, by the names a handler knows them by."""


def wired(
    handler: Callable[..., Any],
    inputs: Inputs[Any] | Sequence[Component],
    outputs: Mapping[str, Any],
    **options: Any,
) -> dict[str, Any]:
    """Return the arguments of an event whose handler returns or yields `Updates`.

    Args:
        handler: Takes the request, then one settings object or the value of each input.
        inputs: What it reads.
        outputs: The widget or layout block of every name it may update.
        options: Further arguments of the event.
    """
    read = inputs.event(handler, []) if isinstance(inputs, Inputs) else {"fn": handler}
    call: Callable[..., Any] = read["fn"]

    def placed(updates: Updates) -> dict[Any, Any]:
        return {outputs[name]: update for name, update in updates.items()}

    # Gradio empties the widgets of a handler that yields nothing.
    async def stream_async(request: gr.Request, *values: Any) -> AsyncIterator[dict[Any, Any]]:
        async with aclosing(call(request, *values)) as stream:
            yield placed(await anext(stream, {})) or gr.skip()
            async for updates in stream:
                yield placed(updates)

    def stream(request: gr.Request, *values: Any) -> Iterator[dict[Any, Any]]:
        with closing(call(request, *values)) as stream:
            yield placed(next(stream, {})) or gr.skip()
            yield from map(placed, stream)

    def answer(request: gr.Request, *values: Any) -> dict[Any, Any]:
        return placed(call(request, *values))

    fn: Callable[..., Any] = answer
    if inspect.isasyncgenfunction(handler):
        fn = stream_async
    elif inspect.isgeneratorfunction(handler):
        fn = stream
    widgets = read.get("inputs", inputs)
    return {"fn": fn, "inputs": widgets, "outputs": [*outputs.values()], **options}
