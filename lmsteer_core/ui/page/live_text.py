"""Text while it is being generated: prompt and rows in, a growing view out after every token."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import gradio as gr
from markupsafe import Markup

from lmsteer_core.generation.generate import Row
from lmsteer_core.generation.live_row import Token
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.markup import tokens as token_markup
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.format import epsilon_text
from lmsteer_core.ui.page.baselines import Baseline, Baselines
from lmsteer_core.ui.page.live_view import LivePanel, LiveView
from lmsteer_core.ui.page.runs import Wanted
from lmsteer_core.ui.page.written import Written
from lmsteer_core.workbench import Workbench

_SHOWN_CHARACTERS = 600
"""Of a long prompt only the end is shown."""

_PATIENCE_SECONDS = 10.0
"""How long an opening example waits to be written by what will write everybody's texts."""

_BASELINE_SECONDS = 0.04
"""How often a run whose steered text has ended looks at the baseline."""


class ColumnIds(NamedTuple):
    """Element ids of two columns and their status line."""

    baseline: str = "baseline"
    steered: str = "steered"
    status: str = "status"


class Beginning(NamedTuple):
    """What both columns begin with, where they are a branch of another text.

    Attributes:
        prompt_ids: The prompt's tokens.
        tokens: What follows them; the last one is the one that was chosen.
    """

    prompt_ids: tuple[int, ...]
    tokens: tuple[Token, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """All of its tokens."""
        return *self.prompt_ids, *(token.id for token in self.tokens)


def side_by_side(
    workbench: Workbench,
    baseline: Baseline,
    prompt: str,
    epsilons: Mapping[str, float],
    sampling: Sampling,
    is_wanted: Wanted,
    page_steers: Mapping[str, Steer],
    ids: ColumnIds,
    *,
    unlock: bool = False,
    show_rate: bool = True,
    begin: Beginning | None = None,
) -> Iterator[LiveView]:
    """Yield the baseline and the steered text as they grow.

    Args:
        workbench: The model and the steers that all visitors share.
        baseline: The same prompt, or `begin`, unsteered, with the same sampling.
        prompt: What is continued.
        epsilons: ε by steer name; with none but 0 the steered text is the baseline.
        sampling: Shared by both texts.
        is_wanted: Whether to go on; asked at every token.
        page_steers: Steers of the visitor's page by name, next to the workbench's.
        ids: Where the texts stand.
        unlock: Whether locked poles may be used.
        show_rate: Whether the last status line gives the speed.
        begin: What both texts begin with in place of the prompt alone.
    """
    active = {name: epsilon for name, epsilon in epsilons.items() if epsilon}
    shown, cut, prompt_ids = _shown(workbench, prompt, sampling)
    begin = begin or Beginning(prompt_ids, ())
    steered: list[Token] = []
    columns = _Columns(shown, begin, baseline.tokens, steered if active else baseline.tokens)
    steers = {**workbench.steers, **page_steers}
    view = columns.view(
        ids,
        lambda tokens: _written(
            workbench, prompt, tokens, active, steers, sampling, begin.prompt_ids
        ),
    )
    view.about = {
        "model": workbench.model_id,
        "prompt": prompt,
        "epsilons": active,
        "sampling": dataclasses.asdict(sampling),
        "begin": [token.id for token in begin.tokens],
        "columns": [ids.baseline, ids.steered],
    }
    began, n_before = time.perf_counter(), len(baseline.tokens)
    if active:
        rows = [Row(prompt, active, prompt_ids=begin.ids)]
        steps = workbench.stream(
            rows, sampling, extra=page_steers, is_wanted=is_wanted, unlock=unlock
        )
        yield view
        for (token,) in steps:
            if token:
                steered.append(token)
            columns.grow()
            yield view.progress(f"{len(steered)} tokens …")
    while is_wanted() and not baseline.is_over(_BASELINE_SECONDS):
        columns.grow()
        yield view.progress(f"{len(baseline.tokens)} tokens …")
    columns.end(is_whole=is_wanted())
    setting = ", ".join(f"{name} {epsilon_text(e)}" for name, e in active.items())
    branch = (
        f"A branch: both columns go on from “{begin.tokens[-1].text}”. " if begin.tokens else ""
    )
    text = f"{cut} {branch}{setting or 'Every slider is at 0: both columns are the base model'}."
    n_steps = max(len(baseline.tokens) - n_before, len(steered))
    if show_rate and n_steps:
        text += f" {n_steps / (time.perf_counter() - began):.0f} tokens/s."
    yield view.finish(widgets.note(text.strip(), "warning" if cut else "info"))


class _Columns:
    """Two texts over one prompt, and where they part."""

    def __init__(
        self, prompt: str, begin: Beginning, baseline: Sequence[Token], steered: Sequence[Token]
    ) -> None:
        self._n_begin, self._sources = len(begin.tokens), (baseline, steered)
        self._texts = token_markup.Continuation(prompt), token_markup.Continuation(prompt)
        self._tokens: tuple[list[Token], list[Token]] = [], []
        for i, token in enumerate(begin.tokens, 1):
            for text, tokens in zip(self._texts, self._tokens, strict=True):
                tokens.append(token)
                text.add(token, " chosen" if i == self._n_begin else "")
        self.grow()

    def view(self, ids: ColumnIds, written: Callable[[Sequence[Token]], Written]) -> LiveView:
        """Return both as they are shown."""
        base, steered = self._texts
        of_base, of_steered = ([written(tokens)] for tokens in self._tokens)
        panels = [
            LivePanel(ids.baseline, [base], Markup().join, written=of_base),
            LivePanel(ids.steered, [steered], Markup().join, keeps_old=True, written=of_steered),
        ]
        return LiveView(panels, ids.status)

    def grow(self) -> None:
        """Show the tokens that came meanwhile."""
        for text, tokens, source in zip(self._texts, self._tokens, self._sources, strict=True):
            for token in source[len(tokens) - self._n_begin :]:
                tokens.append(token)
                text.add(token)
        n_common = min(map(len, self._tokens))
        baseline, steered = (tokens[:n_common] for tokens in self._tokens)
        self._mark(token_markup.first_difference(baseline, steered))

    def end(self, *, is_whole: bool) -> None:
        """Show the rest; of whole texts an early end is a difference, too."""
        self.grow()
        if is_whole:
            self._mark(token_markup.first_difference(*self._tokens))

    def _mark(self, change: int | None) -> None:
        for text in self._texts:
            text.first_change = change


def _written(
    workbench: Workbench,
    prompt: str,
    tokens: Sequence[Token],
    epsilons: Mapping[str, float],
    steers: Mapping[str, Steer],
    sampling: Sampling,
    prompt_ids: Sequence[int],
) -> Written:
    """Return a text for whoever asks about its tokens."""

    def ids_before(place: int) -> list[int]:
        return [*prompt_ids, *(token.id for token in tokens[:place])]

    return Written(workbench, prompt, tokens, epsilons, steers, sampling, ids_before)


def finished_example(
    workbench: Workbench,
    baselines: Baselines,
    prompt: str,
    epsilons: Mapping[str, float],
    sampling: Sampling,
    ids: ColumnIds,
) -> Future[LiveView]:
    """Write an opening example once, in the background, for every visitor."""

    def finish() -> LiveView:
        workbench.wait_for_decoder(_PATIENCE_SECONDS)
        # Its speed would be that of a machine which is still starting up.
        *_, view = side_by_side(
            workbench,
            baselines.of_all(prompt, sampling),
            prompt,
            epsilons,
            sampling,
            lambda: True,
            {},
            ids,
            show_rate=False,
        )
        return view

    return ThreadPoolExecutor(1).submit(finish)


def panel(title: str, subtitle: str, kind: str, elem_id: str) -> gr.HTML:
    """Add a titled card and return what shows its text.

    `kind`, baseline or steered, is how it looks.
    """
    with gr.Column(elem_classes=["card", kind], min_width=240):
        gr.HTML(Markup("<h2>{}</h2><p>{}</p>").format(title, subtitle), elem_classes="card-title")
        return gr.HTML(elem_id=elem_id)


class Continuum:
    """One steer at several ε, a line for each.

    Attributes:
        panel: What is shown.
        cut: A sentence if the model reads only the prompt's end.
    """

    def __init__(
        self,
        workbench: Workbench,
        prompt: str,
        steer: Steer,
        epsilons: Sequence[float],
        sampling: Sampling,
        elem_id: str,
    ) -> None:
        """Begin with empty lines in the panel `elem_id`; errors as for `Workbench.submit`."""
        self._workbench, self._steer, self._sampling = workbench, steer, sampling
        self._rows = [Row(prompt, {steer.name: epsilon}) for epsilon in epsilons]
        shown, self.cut, prompt_ids = _shown(workbench, prompt, sampling)
        self._lines = [token_markup.Continuation(shown) for _ in epsilons]
        self._tokens: list[list[Token]] = [[] for _ in epsilons]
        poles, steers = (steer.card.negative, steer.card.positive), {steer.name: steer}
        self.panel = LivePanel(
            elem_id,
            self._lines,
            lambda texts: token_markup.continuum(epsilons, texts, poles),
            written=[
                _written(workbench, prompt, tokens, row.epsilons, steers, sampling, prompt_ids)
                for tokens, row in zip(self._tokens, self._rows, strict=True)
            ],
        )

    def write(self, is_wanted: Wanted, *, unlock: bool = False) -> Iterator[int]:
        """Let the lines grow and yield the tokens of the longest."""
        steps = self._workbench.stream(
            self._rows,
            self._sampling,
            extra={self._steer.name: self._steer},
            is_wanted=is_wanted,
            unlock=unlock,
        )
        for step in steps:
            for line, tokens, token in zip(self._lines, self._tokens, step, strict=True):
                if token:
                    tokens.append(token)
                    line.add(token)
            yield max(line.n_tokens for line in self._lines)


def continuum(
    workbench: Workbench,
    prompt: str,
    steer: Steer,
    epsilons: Sequence[float],
    sampling: Sampling,
    is_wanted: Wanted,
    elem_id: str,
    *,
    unlock: bool = False,
) -> Iterator[LiveView]:
    """Yield the lines of a continuum, one per ε, as they grow in the panel `elem_id`."""
    lines = Continuum(workbench, prompt, steer, epsilons, sampling, elem_id)
    view = LiveView([lines.panel], f"{elem_id}-status")
    yield view
    for n_tokens in lines.write(is_wanted, unlock=unlock):
        yield view.progress(f"{n_tokens} tokens …")
    yield view.finish(widgets.note(lines.cut, "warning"))


def _shown(
    workbench: Workbench, prompt: str, sampling: Sampling
) -> tuple[str, str, tuple[int, ...]]:
    """Return the part of the prompt to show, a sentence if its beginning is cut, what is read."""
    ids, cut = workbench.prompt_tokens(prompt, sampling.max_new_tokens)
    ellipsis = "… " if len(prompt) > _SHOWN_CHARACTERS else ""
    note = f"The prompt was cut: the model reads its last {len(ids)} tokens." if cut else ""
    return ellipsis + prompt[-_SHOWN_CHARACTERS:], note, tuple(ids)
