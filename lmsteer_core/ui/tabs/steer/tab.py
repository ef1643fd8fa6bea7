"""Steer: drag a slider, read steered text beside the baseline, or a whole continuum of ε."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.markup import tokens as token_markup
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.format import epsilon_text
from lmsteer_core.ui.page import live_text
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import PACE_JS, QUIET, STREAMING, Inputs
from lmsteer_core.ui.page.inspector import on_message
from lmsteer_core.ui.page.live_view import LiveView
from lmsteer_core.ui.page.theme import SLIDER_EXTENT
from lmsteer_core.ui.starting import keep_example
from lmsteer_core.ui.tabs.examples import DEFAULT_SAMPLING, EXAMPLE_EPSILON, EXAMPLE_PROMPTS
from lmsteer_core.ui.tabs.next_word.card import create_next_word_card
from lmsteer_core.ui.tabs.steer.drive import DriveView
from lmsteer_core.ui.tabs.steer.handlers import SteerHandlers, view_boxes
from lmsteer_core.ui.tabs.steer.settings import (
    DRIVE,
    SIDE_BY_SIDE,
    SLOT_BOXES,
    ContinuumSettings,
    SliderSettings,
)
from lmsteer_core.workbench import Workbench

_NO_STEERS = (
    "No steer fits this model yet: carry one over on the Transfer tab, start the app with "
    "--transfer, or make one on the New steer tab."
)
_LIMITS = (
    "Steering changes wording, not facts, plot or argument, and each step away from 0 "
    "costs some fluency: within the solid part of a slider text stays readable, beyond "
    "it words start to repeat."
)


@dataclass(frozen=True)
class _Controls:
    """The prompt and the sliders.

    Attributes:
        slots: Of each slot the box, the slider and the poles.
        sliders: Of the shared steers in the order of their names, then of the slots.
    """

    prompt: gr.Textbox
    examples: list[gr.Button]
    slots: list[tuple[gr.Column, gr.Slider, gr.HTML]]
    sliders: list[gr.Slider]
    unlock: gr.Checkbox
    notice: gr.HTML
    reset: gr.Button


@dataclass(frozen=True)
class _Columns:
    """The two texts side by side."""

    box: gr.Column
    go: gr.Button
    stop: gr.Button
    outputs: list[gr.HTML]


@dataclass(frozen=True)
class _Continuum:
    """One steer at several ε."""

    steer_name: gr.Dropdown
    n_lines: gr.Slider
    show: gr.Button
    outputs: list[gr.HTML]


def create_steer_tab(page: Page) -> None:
    """Add the tab's widgets and events to the open Blocks."""
    handlers = SteerHandlers(page)
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            controls = _create_controls(page.workbench)
        with gr.Column(scale=3, min_width=320):
            view = gr.Radio(
                [SIDE_BY_SIDE, DRIVE],
                value=SIDE_BY_SIDE,
                show_label=False,
                label="View",
                container=False,
                elem_id="steer-mode",
            )
            columns = _create_columns()
            drive = DriveView(handlers.drive)
            sampling = _create_sampling()
    page.links.keep(
        prompt=controls.prompt,
        view=view,
        temperature=sampling["temperature"],
        top_p=sampling["top_p"],
        tokens=sampling["n_tokens"],
        seed=sampling["seed"],
    )
    page.links.keep_sliders(page.workbench.names, controls.sliders)
    create_next_word_card(
        page, prompt=controls.prompt, unlock=controls.unlock, sliders=controls.sliders
    )
    continuum = _create_continuum(page.workbench.names)
    page.links.keep_steer("continuum", continuum.steer_name)
    page.links.keep(lines=continuum.n_lines)

    writing: dict[str, Any] = {"prompt": controls.prompt, "unlocked": controls.unlock, **sampling}
    texts = Inputs(SliderSettings, **writing, view=view, epsilons=controls.sliders)
    lines = Inputs(
        ContinuumSettings,
        **writing,
        steer_name=continuum.steer_name,
        n_lines=continuum.n_lines,
    )
    _add_text_events(handlers, controls, columns, texts)
    drive.add_events(texts)
    boxes = [columns.box, drive.box]
    view.change(handlers.show_view, view, boxes, **QUIET)
    page.when_open("steer", {"fn": view_boxes, "inputs": view, "outputs": boxes, **QUIET})
    continuum.show.click(**lines.event(handlers.write_continuum, continuum.outputs, **STREAMING))
    _add_slider_events(page, handlers, controls)
    page.announcement.change(
        page.steers.update_chooser, continuum.steer_name, continuum.steer_name, **QUIET
    )
    _write_opening(page, handlers, columns, texts)
    page.demo.unload(handlers.forget)


