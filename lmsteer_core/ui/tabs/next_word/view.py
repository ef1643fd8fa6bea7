"""The widgets of a next-word chart: the same on two tabs."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from lmsteer_core.ui.page.events import call_js

_KEY = (
    "Blue lines gain towards +ε, orange ones towards −ε; dashes tell lines of one colour apart. "
    "The ground is grey where the steer is useful; a dashed red line marks where its text breaks."
)


class ChartView:
    """A chart with its words and lists.

    Attributes:
        plot: The curves.
        side: The column beside them, where more can be put.
        now: The words at the slider's ε, once `add_words` is called.
        status: A line below, once `add_lists` is called.
    """

    def __init__(self, elem_id: str) -> None:
        """Add the chart to the open Blocks."""
        self._elem_id = elem_id
        with gr.Row(elem_classes="next-words", elem_id=elem_id):
            with gr.Column(scale=3, min_width=320):
                self.plot = gr.Plot(show_label=False, elem_id=f"{elem_id}-chart")
            self.side = gr.Column(scale=2, min_width=260)

    def add_words(self) -> None:
        """Add the words at the slider's ε to the column beside the chart."""
        with self.side:
            self.now = gr.HTML(elem_id=f"{self._elem_id}-now")

    def add_lists(self) -> None:
        """Add what stands below the chart."""
        gr.HTML(Markup('<p class="limits">{}</p>').format(_KEY), padding=False)
        self.status = gr.HTML(elem_id=f"{self._elem_id}-status", padding=False)
        gr.HTML(
            Markup('<div class="nw-lists" data-of="{}"></div>').format(self._elem_id), padding=False
        )

    @property
    def outputs(self) -> list[Any]:
        """The widgets that `Chart.draw` fills."""
        return [self.plot, self.now, self.status]


def pause_js(name: str) -> str:
    """Return the script that lets an event through once its widgets have come to rest."""
    return call_js("nextWord.pause", name)
