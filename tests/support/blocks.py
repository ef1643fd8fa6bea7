"""A gradio app that is built but not served."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import gradio as gr

from support.coroutines import run_apart

T = TypeVar("T")


def inside_blocks(build: Callable[[gr.Blocks], T]) -> T:
    """Return what `build` makes while an app is open."""

    async def opened() -> T:  # without a running loop gradio makes loops that nobody closes
        with gr.Blocks(analytics_enabled=False) as demo:
            return build(demo)

    return run_apart(opened())
