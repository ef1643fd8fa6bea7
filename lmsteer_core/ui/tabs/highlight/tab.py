"""Highlight: which tokens of a text carry a style, and which ε the text speaks for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from lmsteer_core.analysis.spans import UnitKind, strongest_spans
from lmsteer_core.progress import told
from lmsteer_core.text import check_text
from lmsteer_core.ui.figures.posterior import posterior_curves
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import LOOK, QUIET, STREAMING, note_js
from lmsteer_core.ui.page.request import requested_at, session_of
from lmsteer_core.ui.page.runs import Runs, Wanted
from lmsteer_core.ui.tabs.examples import EXAMPLE_TEXTS, ExampleText
from lmsteer_core.ui.tabs.highlight import markup as draw
from lmsteer_core.ui.tabs.highlight.analysis import Analyst, Shown
from lmsteer_core.ui.tabs.highlight.files import csv_of, html_of

_READING: dict[str, Any] = {**STREAMING, "concurrency_id": "highlight", "concurrency_limit": 4}
"""Options of an event that reads a text; a newer one of the same page ends it."""

_WEIGHING = "Weighing every steer …"
_BY_PLACE, _BY_STRENGTH = "as in the text", "strongest first"
_ABOUT = (
    "<p>Evidence of a token is log P(token | +ε) − log P(token | −ε) at ε = 1, in nats: how much "
    "better the + model foresaw it than the − model did. A token is judged in its context; the "
    "first has none. A steer sees wording, not meaning: irony and negation pass it by.</p>"
)
_EQUATION = (
    "evidence(xₜ) = log P(xₜ | x₁ … xₜ₋₁; ε = 1) − log P(xₜ | x₁ … xₜ₋₁; ε = −1) and "
    "P(ε | x) ∝ Πₜ P(xₜ | x₁ … xₜ₋₁; ε)",
    (
        "xₜ is the t-th token of the text; every ε of the grid from −5 to 5 has the same weight "
        "before the text is read. Totals grow with the length of a text, so the curve narrows: it "
        "says which ε foresees this wording best, not how sure a reader would be."
    ),
    "analysis/evidence.py",
)


def create_highlight_tab(page: Page) -> None:
    """Add the tab's widgets and events to the open Blocks."""
    workbench, own, changed, demo = page.workbench, page.steers, page.announcement, page.demo
    names = workbench.names
    analyst, runs = Analyst(workbench), Runs()
    on_page: dict[str, Shown] = {}  # by session: what its page shows and would save
    opening = EXAMPLE_TEXTS[0]

    def show(
        request: gr.Request,
        first: str,
        second: str,
        is_comparing: bool,
        name: str | None,
        kind: UnitKind,
        order: str,
        n_spans: float,
        max_tokens: float,
    ) -> Iterator[tuple[Any, ...]]:
        keep = [gr.skip()] * n_panels

        def saying(what: str) -> Callable[[float], tuple[Any, ...]]:
            return lambda share: (*keep, _bar(share, what))

        def write(is_wanted: Wanted) -> Iterator[tuple[Any, ...]]:
            session = session_of(request)
            steer = own.steer(session, name)
            every = [own.steer(session, each) for each in own.names(session)]
            texts = [first, second] if is_comparing else [first]
            for text, called in zip(texts, draw.NAMES, strict=False):
                check_text(text, called if is_comparing else "text")
            analyses = []
            for text, called in zip(texts, draw.NAMES, strict=False):
                what = f"Reading the {called} …" if is_comparing else "Reading …"
                yield saying(what)(0)
                analyses.append((yield from told(analyst.weigh(text, steer), saying(what))))
            if not is_wanted():  # what is saved must be what is shown
                return
            shown = on_page[session] = Shown(steer.card, tuple(analyses))
            yield (
                gr.update(visible=is_comparing),
                *unit_panels(shown, kind, order),
                spans_of(shown, n_spans, max_tokens),
                _curves(shown),
                "",
                "".join(map(widgets.note, draw.summary(shown))),
                _bar(0, _WEIGHING),
            )
            for i, text in enumerate(texts):
                profile = yield from told(analyst.profile(text, every), saying(_WEIGHING))
                analyses[i] = replace(analyses[i], profile=profile)
            if not is_wanted():
                return
            cards = tuple(each.card for each in every)
            shown = on_page[session] = Shown(steer.card, tuple(analyses), cards)
            # Gradio forgets a chart that came while its tab was hidden if
            # a later piece of the run skips it.
            yield *keep[:-3], _curves(shown), draw.profile_table(shown), gr.skip(), ""

        yield from runs.follow(request, n_panels, write)

    def one_text_again(
        request: gr.Request, first: str, second: str, is_comparing: bool, *rest: Any
    ) -> Any:
        if is_comparing:
            yield tuple([gr.skip()] * (n_panels + 1))
        else:
            yield from show(request, first, second, is_comparing, *rest)

    def redraw(request: gr.Request, kind: UnitKind, order: str) -> tuple[Any, ...]:
        shown = on_page.get(session_of(request))
        return unit_panels(shown, kind, order) if shown else (gr.skip(),) * 4

    def find_spans(request: gr.Request, n_spans: float, max_tokens: float) -> Any:
        shown = on_page.get(session_of(request))
        return spans_of(shown, n_spans, max_tokens) if shown else gr.skip()

    def page_file(request: gr.Request, kind: UnitKind, n_spans: float, max_tokens: float) -> str:
        shown = on_page.get(session_of(request))
        return (
            _file(shown, "html", html_of(shown, kind, int(n_spans), int(max_tokens)))
            if shown
            else ""
        )

    def table_file(request: gr.Request) -> str:
        shown = on_page.get(session_of(request))
        return _file(shown, "csv", csv_of(shown)) if shown else ""

    def fill(example: ExampleText) -> tuple[Any, ...]:
        steer = example.steer if example.steer in names else gr.skip()
        return example.text, example.second, bool(example.second), steer, example.unit

    def stop(request: gr.Request) -> str:
        runs.stop(session_of(request), requested_at(request))
        return widgets.note("Stopped.")

    def forget(request: gr.Request) -> None:
        runs.forget(session_of(request))
        on_page.pop(session_of(request), None)

    gr.HTML(f"{_ABOUT}{widgets.equation(*_EQUATION)}")
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
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
            compare = gr.Checkbox(
                False, label="Compare with a second text", elem_id="highlight-compare"
            )
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
            which = gr.Radio(
                names,
                value=opening.steer if opening.steer in names else next(iter(names), None),
                label="Steer",
                elem_id="highlight-steer",
            )
            with gr.Row():
                go = gr.Button("Highlight", variant="primary", elem_id="highlight-go")
                halt = gr.Button("Stop", variant="stop", elem_id="highlight-stop")
        with gr.Column(scale=3, min_width=300):
            kind = gr.Radio(
                [*draw.FULL_TINT],
                value=opening.unit,
                label="Evidence per",
                elem_id="highlight-unit",
            )
            with gr.Row(elem_classes="highlight-texts"):
                with gr.Column(min_width=260):
                    marked = gr.HTML(elem_id="highlighted", elem_classes="card")
                with gr.Column(min_width=260, visible=False) as second_panel:
                    marked_second = gr.HTML(elem_id="highlighted-second", elem_classes="card")
            legend = gr.HTML(elem_id="highlight-legend")
            summary = gr.HTML(elem_id="highlight-summary")
            status = gr.HTML(elem_id="highlight-status")
            with gr.Row(elem_classes="highlight-save"):
                save_page, save_picture, save_table = (
                    gr.Button(f"Save as {name}", size="sm", elem_id=f"highlight-{name.lower()}")
                    for name in ("HTML", "PNG", "CSV")
                )
            saved = gr.Textbox(visible="hidden", label="File")
    with gr.Row():
        with gr.Column(min_width=300):
            gr.HTML("<h2>Which ε the text speaks for</h2><p>P(ε | text), its peak named.</p>")
            bars = gr.Plot(show_label=False, elem_id="posterior")
            gr.HTML(
                "<h2>Strongest spans</h2><p>Neighbouring tokens whose evidence adds up to most.</p>"
            )
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
                "<h2>All steers at once</h2><p>Each steer alone on the same reading of the text; "
                "the bar is its evidence per token.</p>"
            )
            profile = gr.HTML(elem_id="highlight-profile")
    with gr.Accordion("Numbers", open=False, elem_id="highlight-numbers"):
        order = gr.Radio(
            [_BY_PLACE, _BY_STRENGTH], value=_BY_PLACE, label="Order", elem_id="highlight-order"
        )
        table = gr.HTML(elem_id="highlight-table")

    tinted = [marked, marked_second, legend, table]
    panels = [second_panel, *tinted, spans, bars, profile, summary]
    n_panels = len(panels)
    inputs = [text, second, compare, which, kind, order, n_spans, max_tokens]
    event: dict[str, Any] = {"inputs": inputs, "outputs": [*panels, status], **_READING}
    gr.on([go.click, which.input, demo.load], show, **event)
    compare.change(lambda on: gr.update(visible=on), compare, second_box, **QUIET)
    compare.input(one_text_again, **event)
    gr.on([kind.change, order.change], redraw, [kind, order], tinted, **QUIET)
    gr.on([n_spans.change, max_tokens.change], find_spans, [n_spans, max_tokens], spans, **QUIET)
    changed.change(own.update_chooser, which, which, **QUIET).then(show, **event)
    filled = [text, second, compare, which, kind]
    taught = {(example.text, example.second): _seen(example) for example in EXAMPLE_TEXTS}
    teach: dict[str, Any] = {
        "fn": None,
        "inputs": [text, second],
        "outputs": seen,
        "js": note_js(taught),
    }
    gr.on([text.change, second.change], **teach)
    for button, example in zip(examples, EXAMPLE_TEXTS, strict=True):
        button.click(partial(fill, example), None, filled, **QUIET).then(**teach).then(
            show, **event
        )
    for button, box, panel in ((take, text, "steered"), (take_baseline, second, "baseline")):
        js = f"(now) => window.lmsteerHighlight.generation('{panel}') || now"
        button.click(None, box, box, js=js, **QUIET).then(**teach).then(show, **event)
    halt.click(stop, None, status, **QUIET)
    save_js = "(file) => window.lmsteerHighlight.save(file)"
    save_page.click(page_file, [kind, n_spans, max_tokens], saved, **LOOK).then(
        None, saved, None, js=save_js
    )
    save_table.click(table_file, None, saved, **LOOK).then(None, saved, None, js=save_js)
    save_picture.click(None, None, None, js="() => window.lmsteerHighlight.picture()")
    demo.unload(forget)


