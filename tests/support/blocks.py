"""A gradio app that is built but not served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import gradio as gr

T = TypeVar("T")


def inside_blocks(build: Callable[[gr.Blocks], T]) -> T:
    """Return what `build` makes while an app is open."""

    async def opened() -> T:  # without a running loop gradio makes loops that nobody closes
        with gr.Blocks(analytics_enabled=False) as demo:
            return build(demo)

    with ThreadPoolExecutor(1) as apart:  # in this thread the browser of other tests runs a loop
        return apart.submit(lambda: asyncio.run(opened())).result()
