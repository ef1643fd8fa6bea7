"""Text while it is being generated: prompt and rows in, HTML panels out after every token."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import gradio as gr
from markupsafe import Markup

from lmsteer_core.generation.generate import Row, growing
from lmsteer_core.generation.live_row import Token
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.markup import tokens as token_markup
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.format import epsilon_text
from lmsteer_core.ui.page.runs import Wanted
from lmsteer_core.workbench import Workbench

_SHOWN_CHARACTERS = 600
"""Of a long prompt only the end is shown: the page gets it again with every token."""

_PATIENCE_SECONDS = 10.0
"""How long an opening example waits to be written by what will write everybody's texts."""


def side_by_side(
    workbench: Workbench,
    prompt: str,
    epsilons: Mapping[str, float],
    sampling: Sampling,
    is_wanted: Wanted,
    page_steers: Mapping[str, Steer],
    *,
    unlock: bool = False,
    show_rate: bool = True,
) -> Iterator[tuple[str, str, str]]:
    """Yield the baseline, the steered text and a status line.

    Args:
        workbench: The model and the steers that all visitors share.
        prompt: What is continued.
        epsilons: ε by steer name.
        sampling: Shared by both texts.
        is_wanted: Whether to go on; asked at every token.
        page_steers: Steers of the visitor's page by name, next to the workbench's.
        unlock: Whether locked poles may be used.
        show_rate: Whether the last status line gives the speed.
    """
    active = {name: epsilon for name, epsilon in epsilons.items() if epsilon}
    rows = [Row(prompt), Row(prompt, active)]
    shown, cut = _shown(workbench, prompt, sampling)
    yield (
        token_markup.continuation(shown, []),
        token_markup.continuation(shown, []),
        widgets.progress("Waiting …"),
    )
    began = time.perf_counter()
    base: list[Token] = []
    steered: list[Token] = []
    for base, steered in _growing(workbench, rows, sampling, is_wanted, page_steers, unlock):
        status = widgets.progress(f"{max(len(base), len(steered))} tokens …")
        yield (*_columns(shown, base, steered), status)
    setting = ", ".join(f"{name} {epsilon_text(e)}" for name, e in active.items())
    text = f"{cut} {setting or 'Every slider is at 0: both columns are the base model'}."
    if show_rate:
        text += f" {max(len(base), len(steered)) / (time.perf_counter() - began):.0f} tokens/s."
    yield (
        *_columns(shown, base, steered),
        widgets.note(text.strip(), "warning" if cut else "info"),
    )


def finished_example(
    workbench: Workbench, prompt: str, epsilons: Mapping[str, float], sampling: Sampling
) -> Future[tuple[str, str, str]]:
    """Write an opening example once, in the background, for every visitor."""

    def finish() -> tuple[str, str, str]:
        workbench.wait_for_decoder(_PATIENCE_SECONDS)
        # Its speed would be that of a machine which is still starting up.
        *_, panels = side_by_side(
            workbench, prompt, epsilons, sampling, lambda: True, {}, show_rate=False
        )
        return panels

    return ThreadPoolExecutor(1).submit(finish)


def panel(title: str, subtitle: str, kind: str, elem_id: str) -> gr.HTML:
    """Add a titled card and return what shows its text.

    `kind`, baseline or steered, is how it looks.
    """
    with gr.Column(elem_classes=["card", kind], min_width=240):
        gr.HTML(Markup("<h2>{}</h2><p>{}</p>").format(title, subtitle), elem_classes="card-title")
        return gr.HTML(elem_id=elem_id)


def continuum(
    workbench: Workbench,
    prompt: str,
    steer: Steer,
    epsilons: Sequence[float],
    sampling: Sampling,
    is_wanted: Wanted,
    *,
    unlock: bool = False,
) -> Iterator[tuple[str, str]]:
    """Yield the lines of a continuum, one per ε, and a status line."""
    rows = [Row(prompt, {steer.name: epsilon}) for epsilon in epsilons]
    shown, cut = _shown(workbench, prompt, sampling)
    poles = (steer.card.negative, steer.card.positive)
    lines: Sequence[list[Token]] = [[] for _ in rows]
    yield token_markup.continuum(shown, epsilons, lines, poles), widgets.progress("Waiting …")
    for lines in _growing(workbench, rows, sampling, is_wanted, {steer.name: steer}, unlock):
        status = widgets.progress(f"{max(map(len, lines))} tokens …")
        yield token_markup.continuum(shown, epsilons, lines, poles), status
    yield token_markup.continuum(shown, epsilons, lines, poles), widgets.note(cut, "warning")


def _growing(
    workbench: Workbench,
    rows: Sequence[Row],
    sampling: Sampling,
    is_wanted: Wanted,
    page_steers: Mapping[str, Steer],
    unlock: bool,
) -> Iterator[list[list[Token]]]:
    """Yield every row's tokens so far."""
    steps = workbench.stream(rows, sampling, extra=page_steers, is_wanted=is_wanted, unlock=unlock)
    yield from growing(steps, len(rows))


def _columns(shown: str, base: Sequence[Token], steered: Sequence[Token]) -> tuple[str, str]:
    change = token_markup.first_difference(base, steered)
    return (
        token_markup.continuation(shown, base, first_change=change),
        token_markup.continuation(shown, steered, first_change=change),
    )


def _shown(workbench: Workbench, prompt: str, sampling: Sampling) -> tuple[str, str]:
    """Return the part of the prompt to show, and a sentence if the model reads only its end."""
    n_tokens, cut = workbench.prompt_tokens(prompt, sampling.max_new_tokens)
    ellipsis = "… " if len(prompt) > _SHOWN_CHARACTERS else ""
    note = f"The prompt was cut: the model reads its last {n_tokens} tokens." if cut else ""
    return ellipsis + prompt[-_SHOWN_CHARACTERS:], note