def unit_panels(shown: Shown, kind: UnitKind, order: str) -> tuple[str, str, str, str]:
    """Return both texts tinted, the key to the tints and the table of numbers."""
    marked, tables = [], []
    for text, name in zip(shown.texts, draw.NAMES, strict=False):
        found = draw.units_of(text, kind)
        title = f"<h2>The {name}</h2>" if len(shown.texts) > 1 else ""
        cut = (
            f"Shown are the first {draw.PAGE_UNITS:,} of {len(found):,} {kind}; "
            "the saved HTML has all."
        )
        marked.append(
            title
            + draw.highlighted(
                "".join(text.token_texts), found, shown.poles, kind, limit=draw.PAGE_UNITS
            )
            + (widgets.note(cut) if len(found) > draw.PAGE_UNITS else "")
        )
        tables.append(
            f"<div>{title}{draw.units_table(found, kind, by_strength=order == _BY_STRENGTH)}</div>"
        )
    together = f'<div class="side-by-side">{"".join(tables)}</div>'
    return marked[0], marked[1] if len(marked) > 1 else "", draw.legend(shown.poles, kind), together


def spans_of(shown: Shown, n_spans: float, max_tokens: float) -> str:
    """Return the strongest spans of each text."""
    lists = []
    for text, name in zip(shown.texts, draw.NAMES, strict=False):
        found = strongest_spans(
            text.token_texts,
            text.weighed.evidence,
            n_spans=int(n_spans),
            max_tokens=int(max_tokens),
        )
        title = f"<h3>The {name}</h3>" if len(shown.texts) > 1 else ""
        lists.append(title + draw.spans_list(found, shown.poles))
    return "".join(lists)


def _curves(shown: Shown) -> Any:
    titles = draw.SHORT_NAMES if len(shown.texts) > 1 else ("",)
    return posterior_curves(
        shown.texts[0].weighed.epsilons,
        {
            name: (text.weighed.posterior, text.weighed.best_epsilon)
            for name, text in zip(titles, shown.texts, strict=True)
        },
    )


def _bar(share: float, what: str) -> str:
    return widgets.progress_bar(share, f"{what} {share:.0%}", what)


def _seen(example: ExampleText) -> str:
    return f'<p class="seen">{escape(example.seen)}</p>'


def _file(shown: Shown, ending: str, text: str) -> str:
    """Return what the page needs to save a file, as JSON."""
    return json.dumps({"name": f"highlight-{shown.card.name}.{ending}", "text": text})
