"""Words: the dimensions of a steer, where the vocabulary sits on them and how ε moves it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
from markupsafe import Markup

from lmsteer_core.ui.figures.word_map import EXTENT
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import LOOK, QUIET, Inputs, call_js
from lmsteer_core.ui.tabs.examples import WORDS_EXAMPLES, WordsExample
from lmsteer_core.ui.tabs.words.full_map import create_full_map
from lmsteer_core.ui.tabs.words.handlers import FindSettings, LensSettings, WordsHandlers
from lmsteer_core.ui.tabs.words.lens import DEFAULT_LABEL, N_DIMS, READINGS

_TRY_JS = """element.addEventListener("click", (event) => {
  const tried = event.target.closest("[data-try]");
  if (tried) trigger("click", {dimension: Number(tried.dataset.try)});
  const looked = event.target.closest("[data-look]");
  if (looked) trigger("select", {dimension: Number(looked.dataset.look)});
});"""
_SIGNS = (
    "The + end of a dimension is the one that +ε makes likelier in ordinary text: the mean "
    "hidden state over ordinary text has a positive coordinate on aᵢ. Each can be tried on its "
    "own: aᵢ bᵢᵀ becomes a steer with a slider on the Steer tab, and a class can find out what it "
    "does. Of the words that a dimension moves most for their length, those come first that have "
    "most in common; what is alone is left out."
)
_OVERLAP = (
    "The cosine between every two steers' W. Near 0, two sliders used together keep their "
    "own effects. Near +1 they are one style under two names and overshoot together; near "
    "−1 they undo each other."
)
_EQUATION = (
    "W = Σᵢ aᵢ bᵢᵀ,  so ε moves word v's logit by  ε Σᵢ (h · aᵢ)(bᵢ · eᵥ)",
    (
        "bᵢ · eᵥ is the score of the word on dimension i, and how far ε = 1 moves it on the map, "
        "along aᵢ. The hidden state h decides how much the dimension counts at a place in a text. "
        "Every reading keeps W exactly: the dimensions sum to it. Scores are taken from the word "
        "that the model expects, because a shift common to all words changes no probability. What "
        "this view cannot show: words of several tokens, and what a changed word does to the "
        "words after it."
    ),
    "analysis/readings.py",
)


@dataclass(frozen=True)
class _Choice:
    """What is shown."""

    steer_name: gr.Dropdown
    reading: gr.Radio
    raw: gr.Checkbox
    unlock: gr.Checkbox


@dataclass(frozen=True)
class _Map:
    """The map with what moves it and what is looked for on it."""

    points: gr.Plot
    about: gr.HTML
    epsilon: gr.Slider
    across: gr.Dropdown
    up: gr.Dropdown
    typed: gr.Textbox
    find: gr.Button
    problem: gr.HTML
    spectrum: gr.Plot


@dataclass(frozen=True)
class _Tables:
    """What stands below the map."""

    places: gr.HTML
    tried: gr.HTML
    dimensions: gr.HTML
    overlap: gr.HTML
    dimension: gr.HTML
    text: gr.Textbox
    read: gr.Button
    word: gr.Textbox
    near: gr.Button
    neighbours: gr.HTML


def create_words_tab(page: Page) -> None:
    """Add the tab's widgets and events to the open Blocks."""
    names, handlers = page.workbench.names, WordsHandlers(page)
    examples = [example for example in WORDS_EXAMPLES if example.steer in names]
    with gr.Row(elem_classes="examples"):
        buttons = [gr.Button(example.label, size="sm") for example in examples]
    hint = gr.HTML(elem_id="words-hint")
    choice = _create_choice(names)
    shown = _create_map()
    create_full_map(
        page,
        shown.epsilon,
        steer_name=choice.steer_name,
        reading=choice.reading,
        across=shown.across,
        up=shown.up,
        unlocked=choice.unlock,
    )
    tables = _create_tables()

    page.links.keep_steer("words.steer", choice.steer_name)
    page.links.keep(
        "words.",
        reading=choice.reading,
        raw=choice.raw,
        e=shown.epsilon,
        across=shown.across,
        up=shown.up,
        pins=shown.typed,
    )
    kept, on_map = gr.State({}), gr.State(next(iter(names), None))
    settings: dict[str, Any] = {
        "steer_name": choice.steer_name,
        "reading": choice.reading,
        "raw": choice.raw,
        "across": shown.across,
        "up": shown.up,
        "unlocked": choice.unlock,
    }
    inputs = Inputs(LensSettings, **settings)
    outputs = [tables.dimensions, shown.spectrum, shown.points, shown.about, choice.unlock]
    outputs += [shown.across, shown.up]
    show: dict[str, Any] = inputs.event(handlers.show, outputs, **LOOK)
    find: dict[str, Any] = Inputs(FindSettings, **settings, typed=shown.typed).event(
        handlers.find, [tables.places, shown.problem], **LOOK
    )
    page.when_open("words", show, find)
    others = [widget for widget in settings.values() if widget is not choice.steer_name]
    gr.on([widget.input for widget in others], **show).then(**find)
    choice.steer_name.input(
        handlers.change_steer,
        [kept, on_map, choice.steer_name, shown.typed],
        [kept, on_map, shown.typed],
        **LOOK,
    ).then(**show).then(**find)
    gr.on([shown.typed.submit, shown.find.click], **find)
    move: dict[str, Any] = {"fn": None, "inputs": shown.epsilon, "js": call_js("words.move")}
    shown.epsilon.change(**move)
    page.when_open("words", move)
    filled: list[Any] = [choice.steer_name, choice.reading, shown.across, shown.up, shown.typed]
    filled += [shown.epsilon, choice.raw, hint, on_map]
    for button, example in zip(buttons, examples, strict=True):
        clicked = button.click(partial(_example_values, example), None, filled, **QUIET)
        clicked.then(**show).then(**find)
    choice.steer_name.input(lambda: "", None, hint, **QUIET)
    page.announcement.change(
        page.steers.update_chooser, choice.steer_name, choice.steer_name, **QUIET
    ).then(**show).then(**find)
    _add_table_events(page, handlers, choice, shown.epsilon, tables)