def _add_text_events(
    handlers: SteerHandlers, controls: _Controls, columns: _Columns, texts: Inputs[SliderSettings]
) -> None:
    write = texts.event(handlers.write_columns, columns.outputs, **STREAMING)
    follow = texts.event(handlers.follow_slider, columns.outputs, **STREAMING)
    gr.on([columns.go.click, controls.prompt.submit], **write)
    for slider in controls.sliders:
        slider.change(js=PACE_JS, **follow)
    for button, text in zip(controls.examples, EXAMPLE_PROMPTS, strict=True):
        button.click(lambda text=text: text, None, controls.prompt, **QUIET).then(**write)
    columns.stop.click(handlers.stop, None, None, **QUIET)
    on_message("steer-branch", handlers.write_branch, columns.outputs, **STREAMING)
    on_message("steer-reopen", handlers.reopen, columns.outputs, controls.unlock, **STREAMING)


def _add_slider_events(page: Page, handlers: SteerHandlers, controls: _Controls) -> None:
    sliders, unlock = controls.sliders, controls.unlock
    controls.reset.click(lambda: dict.fromkeys(sliders, 0.0), None, sliders, **QUIET)
    unlock.change(handlers.lock_sliders, unlock, [*sliders, controls.notice], **QUIET)
    parts = [part for slot in controls.slots for part in slot]
    page.announcement.change(handlers.show_slots, unlock, [*parts, unlock], **QUIET)


def _write_opening(
    page: Page, handlers: SteerHandlers, columns: _Columns, texts: Inputs[SliderSettings]
) -> None:
    epsilons = dict.fromkeys(page.workbench.names[:1], EXAMPLE_EPSILON)
    example = live_text.finished_example(
        page.workbench,
        handlers.baselines,
        EXAMPLE_PROMPTS[0],
        epsilons,
        DEFAULT_SAMPLING,
        live_text.ColumnIds(),
    )

    opening = texts.opening

    def write(request: gr.Request, settings: SliderSettings) -> Iterator[tuple[Any, ...]]:
        yield from handlers.write_opening(request, settings, opening, example)

    page.when_open("steer", texts.event(write, columns.outputs, **STREAMING))

    def keep(example: Future[LiveView]) -> None:
        if not example.exception():
            baseline, steered = example.result().html()
            setting = ", ".join(f"{name} {epsilon_text(e)}" for name, e in epsilons.items())
            keep_example(page.workbench.model_id, baseline, steered, setting)

    example.add_done_callback(keep)


def _create_controls(workbench: Workbench) -> _Controls:
    steers = [workbench.steers[name] for name in workbench.names]
    prompt = gr.Textbox(
        EXAMPLE_PROMPTS[0],
        label="Prompt",
        placeholder="Write a few words to continue …",
        lines=1,
        max_lines=5,
        elem_id="prompt",
    )
    with gr.Row(elem_classes="examples"):
        examples = [gr.Button(text, size="sm", variant="secondary") for text in EXAMPLE_PROMPTS]
    shared = [_shared_slider(steer, 0 if i else EXAMPLE_EPSILON) for i, steer in enumerate(steers)]
    slots = [_slot(box_id) for box_id in SLOT_BOXES]
    unlock = gr.Checkbox(
        False,
        label="Unlock poles that produce offensive text (for research)",
        visible=any(steer.card.is_locked for steer in steers),
        elem_id="unlock",
    )
    notice = gr.HTML(visible=False)
    reset = gr.Button("Reset all sliders to 0", size="sm", elem_id="reset")
    if not steers:
        gr.HTML(widgets.note(_NO_STEERS, "warning"))
    limits = Markup('{}<p class="limits">{}</p>').format(widgets.track_legend(), _LIMITS)
    gr.HTML(limits)
    sliders = [*shared, *(slider for _, slider, _ in slots)]
    return _Controls(prompt, examples, slots, sliders, unlock, notice, reset)


