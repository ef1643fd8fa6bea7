"""Highlight: which tokens of a text carry a style, and which ε the text speaks for."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import gradio as gr

from lmsteer_core.errors import LMSteerError
from lmsteer_core.plots.posterior import posterior_bars
from lmsteer_core.scoring import read_text, strongest_spans, weigh
from lmsteer_core.steer import Steer
from lmsteer_core.ui import render
from lmsteer_core.ui.examples import EXAMPLE_TEXTS
from lmsteer_core.ui.session import SessionSteers, session_of
from lmsteer_core.ui.theme import LOOK, QUIET
from lmsteer_core.workbench import Workbench


def create_highlight_tab(
    workbench: Workbench, own: SessionSteers, changed: gr.State, demo: gr.Blocks
) -> None:
    """Add the tab's widgets and events to the open Blocks; arguments as for the Steer tab."""
    names = workbench.names

    @functools.lru_cache(maxsize=32)
    def analysis(text: str, steer: Steer) -> tuple[str, Any, str, str]:
        lm = workbench.lm
        poles = (steer.card.negative, steer.card.positive)
        read = read_text(lm, text)
        found = weigh(lm, read, steer)
        summary = (
            f"Most likely ε: {render.epsilon_text(found.best_epsilon)} · total evidence "
            f"{abs(found.total):.1f} nats towards {poles[found.total > 0]}."
        )
        if read.cut:
            summary = f"Only the first {len(read.token_ids)} tokens fit and were read. {summary}"
        return (
            render.highlighted(read.token_texts, found.evidence, poles),
            posterior_bars(found.epsilons, found.posterior),
            render.spans_list(strongest_spans(read.token_texts, found.evidence), poles),
            render.note(summary, "warning" if read.cut else "info"),
        )

    def show(request: gr.Request, text: str, name: str | None) -> Iterator[tuple[Any, Any, Any, str]]:
        keep = (gr.skip(), gr.skip(), gr.skip())
        yield (*keep, render.progress("Reading …"))
        try:
            yield analysis(text, own.steer(session_of(request), name))
        except LMSteerError as error:
            yield (*keep, render.note(str(error), "error"))

    gr.HTML(
        "<p>Evidence of a token is log P(token | +ε) − log P(token | −ε) at ε = 1, in nats: how much "
        "better the + model foresaw it than the − model did. A word is judged in its context; the first "
        "has none.</p>"
    )
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            text = gr.Textbox(EXAMPLE_TEXTS[0], label="Text", lines=5, max_lines=14, elem_id="highlight-text")
            with gr.Row(elem_classes="examples"):
                examples = [gr.Button(f"Example {i}", size="sm") for i in range(1, len(EXAMPLE_TEXTS) + 1)]
            which = gr.Radio(
                names, value=names[0] if names else None, label="Steer", elem_id="highlight-steer"
            )
            go = gr.Button("Highlight", variant="primary", elem_id="highlight-go")
        with gr.Column(scale=3, min_width=300):
            marked = gr.HTML(elem_id="highlighted", elem_classes="card")
            gr.HTML(render.legend("evidence for the − pole", "for the + pole"))
            summary = gr.HTML(elem_id="highlight-summary")
            bars = gr.Plot(show_label=False, elem_id="posterior")
            spans = gr.HTML(elem_id="spans")
    event: dict[str, Any] = {
        "fn": show, "inputs": [text, which], "outputs": [marked, bars, spans, summary],
        **LOOK,
    }  # fmt: skip
    gr.on([go.click, which.change, demo.load], **event)
    changed.change(own.offer, which, which, **QUIET)
    for button, example in zip(examples, EXAMPLE_TEXTS, strict=True):
        button.click(lambda example=example: example, None, text, **QUIET).then(**event)