def _add_table_events(
    page: Page, handlers: WordsHandlers, choice: _Choice, epsilon: gr.Slider, tables: _Tables
) -> None:
    tables.dimensions.click(
        handlers.try_dimension,
        [choice.steer_name, choice.reading, choice.unlock],
        [tables.tried, page.announcement],
        **LOOK,
    )
    looked = gr.State(None)
    choices = [choice.steer_name, choice.reading, choice.unlock, tables.text]
    gr.on(
        [choice.steer_name.change, choice.reading.change, choice.unlock.change],
        lambda: ("", None),
        None,
        [tables.dimension, looked],
        **QUIET,
    )
    tables.dimensions.select(handlers.look, choices, [tables.dimension, looked], **LOOK)
    read = [tables.read.click, tables.text.submit]
    gr.on(read, handlers.read, [looked, *choices], tables.dimension, **LOOK)
    gr.on(
        [tables.near.click, tables.word.submit],
        handlers.neighbours,
        [tables.word, choice.steer_name, epsilon, choice.unlock],
        tables.neighbours,
        **LOOK,
    )
    show: dict[str, Any] = {"fn": handlers.show_overlap, "outputs": tables.overlap, **LOOK}
    page.when_open("words", show)
    page.announcement.change(**show)


def _create_choice(names: list[str]) -> _Choice:
    with gr.Row():
        steer_name = gr.Dropdown(
            names,
            value=next(iter(names), None),
            label="Steer",
            elem_id="words-steer",
            min_width=200,
        )
        reading = gr.Radio(
            list(READINGS),
            value=DEFAULT_LABEL,
            label="Reading",
            elem_id="words-reading",
            min_width=240,
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
    return _Choice(steer_name, reading, raw, unlock)


def _create_map() -> _Map:
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
                across = gr.Dropdown([*range(1, N_DIMS + 1)], value=1, label="Across", min_width=90)
                up = gr.Dropdown([*range(1, N_DIMS + 1)], value=2, label="Up", min_width=90)
            with gr.Row(elem_classes="own"):
                typed = gr.Textbox(
                    WORDS_EXAMPLES[0].pins,
                    label="Words to find and pin (commas between them)",
                    max_lines=2,
                    elem_id="words-pins",
                )
                find = gr.Button("Find", variant="primary", elem_id="words-find", min_width=90)
            problem = gr.HTML(elem_id="words-problem")
            gr.HTML(
                "<h2>How few dimensions the style needs</h2><p>Bars: each one's size, with its "
                "share of the energy. Dotted: the share up to there.</p>"
            )
            spectrum = gr.Plot(show_label=False, elem_id="spectrum")
    return _Map(points, about, epsilon, across, up, typed, find, problem, spectrum)


def _create_tables() -> _Tables:
    places = gr.HTML(elem_id="words-places")
    gr.HTML(Markup("<h2>The words at both ends</h2><p>{}</p>").format(_SIGNS))
    tried = gr.HTML(elem_id="words-tried")
    dimensions = gr.HTML(elem_id="dimensions", js_on_load=_TRY_JS)
    with gr.Row(elem_classes="own"):
        text = gr.Textbox(
            label="A text of your own for the dimension to read",
            max_lines=4,
            elem_id="dimension-text",
        )
        read = gr.Button("Read", min_width=90, elem_id="dimension-read")
    dimension = gr.HTML(elem_id="dimension-page")
    gr.HTML(
        "<h2>A word's neighbours</h2><p>Nearest by the cosine of their output embeddings, free of "
        "how frequent they are, without steering and at the map's ε.</p>"
    )
    with gr.Row(elem_classes="own"):
        word = gr.Textbox(label="Word", max_lines=1, elem_id="neighbours-word")
        near = gr.Button("Show neighbours", min_width=90, elem_id="neighbours-show")
    neighbours = gr.HTML(elem_id="neighbours")
    gr.HTML(Markup("<h2>How the steers overlap</h2><p>{}</p>").format(_OVERLAP))
    overlap = gr.HTML(elem_id="words-overlap")
    gr.HTML(widgets.equation(*_EQUATION))
    return _Tables(
        places, tried, dimensions, overlap, dimension, text, read, word, near, neighbours
    )


def _example_values(example: WordsExample) -> tuple[Any, ...]:
    return (
        example.steer,
        example.reading,
        example.x,
        example.y,
        example.pins,
        example.epsilon,
        False,
        widgets.note(example.lesson),
        example.steer,
    )
