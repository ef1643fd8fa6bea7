"""The widgets of the Transfer tab: what to carry where, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from lmsteer_core.models.packages import EMBEDDED
from lmsteer_core.transfer.embedding_map import Method
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.tabs.examples import EXAMPLE_PROMPTS
from lmsteer_core.ui.tabs.transfer.markup import ABOUT, EQUATION

_METHODS: list[tuple[str, Method]] = [
    ("Its effect on the next word", "behaviour"),
    ("A map between the embeddings, H⁻ W H", "ridge"),
    ("A rotation between them", "procrustes"),
    ("The paper's map, Hᵀ W H", "transpose"),
]


@dataclass(frozen=True)
class Form:
    """What goes in."""

    from_model: gr.Dropdown
    which: gr.Dropdown
    to_model: gr.Dropdown
    method: gr.Dropdown
    start: gr.Button
    cancel: gr.Button
    status: gr.HTML


def create_form(models: list[tuple[str, str]]) -> Form:
    """Lay out the choice of a steer and two models, given as (name, id), the app's own first."""
    (_, here), *others = models
    other_ids = [model_id for _, model_id in others]
    # Pretrained steers come with the embedded model.
    first, second = (
        (EMBEDDED, here) if EMBEDDED in other_ids else (here, next(iter(other_ids), None))
    )
    from_model = gr.Dropdown(models, value=first, label="From", elem_id="transfer-from")
    which = gr.Dropdown([], label="Steer", elem_id="transfer-steer")
    to_model = gr.Dropdown(models, value=second, label="To", elem_id="transfer-to")
    method = gr.Dropdown(_METHODS, value="behaviour", label="By", elem_id="transfer-method")
    with gr.Row():
        start = gr.Button("Carry it over", variant="primary", elem_id="transfer-go")
        cancel = gr.Button("Cancel", variant="stop", elem_id="transfer-cancel")
    status = gr.HTML(elem_id="transfer-status")
    gr.HTML(widgets.equation(*EQUATION))
    return Form(from_model, which, to_model, method, start, cancel, status)


@dataclass(frozen=True)
class Results:
    """What came out."""

    about: gr.HTML
    box: gr.Column
    prompt: gr.Textbox
    epsilon: gr.Slider
    write: gr.Button
    source_head: gr.HTML
    source_texts: gr.HTML
    target_head: gr.HTML
    target_texts: gr.HTML
    text_status: gr.HTML
    go: gr.Button
    download: gr.DownloadButton
    report: gr.HTML
    curves: gr.Plot


def create_results() -> Results:
    """Lay out what to expect, and where the results will appear."""
    about = gr.HTML(ABOUT, elem_id="transfer-about", elem_classes=["card", "about"])
    with gr.Column(visible=False, elem_id="transfer-results") as box:
        with gr.Column(elem_classes="card"):
            gr.HTML("<h2>One prompt, the same dice, both models</h2>")
            with gr.Row(elem_classes="own"):
                prompt = gr.Textbox(
                    EXAMPLE_PROMPTS[1],
                    label="Prompt",
                    max_lines=3,
                    elem_id="transfer-prompt",
                    scale=3,
                )
                epsilon = gr.Slider(
                    0.5,
                    3,
                    2,
                    step=0.1,
                    label="ε, both ways",
                    buttons=[],
                    elem_id="transfer-epsilon",
                    scale=2,
                    min_width=200,
                )
                write = gr.Button(
                    "Write", variant="primary", elem_id="transfer-write", min_width=90
                )
            with gr.Row(elem_classes="columns"):
                source_head, source_texts = _column("transfer-source")
                target_head, target_texts = _column("transfer-target")
            text_status = gr.HTML(elem_id="transfer-text-status")
        with gr.Row(elem_classes="own"):
            go = gr.Button("Go to its slider", variant="primary", min_width=140)
            download = gr.DownloadButton("Download", elem_id="transfer-download", min_width=110)
        report = gr.HTML(elem_id="transfer-report", elem_classes="card")
        curves = gr.Plot(show_label=False, visible=False, elem_id="transfer-curve")
    return Results(
        about,
        box,
        prompt,
        epsilon,
        write,
        source_head,
        source_texts,
        target_head,
        target_texts,
        text_status,
        go,
        download,
        report,
        curves,
    )


def _column(elem_id: str) -> tuple[gr.HTML, gr.HTML]:
    """Add a column and return its heading and its texts."""
    with gr.Column(min_width=260):
        return gr.HTML(elem_classes="card-title"), gr.HTML(elem_id=elem_id)
