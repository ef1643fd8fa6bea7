"""Transfer: a steer of one model, carried to another; the same prompt then steered on both."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from lmsteer_core.errors import InputError, LMSteerError
from lmsteer_core.exchange import archive
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.packages import EMBEDDED
from lmsteer_core.progress import Progress
from lmsteer_core.steers.steer import Steer
from lmsteer_core.transfer.embedding_map import Method
from lmsteer_core.transfer.transfer import FitReport
from lmsteer_core.ui.figures.calibration import calibration_curves
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.format import epsilon_text
from lmsteer_core.ui.page import live_text
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import DEBOUNCE_JS, LOOK, QUIET, STREAMING
from lmsteer_core.ui.page.request import requested_at, session_of
from lmsteer_core.ui.page.runs import Runs, Wanted
from lmsteer_core.ui.tabs.examples import EXAMPLE_PROMPTS
from lmsteer_core.ui.tabs.transfer.second_model import SecondModel
from lmsteer_core.workbench import Workbench

_METHODS: list[tuple[str, Method]] = [
    ("Its effect on the next word", "behaviour"),
    ("A map between the embeddings, H⁻ W H", "ridge"),
    ("A rotation between them", "procrustes"),
    ("The paper's map, Hᵀ W H", "transpose"),
]
_SAMPLING = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=30, seed=3)
_ONE_MODEL = (
    "Only one model is installed here. For a second one run `make gemma` (Gemma 3 270M, 250 MB), "
    "or put any causal language model into the Hugging Face cache, and start the app again."
)
_ABOUT = (
    "<h2>What to expect</h2><ul><li>No labels: the other model learns from what the steer does to "
    "the next word, on text of its own. A linear map between the two models' embeddings needs no "
    "text at all, and is better for words that are rare in plain text, such as insults; carry the "
    "same steer both ways and compare.</li><li>ε is measured anew: on the other model, too, ±3 is "
    "the end of the useful range.</li><li>Steering changes wording, not facts, plot or argument, "
    "on either model.</li></ul>"
)
_EQUATION = (
    "Δμ_t = Σ_v ½ (p₊(v) − p₋(v)) e_v,  then the projection of every other source",
    (
        "Both models read the same neutral text. Where a word ends for both, the first "
        "model's next-word probabilities at ε = +1 and −1 tell the second one where its "
        "expected embedding e should move. A map H needs no text: it is fitted to the words "
        "that both vocabularies hold."
    ),
    "transfer/transfer.py",
)


@dataclass(frozen=True)
class _Carried:
    """A steer on its own model, and what came of it on the other."""

    source: Workbench
    steer: Steer
    target: Workbench
    made: Steer
    fit: FitReport


def create_transfer_tab(page: Page, tab: gr.Tab) -> None:
    """Add the tab's widgets and events to the open Blocks.

    `tab` is this tab, which lists the page's steers whenever it is opened.
    """
    workbench, own, changed, demo = page.workbench, page.steers, page.announcement, page.demo
    tabs, trainings = page.tabs, page.jobs
    models, runs, writing = SecondModel(workbench), Runs(), Runs()
    carried: dict[str, _Carried] = {}
    here, others = workbench.model_id, [known for _, known in models.choices[1:]]
    # Pretrained steers come with the embedded model.
    first, second = (EMBEDDED, here) if EMBEDDED in others else (here, next(iter(others), None))

    def offer(request: gr.Request, model_id: str, chosen: str | None) -> Iterator[dict[Any, Any]]:
        if not models.is_own(model_id):
            yield {status: widgets.progress("Loading the model …")}
        try:
            opened = models.open(model_id)
        except LMSteerError as error:
            yield {
                which: gr.update(choices=[], value=None),
                status: widgets.note(str(error), "error"),
            }
            return
        names = own.names(session_of(request)) if models.is_own(model_id) else opened.names
        value = chosen if chosen in names else next(iter(names), None)
        told = (
            "" if names else f"{opened.model_id} has no steers yet: make one on the New steer tab."
        )
        if len(models.choices) == 1:
            told = _ONE_MODEL
        yield {which: gr.update(choices=names, value=value), status: widgets.note(told, "warning")}

    async def carry(
        request: gr.Request, from_id: str, name: str | None, to_id: str | None, method: Method
    ) -> AsyncIterator[dict[Any, Any]]:
        session = session_of(request)
        number = runs.start(session, requested_at(request))

        def is_wanted() -> bool:
            return runs.is_current(session, number)

        def work(progress: Progress) -> _Carried:
            progress(0.0, "loading the models")
            source, target = models.open(from_id), models.open(to_id or "")
            steer = own.steer(session, name) if models.is_own(from_id) else source.steer(name or "")
            new_name = (
                own.free_name(session, steer.name) if models.is_own(to_id or "") else steer.name
            )
            made = source.transfer(steer, target, method=method, name=new_name, progress=progress)
            return _Carried(source, steer, target, made, source.fit_report(steer, target))

        try:
            if not to_id or from_id == to_id:
                raise InputError(
                    _ONE_MODEL if len(models.choices) == 1 else "Choose two different models."
                )
            if not name:
                raise InputError("Choose a steer to carry over.")
            if models.is_own(to_id):
                own.check_addable(session, own.free_name(session, name))
            training = trainings.start(work, is_wanted)
            async for bar in training.bars():
                yield {status: bar}
            if is_wanted():
                yield keep(session, training.result())
            elif runs.is_stopped(session):
                yield {status: widgets.note("Cancelled.")}
        except LMSteerError as error:
            yield {status: widgets.note(str(error), "error")}
        except Exception:
            yield {status: widgets.note("Nothing was carried: the server's log says why.", "error")}
            raise

    def keep(session: str, found: _Carried) -> dict[Any, Any]:
        """Hold and show what was carried for its page, as a slider if it fits the app's model."""
        card, told, updates = found.made.card, "", {}
        is_here = models.is_own(found.target.model_id)
        if is_here:
            own.add(session, found.made)
            told, updates = (
                " Its slider is now on the Steer tab.",
                {changed: page.announce(card.name)},
            )
        carried[session] = found
        curve = calibration_curves(card.calibration, card.epsilon_range, card.collapse_range)
        packed = archive.pack(found.made)
        return {
            **updates,
            status: widgets.note(f"{card.name} is carried to {card.model_id}.{told}"),
            about: gr.update(visible=False),
            results: gr.update(visible=True),
            report: _report(found),
            curves: gr.update(value=curve, visible=curve is not None),
            download: save_bytes_to_cache(packed, f"{card.name}.zip", download.GRADIO_CACHE),
            go: gr.update(visible=is_here),
            heads[0]: f"<h3>{escape(found.source.model_id)}</h3><p>where the steer was made</p>",
            heads[1]: f"<h3>{escape(card.model_id)}</h3><p>{escape(card.method)}</p>",
        }

    def write(request: gr.Request, prompt: str, epsilon: float) -> Iterator[tuple[Any, ...]]:
        def lines(is_wanted: Wanted) -> Iterator[tuple[Any, ...]]:
            found = carried.get(session_of(request))
            if found is None:
                raise InputError("Carry a steer over first: this page holds none.")
            grid = sorted({found.steer.card.lowest(-epsilon, unlocked=False), 0.0, epsilon})
            sides = (
                live_text.continuum(opened, prompt, steer, grid, _SAMPLING, is_wanted)
                for opened, steer in ((found.source, found.steer), (found.target, found.made))
            )
            latest: list[tuple[str, str]] = [("", ""), ("", "")]
            for panels in itertools.zip_longest(*sides):
                latest = [new or old for new, old in zip(panels, latest, strict=True)]
                (left, left_status), (right, right_status) = latest
                yield left, right, left_status or right_status

        yield from writing.follow(request, 2, lines)

    def stop(request: gr.Request) -> None:
        runs.stop(session_of(request), requested_at(request))

    def forget(request: gr.Request) -> None:
        for held in (runs, writing):
            held.forget(session_of(request))
        carried.pop(session_of(request), None)

    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            from_model = gr.Dropdown(
                models.choices, value=first, label="From", elem_id="transfer-from"
            )
            which = gr.Dropdown([], label="Steer", elem_id="transfer-steer")
            to_model = gr.Dropdown(models.choices, value=second, label="To", elem_id="transfer-to")
            method = gr.Dropdown(_METHODS, value="behaviour", label="By", elem_id="transfer-method")
            with gr.Row():
                start = gr.Button("Carry it over", variant="primary", elem_id="transfer-go")
                cancel = gr.Button("Cancel", variant="stop", elem_id="transfer-cancel")
            status = gr.HTML(elem_id="transfer-status")
            gr.HTML(widgets.equation(*_EQUATION))
        with gr.Column(scale=3, min_width=320):
            about = gr.HTML(_ABOUT, elem_classes=["card", "about"])
            results = gr.Column(visible=False, elem_id="transfer-results")
        with results:
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
                    both = gr.Button(
                        "Write", variant="primary", elem_id="transfer-write", min_width=90
                    )
                heads, texts = [], []
                with gr.Row(elem_classes="columns"):
                    for side in ("source", "target"):
                        with gr.Column(min_width=260):
                            heads.append(gr.HTML(elem_classes="card-title"))
                            texts.append(gr.HTML(elem_id=f"transfer-{side}"))
                text_status = gr.HTML(elem_id="transfer-text-status")
            with gr.Row(elem_classes="own"):
                go = gr.Button("Go to its slider", variant="primary", min_width=140)
                download = gr.DownloadButton("Download", elem_id="transfer-download", min_width=110)
            report = gr.HTML(elem_id="transfer-report", elem_classes="card")
            curves = gr.Plot(show_label=False, visible=False, elem_id="transfer-curve")

    listed: dict[str, Any] = {
        "fn": offer,
        "inputs": [from_model, which],
        "outputs": [which, status],
        **LOOK,
    }
    gr.on([tab.select, from_model.input], **listed)
    asked: dict[str, Any] = {
        "fn": write,
        "inputs": [prompt, epsilon],
        "outputs": [*texts, text_status],
        **STREAMING,
    }
    start.click(
        carry,
        [from_model, which, to_model, method],
        [changed, about, results, report, curves, download, go, *heads, status],
        concurrency_id="train",
        concurrency_limit=64,
        trigger_mode="multiple",
        api_visibility="private",
        show_progress="hidden",
    ).success(**asked)
    gr.on([both.click, prompt.submit], **asked)
    epsilon.change(js=DEBOUNCE_JS, **asked)
    cancel.click(stop, None, None, **QUIET)
    go.click(lambda: gr.Tabs(selected="steer"), None, tabs, **QUIET)
    demo.unload(forget)


def _report(found: _Carried) -> str:
    card, fit = found.made.card, found.fit
    low, high = (epsilon_text(round(limit, 1)) for limit in card.epsilon_range)
    rows = "".join(
        f'<tr><th scope="row">{escape(word.strip())}</th>'
        f"<td>{escape(', '.join(w.strip() for w in near))}</td></tr>"
        for word, near in fit.neighbours
    )
    heads = "".join(
        f'<th scope="col">{escape(each.model_id)}</th>' for each in (found.source, found.target)
    )
    return (
        f"<p><b>{escape(card.name)}</b> on {escape(card.model_id)}: − {escape(card.negative)} ↔ "
        f"{escape(card.positive)} +, useful from ε = {low} to {high}.</p>"
        f"{widgets.note(card.notice, 'warning')}<p>The two models share {fit.n_shared:,} words. A "
        f"linear map between their embeddings explains {fit.r2:.0%} of the variance; by it, the "
        "steer's own words lie nearest to:</p>"
        f'<table class="neighbours"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    )
