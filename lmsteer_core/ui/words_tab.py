"""Words: the singular dimensions of a steer, and where the vocabulary sits on them."""

from __future__ import annotations

import functools
from html import escape
from typing import Any

import gradio as gr

from lmsteer_core.errors import LMSteerError
from lmsteer_core.geometry import dimensions, displacement_pca, mean_logit_shift, vocabulary, word_scores
from lmsteer_core.plots.spectrum import spectrum
from lmsteer_core.plots.word_map import word_map
from lmsteer_core.steer import Steer
from lmsteer_core.ui import render
from lmsteer_core.ui.session import SessionSteers, session_of
from lmsteer_core.ui.theme import LOOK, QUIET
from lmsteer_core.workbench import Workbench

_N_DIMS = 8
_N_POINTS = 1200
_N_NAMED = 12
SVD, PCA = "SVD of W", "PCA of W e"
_READINGS = {
    SVD: "Singular dimensions of W itself: where W reads and writes.",
    PCA: "Principal axes of the displacements W e over the vocabulary: how the words themselves move.",
}


def create_words_tab(workbench: Workbench, own: SessionSteers, changed: gr.State, demo: gr.Blocks) -> None:
    """Add the tab's widgets and events to the open Blocks; arguments as for the Steer tab."""
    names = workbench.names

    @functools.lru_cache(maxsize=32)
    def words_of(steer: Steer) -> tuple[str, Any]:
        _, sigma, _ = steer.svd()
        poles = (steer.card.negative, steer.card.positive)
        table = render.dimension_table(dimensions(workbench.lm, steer, n_dims=_N_DIMS), poles)
        return table, spectrum(sigma.tolist())

    @functools.lru_cache(maxsize=64)
    def map_of(steer: Steer, reading: str, x: int, y: int) -> Any:
        lm = workbench.lm
        coordinates = (
            word_scores(lm, steer) if reading == SVD else displacement_pca(lm, steer, n_components=_N_DIMS)
        )
        x, y = min(x, coordinates.shape[1]) - 1, min(y, coordinates.shape[1]) - 1
        style = mean_logit_shift(lm, steer)
        # The words that move most, and as many of the commonest (the vocabulary is in that order).
        moved = style.abs().topk(min(_N_POINTS // 2, len(style))).indices.tolist()
        chosen = list(dict.fromkeys([*moved, *range(min(_N_POINTS // 2, len(style)))]))
        extreme = style[chosen]
        named = [
            *extreme.topk(_N_NAMED // 2).indices.tolist(),
            *(-extreme).topk(_N_NAMED // 2).indices.tolist(),
        ]
        kind = "dimension" if reading == SVD else "component"
        return word_map(
            [vocabulary(lm).words[i] for i in chosen],
            coordinates[chosen, x].tolist(), coordinates[chosen, y].tolist(), extreme.tolist(),
            named, (f"{kind} {x + 1}", f"{kind} {y + 1}"),
        )  # fmt: skip

    def show(
        request: gr.Request, name: str | None, reading: str, x: float, y: float, unlocked: bool
    ) -> tuple[Any, ...]:
        hidden = (gr.skip(), gr.skip(), gr.skip())
        try:
            steer = own.steer(session_of(request), name)
            warning = steer.card.notice
            gate = gr.update(visible=bool(warning))
            if warning and not unlocked:
                told = render.note(f"{warning} Tick the box to see its words.", "warning")
                return "", None, None, told, gate
            table, bars = words_of(steer)
            return table, bars, map_of(steer, reading, int(x), int(y)), _about(steer, reading), gate
        except LMSteerError as error:
            return (*hidden, render.note(str(error), "error"), gr.skip())

    with gr.Row():
        which = gr.Dropdown(names, value=names[0] if names else None, label="Steer", elem_id="words-steer")
        unlock = gr.Checkbox(False, label="Show offensive words (for research)", visible=False)
    about = gr.HTML()
    table = gr.HTML(elem_id="dimensions")
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            gr.HTML("<h2>Singular values</h2><p>How few dimensions the style needs.</p>")
            bars = gr.Plot(show_label=False, elem_id="spectrum")
        with gr.Column(scale=2, min_width=300):
            gr.HTML(
                "<h2>Word map</h2><p>Hover for a word; blue words gain with +ε, orange words with −ε.</p>"
            )
            with gr.Row():
                reading = gr.Radio(list(_READINGS), value=SVD, label="Reading")
                x = gr.Dropdown([*range(1, _N_DIMS + 1)], value=1, label="Across", min_width=90)
                y = gr.Dropdown([*range(1, _N_DIMS + 1)], value=2, label="Up", min_width=90)
            points = gr.Plot(show_label=False, elem_id="word-map")
    inputs: list[Any] = [which, reading, x, y, unlock]
    event: dict[str, Any] = {
        "fn": show, "inputs": inputs, "outputs": [table, bars, points, about, unlock],
        **LOOK,
    }  # fmt: skip
    gr.on([demo.load, *(widget.change for widget in inputs)], **event)
    changed.change(own.offer, which, which, **QUIET).then(**event)


def _about(steer: Steer, reading: str) -> str:
    card = steer.card
    return (
        f'<p class="about"><b>{escape(card.name)}</b>: {escape(card.negative)} ↔ {escape(card.positive)}, '
        f"rank {steer.rank}, made from {escape(card.data or card.method)}. "
        f"{escape(_READINGS[reading])} "
        "The + end of a dimension is the one that +ε makes likelier in ordinary text. Only whole words the "
        "model uses are listed.</p>"
    )
