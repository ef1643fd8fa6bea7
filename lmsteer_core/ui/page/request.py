"""What a request says of the page that sent it."""

from __future__ import annotations

import gradio as gr


def session_of(request: gr.Request) -> str:
    """Return the id that gradio gives the page that asks."""
    return request.session_hash or ""


def requested_at(request: gr.Request) -> float:
    """Return when the page sent this request, in milliseconds of its own clock.

    It is 0 if the page does not say.
    """
    try:
        return max(0.0, float(request.headers.get("x-asked-at", 0)))
    except ValueError:
        return 0.0
