"""Words: the dimensions of a steer, where the vocabulary sits on them and how ε moves it."""

from __future__ import annotations

import dataclasses
import functools
from html import escape
from typing import Any

import gradio as gr

from lmsteer_core.analysis.dimensions import overlap
from lmsteer_core.errors import InputError, LMSteerError
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.figures.word_map import EXTENT
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import LOOK, QUIET
from lmsteer_core.ui.page.request import session_of
from lmsteer_core.ui.tabs.examples import WORDS_EXAMPLES
from lmsteer_core.ui.tabs.words import markup
from lmsteer_core.ui.tabs.words.lens import N_DIMS, READINGS, SVD, Lens

_TRY_JS = """element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-try]");
  if (button) trigger("click", {dimension: Number(button.dataset.try)});
});"""
_MOVE_JS = "(epsilon) => window.lmsteerWords.move(epsilon)"
_SIGNS = (
    "The + end of a dimension is the one that +ε makes likelier in ordinary text: the mean "
    "hidden state over a few plain sentences has a positive coordinate on uᵢ. Under SVD of W "
    "each can be tried on its own: σᵢ uᵢ vᵢᵀ becomes a steer with a slider on the Steer tab, and "
    "a class can find out what it does."
)
_OVERLAP = (
    "The cosine between every two steers' W. Near 0, two sliders used together keep their "
    "own effects. Near +1 they are one style under two names and overshoot together; near "
    "−1 they undo each other."
)
_EQUATION = (
    "W = Σᵢ σᵢ uᵢ vᵢᵀ,  so ε moves word v's logit by  ε Σᵢ σᵢ (h · uᵢ)(vᵢ · eᵥ)",
    (
        "vᵢ · eᵥ is the score of the word on dimension i, the hidden state h decides how much the "
        "dimension counts at a place in a text, and the energy of dimension i is σᵢ² / Σ σ². "
        "Scores are taken from the average word, because a shift common to all words changes no "
        "probability. What this view cannot show: what h is in your text, words of several tokens, "
        "and what a changed word does to the words after it."
    ),
    "analysis/dimensions.py",
)


