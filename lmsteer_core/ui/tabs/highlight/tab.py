"""Highlight: which tokens of a text carry a style, and which ε the text speaks for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
from markupsafe import Markup

from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import LOOK, QUIET, STREAMING, Inputs, call_js, note_js
from lmsteer_core.ui.tabs.examples import EXAMPLE_TEXTS, ExampleText
from lmsteer_core.ui.tabs.highlight.analysis import MEASURES, ORDINARY
from lmsteer_core.ui.tabs.highlight.handlers import (
    BY_PLACE,
    BY_STRENGTH,
    FileSettings,
    HighlightHandlers,
    Panels,
    ReadSettings,
    SpanSettings,
    UnitSettings,
)
from lmsteer_core.ui.tabs.highlight.markup import KINDS

_READING: dict[str, Any] = {**STREAMING, "concurrency_id": "highlight", "concurrency_limit": 4}
"""Options of an event that reads a text; a newer one of the same page ends it."""

_SAVE_JS = call_js("page.save")
_ABOUT = Markup(
    "<p>A token's score is how far the style moves its own logit, less what ordinary text gets, "
    "in σ: how far the words of ordinary text spread. So styles and lengths compare, and plain "
    "text stays plain; words that stand in every text count for little. What it cannot see: "
    "irony, a negation in another clause, whether a topic or a tone is meant. The paper's "
    "log P₊ − log P₋ is the other choice.</p>"
)
_EQUATION = (
    "score(xₜ) = w(xₜ) (hₜ · W (eₓₜ − ē) − b) with w(v) = 0.001 / (0.001 + p(v)); "
    "evidence(xₜ) = log P(xₜ | x₁ … xₜ₋₁; ε = 1) − log P(xₜ | x₁ … xₜ₋₁; ε = −1) and "
    "P(ε | x) ∝ Πₜ P(xₜ | x₁ … xₜ₋₁; ε)",
    (
        "hₜ is the state before the token, e its output embedding, ē ordinary text's mean, p how "
        "often ordinary text has the token, and b such that ordinary text totals 0; steers that "
        "learned from labelled text read with factors of their own in place of W. "
        "xₜ is the t-th token of the text; every ε of the grid from −5 to 5 has the same weight "
        "before the text is read. Totals grow with the length of a text, so the curve narrows: it "
        "says which ε foresees this wording best, not how sure a reader would be."
    ),
    "analysis/style_reading.py",
)


@dataclass(frozen=True)
class _Texts:
    """What is read."""

    examples: list[gr.Button]
    seen: gr.HTML
    text: gr.Textbox
    take: gr.Button
    compare: gr.Checkbox
    second_box: gr.Column
    second: gr.Textbox
    take_baseline: gr.Button
    steer_name: gr.Radio
    go: gr.Button
    stop: gr.Button


@dataclass(frozen=True)
class _Marked:
    """The texts with their evidence."""

    kind: gr.Radio
    measure: gr.Radio
    marked: gr.HTML
    second_panel: gr.Column
    marked_second: gr.HTML
    legend: gr.HTML
    summary: gr.HTML
    status: gr.HTML
    split: gr.Button
    effects: gr.HTML
    save_html: gr.Button
    save_png: gr.Button
    save_csv: gr.Button
    file: gr.Textbox


@dataclass(frozen=True)
class _Details:
    """What stands below the texts."""

    posterior: gr.Plot
    n_spans: gr.Slider
    max_tokens: gr.Slider
    spans: gr.HTML
    profile: gr.HTML
    order: gr.Radio
    table: gr.HTML


def create_highlight_tab(page: Page) -> None:
    """Add the tab's widgets and events to the open Blocks."""
    handlers = HighlightHandlers(page)
    gr.HTML(_ABOUT + widgets.equation(*_EQUATION))
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            texts = _create_texts(page.workbench.names)
        with gr.Column(scale=3, min_width=300):
            marked = _create_marked()
    details = _create_details()

    page.links.keep_steer("highlight.steer", texts.steer_name)
    page.links.keep(
        "highlight.",
        text=texts.text,
        compare=texts.compare,
        second=texts.second,
        unit=marked.kind,
        read=marked.measure,
        spans=details.n_spans,
        length=details.max_tokens,
        order=details.order,
    )
    measure: dict[str, Any] = {"measure_name": marked.measure}
    units = {"kind": marked.kind, "order": details.order, **measure}
    spans = {"n_spans": details.n_spans, "max_tokens": details.max_tokens, **measure}
    outputs = Panels(
        second_panel=marked.second_panel,
        marked=marked.marked,
        marked_second=marked.marked_second,
        legend=marked.legend,
        table=details.table,
        spans=details.spans,
        posterior=details.posterior,
        profile=details.profile,
        summary=marked.summary,
        effects=marked.effects,
        status=marked.status,
    )
    inputs = Inputs(
        ReadSettings,
        text=texts.text,
        second=texts.second,
        is_comparing=texts.compare,
        steer_name=texts.steer_name,
        **units | spans,
    )
    read = inputs.event(handlers.read, outputs, **_READING)
    gr.on([texts.go.click, texts.steer_name.input], **read)
    show_box: dict[str, Any] = {
        "fn": lambda on: gr.update(visible=on),
        "inputs": texts.compare,
        "outputs": texts.second_box,
        **QUIET,
    }
    texts.compare.change(**show_box)
    page.when_open("highlight", show_box, read)
    texts.compare.input(**inputs.event(handlers.read_one_again, outputs, **_READING))
    tinted = [marked.marked, marked.marked_second, marked.legend, details.table]
    gr.on(
        [widget.change for widget in units.values()],
        **Inputs(UnitSettings, **units).event(handlers.show_units, tinted, **QUIET),
    )
    gr.on(
        [widget.change for widget in spans.values()],
        **Inputs(SpanSettings, **spans).event(handlers.show_spans, [details.spans], **QUIET),
    )
    page.announcement.change(
        page.steers.update_chooser, texts.steer_name, texts.steer_name, **QUIET
    ).then(**read)
    marked.split.click(handlers.split, None, [marked.effects, marked.status], **_READING)
    _add_text_events(page.workbench.names, texts, marked.kind, read)
    texts.stop.click(handlers.stop, None, marked.status, **QUIET)
    _add_save_events(handlers, marked, Inputs(FileSettings, kind=marked.kind, **spans))
    page.demo.unload(handlers.forget)


