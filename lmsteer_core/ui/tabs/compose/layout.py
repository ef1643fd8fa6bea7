"""The widgets of the Compose tab: the plane on the left, text and map on the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.figures.plane import EXTENT
from lmsteer_core.ui.markup import tokens as token_markup
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page import live_text
from lmsteer_core.ui.tabs.compose.handlers import TEXT
from lmsteer_core.ui.tabs.compose.markup import overlap_text, pad_html, preset_note, slider_label
from lmsteer_core.ui.tabs.compose.setting import (
    NOBODY,
    NOTHING,
    STYLE,
    WORD,
    Setting,
    third_choices,
)
from lmsteer_core.ui.tabs.examples import PlaneExample

_SATURATION = (
    "A third steer adds its move to the other two, and fluency is spent by the sum: a steer's "
    "useful range holds for that steer alone. Measured on SmolLM2-135M, as perplexity of its text "
    "under the unsteered model: 12 without steering, 17 with one steer at the end of its useful "
    "range, 25 with three, which is what one steer costs at 1.7 times its useful end. Three at 0.6 "
    "of their ranges cost about what one costs at its end."
)
_SHOW_POINT = """const show = async () => (await window.lmsteer).compose.show();
watch("value", show);
show();"""


@dataclass(frozen=True)
class Presets:
    """A button for each example, and what the chosen one teaches."""

    buttons: Sequence[gr.Button]
    note: gr.HTML


@dataclass(frozen=True)
class PlaneColumn:
    """The pad with its two steers."""

    pad: gr.HTML
    key: gr.HTML
    across: gr.Dropdown
    at_across: gr.Slider
    up: gr.Dropdown
    at_up: gr.Slider
    unlock: gr.Checkbox
    notice: gr.HTML


@dataclass(frozen=True)
class TextColumn:
    """Prompt and text at the point."""

    prompt: gr.Textbox
    generate: gr.Button
    stop: gr.Button
    baseline: gr.HTML
    steered: gr.HTML
    status: gr.HTML


@dataclass(frozen=True)
class MapCard:
    """The map under the point."""

    kind: gr.Radio
    word: gr.Textbox
    judge: gr.Radio
    score: gr.Button
    status: gr.HTML
    table: gr.HTML


@dataclass(frozen=True)
class Extras:
    """The overlap of the two steers, a third one, and the seed."""

    about: gr.HTML
    third: gr.Dropdown
    third_epsilon: gr.Slider
    seed: gr.Number


def create_presets(presets: Sequence[PlaneExample], start: PlaneExample) -> Presets:
    """Lay out the examples above the tab."""
    with gr.Row(elem_classes="examples"):
        buttons = [gr.Button(p.label, size="sm", elem_classes="compose-preset") for p in presets]
    return Presets(buttons, gr.HTML(preset_note(start.lesson), elem_id="compose-told"))


def create_plane(names: list[str], start: PlaneExample, setting: Setting | None) -> PlaneColumn:
    """Lay out the pad, a chooser and a slider for each axis, and the lock."""
    pad = gr.HTML(
        pad_html(setting, start.point) if setting else "",
        elem_id="compose-pad",
        js_on_load=_SHOW_POINT,
    )
    key = gr.HTML(elem_id="compose-key")
    with gr.Row():
        across = _chooser(names, start.across, "Across: ε₁", "compose-first")
        at_across = _axis(setting.across if setting else None, start.point[0], "compose-across")
    with gr.Row():
        up = _chooser(names, start.up, "Up: ε₂", "compose-second")
        at_up = _axis(setting.up if setting else None, start.point[1], "compose-up")
    unlock = gr.Checkbox(
        False,
        label="Unlock poles that produce offensive text (for research)",
        visible=False,
        elem_id="compose-unlock",
    )
    notice = gr.HTML(elem_id="compose-notice")
    return PlaneColumn(pad, key, across, at_across, up, at_up, unlock, notice)


def create_text(start: PlaneExample) -> TextColumn:
    """Lay out the prompt and the two texts."""
    prompt = gr.Textbox(
        start.prompt,
        label="Prompt",
        placeholder="Write a few words to continue …",
        lines=1,
        max_lines=4,
        elem_id="compose-prompt",
    )
    with gr.Row():
        generate = gr.Button("Generate", variant="primary", elem_id="compose-go")
        stop = gr.Button("Stop", variant="stop", elem_id="compose-stop")
    with gr.Row(elem_classes="columns"):
        baseline = live_text.panel("Baseline", "the model as it is", "baseline", "compose-baseline")
        steered = live_text.panel(
            "Steered", "both moves added, the same dice", "steered", "compose-steered"
        )
    status = gr.HTML(elem_id="compose-status")
    gr.HTML(token_markup.tints("steering made it less likely", "likelier"))
    return TextColumn(prompt, generate, stop, baseline, steered, status)


def create_map(start: PlaneExample) -> MapCard:
    """Lay out what map is to lie under the point."""
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
            score = gr.Button("Write and score 25 texts", visible=False, elem_id="compose-score")
        status = gr.HTML(elem_id="compose-map-status")
        with gr.Accordion("The map's numbers as a table", open=False):
            table = gr.HTML(elem_id="compose-table")
    return MapCard(kind, word, judge, score, status, table)


def create_extras(names: list[str], setting: Setting | None) -> Extras:
    """Lay out the overlap, and folded in a third steer and the seed."""
    about = gr.HTML(overlap_text(setting) if setting else "", elem_id="compose-overlap")
    with gr.Accordion("A third steer, and the dice", open=False, elem_id="compose-more"):
        with gr.Row():
            third = gr.Dropdown(
                third_choices(names),
                value=NOBODY,
                label="Third steer, held",
                elem_id="compose-third",
            )
            seed = gr.Number(
                TEXT.seed, precision=0, label="Seed (names the dice)", elem_id="compose-seed"
            )
        third_epsilon = gr.Slider(
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
        gr.HTML(f'<p class="limits">{_SATURATION}</p>')
    return Extras(about, third, third_epsilon, seed)


def create_equation() -> None:
    """Lay out the fold-out with the tab's equation."""
    gr.HTML(
        widgets.equation(
            "logits(ε₁, ε₂) = E (h + ε₁ W₁ᵀ h + ε₂ W₂ᵀ h)",
            "h is the model's last hidden state, which no steer changes, E the output embeddings: "
            "three tables of logits give P(word) = softmax at every point of the plane. The map "
            "tells about the next word only; what follows depends on what was written before it.",
            "analysis/plane.py",
        )
    )


def _chooser(names: list[str], value: str | None, label: str, elem_id: str) -> gr.Dropdown:
    return gr.Dropdown(names, value=value, label=label, min_width=170, elem_id=elem_id)


def _axis(steer: Steer | None, value: float, elem_id: str) -> gr.Slider:
    low = steer.card.lowest(-EXTENT, unlocked=False) if steer else -EXTENT
    return gr.Slider(
        low,
        EXTENT,
        max(low, value),
        step=0.1,
        label=slider_label(steer.card) if steer else "ε",
        min_width=170,
        buttons=[],
        elem_id=elem_id,
        elem_classes="epsilon",
    )
