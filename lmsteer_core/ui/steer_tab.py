"""Steer: drag a slider, read steered text beside the baseline; or a whole continuum of ε at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from html import escape
from typing import Any

import gradio as gr

from lmsteer_core.engine import Workbench
from lmsteer_core.errors import InputError, LMSteerError
from lmsteer_core.generation import Row, Sampling, Token
from lmsteer_core.steer import Steer
from lmsteer_core.ui import render
from lmsteer_core.ui.examples import EXAMPLE_EPSILON, EXAMPLE_PROMPTS
from lmsteer_core.ui.runs import Runs
from lmsteer_core.ui.theme import DEBOUNCE_JS, SLIDER_EXTENT

DEFAULT = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=48, seed=3)
_LIMITS = (
    "Steering changes wording, not facts, plot or argument, and each step away from 0 costs some "
    "fluency: within ±3 text stays readable, beyond it words start to repeat."
)
_CONTINUUM_EXTENT = 3.0

Panels = tuple[Any, Any, Any]
_KEEP = gr.skip()


def create_steer_tab(workbench: Workbench, demo: gr.Blocks) -> None:
    """Add the tab's widgets and events to the open Blocks."""
    runs = Runs()
    names = sorted(
        workbench.steers, key=lambda n: (bool(workbench.steers[n].card.notice), n != "sentiment", n)
    )
    start = names[0] if names else None

    def check_locks(epsilons: dict[str, float], unlocked: bool) -> None:
        for name, epsilon in epsilons.items():
            if epsilon < 0 and workbench.steers[name].card.notice and not unlocked:
                pole = workbench.steers[name].card.negative
                raise InputError(f"The {pole} pole is locked; read the notice and unlock it first.")

    def side_by_side(
        request: gr.Request, prompt: str, temperature: float, top_p: float, n_tokens: float, seed: float,
        unlocked: bool, *values: float,
    ) -> Iterator[Panels]:  # fmt: skip
        session = request.session_hash or ""
        number = runs.start(session)
        epsilons = dict(zip(names, values, strict=True))
        try:
            check_locks(epsilons, unlocked)
            sampling = _sampling(temperature, top_p, n_tokens, seed)
            for panels in _columns(workbench, prompt, epsilons, sampling):
                if not runs.is_current(session, number):
                    return
                yield panels
        except LMSteerError as error:
            yield _KEEP, _KEEP, render.note(str(error), "error")

    def sweep(
        request: gr.Request, prompt: str, temperature: float, top_p: float, n_tokens: float, seed: float,
        unlocked: bool, name: str, n_points: float,
    ) -> Iterator[tuple[Any, Any]]:  # fmt: skip
        session = request.session_hash or ""
        number = runs.start(session)
        try:
            steer = workbench.steer(name)
            sampling = _sampling(temperature, top_p, n_tokens, seed)
            grid = _grid(steer, int(n_points), unlocked)
            for html, status in _continuum(workbench, prompt, steer, grid, sampling):
                if not runs.is_current(session, number):
                    return
                yield html, status
        except LMSteerError as error:
            yield _KEEP, render.note(str(error), "error")

    def stop(request: gr.Request) -> str:
        runs.start(request.session_hash or "")
        return render.note("Stopped.")

    def forget(request: gr.Request) -> None:
        runs.forget(request.session_hash or "")

    with gr.Row(elem_classes="steer-layout"):
        with gr.Column(scale=2, min_width=300):
            prompt = gr.Textbox(
                EXAMPLE_PROMPTS[0], label="Prompt", placeholder="Write a few words to continue …",
                lines=1, max_lines=5, elem_id="prompt",
            )  # fmt: skip
            with gr.Row(elem_classes="examples"):
                examples = [gr.Button(text, size="sm", variant="secondary") for text in EXAMPLE_PROMPTS]
            sliders = [_slider(workbench.steers[n], EXAMPLE_EPSILON if n == start else 0.0) for n in names]
            unlock = gr.Checkbox(
                False, label="Unlock poles that produce offensive text (for research)",
                visible=any(workbench.steers[n].card.notice for n in names), elem_id="unlock",
            )  # fmt: skip
            notice = gr.HTML(visible=False)
            reset = gr.Button("Reset all sliders to 0", size="sm", elem_id="reset")
            if not names:
                gr.HTML(render.note("No steer fits this model yet: train one with `train`.", "warning"))
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
                    temperature = gr.Slider(0, 2, DEFAULT.temperature, step=0.05, label="Temperature")
                    top_p = gr.Slider(0.05, 1, DEFAULT.top_p, step=0.05, label="Top-p")
                with gr.Row():
                    n_tokens = gr.Slider(1, 200, DEFAULT.max_new_tokens, step=1, label="New tokens")
                    seed = gr.Number(DEFAULT.seed, precision=0, label="Seed (names the dice)", minimum=0)
    with gr.Column(elem_classes=["card", "continuum-box"]):
        gr.HTML(
            "<h2>Continuum</h2><p>One steer at several ε, from one pole to the other: one batch, the same "
            "dice in every line, so a line changes only where its ε made it change.</p>"
        )
        with gr.Row():
            which = gr.Dropdown(names, value=start, label="Steer", elem_id="continuum-steer")
            n_points = gr.Slider(5, 11, 9, step=2, label="Lines")
            show = gr.Button("Show continuum", variant="primary", elem_id="show-continuum")
        continuum = gr.HTML(elem_id="continuum")
        continuum_status = gr.HTML()

    settings = [prompt, temperature, top_p, n_tokens, seed, unlock]
    shared: dict[str, Any] = {
        "concurrency_id": "generate",
        "concurrency_limit": 16,
        "api_visibility": "private",
    }
    columns: dict[str, Any] = {
        "fn": side_by_side, "inputs": [*settings, *sliders], "outputs": [baseline, steered, status],
        "show_progress": "hidden", "trigger_mode": "multiple", **shared,
    }  # fmt: skip
    gr.on([go.click, prompt.submit], **columns)
    for slider in sliders:
        slider.change(js=DEBOUNCE_JS, **columns)
    for button, text in zip(examples, EXAMPLE_PROMPTS, strict=True):
        button.click(lambda text=text: text, None, prompt, queue=False, api_visibility="private").then(
            **columns
        )
    show.click(
        sweep, [*settings, which, n_points], [continuum, continuum_status],
        show_progress="hidden", trigger_mode="multiple", **shared,
    )  # fmt: skip
    halt.click(stop, None, status, queue=False, api_visibility="private")
    reset.click(lambda: [0.0] * len(sliders), None, sliders, queue=False, api_visibility="private")
    locked = [i for i, name in enumerate(names) if workbench.steers[name].card.notice]

    def set_lock(unlocked: bool) -> list[Any]:
        low = -SLIDER_EXTENT if unlocked else 0.0
        text = " ".join(workbench.steers[names[i]].card.notice for i in locked) if unlocked else ""
        return [gr.update(minimum=low, value=0.0) for _ in locked] + [
            gr.update(value=render.note(text, "warning"), visible=bool(text))
        ]

    unlock.change(
        set_lock, unlock, [*(sliders[i] for i in locked), notice], queue=False, api_visibility="private"
    )
    example = _finished_example(workbench, {start: EXAMPLE_EPSILON} if start else {})
    demo.load(
        lambda: example.result(), None, [baseline, steered, status], queue=False, api_visibility="private"
    )
    demo.unload(forget)


