"""Steer: drag a slider, read steered text beside the baseline, or a whole continuum of ε."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import gradio as gr

from lmsteer_core.errors import InputError, LMSteerError
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.steers.steer import Steer, check_unlocked
from lmsteer_core.ui.markup import tokens as token_markup
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page import live_text
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import DEBOUNCE_JS, QUIET, STREAMING
from lmsteer_core.ui.page.page_steers import N_SLOTS
from lmsteer_core.ui.page.request import requested_at, session_of
from lmsteer_core.ui.page.runs import Runs, Wanted
from lmsteer_core.ui.page.theme import SLIDER_EXTENT
from lmsteer_core.ui.tabs.examples import DEFAULT_SAMPLING, EXAMPLE_EPSILON, EXAMPLE_PROMPTS
from lmsteer_core.ui.tabs.next_word.card import create_nextword_card
from lmsteer_core.ui.tabs.steer.drive import DriveView

SIDE_BY_SIDE, DRIVE = "Side by side", "Drive"
_NO_STEERS = (
    "No steer fits this model yet: carry one over on the Transfer tab, start the app with "
    "--transfer, or make one on the New steer tab."
)
_LIMITS = (
    "Steering changes wording, not facts, plot or argument, and each step away from 0 "
    "costs some fluency: within the solid part of a slider text stays readable, beyond "
    "it words start to repeat."
)


def create_steer_tab(page: Page) -> None:
    """Add the tab's widgets and events to the open Blocks."""
    workbench, own, changed, demo = page.workbench, page.steers, page.announcement, page.demo
    names = workbench.names
    start = names[0] if names else None
    column_runs, continuum_runs = Runs(), Runs()

    def setting(
        request: gr.Request, unlocked: bool, *values: float
    ) -> tuple[dict[str, float], dict[str, Steer]]:
        """Return ε by steer name as the sliders stand, and the steers."""
        used: dict[str, float] = {}
        steers: dict[str, Steer] = {}
        for steer, epsilon in zip(shown(request).values(), values, strict=True):
            if epsilon and not steer:
                raise InputError(
                    "A steer you made is no longer held here: make it or upload it again."
                )
            if steer:
                check_unlocked(steer, epsilon, unlocked)
                used[steer.name], steers[steer.name] = epsilon, steer
        return used, steers

    def write_columns(
        request: gr.Request,
        prompt: str,
        temperature: float,
        top_p: float,
        n_tokens: float,
        seed: float | None,
        unlocked: bool,
        *values: float,
    ) -> Iterator[tuple[Any, ...]]:
        def write(is_wanted: Wanted) -> Iterator[tuple[Any, ...]]:
            epsilons, _ = setting(request, unlocked, *values)
            dice = _sampling(temperature, top_p, n_tokens, seed)
            mine = own.by_name(session_of(request))
            yield from live_text.side_by_side(workbench, prompt, epsilons, dice, is_wanted, mine)

        yield from column_runs.follow(request, 2, write)

    def follow_slider(request: gr.Request, mode: str, *settings: Any) -> Iterator[tuple[Any, ...]]:
        if mode == SIDE_BY_SIDE:
            yield from write_columns(request, *settings)
            return
        unlocked, *values = settings[5:]
        try:
            drive.steer(request, *setting(request, unlocked, *values))
        except LMSteerError as error:
            raise gr.Error(str(error)) from error
        yield gr.skip(), gr.skip(), gr.skip()

    def show_mode(request: gr.Request, mode: str) -> tuple[Any, ...]:
        stop(request)
        return gr.update(visible=mode == SIDE_BY_SIDE), gr.update(visible=mode == DRIVE)

    def write_continuum(
        request: gr.Request,
        prompt: str,
        temperature: float,
        top_p: float,
        n_tokens: float,
        seed: float | None,
        unlocked: bool,
        name: str | None,
        n_lines: float,
    ) -> Iterator[tuple[Any, ...]]:
        def write(is_wanted: Wanted) -> Iterator[tuple[Any, ...]]:
            steer = own.steer(session_of(request), name)
            low, high = steer.card.epsilon_range
            low = 0.0 if steer.card.notice and not unlocked else low
            grid = [round(low + (high - low) * i / (n_lines - 1), 2) for i in range(int(n_lines))]
            dice = _sampling(temperature, top_p, n_tokens, seed)
            yield from live_text.continuum(workbench, prompt, steer, grid, dice, is_wanted)

        yield from continuum_runs.follow(request, 1, write)

    def stop(request: gr.Request) -> None:
        column_runs.stop(session_of(request), requested_at(request))
        continuum_runs.stop(session_of(request), requested_at(request))
        drive.stop(request)

    def forget(request: gr.Request) -> None:
        for held in (column_runs, continuum_runs, own):
            held.forget(session_of(request))
        drive.forget(request)

    def set_lock(request: gr.Request, unlocked: bool) -> dict[Any, Any]:
        low = -SLIDER_EXTENT if unlocked else 0.0
        told = {
            s: steer.card.notice
            for s, steer in shown(request).items()
            if steer and steer.card.notice
        }
        text = " ".join(dict.fromkeys(told.values())) if unlocked else ""
        update = gr.update(value=widgets.note(text, "warning"), visible=bool(text))
        return {**dict.fromkeys(told, gr.update(minimum=low, value=0.0)), notice: update}

    def show_slots(request: gr.Request, unlocked: bool) -> dict[Any, Any]:
        updates: dict[Any, Any] = {}
        for (box, slider, poles), steer in zip(slots, own.slots(session_of(request)), strict=True):
            updates[box] = gr.update(visible=steer is not None)
            if steer:
                low = 0.0 if steer.card.notice and not unlocked else -SLIDER_EXTENT
                updates[slider] = gr.update(label=steer.name, minimum=low)
                updates[poles] = widgets.poles(steer.card, box.elem_id or "")
            else:
                updates[slider] = 0.0
        is_locked = any(steer and steer.card.notice for steer in shown(request).values())
        return {**updates, unlock: gr.update(visible=is_locked)}

    def shown(request: gr.Request) -> dict[gr.Slider, Steer | None]:
        """Every slider with its steer, None for an empty slot."""
        mine = zip((slider for _, slider, _ in slots), own.slots(session_of(request)), strict=True)
        return {**{shared[name]: workbench.steers[name] for name in names}, **dict(mine)}

    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            prompt = gr.Textbox(
                EXAMPLE_PROMPTS[0],
                label="Prompt",
                placeholder="Write a few words to continue …",
                lines=1,
                max_lines=5,
                elem_id="prompt",
            )
            with gr.Row(elem_classes="examples"):
                examples = [
                    gr.Button(text, size="sm", variant="secondary") for text in EXAMPLE_PROMPTS
                ]
            shared = {
                n: _shared_slider(workbench.steers[n], EXAMPLE_EPSILON if n == start else 0)
                for n in names
            }
            slots = [_slot(f"own-{i}") for i in range(1, N_SLOTS + 1)]
            unlock = gr.Checkbox(
                False,
                label="Unlock poles that produce offensive text (for research)",
                visible=any(workbench.steers[name].card.notice for name in names),
                elem_id="unlock",
            )
            notice = gr.HTML(visible=False)
            reset = gr.Button("Reset all sliders to 0", size="sm", elem_id="reset")
            if not names:
                gr.HTML(widgets.note(_NO_STEERS, "warning"))
            gr.HTML(f'{widgets.track_legend()}<p class="limits">{escape(_LIMITS)}</p>')
        with gr.Column(scale=3, min_width=320):
            mode = gr.Radio(
                [SIDE_BY_SIDE, DRIVE],
                value=SIDE_BY_SIDE,
                show_label=False,
                label="View",
                container=False,
                elem_id="steer-mode",
            )
            with gr.Column() as both:
                with gr.Row():
                    go = gr.Button("Generate", variant="primary", elem_id="generate")
                    halt = gr.Button("Stop", variant="stop", elem_id="stop")
                with gr.Row(elem_classes="columns"):
                    baseline = live_text.panel(
                        "Baseline", "the model as it is", "baseline", "baseline"
                    )
                    steered = live_text.panel(
                        "Steered", "the same dice, moved embeddings", "steered", "steered"
                    )
                status = gr.HTML(elem_id="status")
                gr.HTML(token_markup.legend("steering made it less likely", "likelier"))
            drive = DriveView(workbench, setting)
            sampling = _sampling_settings()
    sliders = [*shared.values(), *(slider for _, slider, _ in slots)]
    create_nextword_card(page, prompt=prompt, unlock=unlock, sliders=sliders)
    with gr.Column(elem_classes=["card", "continuum-box"]):
        gr.HTML(
            "<h2>Continuum</h2><p>One steer at several ε, from one pole to the other: one batch, "
            "the same dice in every line, so a line changes only where its ε made it change.</p>"
        )
        with gr.Row():
            which = gr.Dropdown(names, value=start, label="Steer", elem_id="continuum-steer")
            n_lines = gr.Slider(5, 11, 9, step=2, label="Lines")
            show = gr.Button("Show continuum", variant="primary", elem_id="show-continuum")
        continuum = gr.HTML(elem_id="continuum")
        continuum_status = gr.HTML()

    settings = [prompt, *sampling, unlock]
    columns: dict[str, Any] = {
        "fn": write_columns,
        "inputs": [*settings, *sliders],
        "outputs": [baseline, steered, status],
        **STREAMING,
    }
    gr.on([go.click, prompt.submit], **columns)
    drive.listen(prompt, sampling, unlock, sliders)
    mode.change(show_mode, mode, [both, drive.box], **QUIET)
    followed = {**columns, "fn": follow_slider, "inputs": [mode, *columns["inputs"]]}
    for slider in sliders:
        slider.change(js=DEBOUNCE_JS, **followed)
    for button, text in zip(examples, EXAMPLE_PROMPTS, strict=True):
        button.click(lambda text=text: text, None, prompt, **QUIET).then(**columns)
    show.click(
        write_continuum, [*settings, which, n_lines], [continuum, continuum_status], **STREAMING
    )
    halt.click(stop, None, None, **QUIET)
    reset.click(lambda: dict.fromkeys(sliders, 0.0), None, sliders, **QUIET)
    unlock.change(set_lock, unlock, [*sliders, notice], **QUIET)
    changed.change(
        show_slots, unlock, [*(part for slot in slots for part in slot), unlock], **QUIET
    )
    changed.change(own.update_chooser, which, which, **QUIET)
    epsilons = {start: EXAMPLE_EPSILON} if start else {}
    example = live_text.finished_example(workbench, EXAMPLE_PROMPTS[0], epsilons, DEFAULT_SAMPLING)
    demo.load(example.result, None, [baseline, steered, status], **QUIET)
    demo.unload(forget)


