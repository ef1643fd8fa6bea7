"""What the Transfer tab does: offer steers, carry one over, write with it on both models."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial

import gradio as gr

from lmsteer_core.errors import InputError, LMSteerError
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.progress import Progress
from lmsteer_core.transfer.embedding_map import Method
from lmsteer_core.ui.figures.calibration import calibration_curves
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page import live_text
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.download import steer_file
from lmsteer_core.ui.page.jobs import Job, Jobs
from lmsteer_core.ui.page.live_view import LiveView
from lmsteer_core.ui.page.request import session_of
from lmsteer_core.ui.page.runs import Runs, Wanted
from lmsteer_core.ui.page.wiring import Updates
from lmsteer_core.ui.tabs.transfer.markup import ONE_MODEL, Carried, fit_table, model_heading
from lmsteer_core.ui.tabs.transfer.second_model import SecondModel

SAMPLING = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=30, seed=3)


@dataclass(frozen=True)
class Choice:
    """Which steer is to be carried, from where to where, and how."""

    from_id: str
    steer: str | None
    to_id: str | None
    method: Method


@dataclass(frozen=True)
class Strength:
    """What to write on both models; ε is taken both ways."""

    prompt: str
    epsilon: float


class TransferHandlers:
    """The handlers of the tab's events; each is given the request of a page."""

    def __init__(self, page: Page, models: SecondModel) -> None:
        """Start with nothing carried."""
        self._page, self._models, self._steers = page, models, page.steers
        self._jobs: Jobs[Carried] = Jobs(page.visits, page.job_queue)
        self._text_runs = Runs()
        # By session, not for as long as a page is held: it keeps both models in memory.
        self._carried: dict[str, Carried] = {}

    def offer(self, request: gr.Request, model_id: str, chosen: str | None) -> Iterator[Updates]:
        """List the steers of a model, which is loaded first."""
        if not self._models.is_own(model_id):
            yield {"status": widgets.progress("Loading the model …")}
        try:
            opened = self._models.open(model_id)
        except LMSteerError as error:
            yield {
                "which": gr.update(choices=[], value=None),
                "status": widgets.note(str(error), "error"),
            }
            return
        is_own = self._models.is_own(model_id)
        names = self._steers.names(session_of(request)) if is_own else opened.names
        sentence = ""
        if len(self._models.choices) == 1:
            sentence = ONE_MODEL
        elif not names:
            sentence = f"{opened.model_id} has no steers yet: make one on the New steer tab."
        yield {
            "which": gr.update(
                choices=names, value=chosen if chosen in names else next(iter(names), None)
            ),
            "status": widgets.note(sentence, "warning"),
        }

    async def carry(self, request: gr.Request, choice: Choice) -> AsyncIterator[Updates]:
        """Carry a steer over in the background, and tell where that is."""
        try:
            self._check(request, choice)
        except LMSteerError as error:
            yield {"status": widgets.note(str(error), "error")}
            return
        work = partial(self._carry, session_of(request), choice)
        async for updates in self._follow(request, self._jobs.start(request, work)):
            yield updates

    async def resume(self, request: gr.Request) -> AsyncIterator[Updates]:
        """Go on telling of the job of a page that lost its connection and is back."""
        job = self._jobs.unfinished(request)
        if job:
            async for updates in self._follow(request, job):
                yield updates

    def cancel(self, request: gr.Request) -> None:
        """End the page's job."""
        self._jobs.cancel(request)

    def write(self, request: gr.Request, strength: Strength) -> Iterator[Updates]:
        """Write one prompt at −ε, 0 and ε on both models."""

        def write(is_wanted: Wanted) -> Iterator[LiveView]:
            carried = self._carried.get(session_of(request))
            if carried is None:
                raise InputError("Carry a steer over first: this page holds none.")
            epsilon = strength.epsilon
            lowest = carried.steer.card.lowest(-epsilon, unlocked=False)
            grid = sorted({lowest, 0.0, epsilon})
            sides = [
                live_text.Continuum(opened, strength.prompt, steer, grid, SAMPLING, elem_id)
                for opened, steer, elem_id in (
                    (carried.source, carried.steer, "transfer-source"),
                    (carried.target, carried.new_steer, "transfer-target"),
                )
            ]
            view = LiveView([side.panel for side in sides], "transfer-text-status")
            yield view
            written = [side.write(is_wanted) for side in sides]
            for n_tokens in itertools.zip_longest(*written, fillvalue=0):
                yield view.progress(f"{max(n_tokens)} tokens …")
            cuts = dict.fromkeys(filter(None, (side.cut for side in sides)))
            yield view.finish(widgets.note(" ".join(cuts), "warning"))

        for left, right, status in self._text_runs.follow_live(request, 2, write):
            yield {"source_texts": left, "target_texts": right, "text_status": status}

    def forget(self, request: gr.Request) -> None:
        """Drop what belongs to a connection that ended."""
        self._text_runs.forget(session_of(request))
        self._carried.pop(session_of(request), None)

    def _check(self, request: gr.Request, choice: Choice) -> None:
        if not choice.to_id or choice.from_id == choice.to_id:
            is_alone = len(self._models.choices) == 1
            raise InputError(ONE_MODEL if is_alone else "Choose two different models.")
        if not choice.steer:
            raise InputError("Choose a steer to carry over.")
        if self._models.is_own(choice.to_id):
            session = session_of(request)
            name = self._steers.free_name(session, choice.steer)
            self._steers.check_addable(session, name)

    def _carry(self, session: str, choice: Choice, progress: Progress) -> Carried:
        """Return what was carried; a steer for the app's model is then the page's own."""
        models, name, to_id = self._models, choice.steer or "", choice.to_id or ""
        progress(0.0, "loading the models")
        source, target = models.open(choice.from_id), models.open(to_id)
        is_from_own, is_to_own = models.is_own(choice.from_id), models.is_own(to_id)
        steer = self._steers.steer(session, name) if is_from_own else source.steer(name)
        new_name = self._steers.free_name(session, steer.name) if is_to_own else steer.name
        new_steer = source.transfer(
            steer, target, method=choice.method, name=new_name, progress=progress
        )
        fit = source.fit_report(steer, target)
        progress(1.0, "keeping it")  # raises if it was cancelled meanwhile
        if is_to_own:
            self._steers.add(session, new_steer)
        return Carried(source, steer, target, new_steer, fit)

    def _follow(self, request: gr.Request, job: Job[Carried]) -> AsyncIterator[Updates]:
        return self._jobs.follow(
            request,
            job,
            partial(self._show, request),
            cancelled="Cancelled.",
            failed="Nothing was carried: the server's log says why.",
        )

    def _show(self, request: gr.Request, carried: Carried) -> Updates:
        self._carried[session_of(request)] = carried
        card = carried.new_steer.card
        is_here = self._models.is_own(carried.target.model_id)
        where = " Its slider is now on the Steer tab." if is_here else ""
        curve = calibration_curves(card.calibration, card.epsilon_range, card.collapse_range)
        return {
            **({"announcement": self._page.announce(card.name)} if is_here else {}),
            "status": widgets.note(f"{card.name} is carried to {card.model_id}.{where}"),
            "about": gr.update(visible=False),
            "results": gr.update(visible=True),
            "report": fit_table(carried),
            "curves": gr.update(value=curve, visible=curve is not None),
            "download": steer_file(carried.new_steer),
            "go": gr.update(visible=is_here),
            "source_head": model_heading(carried.source.model_id, "where the steer was made"),
            "target_head": model_heading(card.model_id, card.method),
        }