def _add_text_events(names: list[str], texts: _Texts, kind: gr.Radio, read: dict[str, Any]) -> None:
    """Let examples and the Steer tab's texts fill the boxes, and be read."""
    notes = {(example.text, example.second): _seen(example) for example in EXAMPLE_TEXTS}
    explain: dict[str, Any] = {
        "fn": None,
        "inputs": [texts.text, texts.second],
        "outputs": texts.seen,
        "js": note_js(notes),
    }
    gr.on([texts.text.change, texts.second.change], **explain)
    filled = [texts.text, texts.second, texts.compare, texts.steer_name, kind]
    for button, example in zip(texts.examples, EXAMPLE_TEXTS, strict=True):
        clicked = button.click(partial(_example_values, example, names), None, filled, **QUIET)
        clicked.then(**explain).then(**read)
    for button, box, panel in (
        (texts.take, texts.text, "steered"),
        (texts.take_baseline, texts.second, "baseline"),
    ):
        js = call_js("highlight.generation", panel)
        button.click(None, box, box, js=js, **QUIET).then(**explain).then(**read)


def _add_save_events(
    handlers: HighlightHandlers, marked: _Marked, inputs: Inputs[FileSettings]
) -> None:
    file = marked.file
    for clicked in (
        marked.save_html.click(**inputs.event(handlers.html_file, [file], **LOOK)),
        marked.save_csv.click(handlers.csv_file, None, file, **LOOK),
    ):
        clicked.then(None, file, None, js=_SAVE_JS)
    marked.save_png.click(None, None, None, js=call_js("highlight.savePicture"))