def _sampling(temperature: float, top_p: float, n_tokens: float, seed: float | None) -> Sampling:
    if seed is None:
        raise InputError("The seed is empty; open Sampling and give it a whole number.")
    return Sampling(temperature, top_p, int(n_tokens), int(seed))


def _sampling_settings() -> list[gr.Slider | gr.Number]:
    """Add the widgets `_sampling` reads, in its order."""
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
    return [temperature, top_p, n_tokens, seed]


def _shared_slider(steer: Steer, value: float) -> gr.Slider:
    low = 0.0 if steer.card.notice else -SLIDER_EXTENT
    elem_id = f"steer-{steer.name}"
    with gr.Column(elem_classes="steer-slider", elem_id=f"{elem_id}-box"):
        slider = gr.Slider(
            low, SLIDER_EXTENT, value, step=0.1, label=steer.name, elem_id=elem_id, buttons=[]
        )
        gr.HTML(widgets.poles(steer.card, f"{elem_id}-box"))
    return slider


def _slot(elem_id: str) -> tuple[gr.Column, gr.Slider, gr.HTML]:
    """Return a hidden slider for a steer of the visitor's own, with its box and its poles."""
    with gr.Column(elem_classes="steer-slider", elem_id=f"{elem_id}-box", visible=False) as box:
        slider = gr.Slider(
            -SLIDER_EXTENT, SLIDER_EXTENT, 0, step=0.1, elem_id=f"steer-{elem_id}", buttons=[]
        )
        return box, slider, gr.HTML()
