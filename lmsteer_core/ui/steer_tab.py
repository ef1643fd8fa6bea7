"""Steer: drag a slider, read steered text beside the baseline; or a whole continuum of ε at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from html import escape
from typing import Any

import gradio as gr

from lmsteer_core.engine import Workbench
from lmsteer_core.errors import InputError, LMSteerError
from lmsteer_core.generation import Sampling
from lmsteer_core.steer import Steer
from lmsteer_core.ui import live, render
from lmsteer_core.ui.examples import EXAMPLE_EPSILON, EXAMPLE_PROMPTS
from lmsteer_core.ui.runs import Runs
from lmsteer_core.ui.theme import DEBOUNCE_JS, SLIDER_EXTENT

DEFAULT = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=48, seed=3)
_LIMITS = (
    "Steering changes wording, not facts, plot or argument, and each step away from 0 costs some "
    "fluency: within ±3 (the solid part of a slider) text stays readable, beyond it words start to repeat."
)
_KEEP = gr.skip()
_QUIET: dict[str, Any] = {"queue": False, "api_visibility": "private"}
_STREAMING: dict[str, Any] = {
    "concurrency_id": "generate",
    "concurrency_limit": 16,
    "api_visibility": "private",
    "show_progress": "hidden",
    "trigger_mode": "multiple",
}


def create_steer_tab(workbench: Workbench, demo: gr.Blocks) -> None:
    """Add the tab's widgets and events to the open Blocks."""
    names = workbench.names
    start = names[0] if names else None
    locked = [name for name in names if workbench.steers[name].card.notice]
    column_runs, continuum_runs = Runs(), Runs()

    def write_columns(
        request: gr.Request, prompt: str, temperature: float, top_p: float, n_tokens: float,
        seed: float | None, unlocked: bool, *values: float,
    ) -> Iterator[tuple[Any, Any, Any]]:  # fmt: skip
        session = request.session_hash or ""
        number = column_runs.start(session)
        try:
            epsilons = dict(zip(names, values, strict=True))
            if not unlocked and any(epsilons[name] < 0 for name in locked):
                raise InputError("That pole is locked: read the notice and unlock it first.")
            sampling = _sampling(temperature, top_p, n_tokens, seed)
            for panels in live.side_by_side(
                workbench, prompt, epsilons, sampling, lambda: column_runs.is_current(session, number)
            ):
                if not column_runs.is_current(session, number):
                    break
                yield panels
            if column_runs.is_stopped(session):
                yield _KEEP, _KEEP, render.note("Stopped.")
        except LMSteerError as error:
            yield _KEEP, _KEEP, render.note(str(error), "error")

    def write_continuum(
        request: gr.Request, prompt: str, temperature: float, top_p: float, n_tokens: float,
        seed: float | None, unlocked: bool, name: str | None, n_lines: float,
    ) -> Iterator[tuple[Any, Any]]:  # fmt: skip
        session = request.session_hash or ""
        number = continuum_runs.start(session)
        try:
            if not name:
                raise InputError("No steer fits this model yet: train one first.")
            steer = workbench.steer(name)
            low, high = steer.card.epsilon_range
            low = 0.0 if name in locked and not unlocked else low
            grid = [round(low + (high - low) * i / (n_lines - 1), 2) for i in range(int(n_lines))]
            sampling = _sampling(temperature, top_p, n_tokens, seed)
            for lines in live.continuum(
                workbench, prompt, steer, grid, sampling, lambda: continuum_runs.is_current(session, number)
            ):
                if not continuum_runs.is_current(session, number):
                    break
                yield lines
            if continuum_runs.is_stopped(session):
                yield _KEEP, render.note("Stopped.")
        except LMSteerError as error:
            yield _KEEP, render.note(str(error), "error")

    def stop(request: gr.Request) -> None:
        column_runs.stop(request.session_hash or "")
        continuum_runs.stop(request.session_hash or "")

    def forget(request: gr.Request) -> None:
        column_runs.forget(request.session_hash or "")
        continuum_runs.forget(request.session_hash or "")

    def set_lock(unlocked: bool) -> list[Any]:
        low = -SLIDER_EXTENT if unlocked else 0.0
        text = " ".join(workbench.steers[name].card.notice for name in locked) if unlocked else ""
        shown = gr.update(value=render.note(text, "warning"), visible=bool(text))
        return [*(gr.update(minimum=low, value=0.0) for _ in locked), shown]

    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            prompt = gr.Textbox(
                EXAMPLE_PROMPTS[0], label="Prompt", placeholder="Write a few words to continue …",
                lines=1, max_lines=5, elem_id="prompt",
            )  # fmt: skip
            with gr.Row(elem_classes="examples"):
                examples = [gr.Button(text, size="sm", variant="secondary") for text in EXAMPLE_PROMPTS]
            sliders = {
                n: _steer_slider(workbench.steers[n], EXAMPLE_EPSILON if n == start else 0.0) for n in names
            }
            unlock = gr.Checkbox(
                False, label="Unlock poles that produce offensive text (for research)",
                visible=bool(locked), elem_id="unlock",
            )  # fmt: skip
            notice = gr.HTML(visible=False)
            reset = gr.Button("Reset all sliders to 0", size="sm", elem_id="reset")
            if not names:
                gr.HTML(
                    render.note("No steer fits this model yet: train one with the command line.", "warning")
                )
            gr.HTML(f'<p class="limits">{escape(_LIMITS)}</p>')
        with gr.Column(scale=3, min_width=320):
            with gr.Row():
                go = gr.Button("Generate", variant="primary", elem_id="generate")
                halt = gr.Button("Stop", variant="stop", elem_id="stop")
            with gr.Row(elem_classes="columns"):
                baseline = _panel("Baseline", "the model as it is", "baseline")
                steered = _panel("Steered", "the same dice, moved embeddings", "steered")
            status = gr.HTML(elem_id="status")
            gr.HTML(render.legend("steering made it less likely", "likelier"))
            with gr.Accordion("Sampling", open=False):
                with gr.Row():
                    temperature = _slider(0, 2, DEFAULT.temperature, step=0.05, label="Temperature")
                    top_p = _slider(0.05, 1, DEFAULT.top_p, step=0.05, label="Top-p")
                with gr.Row():
                    n_tokens = _slider(1, 200, DEFAULT.max_new_tokens, step=1, label="New tokens")
                    seed = gr.Number(DEFAULT.seed, precision=0, label="Seed (names the dice)")
    with gr.Column(elem_classes=["card", "continuum-box"]):
        gr.HTML(
            "<h2>Continuum</h2><p>One steer at several ε, from one pole to the other: one batch, the same "
            "dice in every line, so a line changes only where its ε made it change.</p>"
        )
        with gr.Row():
            which = gr.Dropdown(names, value=start, label="Steer", elem_id="continuum-steer")
            n_lines = _slider(5, 11, 9, step=2, label="Lines")
            show = gr.Button("Show continuum", variant="primary", elem_id="show-continuum")
        continuum = gr.HTML(elem_id="continuum")
        continuum_status = gr.HTML()

    settings = [prompt, temperature, top_p, n_tokens, seed, unlock]
    columns: dict[str, Any] = {
        "fn": write_columns,
        "inputs": [*settings, *sliders.values()],
        "outputs": [baseline, steered, status],
        **_STREAMING,
    }
    gr.on([go.click, prompt.submit], **columns)
    for slider in sliders.values():
        slider.change(js=DEBOUNCE_JS, **columns)
    for button, text in zip(examples, EXAMPLE_PROMPTS, strict=True):
        button.click(lambda text=text: text, None, prompt, **_QUIET).then(**columns)
    show.click(write_continuum, [*settings, which, n_lines], [continuum, continuum_status], **_STREAMING)
    halt.click(stop, None, None, **_QUIET)
    reset.click(lambda: dict.fromkeys(sliders.values(), 0.0), None, [*sliders.values()], **_QUIET)
    unlock.change(set_lock, unlock, [*(sliders[name] for name in locked), notice], **_QUIET)
    example = _finished_example(workbench, {start: EXAMPLE_EPSILON} if start else {})
    demo.load(example.result, None, [baseline, steered, status], **_QUIET)
    demo.unload(forget)


