"""Words: the singular dimensions of a steer, and where the vocabulary sits on them."""

from __future__ import annotations

import functools
from html import escape
from typing import Any

import gradio as gr

from lmsteer_core.engine import Workbench
from lmsteer_core.errors import LMSteerError
from lmsteer_core.geometry import dimensions, displacement_pca, mean_logit_shift, vocabulary, word_scores
from lmsteer_core.plots.spectrum import spectrum
from lmsteer_core.plots.word_map import word_map
from lmsteer_core.ui import render

_N_DIMS = 8
_N_POINTS = 1200
_N_NAMED = 12
SVD, PCA = "SVD of W", "PCA of W e"
_READINGS = {
    SVD: "Singular dimensions of W itself: where W reads and writes.",
    PCA: "Principal axes of the displacements W e over the vocabulary: how the words themselves move.",
}


def create_words_tab(workbench: Workbench, demo: gr.Blocks) -> None:
    """Add the tab's widgets and events to the open Blocks."""
    names = workbench.names

    @functools.cache
    def words_of(name: str) -> tuple[str, Any]:
        steer = workbench.steer(name)
        _, sigma, _ = steer.svd()
        poles = (steer.card.negative, steer.card.positive)
        table = render.dimension_table(dimensions(workbench.lm, steer, n_dims=_N_DIMS), poles)
        return table, spectrum(sigma.tolist())

    @functools.lru_cache(maxsize=64)
    def map_of(name: str, reading: str, x: int, y: int) -> Any:
        steer, lm = workbench.steer(name), workbench.lm
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

    def show(name: str | None, reading: str, x: float, y: float, unlocked: bool) -> tuple[Any, ...]:
        hidden = (gr.skip(), gr.skip(), gr.skip())
        try:
            if not name:
                return (*hidden, render.note("No steer fits this model yet.", "warning"), gr.skip())
            card = workbench.steer(name).card
            locked = bool(card.notice) and not unlocked
            gate = gr.update(visible=bool(card.notice))
            if locked:
                return (
                    "",
                    None,
                    None,
                    render.note(f"{card.notice} Tick the box to see its words.", "warning"),
                    gate,
                )
            table, bars = words_of(name)
            return table, bars, map_of(name, reading, int(x), int(y)), _about(workbench, name, reading), gate
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
    outputs = [table, bars, points, about, unlock]
    gr.on(
        [demo.load, *(widget.change for widget in inputs)], show, inputs, outputs,
        show_progress="hidden", trigger_mode="always_last", concurrency_id="look", concurrency_limit=4,
        api_visibility="private",
    )  # fmt: skip


def _about(workbench: Workbench, name: str, reading: str) -> str:
    card = workbench.steer(name).card
    return (
        f'<p class="about"><b>{escape(card.name)}</b>: {escape(card.negative)} ↔ {escape(card.positive)}, '
        f"rank {workbench.steer(name).rank}, made from {escape(card.data or card.method)}. "
        f"{escape(_READINGS[reading])} "
        "The + end of a dimension is the one that +ε makes likelier in ordinary text. Only whole words the "
        "model uses are listed.</p>"
    )
