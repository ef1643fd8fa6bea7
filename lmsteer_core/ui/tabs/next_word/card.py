"""The card of the next word's curve beside the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import LOOK, QUIET, Inputs
from lmsteer_core.ui.tabs.next_word.chart import Chart
from lmsteer_core.ui.tabs.next_word.handlers import CardSettings, NextWordCardHandlers
from lmsteer_core.ui.tabs.next_word.view import ChartView, pause_js

_ASK_ID = "steer-next-ask"


def create_next_word_card(
    page: Page, *, prompt: gr.Textbox, unlock: gr.Checkbox, sliders: Sequence[gr.Slider]
) -> None:
    """Add a card that shows the Steer tab's next word; its line follows one of the tab's sliders.

    The browser asks for new curves when a slider other than that one has moved (next_word.js),
    through a hidden button: a listener on the sliders would wait until their text is generated.

    Args:
        page: What the tabs share.
        prompt: The tab's prompt.
        unlock: Whether offensive poles may be shown.
        sliders: In the order of `PageSteers.behind_sliders`.
    """
    names = page.workbench.names
    chart = Chart(page.workbench, "steer-next", height=330, n_ranked=6)
    with gr.Column(elem_classes=["card", "next-card"]):
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                gr.HTML(
                    "<h2>Next word</h2><p>What may come right after the prompt, exactly, at "
                    "every ε of one steer; the others stay at their sliders. The line is that "
                    "steer's slider above.</p>"
                )
            axis = gr.Dropdown(
                names,
                value=names[0] if names else None,
                label="Steer on the axis",
                min_width=200,
                elem_id="steer-next-axis",
            )
        view = ChartView(chart.elem_id)
        view.add_words()
        view.add_lists()
        ask = gr.Button("Ask", visible="hidden", elem_id=_ASK_ID)
    handlers = NextWordCardHandlers(
        page.steers,
        chart,
        [slider.elem_id or "" for slider in sliders],
        ask_id=_ASK_ID,
        unlock_id=unlock.elem_id or "",
    )
    inputs = Inputs(CardSettings, prompt=prompt, steer_name=axis, unlocked=unlock, epsilons=sliders)
    page.links.keep_steer("axis", axis)
    show: dict[str, Any] = inputs.event(handlers.show, view.outputs, **LOOK)
    page.when_open("steer", show)
    gr.on([ask.click, axis.change], **show)
    prompt.change(js=pause_js("card"), **show)
    page.announcement.change(page.steers.update_chooser, axis, axis, **QUIET).then(**show)