def _create_columns() -> _Columns:
    with gr.Column() as box:
        with gr.Row():
            go = gr.Button("Generate", variant="primary", elem_id="generate")
            stop = gr.Button("Stop", variant="stop", elem_id="stop")
        with gr.Row(elem_classes="columns"):
            baseline = live_text.panel("Baseline", "the model as it is", "baseline", "baseline")
            steered = live_text.panel(
                "Steered", "the same dice, moved embeddings", "steered", "steered"
            )
        status = gr.HTML(elem_id="status")
        gr.HTML(token_markup.tints("steering made it less likely", "likelier"))
    return _Columns(box, go, stop, [baseline, steered, status])


def _create_sampling() -> dict[str, gr.Slider | gr.Number]:
    """Return the widgets by the names of their settings."""
    with gr.Accordion("Sampling", open=False):
        with gr.Row():
            temperature = gr.Slider(
                0, 2, DEFAULT_SAMPLING.temperature, step=0.05, label="Temperature"
            )
            top_p = gr.Slider(0.05, 1, DEFAULT_SAMPLING.top_p, step=0.05, label="Top-p")
        with gr.Row():
            n_tokens = gr.Slider(
                1, 200, DEFAULT_SAMPLING.max_new_tokens, step=1, label="New tokens"
            )
            seed = gr.Number(DEFAULT_SAMPLING.seed, precision=0, label="Seed (names the dice)")
    return {"temperature": temperature, "top_p": top_p, "n_tokens": n_tokens, "seed": seed}


def _create_continuum(names: list[str]) -> _Continuum:
    with gr.Column(elem_classes=["card", "continuum-box"]):
        gr.HTML(
            "<h2>Continuum</h2><p>One steer at several ε, from one pole to the other: one batch, "
            "the same dice in every line, so a line changes only where its ε made it change.</p>"
        )
        with gr.Row():
            steer_name = gr.Dropdown(
                names, value=next(iter(names), None), label="Steer", elem_id="continuum-steer"
            )
            n_lines = gr.Slider(5, 11, 9, step=2, label="Lines")
            show = gr.Button("Show continuum", variant="primary", elem_id="show-continuum")
        lines = gr.HTML(elem_id="continuum")
        status = gr.HTML(elem_id="continuum-status")
    return _Continuum(steer_name, n_lines, show, [lines, status])


def _shared_slider(steer: Steer, value: float) -> gr.Slider:
    low = steer.card.lowest(-SLIDER_EXTENT, unlocked=False)
    elem_id = f"steer-{steer.name}"
    with gr.Column(elem_classes="steer-slider", elem_id=f"{elem_id}-box"):
        slider = gr.Slider(
            low, SLIDER_EXTENT, value, step=0.1, label=steer.name, elem_id=elem_id, buttons=[]
        )
        gr.HTML(widgets.poles(steer.card, f"{elem_id}-box"))
    return slider


def _slot(box_id: str) -> tuple[gr.Column, gr.Slider, gr.HTML]:
    """Return a hidden slider for a steer that a visitor makes, with its box and its poles."""
    slider_id = f"steer-{box_id.removesuffix('-box')}"
    with gr.Column(elem_classes="steer-slider", elem_id=box_id, visible=False) as box:
        slider = gr.Slider(
            -SLIDER_EXTENT, SLIDER_EXTENT, 0, step=0.1, elem_id=slider_id, buttons=[]
        )
        return box, slider, gr.HTML()