def _sampling(temperature: float, top_p: float, n_tokens: float, seed: float | None) -> Sampling:
    if seed is None:
        raise InputError("The seed is empty; open Sampling and give it a whole number.")
    return Sampling(temperature, top_p, int(n_tokens), int(seed))


def _finished_example(workbench: Workbench, epsilons: dict[str, float]) -> Future[tuple[str, str, str]]:
    """Generate the opening example once, in the background, for every visitor."""

    def finish() -> tuple[str, str, str]:
        *_, panels = live.side_by_side(workbench, EXAMPLE_PROMPTS[0], epsilons, DEFAULT, lambda: True)
        return panels

    return ThreadPoolExecutor(1).submit(finish)


def _slider(low: float, high: float, value: float, **options: Any) -> gr.Slider:
    """Return a slider whose emptied number box means its starting value."""
    slider = gr.Slider(low, high, value, **options)
    preprocess = slider.preprocess  # gradio's own compares None with the bounds and fails
    slider.preprocess = lambda payload: preprocess(value if payload is None else payload)  # type: ignore[method-assign]
    return slider


def _steer_slider(steer: Steer, value: float) -> gr.Slider:
    card = steer.card
    with gr.Column(elem_classes="steer-slider"):
        low = 0.0 if card.notice else -SLIDER_EXTENT
        slider = _slider(
            low, SLIDER_EXTENT, value, step=0.1, label=card.name, elem_id=f"steer-{card.name}", buttons=[]
        )
        gr.HTML(
            f'<div class="poles"><span class="minus">− {escape(card.negative)}</span>'
            f'<span class="plus">{escape(card.positive)} +</span></div>'
        )
    return slider


def _panel(title: str, subtitle: str, elem_id: str) -> gr.HTML:
    with gr.Column(elem_classes=["card", elem_id], min_width=240):
        gr.HTML(f"<h2>{title}</h2><p>{subtitle}</p>", elem_classes="card-title")
        return gr.HTML(elem_id=elem_id)