def _create_texts(names: list[str]) -> _Texts:
    opening = EXAMPLE_TEXTS[0]
    with gr.Row(elem_classes="examples"):
        examples = [gr.Button(example.label, size="sm") for example in EXAMPLE_TEXTS]
    seen = gr.HTML(_seen(opening), elem_id="highlight-seen")
    text = gr.Textbox(
        opening.text,
        label="Text",
        placeholder="Write or paste a text …",
        lines=5,
        max_lines=14,
        elem_id="highlight-text",
    )
    take = gr.Button("Take the current generation", size="sm", elem_id="highlight-take")
    compare = gr.Checkbox(False, label="Compare with a second text", elem_id="highlight-compare")
    with gr.Column(visible=False) as second_box:
        second = gr.Textbox(
            label="Second text",
            placeholder="Write or paste a text …",
            lines=4,
            max_lines=14,
            elem_id="highlight-second",
        )
        take_baseline = gr.Button(
            "Take the current baseline", size="sm", elem_id="highlight-take-2"
        )
    steer_name = gr.Radio(
        names,
        value=opening.steer if opening.steer in names else next(iter(names), None),
        label="Steer",
        elem_id="highlight-steer",
    )
    with gr.Row():
        go = gr.Button("Highlight", variant="primary", elem_id="highlight-go")
        stop = gr.Button("Stop", variant="stop", elem_id="highlight-stop")
    return _Texts(
        examples, seen, text, take, compare, second_box, second, take_baseline, steer_name, go, stop
    )


def _create_marked() -> _Marked:
    kind = gr.Radio(
        [*KINDS],
        value=EXAMPLE_TEXTS[0].unit,
        label="Evidence per",
        elem_id="highlight-unit",
    )
    measure = gr.Radio([*MEASURES], value=ORDINARY.name, label="Read", elem_id="highlight-measure")
    with gr.Row(elem_classes="highlight-texts"):
        with gr.Column(min_width=260):
            marked = gr.HTML(elem_id="highlighted", elem_classes="card")
        with gr.Column(min_width=260, visible=False) as second_panel:
            marked_second = gr.HTML(elem_id="highlighted-second", elem_classes="card")
    legend = gr.HTML(elem_id="highlight-legend")
    summary = gr.HTML(elem_id="highlight-summary")
    status = gr.HTML(elem_id="highlight-status")
    with gr.Row(elem_classes="highlight-save"):
        split = gr.Button("What each word does", size="sm", elem_id="highlight-split")
        save_html, save_png, save_csv = (
            gr.Button(f"Save as {name}", size="sm", elem_id=f"highlight-{name.lower()}")
            for name in ("HTML", "PNG", "CSV")
        )
    effects = gr.HTML(elem_id="highlight-effects")
    file = gr.Textbox(visible="hidden", label="File")
    return _Marked(
        kind,
        measure,
        marked,
        second_panel,
        marked_second,
        legend,
        summary,
        status,
        split,
        effects,
        save_html,
        save_png,
        save_csv,
        file,
    )


def _create_details() -> _Details:
    with gr.Row():
        with gr.Column(min_width=300):
            gr.HTML("<h2>Which ε the text speaks for</h2><p>P(ε | text), its peak named.</p>")
            posterior = gr.Plot(show_label=False, elem_id="posterior")
            gr.HTML("<h2>Strongest spans</h2><p>Neighbouring tokens that add up to most.</p>")
            with gr.Row():
                n_spans = gr.Slider(
                    1, 12, 5, step=1, label="Spans at most", elem_id="highlight-spans"
                )
                max_tokens = gr.Slider(
                    1, 60, 24, step=1, label="Tokens at most", elem_id="highlight-length"
                )
            spans = gr.HTML(elem_id="spans")
        with gr.Column(min_width=300):
            gr.HTML(
                "<h2>All steers at once</h2><p>Each steer alone on the same reading of the text, "
                "in σ: standard deviations of ordinary text of this length.</p>"
            )
            profile = gr.HTML(elem_id="highlight-profile")
    with gr.Accordion("Numbers", open=False, elem_id="highlight-numbers"):
        order = gr.Radio(
            [BY_PLACE, BY_STRENGTH], value=BY_PLACE, label="Order", elem_id="highlight-order"
        )
        table = gr.HTML(elem_id="highlight-table")
    return _Details(posterior, n_spans, max_tokens, spans, profile, order, table)


def _seen(example: ExampleText) -> Markup:
    return Markup('<p class="seen">{}</p>').format(example.seen)


def _example_values(example: ExampleText, names: list[str]) -> tuple[Any, ...]:
    steer = example.steer if example.steer in names else gr.skip()
    return example.text, example.second, bool(example.second), steer, example.unit