def _columns(
    workbench: Workbench, prompt: str, epsilons: dict[str, float], sampling: Sampling
) -> Iterator[tuple[str, str, str]]:
    """Yield baseline, steered and status after every token."""
    shown, cut = _shown_prompt(workbench, prompt, sampling)
    active = {name: epsilon for name, epsilon in epsilons.items() if epsilon}
    rows = [Row(prompt), Row(prompt, active)]
    tokens: tuple[list[Token], list[Token]] = ([], [])
    began = time.perf_counter()
    waiting = render.note("Waiting for the model …")
    yield render.continuation(shown, []), render.continuation(shown, []), waiting
    for step in workbench.stream(rows, sampling):
        for column, token in zip(tokens, step, strict=True):
            if token is not None:
                column.append(token)
        change = render.first_difference(*tokens)
        yield (
            render.continuation(shown, tokens[0], first_change=change),
            render.continuation(shown, tokens[1], first_change=change),
            render.note(f"{max(map(len, tokens))} tokens …"),
        )
    rate = max(map(len, tokens)) / max(time.perf_counter() - began, 1e-9)
    setting = ", ".join(f"{n} {render.epsilon_text(e)}" for n, e in active.items())
    text = f"{setting or 'Every slider is at 0: both columns are the base model'}. {rate:.0f} tokens/s."
    change = render.first_difference(*tokens)
    yield (
        render.continuation(shown, tokens[0], first_change=change),
        render.continuation(shown, tokens[1], first_change=change),
        render.note(f"{cut} {text}".strip(), "warning" if cut else "info"),
    )


