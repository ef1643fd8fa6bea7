"""Our theme: system fonts only, so no page load ever leaves the machine."""

from __future__ import annotations

import gradio as gr

SLIDER_EXTENT = 5.0
"""Sliders reach past the useful ±3, so that a class can see where fluency breaks."""


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
