"""What the Compose tab does when the point, a steer or the map is changed."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from lmsteer_core.analysis.plane import Plane
from lmsteer_core.errors import InputError, LMSteerError
from lmsteer_core.generation.generate import Row, growing
from lmsteer_core.generation.live_row import Token
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.figures.plane import EXTENT, Heat, colour_bar
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.format import percent, signed
from lmsteer_core.ui.page import live_text
from lmsteer_core.ui.page.page_steers import PageSteers
from lmsteer_core.ui.page.request import requested_at, session_of
from lmsteer_core.ui.page.runs import Runs, Wanted
from lmsteer_core.ui.tabs.compose.markup import (
    by_first_token,
    map_note,
    numbers_table,
    overlap_text,
    pad_html,
    slider_label,
    style_heat,
    word_heat,
)
from lmsteer_core.ui.tabs.compose.setting import (
    COARSE_GRID,
    PROMPT_CHARACTERS,
    Setting,
    StyleMap,
    two,
)
from lmsteer_core.workbench import Workbench

NOTHING, WORD, STYLE = "None", "Probability of a word", "Style of the text"
NOBODY = "none"
TEXT = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=32, seed=3)
_SCORED = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=16, seed=3)
_JUDGE = (
    "The judge is the steer's own likelihood ratio, log P(token | ε = 1) − log P(token | ε = −1), "
    "with the text read unsteered, one short text a cell. It is not an outside judge: it weighs "
    "words, so “not bad at all” counts as negative."
)


class ComposeEvents:
    """The handlers of one tab's events; each takes the request and the values of its widgets."""

    def __init__(self, workbench: Workbench, own: PageSteers) -> None:
        """Start with nothing being written."""
        self._workbench, self._own = workbench, own
        self._text_runs, self._map_runs = Runs(), Runs()
        # by session: what its last style map was asked for
        self._being_scored: dict[str, Setting] = {}
        self._word_plane = functools.lru_cache(maxsize=64)(self._read_plane)

    def _setting_of(
        self,
        request: gr.Request,
        prompt: str,
        across: str | None,
        up: str | None,
        third: str | None,
        held: float,
        unlocked: bool,
    ) -> Setting:
        session = session_of(request)
        used = [across, up] if third in (None, NOBODY) else [across, up, third]
        if len(set(used)) < len(used) and None not in used:
            raise InputError("Choose different steers: each can be used once.")
        a, b, *others = (self._own.steer(session, name) for name in used)
        kept = [(steer, check_epsilon(held, steer.name)) for steer in others]
        for steer, epsilon in kept:
            steer.card.check_unlocked(epsilon, unlocked)
        return Setting(
            prompt[-PROMPT_CHARACTERS:], a, b, tuple((s, e) for s, e in kept if e), unlocked
        )

    def write_text(
        self,
        request: gr.Request,
        prompt: str,
        across: str | None,
        up: str | None,
        third: str | None,
        held: float,
        unlocked: bool,
        at_across: float,
        at_up: float,
        seed: float | None,
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the baseline and the steered text at the point, and a status line."""

        def write(is_wanted: Wanted) -> Iterator[tuple[Any, ...]]:
            setting = self._setting_of(request, prompt, across, up, third, held, unlocked)
            point = (
                check_epsilon(at_across, setting.across.name),
                check_epsilon(at_up, setting.up.name),
            )
            mine, dice = self._own.by_name(session_of(request)), _with_seed(TEXT, seed)
            yield from live_text.side_by_side(
                self._workbench,
                setting.prompt,
                setting.epsilons(*point),
                dice,
                is_wanted,
                mine,
                unlock=unlocked,
            )

        yield from self._text_runs.follow(request, 2, write)

    def write_map(
        self,
        request: gr.Request,
        prompt: str,
        across: str | None,
        up: str | None,
        third: str | None,
        held: float,
        unlocked: bool,
        at_across: float,
        at_up: float,
        seed: float | None,
        judge: str,
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the map of the text's style: 25 short texts, scored by a steer."""

        def write(is_wanted: Wanted) -> Iterator[tuple[Any, ...]]:
            setting = self._setting_of(request, prompt, across, up, third, held, unlocked)
            self._being_scored[session_of(request)] = setting
            keep = [gr.skip()] * 4
            mine, dice = self._own.by_name(session_of(request)), _with_seed(_SCORED, seed)
            for done in _score_texts(self._workbench, setting, dice, mine, is_wanted):
                if isinstance(done, StyleMap):
                    shown = _drawn(setting, (at_across, at_up), style_heat(done, judge == "up"))
                    yield *shown, done, map_note(prompt, _JUDGE)
                else:
                    yield *keep, widgets.progress(done)

        yield from self._map_runs.follow(request, 4, write)

    def _read_plane(self, setting: Setting, word: str) -> Plane:
        return self._workbench.plane(
            setting.prompt, setting.across, setting.up, word, held=setting.third
        )

    def _end_map(self, request: gr.Request) -> None:
        """End the map being written without a word: what ends it tells what is next."""
        self._map_runs.start(session_of(request), requested_at(request))

    def draw(
        self,
        request: gr.Request,
        prompt: str,
        across: str | None,
        up: str | None,
        third: str | None,
        held: float,
        unlocked: bool,
        at_across: float,
        at_up: float,
        kind: str,
        word: str,
        judge: str,
        scored: StyleMap | None,
    ) -> tuple[Any, ...]:
        """Return the plane with the map that is asked for, if it takes no writing."""
        try:
            setting = self._setting_of(request, prompt, across, up, third, held, unlocked)
            point = (at_across or 0.0, at_up or 0.0)
            heat, told = None, ""
            if kind == WORD:
                found = self._word_plane(setting, word)
                heat, told = word_heat(setting, found), by_first_token(found, word)
            elif kind == STYLE and scored and scored.setting == setting:
                heat, told = style_heat(scored, judge == "up"), _JUDGE
            elif kind == STYLE:
                if self._being_scored.get(session_of(request)) != setting:
                    self._end_map(request)
                told = (
                    "Press the button: short texts are written and scored, "
                    "which takes some seconds."
                )
            return *_drawn(setting, point, heat), map_note(prompt, told)
        except LMSteerError as error:
            return gr.skip(), gr.skip(), gr.skip(), widgets.note(str(error), "error")

    def settle(
        self,
        request: gr.Request,
        across: str | None,
        up: str | None,
        third: str | None,
        unlocked: bool,
        at_across: float,
        at_up: float,
        held: float,
    ) -> tuple[Any, ...]:
        """Fit sliders, lock and notice to the chosen steers; what was drawn is out of date."""
        self._end_map(request)
        session = session_of(request)
        sliders, notices = [], []
        for name, epsilon in ((across, at_across), (up, at_up), (third, held)):
            known = self._own.steer(session, name) if name in self._own.names(session) else None
            low = known.card.lowest(-EXTENT, unlocked) if known else -EXTENT
            shown = gr.update(
                minimum=low, value=max(low, epsilon or 0.0), visible=known is not None
            )
            sliders.append({**shown, "label": slider_label(known.card)} if known else shown)
            notices += [known.card.notice] if known and known.card.is_locked else []
        notice = widgets.note(" ".join(dict.fromkeys(notices)), "warning")
        try:
            setting = self._setting_of(request, "", across, up, NOBODY, 0.0, unlocked)
            pad, about = (
                pad_html(setting, (sliders[0]["value"], sliders[1]["value"])),
                overlap_text(setting),
            )
        except LMSteerError:
            pad, about = gr.skip(), ""
        return *sliders, gr.update(visible=bool(notices)), notice, about, pad

    def offer(
        self, request: gr.Request, across: str | None, up: str | None, third: str | None
    ) -> tuple[dict[str, Any], ...]:
        """Return the choosers with the steers that this visitor has."""
        offered = self._own.names(session_of(request))
        first, second = two(
            list(dict.fromkeys([n for n in (across, up) if n in offered] + offered))
        )
        return (
            gr.update(choices=offered, value=first),
            gr.update(choices=offered, value=second),
            gr.update(choices=[NOBODY, *offered], value=third if third in offered else NOBODY),
        )

    def show_kind(
        self, request: gr.Request, kind: str, across: str | None, up: str | None
    ) -> tuple[Any, ...]:
        """Show what the kind of map needs; a style map of before ends."""
        if kind != STYLE:
            self._end_map(request)
        judges = [(across or "first", "across"), (up or "second", "up")]
        is_style = kind == STYLE
        return (
            gr.update(visible=kind == WORD),
            gr.update(visible=is_style),
            gr.update(visible=is_style, choices=judges),
        )

    def stop(self, request: gr.Request) -> None:
        """End what is being written."""
        self._text_runs.stop(session_of(request), requested_at(request))
        self._map_runs.stop(session_of(request), requested_at(request))

    def forget(self, request: gr.Request) -> None:
        """Drop a visitor whose page was closed."""
        self._text_runs.forget(session_of(request))
        self._map_runs.forget(session_of(request))
        self._being_scored.pop(session_of(request), None)


def _score_texts(
    workbench: Workbench,
    setting: Setting,
    sampling: Sampling,
    own: Mapping[str, Steer],
    is_wanted: Wanted,
) -> Iterator[str | StyleMap]:
    """Yield what is being done, then the texts over the coarse grid and their scores."""
    points = [(x, y) for y in COARSE_GRID for x in COARSE_GRID if not setting.is_locked(x, y)]
    rows = [Row(setting.prompt, setting.epsilons(*point)) for point in points]
    tokens: list[list[Token]] = [[] for _ in rows]
    yield "Waiting …"
    for tokens in growing(
        workbench.stream(
            rows, sampling, extra=own, is_wanted=is_wanted, unlock=setting.is_unlocked
        ),
        len(rows),
    ):
        yield (
            f"Writing {len(rows)} texts: token {max(map(len, tokens))} of "
            f"{sampling.max_new_tokens} …"
        )
    if not is_wanted():
        return
    yield "Scoring …"
    judges = [setting.across, setting.up]
    scores = workbench.styles(setting.prompt, tokens, judges)
    texts = ["".join(token.text for token in each) for each in tokens]
    found = dict(zip(points, zip(texts, scores, strict=True), strict=True))
    grid = [[found.get((x, y), ("", None)) for x in COARSE_GRID] for y in COARSE_GRID]
    yield StyleMap(
        setting, [[t for t, _ in row] for row in grid], [[s for _, s in row] for row in grid]
    )


def _drawn(setting: Setting, point: tuple[float, float], heat: Heat | None) -> tuple[str, str, str]:
    """Return the pad, the colour bar and the table."""
    pad = pad_html(setting, point, heat)
    if heat is None:
        return pad, "", ""
    ends = (
        (signed(-heat.bound), signed(heat.bound)) if heat.is_signed else ("0", percent(heat.bound))
    )
    return pad, colour_bar(heat, *ends), numbers_table(setting, heat)


def _with_seed(sampling: Sampling, seed: float | None) -> Sampling:
    if seed is None:
        raise InputError("The seed is empty; give it a whole number.")
    return dataclasses.replace(sampling, seed=int(seed))