def create_words_tab(page: Page) -> None:
    """Add the tab's widgets and events to the open Blocks."""
    workbench, own, changed, demo = page.workbench, page.steers, page.announcement, page.demo
    names = workbench.names

    @functools.lru_cache(maxsize=32)
    def lens_of(steer: Steer, reading: str, raw: bool) -> Lens:
        found = workbench.word_map(steer, n_dims=N_DIMS, raw=raw, of_displacements=reading != SVD)
        return Lens(steer, reading, raw, found)

    @functools.lru_cache(maxsize=32)
    def overlaps(steers: tuple[Steer, ...]) -> str:
        return markup.overlap_table([steer.name for steer in steers], overlap(steers))

    def show(
        request: gr.Request,
        name: str | None,
        reading: str,
        raw: bool,
        x: float,
        y: float,
        unlocked: bool,
    ) -> tuple[Any, ...]:
        try:
            steer = own.steer(session_of(request), name)
            gate = gr.update(visible=bool(steer.card.notice))
            if steer.card.notice and not unlocked:
                told = widgets.note(
                    f"{steer.card.notice} Tick the box to see its words.", "warning"
                )
                return "", None, None, told, gate
            lens = lens_of(steer, reading, raw)
            return (
                lens.table(),
                lens.spectrum(),
                lens.map(int(x), int(y)),
                _about(steer, reading),
                gate,
            )
        except LMSteerError as error:
            return (gr.skip(), gr.skip(), gr.skip(), widgets.note(str(error), "error"), gr.skip())

    def find(
        request: gr.Request,
        name: str | None,
        reading: str,
        raw: bool,
        x: float,
        y: float,
        unlocked: bool,
        typed: str | None,
    ) -> tuple[Any, Any]:
        try:
            steer = own.steer(session_of(request), name)
            if steer.card.notice and not unlocked:
                return "", ""
            return lens_of(steer, reading, raw).find(typed or "", int(x), int(y))
        except LMSteerError as error:
            return gr.skip(), widgets.note(str(error), "error")

    def try_dimension(
        request: gr.Request, event: gr.EventData, name: str | None, unlocked: bool
    ) -> dict[Any, Any]:
        try:
            steer = own.steer(session_of(request), name)
            if steer.card.notice and not unlocked:
                raise InputError("These words are locked: read the notice and tick the box first.")
            part = workbench.dimension_steer(steer, int(event.dimension))
            own.add(session_of(request), part)
        except LMSteerError as error:
            return {tried: widgets.note(str(error), "error")}
        told = f"{part.card.negative} ↔ {part.card.positive}"
        return {tried: markup.tried(part.name, told), changed: page.announce(part.name)}

    def show_overlap(request: gr.Request) -> str:
        session = session_of(request)
        return overlaps(tuple(own.steer(session, name) for name in own.names(session)))

    with gr.Row(elem_classes="examples"):
        presets = {p: gr.Button(p.label, size="sm") for p in WORDS_EXAMPLES if p.steer in names}
    hint = gr.HTML(elem_id="words-hint")
    with gr.Row():
        which = gr.Dropdown(
            names,
            value=names[0] if names else None,
            label="Steer",
            elem_id="words-steer",
            min_width=200,
        )
        reading = gr.Radio(
            list(READINGS), value=SVD, label="Reading", elem_id="words-reading", min_width=240
        )
        raw = gr.Checkbox(
            False, label="Show raw tokens, not only whole words", elem_id="words-raw", min_width=200
        )
        unlock = gr.Checkbox(
            False,
            label="Show offensive words (for research)",
            visible=False,
            elem_id="words-unlock",
            min_width=200,
        )
    with gr.Row():
        with gr.Column(scale=5, min_width=300):
            gr.HTML("<h2>Where the words are, and where ε moves them</h2>")
            points = gr.Plot(show_label=False, elem_id="word-map")
            gr.HTML(
                "<p>▲ blue gains with +ε, ▼ orange loses, grey hardly changes. Drag to move, pinch "
                "or Ctrl + wheel to zoom, double-click to see all; click a word to pin it.</p>"
            )
            about = gr.HTML(elem_id="words-about")
        with gr.Column(scale=3, min_width=300):
            epsilon = gr.Slider(
                -EXTENT,
                EXTENT,
                2,
                step=0.1,
                label="ε on the map",
                elem_id="words-epsilon",
                elem_classes="epsilon",
                buttons=[],
            )
            with gr.Row():
                x = gr.Dropdown([*range(1, N_DIMS + 1)], value=1, label="Across", min_width=90)
                y = gr.Dropdown([*range(1, N_DIMS + 1)], value=2, label="Up", min_width=90)
            with gr.Row(elem_classes="own"):
                typed = gr.Textbox(
                    WORDS_EXAMPLES[0].pins,
                    label="Words to find and pin (commas between them)",
                    max_lines=2,
                    elem_id="words-pins",
                )
                go = gr.Button("Find", variant="primary", elem_id="words-find", min_width=90)
            problem = gr.HTML(elem_id="words-problem")
            gr.HTML(
                "<h2>How few dimensions the style needs</h2><p>Bars: each one's size, with its "
                "share of the energy. Dotted: the share up to there.</p>"
            )
            bars = gr.Plot(show_label=False, elem_id="spectrum")
    places = gr.HTML(elem_id="words-places")
    gr.HTML(f"<h2>The words at both ends</h2><p>{escape(_SIGNS)}</p>")
    tried = gr.HTML(elem_id="words-tried")
    table = gr.HTML(elem_id="dimensions", js_on_load=_TRY_JS)
    gr.HTML(f"<h2>How the steers overlap</h2><p>{escape(_OVERLAP)}</p>")
    cosines = gr.HTML(elem_id="words-overlap")
    gr.HTML(widgets.equation(*_EQUATION))

    chosen: list[Any] = [which, reading, raw, x, y, unlock]
    look: dict[str, Any] = {
        "fn": show,
        "inputs": chosen,
        "outputs": [table, bars, points, about, unlock],
        **LOOK,
    }
    search: dict[str, Any] = {
        "fn": find,
        "inputs": [*chosen, typed],
        "outputs": [places, problem],
        **LOOK,
    }
    gr.on([demo.load, *(widget.input for widget in chosen)], **look).then(**search)
    gr.on([typed.submit, go.click], **search)
    epsilon.change(None, epsilon, None, js=_MOVE_JS)
    for preset, button in presets.items():
        values = (*dataclasses.astuple(preset)[1:-1], False, widgets.note(preset.told))
        button.click(
            lambda values=values: values,
            None,
            [which, reading, x, y, typed, epsilon, raw, hint],
            **QUIET,
        ).then(**look).then(**search)
    which.input(lambda: "", None, hint, **QUIET)
    table.click(try_dimension, [which, unlock], [tried, changed], **LOOK)
    demo.load(show_overlap, None, cosines, **LOOK)
    changed.change(own.update_chooser, which, which, **QUIET).then(**look).then(**search)
    changed.change(show_overlap, None, cosines, **LOOK)


def _about(steer: Steer, reading: str) -> str:
    card = steer.card
    return (
        f'<p class="about"><b>{escape(card.name)}</b>, {escape(card.negative)} ↔ '
        f"{escape(card.positive)}, "
        f"rank {steer.rank}. <b>{escape(reading)}</b>: {escape(READINGS[reading])}</p>"
    )
