"""New steer: two descriptions, examples or a labelled file in; a slider of the visitor's own out."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from lmsteer_core.errors import LMSteerError
from lmsteer_core.geometry import dimensions
from lmsteer_core.plots.calibration import calibration_curves
from lmsteer_core.steer import Steer
from lmsteer_core.ui import live, parcel, render
from lmsteer_core.ui.examples import EXAMPLE_PROMPTS, EXAMPLES_LESS, EXAMPLES_MORE, STARTING_POINTS
from lmsteer_core.ui.runs import Runs, Wanted
from lmsteer_core.ui.session import Latest, SessionSteers, asked_at, session_of
from lmsteer_core.ui.steer_tab import DEFAULT
from lmsteer_core.ui.theme import LOOK, QUIET, STREAMING
from lmsteer_core.ui.train_input import DESCRIPTIONS, EXAMPLES, FILE, NO_NAME, Typed
from lmsteer_core.ui.trainings import Trainings
from lmsteer_core.ui.words_render import dimension_table
from lmsteer_core.workbench import Workbench

MAX_UPLOAD = "20mb"
"""Of any file a visitor uploads; larger data belongs to the command line."""

_N_DIMS = 4
_ABOUT = (
    "<h2>What happens</h2><ul><li>The model reads sentences of its own behind both descriptions (or your "
    "examples, or your labels). What that changes becomes a slider.</li>"
    "<li>Steering changes wording, not facts, plot or argument, and fluency falls as ε grows: how far each "
    "end can go is measured too.</li>"
    "<li>Made steers live in this browser session, until the page is closed or reloaded; download to "
    "keep.</li></ul>"
)


def create_train_tab(
    workbench: Workbench,
    own: SessionSteers,
    changed: gr.State,
    tabs: gr.Tabs,
    trainings: Trainings,
    demo: gr.Blocks,
) -> None:
    """Add the tab's widgets and events to the open Blocks.

    Args:
        workbench: The model and the steers all pages share.
        own: Where a page's steers are kept.
        changed: Changed here whenever `own` is.
        tabs: The tabs, to go to the Steer tab.
        trainings: The one queue of all that takes the machine for long.
        demo: The app.
    """
    runs, samples, ticks = Runs(), Runs(), itertools.count(1)

    def understand(*fields: Any) -> dict[Any, Any]:
        typed = Typed(*fields)
        return {form.understood: typed.understood(), form.name: gr.update(placeholder=typed.name())}

    async def make(
        request: gr.Request, name: str, *fields: Any
    ) -> AsyncIterator[dict[gr.components.Component, Any]]:
        session = session_of(request)
        number = runs.start(session, asked_at(request))

        def is_wanted() -> bool:
            return runs.is_current(session, number)

        try:
            typed = Typed(*fields)
            name = name.strip() or own.free_name(session, typed.name())
            own.check_room(session, name)
            source = await asyncio.to_thread(typed.source)
            training = trainings.start(
                lambda progress: workbench.train(name, source, progress),
                is_wanted,
            )
            async for bar in training.bars():
                yield {form.status: bar}
            if is_wanted():
                own.keep(session, training.result())
                told = f"{name} is made: its slider is now on the Steer tab."
                yield {**listed(request, name), form.status: render.note(told)}
            elif runs.is_stopped(session):
                yield {form.status: render.note("Cancelled; everything you typed is still here.")}
        except LMSteerError as error:
            yield {form.status: render.note(str(error), "error")}
        except Exception:
            yield {form.status: render.note("No steer was made: the server's log says why.", "error")}
            raise

    def upload(request: gr.Request, paths: list[str] | None) -> dict[Any, Any]:
        if not paths:
            return {form.status: gr.skip()}
        try:
            steer = parcel.unpack(paths, workbench)
            own.keep(session_of(request), steer)
        except LMSteerError as error:
            return {form.upload: None, form.status: render.note(str(error), "error")}
        told = render.note(f"{steer.name} is here: its slider is now on the Steer tab.")
        return {**listed(request, steer.name), form.status: told, form.upload: None}

    def remove(request: gr.Request, name: str | None) -> dict[Any, Any]:
        own.remove(session_of(request), name or "")
        left = next(reversed(own.own(session_of(request))), None)
        return {**listed(request, left), form.status: render.note(f"{name} is removed.")}

    def listed(request: gr.Request, chosen: str | None) -> dict[Any, Any]:
        names = list(own.own(session_of(request)))
        return {
            changed: (next(ticks), chosen),
            results.which: gr.update(choices=names, value=chosen),
            results.box: gr.update(visible=bool(names)),
        }

    def show_latest(request: gr.Request, latest: Latest) -> dict[Any, Any]:
        # Another tab may have made it.
        return {**show(request, latest[1]), **listed(request, latest[1]), changed: gr.skip()}

    def show(request: gr.Request, name: str | None) -> dict[Any, Any]:
        steer = own.own(session_of(request)).get(name or "")
        if not steer:
            return {results.words: ""}
        card, words = steer.card, ""
        if not card.notice:
            try:
                found = dimensions(workbench.lm, steer, n_dims=_N_DIMS)
                words = dimension_table(found, (card.negative, card.positive))
            except LMSteerError as error:  # a vocabulary without whole words
                words = render.note(str(error), "error")
        curve = calibration_curves(card.calibration, card.epsilon_range, card.collapse_range)
        return {
            results.summary: _summary(steer),
            results.words: words,
            results.curve: gr.update(value=curve, visible=curve is not None),
            results.download: save_bytes_to_cache(
                parcel.pack(steer), f"{steer.name}.zip", results.download.GRADIO_CACHE
            ),
        }

    def sample(request: gr.Request, name: str | None) -> Iterator[tuple[Any, ...]]:
        def write(is_wanted: Wanted) -> Iterator[tuple[Any, ...]]:
            steer = own.own(session_of(request)).get(name or "")
            if not steer:
                yield "", ""
                return
            low, high = (round(limit, 1) for limit in steer.card.epsilon_range)
            grid = sorted({0.0 if steer.card.notice else low, 0.0, high})
            yield from live.continuum(workbench, EXAMPLE_PROMPTS[1], steer, grid, DEFAULT, is_wanted)

        yield from samples.follow(request, 1, write)

    def stop(request: gr.Request) -> None:
        runs.stop(session_of(request), asked_at(request))

    def forget(request: gr.Request) -> None:
        runs.forget(session_of(request))
        samples.forget(session_of(request))

    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            form = _form()
        with gr.Column(scale=3, min_width=320):
            results = _results()
            gr.HTML(_ABOUT, elem_classes=["card", "about"])

    fields = [form.mode, form.positive, form.negative, form.more, form.less, form.data]
    held = [results.which, results.box, changed, form.status]
    gr.on(
        [form.mode.change, form.positive.change, form.negative.change, form.more.change, form.less.change,
         form.data.change],
        understand, fields, [form.understood, form.name],
        **LOOK,
    )  # fmt: skip
    form.make.click(
        make, [form.name, *fields], held, concurrency_id="train", concurrency_limit=64,
        trigger_mode="multiple", api_visibility="private", show_progress="hidden",
    )  # fmt: skip
    form.upload.upload(upload, form.upload, [*held, form.upload], **LOOK)
    results.remove.click(remove, results.which, held, **LOOK)
    panels = [results.summary, results.words, results.curve, results.download]
    texts = [results.texts, results.texts_status]
    results.which.input(show, results.which, panels, **LOOK).then(sample, results.which, texts, **STREAMING)
    changed.change(show_latest, changed, [*held, *panels], **LOOK).then(
        sample, results.which, texts, **STREAMING
    )
    form.cancel.click(stop, None, None, **QUIET)
    results.go.click(lambda: gr.Tabs(selected="steer"), None, tabs, **QUIET)
    demo.unload(forget)


def _summary(steer: Steer) -> str:
    card = steer.card
    low, high = (render.epsilon_text(round(limit, 1)) for limit in card.epsilon_range)
    return (
        f"<p><b>{escape(card.name)}</b>: − {escape(card.negative)} ↔ {escape(card.positive)} +, useful from "
        f"ε = {low} to {high}.</p>{render.note(card.notice, 'warning')}"
    )


@dataclass(frozen=True)
class _Form:
    """What goes in."""

    mode: gr.Radio
    positive: gr.Textbox
    negative: gr.Textbox
    more: gr.Textbox
    less: gr.Textbox
    data: gr.File
    name: gr.Textbox
    understood: gr.HTML
    make: gr.Button
    cancel: gr.Button
    status: gr.HTML
    upload: gr.File


def _form() -> _Form:
    mode = gr.Radio(
        [DESCRIPTIONS, EXAMPLES, FILE], value=DESCRIPTIONS, label="Make it from", elem_id="train-mode"
    )
    with gr.Column() as descriptions:
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
    with gr.Column(visible=False) as examples:
        with gr.Row(elem_classes="examples"):
            fill = gr.Button("Polite or gruff", size="sm")
        hint = "3 to 50 texts, one a line, or paragraphs with an empty line between them"
        more, less = (
            gr.Textbox(label=label, placeholder=hint, lines=5, max_lines=12, elem_id=elem_id)
            for label, elem_id in (("More like these", "train-more"), ("Less like these", "train-less"))
        )
    with gr.Column(visible=False) as labelled:
        data = gr.File(
            label=f"CSV or JSONL with text and label (−1 to 1), at most {MAX_UPLOAD.upper()}",
            file_types=[".csv", ".jsonl"], height=160, elem_id="train-file",
        )  # fmt: skip
    name = gr.Textbox(label="Name (optional)", placeholder=NO_NAME, max_lines=1, elem_id="train-name")
    understood = gr.HTML(elem_id="train-understood")
    with gr.Row():
        make = gr.Button("Make the steer", variant="primary", elem_id="train-make")
        cancel = gr.Button("Cancel", variant="stop", elem_id="train-cancel")
    status = gr.HTML(elem_id="train-status")
    with gr.Accordion("Or upload a steer you kept", open=False):
        upload = gr.File(
            label="The .zip, or both of its files", file_count="multiple",
            file_types=[".zip", ".safetensors", ".json"], height=160, elem_id="train-upload",
        )  # fmt: skip

    boxes = {DESCRIPTIONS: descriptions, EXAMPLES: examples, FILE: labelled}
    mode.change(
        lambda chosen: [gr.update(visible=each == chosen) for each in boxes],
        mode, [*boxes.values()], **QUIET,
    )  # fmt: skip
    for button, poles in zip(starts, STARTING_POINTS.values(), strict=True):
        button.click(lambda poles=poles: poles, None, [positive, negative], **QUIET)
    fill.click(lambda: (EXAMPLES_MORE, EXAMPLES_LESS), None, [more, less], **QUIET)
    return _Form(mode, positive, negative, more, less, data, name, understood, make, cancel, status, upload)


@dataclass(frozen=True)
class _Results:
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


def _results() -> _Results:
    with gr.Column(visible=False, elem_id="train-results") as box:
        with gr.Row(elem_classes="own"):
            which = gr.Dropdown([], label="Your steers", elem_id="train-own", min_width=160)
            go = gr.Button("Go to its slider", variant="primary", elem_id="train-open", min_width=140)
            download = gr.DownloadButton("Download", elem_id="train-download", min_width=110)
            remove = gr.Button("Remove", elem_id="train-remove", min_width=100)
        summary = gr.HTML(elem_id="train-summary")
        with gr.Column(elem_classes="card"):
            gr.HTML("<h2>One prompt, the same dice, both ends</h2>")
            texts = gr.HTML(elem_id="train-sample")
            texts_status = gr.HTML()
        with gr.Column(elem_classes="card"):
            gr.HTML("<h2>Its words</h2>")
            words = gr.HTML(elem_id="train-words")
        curve = gr.Plot(show_label=False, visible=False, elem_id="train-curve")
    return _Results(box, which, go, download, remove, summary, texts, texts_status, words, curve)
