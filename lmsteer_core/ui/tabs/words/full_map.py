"""The map at full size: all whole words on two maps with one selection."""

from __future__ import annotations

from typing import Any

import gradio as gr

from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import LOOK, QUIET, Inputs, call_js
from lmsteer_core.ui.tabs.words.full_map_handlers import (
    AXES,
    DIMENSIONS,
    NO_SECOND,
    PRINCIPAL,
    FullMapHandlers,
    FullMapSettings,
)

_POLL_SECONDS = 2
_MAP = """<figure class="full-map" data-map="{0}" hidden>
  <div class="stage" tabindex="0" role="group">
    <canvas></canvas><div class="names"></div><i class="spot" hidden></i>
  </div>
  <figcaption></figcaption>
</figure>"""
MAPS = f"""<div class="full-maps" data-drag="Move">
{_MAP.format("left")}{_MAP.format("right")}
</div>
<p class="legend"><b></b> Beside a word that is pointed at stands what ε = 1 adds to its logit.
Pinch or Ctrl + wheel zooms, a double-click shows all; so do + and − and 0 on the keys, and the
arrows move. A click pins a word. A word that you point at in a text or a list of words, on any tab,
is ringed here.</p>
<div class="selection">
  <p role="status"></p>
  <p><button type="button" class="try" data-sight>Select what is in sight</button>
  <button type="button" class="try" data-clear disabled>Clear</button>
  <button type="button" class="try" data-save="csv" disabled>Save as CSV</button>
  <button type="button" class="try" data-save="json" disabled>Save as JSON</button>
  <button type="button" class="try" data-keep>Keep in sight on other tabs</button></p>
  <ol></ol>
</div>
<details class="clusters"><summary>The clusters</summary><p></p></details>"""


def create_full_map(page: Page, epsilon: gr.Slider, **chosen: Any) -> None:
    """Add the full map, which is opened by a box, to the open Blocks.

    Args:
        page: What tabs share.
        epsilon: The tab's ε, which the map's own slider moves and follows.
        chosen: The tab's widgets for the fields of `FullMapSettings` that are not the map's own.
    """
    handlers = FullMapHandlers(page)
    is_open = gr.Checkbox(
        False,
        label="Show the map at full size: all whole words, to select and to compare",
        elem_id="words-full",
    )
    note = gr.HTML(elem_id="full-map-note")
    with gr.Column(visible=False, elem_id="full-map-panel") as panel:
        own_epsilon = gr.Slider(
            epsilon.minimum,
            epsilon.maximum,
            epsilon.value,
            step=epsilon.step,
            label="ε on the maps",
            elem_id="full-map-epsilon",
            elem_classes="epsilon",
            buttons=[],
        )
        with gr.Row():
            axes = gr.Dropdown(AXES, value=DIMENSIONS, label="Axes", min_width=200, scale=3)
            beside = gr.Dropdown(
                [NO_SECOND, *AXES],
                value=PRINCIPAL,
                label="Beside it",
                elem_id="full-map-beside",
                min_width=200,
                scale=3,
            )
            colour = gr.Dropdown(
                ["Style", "Frequency", "Cluster"],
                value="Style",
                label="Colour",
                elem_id="full-map-colour",
                min_width=140,
                scale=2,
            )
            drag = gr.Dropdown(
                [("moves the map", "Move"), ("selects words", "Select")],
                value="Move",
                label="A drag",
                elem_id="full-map-drag",
                min_width=180,
                scale=2,
            )
            extras = gr.CheckboxGroup(
                ["Density", "Cluster names"],
                value=["Density", "Cluster names"],
                label="Also show",
                elem_id="full-map-extras",
                min_width=280,
                scale=2,
            )
        gr.HTML(MAPS, elem_id="full-map")
    words, left, right = (gr.Textbox(visible=False) for _ in range(3))
    waiting = gr.Timer(_POLL_SECONDS, active=False)

    page.links.keep("words.", full=is_open, axes=axes, beside=beside, colour=colour)
    own = {"is_open": is_open, "axes": axes, "beside": beside}
    inputs = Inputs(FullMapSettings, **own, **chosen)
    show = inputs.event(handlers.show, [panel, note, waiting, words, left, right], **LOOK)
    changes = [widget.change for widget in inputs.widgets]
    gr.on([*changes, waiting.tick], **show).then(
        None, [words, left, right], None, js=call_js("wordMap.show"), **QUIET
    )
    looks: list[Any] = [colour, drag, extras]
    gr.on([widget.change for widget in looks], None, looks, js=call_js("wordMap.set"), **QUIET)
    own_epsilon.input(None, own_epsilon, epsilon, js="(value) => value", **QUIET)
    epsilon.change(None, epsilon, own_epsilon, js="(value) => value", **QUIET)
