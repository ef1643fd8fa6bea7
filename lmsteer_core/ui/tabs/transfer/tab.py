"""Transfer: a steer of one model, carried to another; the same prompt then steered on both."""

from __future__ import annotations

import gradio as gr

from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import JOB, LOOK, PACE_JS, QUIET, STREAMING, Inputs
from lmsteer_core.ui.page.wiring import wired
from lmsteer_core.ui.tabs.transfer.handlers import Choice, Strength, TransferHandlers
from lmsteer_core.ui.tabs.transfer.layout import Form, Results, create_form, create_results
from lmsteer_core.ui.tabs.transfer.second_model import SecondModel


def create_transfer_tab(page: Page, tab: gr.Tab) -> None:
    """Add the tab's widgets and events to the open Blocks.

    `tab` is this tab, which lists the page's steers whenever it is opened.
    """
    models = SecondModel(page.workbench)
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            form = create_form(models.choices)
        with gr.Column(scale=3, min_width=320):
            results = create_results()
    page.links.keep(
        "transfer.",
        **{"from": form.from_model},
        to=form.to_model,
        by=form.method,
        prompt=results.prompt,
        e=results.epsilon,
    )
    page.links.keep_steer("transfer.steer", form.which)
    _wire(page, tab, TransferHandlers(page, models), form, results)


def _wire(
    page: Page, tab: gr.Tab, handlers: TransferHandlers, form: Form, results: Results
) -> None:
    offer = wired(
        handlers.offer,
        [form.from_model, form.which],
        {"which": form.which, "status": form.status},
        **LOOK,
    )
    gr.on([tab.select, form.from_model.input], **offer)
    write = wired(
        handlers.write,
        Inputs(Strength, prompt=results.prompt, epsilon=results.epsilon),
        {
            "source_texts": results.source_texts,
            "target_texts": results.target_texts,
            "text_status": results.text_status,
        },
        **STREAMING,
    )
    choice = Inputs(
        Choice,
        from_id=form.from_model,
        steer=form.which,
        to_id=form.to_model,
        method=form.method,
    )
    shown = {
        "announcement": page.announcement,
        "about": results.about,
        "results": results.box,
        "report": results.report,
        "curves": results.curves,
        "download": results.download,
        "go": results.go,
        "source_head": results.source_head,
        "target_head": results.target_head,
        "status": form.status,
    }
    form.start.click(**wired(handlers.carry, choice, shown, **JOB)).success(**write)
    page.when_open("transfer", wired(handlers.resume, [], shown, **JOB))
    gr.on([results.write.click, results.prompt.submit], **write)
    results.epsilon.change(js=PACE_JS, **write)
    form.cancel.click(handlers.cancel, None, None, **QUIET)
    results.go.click(lambda: gr.Tabs(selected="steer"), None, page.tabs, **QUIET)
    page.demo.unload(handlers.forget)