def _continuum(
    workbench: Workbench, prompt: str, steer: Steer, grid: list[float], sampling: Sampling
) -> Iterator[tuple[str, str]]:
    """Yield the continuum's lines and status after every token."""
    shown, cut = _shown_prompt(workbench, prompt, sampling)
    rows = [Row(prompt, {steer.name: epsilon}) for epsilon in grid]
    poles = (steer.card.negative, steer.card.positive)
    lines: list[list[Token]] = [[] for _ in grid]
    yield render.continuum(shown, grid, lines, poles), render.note("Waiting for the model …")
    for step in workbench.stream(rows, sampling):
        for line, token in zip(lines, step, strict=True):
            if token is not None:
                line.append(token)
        yield render.continuum(shown, grid, lines, poles), render.note(f"{max(map(len, lines))} tokens …")
    yield _KEEP, render.note(cut, "warning") if cut else ""


def _grid(steer: Steer, n_points: int, unlocked: bool) -> list[float]:
    low, high = steer.card.epsilon_range
    if steer.card.notice and not unlocked:
        low = 0.0
    return [round(low + (high - low) * i / (n_points - 1), 2) for i in range(n_points)]


def _sampling(temperature: float, top_p: float, n_tokens: float, seed: float | None) -> Sampling:
    if any(value is None for value in (temperature, top_p, n_tokens, seed)):
        raise InputError("A sampling setting is empty; open Sampling and fill it in.")
    assert seed is not None
    return Sampling(float(temperature), float(top_p), int(n_tokens), int(seed))


def _shown_prompt(workbench: Workbench, prompt: str, sampling: Sampling) -> tuple[str, str]:
    """Return the prompt as the model sees it and a sentence if its beginning was cut off."""
    lm = workbench.lm
    ids, cut = lm.encode(prompt, reserve=sampling.max_new_tokens)
    if not cut:
        return prompt, ""
    return "… " + prompt[-600:], f"The prompt was cut: the model reads its last {len(ids)} tokens."


def _finished_example(workbench: Workbench, epsilons: dict[str, float]) -> Future[tuple[str, str, str]]:
    """Generate the opening example once, in the background, for every visitor."""

    def finish() -> tuple[str, str, str]:
        *_, panels = _columns(workbench, EXAMPLE_PROMPTS[0], epsilons, DEFAULT)
        return panels

    return ThreadPoolExecutor(1).submit(finish)


def _slider(steer: Steer, value: float) -> gr.Slider:
    card = steer.card
    with gr.Column(elem_classes="steer-slider"):
        slider = gr.Slider(
            0.0 if card.notice else -SLIDER_EXTENT, SLIDER_EXTENT, value, step=0.1, label=card.name,
            elem_id=f"steer-{card.name}", buttons=[],
        )  # fmt: skip
        gr.HTML(
            f'<div class="poles"><span class="minus">− {escape(card.negative)}</span>'
            f'<span class="plus">{escape(card.positive)} +</span></div>'
        )
    return slider


def _panel(title: str, subtitle: str, elem_id: str) -> gr.HTML:
    with gr.Column(elem_classes=["card", elem_id], min_width=240):
        gr.HTML(f"<h2>{title}</h2><p>{subtitle}</p>", elem_classes="card-title")
        return gr.HTML(elem_id=elem_id)
