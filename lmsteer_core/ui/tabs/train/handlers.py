"""What the New steer tab does: make, show, receive and remove a page's steers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import gradio as gr
from markupsafe import Markup

from lmsteer_core.errors import LMSteerError
from lmsteer_core.progress import Progress
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.figures.calibration import calibration_curves
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.dimensions import dimension_table
from lmsteer_core.ui.page import live_text
from lmsteer_core.ui.page.context import Announcement, Page
from lmsteer_core.ui.page.download import steer_file
from lmsteer_core.ui.page.jobs import Job, Jobs
from lmsteer_core.ui.page.live_view import LiveView, RedrawnPanel
from lmsteer_core.ui.page.request import session_of
from lmsteer_core.ui.page.runs import Runs, Wanted
from lmsteer_core.ui.page.wiring import Updates
from lmsteer_core.ui.tabs.examples import DEFAULT_SAMPLING, EXAMPLE_PROMPTS
from lmsteer_core.ui.tabs.train.form_input import FormInput
from lmsteer_core.ui.tabs.train.markup import summary

_N_DIMENSIONS = 4


class TrainHandlers:
    """The handlers of the tab's events; each is given the request of a page."""

    def __init__(self, page: Page) -> None:
        """Start with no job."""
        self._page = page
        self._workbench, self._steers = page.workbench, page.steers
        self._jobs: Jobs[str] = Jobs(page.visits, page.job_queue)
        self._sample_runs = Runs()

    def preview(self, request: gr.Request, form: FormInput) -> Updates:  # noqa: ARG002
        """Show what was understood of the form, and a name to suggest."""
        return {
            "understood": form.preview(),
            "name": gr.update(placeholder=form.suggested_name()),
        }

    async def make(self, request: gr.Request, form: FormInput) -> AsyncIterator[Updates]:
        """Make the form's steer in the background, and tell where that is."""
        session = session_of(request)
        try:
            name = form.name.strip() or self._steers.free_name(session, form.suggested_name())
            self._steers.check_addable(session, name)
            source = await asyncio.to_thread(form.source)
        except LMSteerError as error:
            yield {"status": widgets.note(str(error), "error")}
            return

        def work(progress: Progress) -> str:
            steer = self._workbench.train(name, source, progress)
            progress(1.0, "keeping it")  # raises if it was cancelled meanwhile
            self._steers.add(session, steer)
            return name

        async for updates in self._follow(request, self._jobs.start(request, work)):
            yield updates

    async def resume(self, request: gr.Request) -> AsyncIterator[Updates]:
        """Go on telling of the job of a page that lost its connection and is back."""
        job = self._jobs.unfinished(request)
        if job:
            async for updates in self._follow(request, job):
                yield updates

    def _follow(self, request: gr.Request, job: Job[str]) -> AsyncIterator[Updates]:
        def show(name: str) -> Updates:
            sentence = f"{name} is made: its slider is now on the Steer tab."
            return {**self._announced(request, name), "status": widgets.note(sentence)}

        return self._jobs.follow(
            request,
            job,
            show,
            cancelled="Cancelled; everything you typed is still here.",
            failed="No steer was made: the server's log says why.",
        )

    def cancel(self, request: gr.Request) -> None:
        """End the page's job."""
        self._jobs.cancel(request)

    def upload(self, request: gr.Request, paths: list[str] | None) -> Updates:
        """Take a steer that the visitor kept."""
        if not paths:
            return {"status": gr.skip()}
        try:
            steer = self._workbench.unpacked(paths)
            self._steers.add(session_of(request), steer)
        except LMSteerError as error:
            return {"upload": None, "status": widgets.note(str(error), "error")}
        sentence = f"{steer.name} is here: its slider is now on the Steer tab."
        return {
            **self._announced(request, steer.name),
            "status": widgets.note(sentence),
            "upload": None,
        }

    def remove(self, request: gr.Request, name: str | None) -> Updates:
        """Drop one of the page's steers."""
        self._steers.remove(session_of(request), name or "")
        newest = next(reversed(self._steers.by_name(session_of(request))), None)
        return {
            **self._announced(request, newest),
            "status": widgets.note(f"{name} is removed."),
        }

    def show(self, request: gr.Request, name: str | None) -> Updates:
        """Show one of the page's steers: its poles, words, strength and file."""
        steer = self._steers.by_name(session_of(request)).get(name or "")
        if not steer:
            return {"words": ""}
        card = steer.card
        curve = calibration_curves(card.calibration, card.epsilon_range, card.collapse_range)
        return {
            "summary": summary(card),
            "words": self._words(steer),
            "curve": gr.update(value=curve, visible=curve is not None),
            "download": steer_file(steer),
        }

    def show_newest(self, request: gr.Request, announcement: Announcement) -> Updates:
        """Show what any tab announced."""
        newest = announcement[1]
        return {**self.show(request, newest), **self._choices(request, newest)}

    def write_sample(self, request: gr.Request, name: str | None) -> Iterator[Updates]:
        """Write one prompt at both ends of the steer and unsteered."""

        def write(is_wanted: Wanted) -> Iterator[LiveView]:
            steer = self._steers.by_name(session_of(request)).get(name or "")
            if not steer:
                empty = RedrawnPanel("train-sample", Markup)
                yield LiveView([empty], "train-sample-status")
                return
            low, high = (round(limit, 1) for limit in steer.card.epsilon_range)
            grid = sorted({steer.card.lowest(low, unlocked=False), 0.0, high})
            yield from live_text.continuum(
                self._workbench,
                EXAMPLE_PROMPTS[1],
                steer,
                grid,
                DEFAULT_SAMPLING,
                is_wanted,
                "train-sample",
            )

        for texts, status in self._sample_runs.follow_live(request, 1, write):
            yield {"texts": texts, "texts_status": status}

    def forget(self, request: gr.Request) -> None:
        """Drop what belongs to a connection that ended."""
        self._sample_runs.forget(session_of(request))

    def _announced(self, request: gr.Request, newest: str | None) -> Updates:
        return {
            "announcement": self._page.announce(newest),
            **self._choices(request, newest),
        }

    def _choices(self, request: gr.Request, chosen: str | None) -> Updates:
        names = list(self._steers.by_name(session_of(request)))
        return {
            "which": gr.update(choices=names, value=chosen),
            "box": gr.update(visible=bool(names)),
        }

    def _words(self, steer: Steer) -> str:
        card = steer.card
        if card.is_locked:
            return ""
        try:
            strongest = self._workbench.dimensions(steer, n_dims=_N_DIMENSIONS)
        except LMSteerError as error:  # a vocabulary without whole words
            return widgets.note(str(error), "error")
        return dimension_table(strongest, (card.negative, card.positive))
