"""The widgets of the tab: the form and the results."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from lmsteer_core.ui.page.events import QUIET
from lmsteer_core.ui.tabs.examples import EXAMPLES_LESS, EXAMPLES_MORE, STARTING_POINTS
from lmsteer_core.ui.tabs.train.form_input import DESCRIPTIONS, EXAMPLES, FILE, NO_NAME

MAX_UPLOAD = "20mb"
"""Of any file a visitor uploads; larger data belongs to the command line."""


@dataclass(frozen=True)
class Form:
    """What goes in."""

    mode: gr.Radio
    positive: gr.Textbox
    negative: gr.Textbox
    more: gr.Textbox
    less: gr.Textbox
    data: gr.File
    zero_is_negative: gr.Checkbox
    name: gr.Textbox
    understood: gr.HTML
    make: gr.Button
    cancel: gr.Button
    status: gr.HTML
    upload: gr.File


def create_form() -> Form:
    """Lay out what is asked: poles, examples or a file, a name, and what to do."""
    mode = gr.Radio(
        [DESCRIPTIONS, EXAMPLES, FILE],
        value=DESCRIPTIONS,
        label="Make it from",
        elem_id="train-mode",
    )
    with gr.Column() as descriptions:
        positive, negative = _create_descriptions()
    with gr.Column(visible=False) as examples:
        more, less = _create_examples()
    with gr.Column(visible=False) as labelled:
        data, zero_is_negative = _create_labelled()
    name = gr.Textbox(
        label="Name (optional)", placeholder=NO_NAME, max_lines=1, elem_id="train-name"
    )
    understood = gr.HTML(elem_id="train-understood")
    with gr.Row():
        make = gr.Button("Make the steer", variant="primary", elem_id="train-make")
        cancel = gr.Button("Cancel", variant="stop", elem_id="train-cancel")
    status = gr.HTML(elem_id="train-status")
    with gr.Accordion("Or upload a steer you kept", open=False):
        upload = gr.File(
            label="The .zip, or both of its files",
            file_count="multiple",
            file_types=[".zip", ".safetensors", ".json"],
            height=160,
            elem_id="train-upload",
        )
    columns = {DESCRIPTIONS: descriptions, EXAMPLES: examples, FILE: labelled}
    mode.change(
        lambda chosen: [gr.update(visible=each == chosen) for each in columns],
        mode,
        [*columns.values()],
        **QUIET,
    )
    return Form(
        mode=mode,
        positive=positive,
        negative=negative,
        more=more,
        less=less,
        data=data,
        zero_is_negative=zero_is_negative,
        name=name,
        understood=understood,
        make=make,
        cancel=cancel,
        status=status,
        upload=upload,
    )


def _create_descriptions() -> tuple[gr.Textbox, gr.Textbox]:
    """Lay out the descriptions of the + pole and the − pole, with buttons that fill in both."""
    with gr.Row(elem_classes="examples"):
        starts = [gr.Button(label, size="sm") for label in STARTING_POINTS]
    first, *_ = STARTING_POINTS.values()
    positive, negative = (
        gr.Textbox(label=label, placeholder=text, lines=2, max_lines=6, elem_id=elem_id)
        for label, text, elem_id in (
            ("More like … (the + pole)", first[0], "train-positive"),
            ("Less like … (the − pole)", first[1], "train-negative"),
        )
    )
    for button, poles in zip(starts, STARTING_POINTS.values(), strict=True):
        button.click(lambda poles=poles: poles, None, [positive, negative], **QUIET)
    return positive, negative


def _create_examples() -> tuple[gr.Textbox, gr.Textbox]:
    """Lay out the examples of the + pole and the − pole, with a button that fills in both."""
    with gr.Row(elem_classes="examples"):
        fill = gr.Button("Polite or gruff", size="sm")
    hint = "3 to 50 texts, one a line, or paragraphs with an empty line between them"
    more, less = (
        gr.Textbox(label=label, placeholder=hint, lines=5, max_lines=12, elem_id=elem_id)
        for label, elem_id in (
            ("More like these", "train-more"),
            ("Less like these", "train-less"),
        )
    )
    fill.click(lambda: (EXAMPLES_MORE, EXAMPLES_LESS), None, [more, less], **QUIET)
    return more, less


def _create_labelled() -> tuple[gr.File, gr.Checkbox]:
    """Lay out the file of labelled text, and what its labels mean."""
    data = gr.File(
        label=f"CSV or JSONL with text and label (−1 to 1), at most {MAX_UPLOAD.upper()}",
        file_types=[".csv", ".jsonl"],
        height=160,
        elem_id="train-file",
    )
    zero_is_negative = gr.Checkbox(
        False,
        label="Its labels are 0 and 1, and 0 is the − pole",
        elem_id="train-zero-is-negative",
    )
    return data, zero_is_negative


@dataclass(frozen=True)
class Results:
    """What came out: the page's own steers, one of them shown."""

    box: gr.Column
    which: gr.Dropdown
    go: gr.Button
    download: gr.DownloadButton
    remove: gr.Button
    summary: gr.HTML
    texts: gr.HTML
    texts_status: gr.HTML
    words: gr.HTML
    curve: gr.Plot


def create_results() -> Results:
    """Lay out where the results will appear."""
    with gr.Column(visible=False, elem_id="train-results") as box:
        with gr.Row(elem_classes="own"):
            which = gr.Dropdown([], label="Your steers", elem_id="train-own", min_width=160)
            go = gr.Button(
                "Go to its slider", variant="primary", elem_id="train-open", min_width=140
            )
            download = gr.DownloadButton("Download", elem_id="train-download", min_width=110)
            remove = gr.Button("Remove", elem_id="train-remove", min_width=100)
        summary = gr.HTML(elem_id="train-summary")
        with gr.Column(elem_classes="card"):
            gr.HTML("<h2>One prompt, the same dice, both ends</h2>")
            texts = gr.HTML(elem_id="train-sample")
            texts_status = gr.HTML(elem_id="train-sample-status")
        with gr.Column(elem_classes="card"):
            gr.HTML("<h2>Its words</h2>")
            words = gr.HTML(elem_id="train-words")
        curve = gr.Plot(show_label=False, visible=False, elem_id="train-curve")
    return Results(box, which, go, download, remove, summary, texts, texts_status, words, curve)
