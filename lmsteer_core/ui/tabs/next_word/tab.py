"""Next word: exact probabilities of what comes next, as curves over ε."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
from markupsafe import Markup

from lmsteer_core.analysis.next_word import EPSILON_GRID
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import LOOK, QUIET, Inputs, note_js
from lmsteer_core.ui.tabs.examples import NEXT_WORD_EXAMPLES, NextWordExample
from lmsteer_core.ui.tabs.next_word.chart import Chart
from lmsteer_core.ui.tabs.next_word.handlers import (
    AxisSettings,
    ChartSettings,
    NextWordHandlers,
    held_choices,
)
from lmsteer_core.ui.tabs.next_word.view import ChartView, pause_js

_ELEM_ID, _SLIDER_ID = "nextword-view", "nextword-epsilon"
_MAX_FOLLOWED = 5
_N_HELD = 2

_CAPTION = (
    "How likely each next word is at every ε, exactly and over the whole vocabulary; the upright "
    "line stands at the slider's ε."
)
_LIMITS = (
    "These are probabilities before temperature and top-p. They look one token ahead: in a longer "
    "text, ε also acts through the words it has already changed. The model writes in tokens, so a "
    "short entry such as “un” may be the beginning of a longer word."
)
_FORMULA = "P(v | ε) = softmax(E h + ε E Wᵀ h + Σ held ε_s E W_sᵀ h)_v"
_LETTERS = (
    "h is the hidden state after the prompt, which no steer moves; E holds the output embeddings."
)


@dataclass(frozen=True)
class _Query:
    """What is continued, and which curves are drawn."""

    prompt: gr.Textbox
    followed: gr.Dropdown
    axis: gr.Dropdown


@dataclass(frozen=True)
class _Options:
    """How the curves are drawn, and the steers that are held."""

    is_log: gr.Checkbox
    unlock: gr.Checkbox
    held_names: list[gr.Dropdown]
    held_epsilons: list[gr.Slider]

    @property
    def held(self) -> list[Any]:
        """Of every held steer its name and its ε."""
        return [*itertools.chain(*zip(self.held_names, self.held_epsilons, strict=True))]


def create_next_word_tab(page: Page) -> None:
    """Add the tab's widgets and events to the open Blocks."""
    names = page.workbench.names
    examples = [e for e in NEXT_WORD_EXAMPLES if {e.steer, *(e.held or ())[:1]} <= set(names)]
    first = next(iter(examples), NextWordExample("", "".join(names[:1]), "My life is", "", 1.0))
    chart = Chart(page.workbench, _ELEM_ID, height=330, n_ranked=10)
    handlers = NextWordHandlers(page.steers, chart, _SLIDER_ID)

    with gr.Row(elem_classes="examples"):
        buttons = [gr.Button(each.label, size="sm", variant="secondary") for each in examples]
    note = gr.HTML(_note_html(first.lesson), elem_id="nextword-told", padding=False)
    query = _create_query(names, first)
    view = ChartView(_ELEM_ID)
    with view.side:
        slider, poles = _create_slider(first.epsilon)
    view.add_words()
    gr.HTML(f"<p>{_CAPTION}</p>", padding=False)
    options = _create_options(names)
    notice = gr.HTML(padding=False, elem_id="nextword-notice")
    view.add_lists()
    equation = widgets.equation(_FORMULA, _LETTERS, "analysis/next_word.py")
    gr.HTML(Markup('{}<p class="limits">{}</p>').format(equation, _LIMITS))

    page.links.keep_steer("nextword.steer", query.axis)
    page.links.keep_epsilon("nextword.e", slider, "nextword.steer")
    page.links.keep("nextword.", prompt=query.prompt, follow=query.followed, log=options.is_log)
    for i, (name, epsilon) in enumerate(
        zip(options.held_names, options.held_epsilons, strict=True), 1
    ):
        page.links.keep_steer(f"nextword.held{i}", name, held_choices, none="")
        page.links.keep(**{f"nextword.e{i}": epsilon})
    axis = Inputs(
        AxisSettings,
        steer_name=query.axis,
        unlocked=options.unlock,
        epsilon=slider,
        held_names=options.held_names,
    )
    fitted_to: list[Any] = [query.axis, options.unlock, *options.held_names]
    fit: dict[str, Any] = axis.event(
        handlers.fit_axis, [slider, poles, options.unlock, notice], **QUIET
    )
    page.when_open("nextword", fit)
    gr.on([widget.change for widget in fitted_to], **fit)
    _add_chart_events(page, handlers, view, query, options)
    _add_example_events(examples, buttons, note, query, [slider, *options.held])


