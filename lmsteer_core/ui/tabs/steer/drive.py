"""Drive: one text flows on while the sliders move; every token shows the ε it was written under."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from lmsteer_core.ui.page.events import LOOK, QUIET, STREAMING, Inputs, call_js
from lmsteer_core.ui.tabs.steer.drive_handlers import DriveHandlers
from lmsteer_core.ui.tabs.steer.settings import SliderSettings

_ABOUT = (
    "One text that does not end. Move the sliders: what you set holds from the next token on, and "
    "each token keeps the colour of the strongest ε it was written under. A text caught in a loop "
    "of a few words begins again from the prompt."
)
_SAVE_JS = call_js("page.save")


class DriveView:
    """The view's widgets.

    Attributes:
        box: What holds the view, hidden until it is chosen.
    """

    def __init__(self, handlers: DriveHandlers) -> None:
        """Add the widgets to the open Blocks."""
        self._handlers = handlers
        with gr.Column(visible=False, elem_id="drive") as self.box:
            with gr.Row():
                self._go = gr.Button("Start", variant="primary", elem_id="drive-go")
                self._pause = gr.Button("Pause", variant="stop", elem_id="drive-pause")
            with gr.Column(elem_classes=["card", "steered"]):
                gr.HTML(Markup("<p>{}</p>").format(_ABOUT), elem_classes="card-title")
                self._ribbons = gr.HTML(elem_id="drive-ribbons")
                self._text = gr.HTML(elem_id="drive-text")
            self._status = gr.HTML(elem_id="drive-status")
            with gr.Row(elem_classes="highlight-save"):
                self._anew = gr.Button(
                    "Begin again from the prompt", size="sm", elem_id="drive-anew"
                )
                self._save_html = gr.Button("Save as HTML", size="sm", elem_id="drive-html")
                self._save_csv = gr.Button("Save as CSV", size="sm", elem_id="drive-csv")
            self._file = gr.Textbox(visible="hidden", label="File")

    def add_events(self, inputs: Inputs[SliderSettings]) -> None:
        """Add the events, once the widgets they read are there."""
        handlers, file = self._handlers, self._file
        panels = [self._text, self._ribbons, self._status]
        write: dict[str, Any] = inputs.event(handlers.write, panels, **STREAMING)
        self._go.click(**write)
        self._anew.click(handlers.forget_text, None, None, **QUIET).then(**write)
        self._pause.click(handlers.stop, None, None, **QUIET)
        for button, to_file in (
            (self._save_html, handlers.html_file),
            (self._save_csv, handlers.csv_file),
        ):
            button.click(to_file, None, file, **LOOK).then(None, file, None, js=_SAVE_JS)
