"""Our theme: system fonts only, so no page load ever leaves the machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

SLIDER_EXTENT = 5.0
"""Sliders reach past the useful ±3, so that a class can see where fluency breaks."""

ASSETS = Path(__file__).parents[2] / "assets"

DEBOUNCE_JS = "(...values) => window.lmsteer.debounce(values)"

QUIET: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
"""Options of an event that is answered at once."""

STREAMING: dict[str, Any] = {
    "concurrency_id": "generate",
    "concurrency_limit": 64,  # the engine has its own line
    "api_visibility": "private",
    "show_progress": "hidden",
    "trigger_mode": "multiple",
}
"""Options of an event that shows text while it is generated."""

LOOK: dict[str, Any] = {
    "concurrency_id": "look",
    "concurrency_limit": 4,
    "api_visibility": "private",
    "show_progress": "hidden",
    "trigger_mode": "always_last",
}
"""Options of an event that computes what to look at; of several only the last is answered."""


def told_js(told: Mapping[Any, str], otherwise: str = "") -> str:
    """Return the script that tells what an example teaches while the widgets hold that example.

    A change made by a button can be told before the widget holds it: the button needs a `then` besides.

    Args:
        told: HTML by what the widgets hold, a tuple of strings.
        otherwise: HTML for everything else: what was taught of one text is not true of another.
    """
    known = {json.dumps(held, ensure_ascii=False, separators=(",", ":")): html for held, html in told.items()}
    return f"(...held) => ({json.dumps(known)})[JSON.stringify(held)] ?? {json.dumps(otherwise)}"


_FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]


def theme() -> gr.themes.Base:
    """Return the theme."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.blue,
        secondary_hue=gr.themes.colors.orange,
        neutral_hue=gr.themes.colors.slate,
        text_size=gr.themes.sizes.text_lg,
        radius_size=gr.themes.sizes.radius_md,
        font=_FONT,
        font_mono=["ui-monospace", "Consolas", "monospace"],
    ).set(
        body_background_fill="#f6f7f9",
        body_background_fill_dark="#11151b",
        body_text_color="#171c23",
        body_text_color_dark="#eef1f5",
        body_text_color_subdued="#4c5663",
        body_text_color_subdued_dark="#aab4c1",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1a2029",
        slider_color="#1f6fc0",
        slider_color_dark="#5aa7ee",
        button_primary_background_fill="#1b64b0",
        button_primary_background_fill_hover="#15508d",
        button_primary_background_fill_dark="#2f7fd0",
        button_primary_text_color="#ffffff",
    )