def _add_chart_events(
    page: Page, handlers: NextWordHandlers, view: ChartView, query: _Query, options: _Options
) -> None:
    inputs = Inputs(
        ChartSettings,
        prompt=query.prompt,
        steer_name=query.axis,
        followed=query.followed,
        unlocked=options.unlock,
        is_log=options.is_log,
        held_names=options.held_names,
        held_epsilons=options.held_epsilons,
    )
    show: dict[str, Any] = inputs.event(handlers.show, view.outputs, **LOOK)
    gr.on([widget.change for widget in inputs.widgets], js=pause_js("nextword"), **show)
    page.when_open("nextword", show)
    page.announcement.change(page.steers.update_chooser, query.axis, query.axis, **QUIET).then(
        handlers.update_held, options.held_names, options.held_names, **QUIET
    ).then(**show)


def _add_example_events(
    examples: Sequence[NextWordExample],
    buttons: Sequence[gr.Button],
    note: gr.HTML,
    query: _Query,
    sliders: Sequence[Any],
) -> None:
    notes = {(each.prompt, each.steer): _note_html(each.lesson) for each in examples}
    explain: dict[str, Any] = {
        "fn": None,
        "inputs": [query.prompt, query.axis],
        "outputs": note,
        "js": note_js(notes),
    }
    gr.on([query.prompt.change, query.axis.change], **explain)
    filled = [query.prompt, query.axis, query.followed, *sliders]
    for button, example in zip(buttons, examples, strict=True):
        button.click(partial(_example_values, example), None, filled, **QUIET).then(**explain)


def _create_query(names: Sequence[str], first: NextWordExample) -> _Query:
    with gr.Row():
        prompt = gr.Textbox(
            first.prompt,
            label="Prompt",
            placeholder="Write a few words to continue …",
            lines=1,
            max_lines=5,
            scale=3,
            min_width=280,
            elem_id="nextword-prompt",
        )
        followed = gr.Dropdown(
            [],
            value=list(first.follow),
            multiselect=True,
            allow_custom_value=True,
            label="Add a word (press Enter)",
            max_choices=_MAX_FOLLOWED,
            scale=2,
            min_width=240,
            elem_id="nextword-follow",
        )
        axis = gr.Dropdown(
            names,
            value=first.steer or None,
            label="Steer on the axis",
            min_width=200,
            elem_id="nextword-steer",
        )
    return _Query(prompt, followed, axis)


def _create_slider(epsilon: float) -> tuple[gr.Slider, gr.HTML]:
    """Return the slider of the axis and its poles."""
    with gr.Column(elem_classes="steer-slider", elem_id=f"{_SLIDER_ID}-box"):
        slider = gr.Slider(
            EPSILON_GRID[0],
            EPSILON_GRID[-1],
            epsilon,
            step=0.1,
            label="ε",
            buttons=[],
            elem_id=_SLIDER_ID,
        )
        return slider, gr.HTML()


def _create_options(names: Sequence[str]) -> _Options:
    with gr.Row():
        with gr.Column(min_width=240):
            is_log = gr.Checkbox(False, label="Logarithmic scale", elem_id="nextword-log")
            unlock = gr.Checkbox(
                False,
                label="Show offensive poles (for research)",
                visible=False,
                elem_id="nextword-unlock",
            )
        with (
            gr.Column(scale=3, min_width=300),
            gr.Accordion("Hold other steers", open=False, elem_id="nextword-held"),
        ):
            held = [_create_held(names, i) for i in range(1, _N_HELD + 1)]
    return _Options(is_log, unlock, [name for name, _ in held], [epsilon for _, epsilon in held])


def _create_held(names: Sequence[str], i: int) -> tuple[gr.Dropdown, gr.Slider]:
    with gr.Row():
        name = gr.Dropdown(
            held_choices(names), value="", label=f"Held steer {i}", elem_id=f"held-steer-{i}"
        )
        epsilon = gr.Slider(
            -3,
            3,
            0,
            step=0.1,
            label=f"ε of held steer {i}",
            buttons=[],
            elem_id=f"held-{i}",
            elem_classes="epsilon",
        )
    return name, epsilon


def _note_html(text: str) -> Markup:
    return Markup('<p class="nw-told">{}</p>').format(text) if text else Markup()


def _example_values(example: NextWordExample) -> tuple[Any, ...]:
    held = [*(example.held or ("", 0.0)), *["", 0.0] * (_N_HELD - 1)]
    return example.prompt, example.steer, list(example.follow), example.epsilon, *held
