"""New steer: descriptions, examples or a labelled file in; a slider of the visitor's own out."""

from __future__ import annotations

import gradio as gr

from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import JOB, LOOK, QUIET, STREAMING, Inputs
from lmsteer_core.ui.page.wiring import wired
from lmsteer_core.ui.tabs.train.form_input import FormInput
from lmsteer_core.ui.tabs.train.handlers import TrainHandlers
from lmsteer_core.ui.tabs.train.layout import Form, Results, create_form, create_results
from lmsteer_core.ui.tabs.train.markup import ABOUT


def create_train_tab(page: Page) -> None:
    """Add the tab's widgets and events to the open Blocks."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            form = create_form()
        with gr.Column(scale=3, min_width=320):
            results = create_results()
            gr.HTML(ABOUT, elem_classes=["card", "about"])
    page.links.keep(
        "train.",
        mode=form.mode,
        positive=form.positive,
        negative=form.negative,
        more=form.more,
        less=form.less,
        zero=form.zero_is_negative,
        name=form.name,
    )
    _wire(page, form, results)


def _wire(page: Page, form: Form, results: Results) -> None:
    handlers = TrainHandlers(page)
    fields = Inputs(
        FormInput,
        name=form.name,
        mode=form.mode,
        positive=form.positive,
        negative=form.negative,
        more=form.more,
        less=form.less,
        path=form.data,
        zero_is_negative=form.zero_is_negative,
    )
    announced = {
        "which": results.which,
        "box": results.box,
        "announcement": page.announcement,
        "status": form.status,
    }
    panels = {
        "summary": results.summary,
        "words": results.words,
        "curve": results.curve,
        "download": results.download,
    }
    samples = {"texts": results.texts, "texts_status": results.texts_status}
    sample = wired(handlers.write_sample, [results.which], samples, **STREAMING)
    understood = {"understood": form.understood, "name": form.name}
    gr.on(
        [
            form.mode.change,
            form.positive.change,
            form.negative.change,
            form.more.change,
            form.less.change,
            form.data.change,
            form.zero_is_negative.change,
        ],
        **wired(handlers.preview, fields, understood, **LOOK),
    )
    form.make.click(**wired(handlers.make, fields, announced, **JOB))
    page.when_open("train", wired(handlers.resume, [], announced, **JOB))
    form.cancel.click(handlers.cancel, None, None, **QUIET)
    received = {**announced, "upload": form.upload}
    form.upload.upload(**wired(handlers.upload, [form.upload], received, **LOOK))
    results.remove.click(**wired(handlers.remove, [results.which], announced, **LOOK))
    results.which.input(**wired(handlers.show, [results.which], panels, **LOOK)).then(**sample)
    page.announcement.change(
        **wired(handlers.show_newest, [page.announcement], {**announced, **panels}, **LOOK)
    ).then(**sample)
    results.go.click(lambda: gr.Tabs(selected="steer"), None, page.tabs, **QUIET)
    page.demo.unload(handlers.forget)
