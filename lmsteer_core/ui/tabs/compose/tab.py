"""Compose: two steers at once, as a plane of (ε₁, ε₂)."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.figures.plane import EXTENT
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page import live_text
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import DEBOUNCE_JS, LOOK, QUIET, STREAMING, note_js
from lmsteer_core.ui.tabs.compose.handlers import NOBODY, NOTHING, STYLE, TEXT, WORD, ComposeEvents
from lmsteer_core.ui.tabs.compose.markup import overlap_text, pad_html, slider_label
from lmsteer_core.ui.tabs.compose.setting import Setting, two
from lmsteer_core.ui.tabs.examples import EXAMPLE_PROMPTS, PLANE_EXAMPLES, PlaneExample

_SEEN = (
    "Drag the point, or use the two sliders: moves add in the logits, so the two styles combine "
    "without training anything."
)
_SATURATION = (
    "A third steer adds its move to the other two, and fluency is spent by the sum: a steer's "
    "useful range holds for that steer alone. Measured on SmolLM2-135M, as perplexity of its text "
    "under the unsteered model: 12 without steering, 17 with one steer at the end of its useful "
    "range, 25 with three, which is what one steer costs at 1.7 times its useful end. Three at 0.6 "
    "of their ranges cost about what one costs at its end."
)
_SHOW_POINT = "watch('value', () => window.lmsteerCompose.show()); window.lmsteerCompose.show();"


def create_compose_tab(page: Page) -> None:
    """Add the tab's widgets and events to the open Blocks."""
    workbench, own, changed, demo = page.workbench, page.steers, page.announcement, page.demo
    names = workbench.names
    presets = [p for p in PLANE_EXAMPLES if {p.across, p.up} <= set(names)]
    start = (
        presets[0]
        if presets
        else PlaneExample("", EXAMPLE_PROMPTS[0], *two(names), (1.0, 1.0), "good")
    )
    events = ComposeEvents(workbench, own)

    first = None
    if start.across and start.up:
        first = Setting(
            start.prompt, workbench.steers[start.across], workbench.steers[start.up], (), False
        )
    else:
        gr.HTML(
            widgets.note("Composing takes two steers: make them on the New steer tab.", "warning")
        )
    with gr.Row(elem_classes="examples"):
        buttons = [gr.Button(p.label, size="sm", elem_classes="compose-preset") for p in presets]
    about_preset = gr.HTML(_told(start.told), elem_id="compose-told")
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            pad = gr.HTML(
                pad_html(first, start.point) if first else "",
                elem_id="compose-pad",
                js_on_load=_SHOW_POINT,
            )
            key = gr.HTML(elem_id="compose-key")
            with gr.Row():
                across = _chooser(names, start.across, "Across: ε₁", "compose-first")
                at_across = _axis(first.across if first else None, start.point[0], "compose-across")
            with gr.Row():
                up = _chooser(names, start.up, "Up: ε₂", "compose-second")
                at_up = _axis(first.up if first else None, start.point[1], "compose-up")
            unlock = gr.Checkbox(
                False,
                label="Unlock poles that produce offensive text (for research)",
                visible=False,
                elem_id="compose-unlock",
            )
            notice = gr.HTML(elem_id="compose-notice")
        with gr.Column(scale=3, min_width=320):
            prompt = gr.Textbox(
                start.prompt,
                label="Prompt",
                placeholder="Write a few words to continue …",
                lines=1,
                max_lines=4,
                elem_id="compose-prompt",
            )
            with gr.Row():
                go = gr.Button("Generate", variant="primary", elem_id="compose-go")
                halt = gr.Button("Stop", variant="stop", elem_id="compose-stop")
            with gr.Row(elem_classes="columns"):
                baseline = live_text.panel(
                    "Baseline", "the model as it is", "baseline", "compose-baseline"
                )
                steered = live_text.panel(
                    "Steered", "both moves added, the same dice", "steered", "compose-steered"
                )
            status = gr.HTML(elem_id="compose-status")
            with gr.Column(elem_classes="card"):
                kind = gr.Radio(
                    [WORD, STYLE, NOTHING],
                    value=WORD,
                    label="Map under the point",
                    elem_id="compose-kind",
                )
                word = gr.Textbox(
                    start.word,
                    label="Word that may come next",
                    max_lines=1,
                    max_length=60,
                    elem_id="compose-word",
                )
                with gr.Row():
                    judge = gr.Radio(
                        [(start.across or "first", "across"), (start.up or "second", "up")],
                        value="across",
                        visible=False,
                        label="Scored by",
                        elem_id="compose-judge",
                    )
                    score = gr.Button(
                        "Write and score 25 texts", visible=False, elem_id="compose-score"
                    )
                map_status = gr.HTML(elem_id="compose-map-status")
                with gr.Accordion("The map's numbers as a table", open=False):
                    table = gr.HTML(elem_id="compose-table")
            about = gr.HTML(overlap_text(first) if first else "", elem_id="compose-overlap")
            with gr.Accordion("A third steer, and the dice", open=False, elem_id="compose-more"):
                with gr.Row():
                    third = gr.Dropdown(
                        [NOBODY, *names],
                        value=NOBODY,
                        label="Third steer, held",
                        elem_id="compose-third",
                    )
                    seed = gr.Number(
                        TEXT.seed,
                        precision=0,
                        label="Seed (names the dice)",
                        elem_id="compose-seed",
                    )
                held = gr.Slider(
                    -EXTENT,
                    EXTENT,
                    0,
                    step=0.1,
                    label="ε of the third steer",
                    visible=False,
                    buttons=[],
                    elem_id="compose-held",
                    elem_classes="epsilon",
                )
                gr.HTML(f'<p class="limits">{escape(_SATURATION)}</p>')
    gr.HTML(
        widgets.equation(
            "logits(ε₁, ε₂) = E (h + ε₁ W₁ᵀ h + ε₂ W₂ᵀ h)",
            "h is the model's last hidden state, which no steer changes, E the output embeddings: "
            "three tables of logits give P(word) = softmax at every point of the plane. The map "
            "tells about the next word only; what follows depends on what was written before it.",
            "analysis/plane.py",
        )
    )

    scored = gr.State(None)
    who: list[Any] = [prompt, across, up, third, held, unlock]
    point: list[Any] = [at_across, at_up]
    texts: dict[str, Any] = {
        "fn": events.write_text,
        "inputs": [*who, *point, seed],
        "outputs": [baseline, steered, status],
        **STREAMING,
    }
    shown = [pad, key, table]
    maps: dict[str, Any] = {
        "fn": events.draw,
        "inputs": [*who, *point, kind, word, judge, scored],
        "outputs": [*shown, map_status],
        **LOOK,
    }
    fitted: dict[str, Any] = {
        "fn": events.settle,
        "inputs": [across, up, third, unlock, *point, held],
        "outputs": [*point, held, unlock, notice, about, pad],
        **QUIET,
    }
    kinds: dict[str, Any] = {
        "fn": events.show_kind,
        "inputs": [kind, across, up],
        "outputs": [word, score, judge],
        **QUIET,
    }
    gr.on([go.click, prompt.submit], **maps).then(**texts)
    for slider in (at_across, at_up):
        slider.input(js=DEBOUNCE_JS, **texts)
        slider.change(None, point, None, js="(a, b) => window.lmsteerCompose.place(a, b)")
    held.input(js=DEBOUNCE_JS, **maps).then(**texts)
    chosen = gr.on([across.input, up.input, third.input, unlock.input], **fitted)
    chosen.then(**kinds).then(**maps).then(**texts)
    kind.input(**kinds).then(**maps)
    gr.on([word.submit, word.blur, judge.input], **maps)
    score.click(
        events.write_map, [*who, *point, seed, judge], [*shown, scored, map_status], **STREAMING
    )
    taught = {(p.prompt, p.across or "", p.up or ""): _told(p.told) for p in presets}
    teach: dict[str, Any] = {
        "fn": None,
        "inputs": [prompt, across, up],
        "outputs": about_preset,
        "js": note_js(taught, _told()),
    }
    gr.on([prompt.change, across.change, up.change], **teach)
    for button, preset in zip(buttons, presets, strict=True):
        values = (
            preset.prompt,
            preset.across,
            preset.up,
            *preset.point,
            preset.word,
            WORD,
            NOBODY,
            0.0,
        )
        outputs = [prompt, across, up, *point, word, kind, third, held]
        pressed = button.click(lambda values=values: values, None, outputs, **QUIET)
        pressed.then(**teach).then(**fitted).then(**kinds).then(**maps).then(**texts)
    halt.click(events.stop, None, None, **QUIET)
    changed.change(events.offer, [across, up, third], [across, up, third], **QUIET).then(
        **fitted
    ).then(**kinds).then(**maps)
    if first:
        demo.load(**maps)
        example = live_text.finished_example(
            workbench, first.prompt, first.epsilons(*start.point), TEXT
        )
        demo.load(example.result, None, [baseline, steered, status], **QUIET)
    demo.unload(events.forget)


def _told(preset: str = "") -> str:
    return f"<p>{escape(f'{preset} {_SEEN}'.strip())}</p>"


def _chooser(names: list[str], value: str | None, label: str, elem_id: str) -> gr.Dropdown:
    return gr.Dropdown(names, value=value, label=label, min_width=170, elem_id=elem_id)


def _axis(steer: Steer | None, value: float, elem_id: str) -> gr.Slider:
    low = steer.card.lowest(-EXTENT, unlocked=False) if steer else -EXTENT
    label = slider_label(steer.card) if steer else "ε"
    return gr.Slider(
        low,
        EXTENT,
        max(low, value),
        step=0.1,
        label=label,
        min_width=170,
        buttons=[],
        elem_id=elem_id,
        elem_classes="epsilon",
    )
