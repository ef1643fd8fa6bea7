"""New steer: descriptions, examples or a labelled file in; a slider of the visitor's own out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from html import escape
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from lmsteer_core.errors import LMSteerError
from lmsteer_core.exchange import archive
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.figures.calibration import calibration_curves
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.dimensions import dimension_table
from lmsteer_core.ui.markup.format import epsilon_text
from lmsteer_core.ui.page import live_text
from lmsteer_core.ui.page.context import Announcement, Page
from lmsteer_core.ui.page.events import LOOK, QUIET, STREAMING
from lmsteer_core.ui.page.request import requested_at, session_of
from lmsteer_core.ui.page.runs import Runs, Wanted
from lmsteer_core.ui.tabs.examples import DEFAULT_SAMPLING, EXAMPLE_PROMPTS
from lmsteer_core.ui.tabs.train.form_input import Typed
from lmsteer_core.ui.tabs.train.layout import create_form, create_results

_N_DIMS = 4
_ABOUT = (
    "<h2>What happens</h2><ul><li>The model reads sentences of its own behind both descriptions "
    "(or your examples, or your labels). What that changes becomes a slider.</li><li>Steering "
    "changes wording, not facts, plot or argument, and fluency falls as ε grows: how far each end "
    "can go is measured too.</li><li>Made steers live in this browser session, until the page is "
    "closed or reloaded; download to keep.</li></ul>"
)


def create_train_tab(page: Page) -> None:
    """Add the tab's widgets and events to the open Blocks."""
    workbench, own, changed, demo = page.workbench, page.steers, page.announcement, page.demo
    tabs, trainings = page.tabs, page.jobs
    runs, samples = Runs(), Runs()

    def understand(*fields: Any) -> dict[Any, Any]:
        typed = Typed(*fields)
        return {form.understood: typed.understood(), form.name: gr.update(placeholder=typed.name())}

    async def make(
        request: gr.Request, name: str, *fields: Any
    ) -> AsyncIterator[dict[gr.components.Component, Any]]:
        session = session_of(request)
        number = runs.start(session, requested_at(request))

        def is_wanted() -> bool:
            return runs.is_current(session, number)

        try:
            typed = Typed(*fields)
            name = name.strip() or own.free_name(session, typed.name())
            own.check_addable(session, name)
            source = await asyncio.to_thread(typed.source)
            training = trainings.start(
                lambda progress: workbench.train(name, source, progress),
                is_wanted,
            )
            async for bar in training.bars():
                yield {form.status: bar}
            if is_wanted():
                own.add(session, training.result())
                told = f"{name} is made: its slider is now on the Steer tab."
                yield {**listed(request, name), form.status: widgets.note(told)}
            elif runs.is_stopped(session):
                yield {form.status: widgets.note("Cancelled; everything you typed is still here.")}
        except LMSteerError as error:
            yield {form.status: widgets.note(str(error), "error")}
        except Exception:
            yield {
                form.status: widgets.note("No steer was made: the server's log says why.", "error")
            }
            raise

    def upload(request: gr.Request, paths: list[str] | None) -> dict[Any, Any]:
        if not paths:
            return {form.status: gr.skip()}
        try:
            steer = workbench.unpacked(paths)
            own.add(session_of(request), steer)
        except LMSteerError as error:
            return {form.upload: None, form.status: widgets.note(str(error), "error")}
        told = widgets.note(f"{steer.name} is here: its slider is now on the Steer tab.")
        return {**listed(request, steer.name), form.status: told, form.upload: None}

    def remove(request: gr.Request, name: str | None) -> dict[Any, Any]:
        own.remove(session_of(request), name or "")
        left = next(reversed(own.by_name(session_of(request))), None)
        return {**listed(request, left), form.status: widgets.note(f"{name} is removed.")}

    def listed(request: gr.Request, chosen: str | None) -> dict[Any, Any]:
        names = list(own.by_name(session_of(request)))
        return {
            changed: page.announce(chosen),
            results.which: gr.update(choices=names, value=chosen),
            results.box: gr.update(visible=bool(names)),
        }

    def show_latest(request: gr.Request, announcement: Announcement) -> dict[Any, Any]:
        # Another tab may have made it.
        return {
            **show(request, announcement.newest),
            **listed(request, announcement.newest),
            changed: gr.skip(),
        }

    def show(request: gr.Request, name: str | None) -> dict[Any, Any]:
        steer = own.by_name(session_of(request)).get(name or "")
        if not steer:
            return {results.words: ""}
        card, words = steer.card, ""
        if not card.is_locked:
            try:
                found = workbench.dimensions(steer, n_dims=_N_DIMS)
                words = dimension_table(found, (card.negative, card.positive))
            except LMSteerError as error:  # a vocabulary without whole words
                words = widgets.note(str(error), "error")
        curve = calibration_curves(card.calibration, card.epsilon_range, card.collapse_range)
        return {
            results.summary: _summary(steer),
            results.words: words,
            results.curve: gr.update(value=curve, visible=curve is not None),
            results.download: save_bytes_to_cache(
                archive.pack(steer), f"{steer.name}.zip", results.download.GRADIO_CACHE
            ),
        }

    def sample(request: gr.Request, name: str | None) -> Iterator[tuple[Any, ...]]:
        def write(is_wanted: Wanted) -> Iterator[tuple[Any, ...]]:
            steer = own.by_name(session_of(request)).get(name or "")
            if not steer:
                yield "", ""
                return
            low, high = (round(limit, 1) for limit in steer.card.epsilon_range)
            grid = sorted({steer.card.lowest(low, unlocked=False), 0.0, high})
            yield from live_text.continuum(
                workbench, EXAMPLE_PROMPTS[1], steer, grid, DEFAULT_SAMPLING, is_wanted
            )

        yield from samples.follow(request, 1, write)

    def stop(request: gr.Request) -> None:
        runs.stop(session_of(request), requested_at(request))

    def forget(request: gr.Request) -> None:
        runs.forget(session_of(request))
        samples.forget(session_of(request))

    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            form = create_form()
        with gr.Column(scale=3, min_width=320):
            results = create_results()
            gr.HTML(_ABOUT, elem_classes=["card", "about"])

    fields = [form.mode, form.positive, form.negative, form.more, form.less, form.data]
    held = [results.which, results.box, changed, form.status]
    gr.on(
        [
            form.mode.change,
            form.positive.change,
            form.negative.change,
            form.more.change,
            form.less.change,
            form.data.change,
        ],
        understand,
        fields,
        [form.understood, form.name],
        **LOOK,
    )
    form.make.click(
        make,
        [form.name, *fields],
        held,
        concurrency_id="train",
        concurrency_limit=64,
        trigger_mode="multiple",
        api_visibility="private",
        show_progress="hidden",
    )
    form.upload.upload(upload, form.upload, [*held, form.upload], **LOOK)
    results.remove.click(remove, results.which, held, **LOOK)
    panels = [results.summary, results.words, results.curve, results.download]
    texts = [results.texts, results.texts_status]
    results.which.input(show, results.which, panels, **LOOK).then(
        sample, results.which, texts, **STREAMING
    )
    changed.change(show_latest, changed, [*held, *panels], **LOOK).then(
        sample, results.which, texts, **STREAMING
    )
    form.cancel.click(stop, None, None, **QUIET)
    results.go.click(lambda: gr.Tabs(selected="steer"), None, tabs, **QUIET)
    demo.unload(forget)


def _summary(steer: Steer) -> str:
    card = steer.card
    low, high = (epsilon_text(round(limit, 1)) for limit in card.epsilon_range)
    return (
        f"<p><b>{escape(card.name)}</b>: − {escape(card.negative)} ↔ {escape(card.positive)} +, "
        f"useful from ε = {low} to {high}.</p>{widgets.note(card.notice, 'warning')}"
    )
