"""What the Compose tab does when the point, a steer or the map is changed."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import gradio as gr

from lmsteer_core.analysis.plane import Plane
from lmsteer_core.errors import InputError, LMSteerError
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.ui.figures.plane import EXTENT
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page import live_text
from lmsteer_core.ui.page.baselines import Baselines
from lmsteer_core.ui.page.branch import branch
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.live_view import LiveView
from lmsteer_core.ui.page.request import requested_at, session_of
from lmsteer_core.ui.page.runs import Runs, Wanted
from lmsteer_core.ui.page.wiring import Updates
from lmsteer_core.ui.tabs.compose.markup import (
    first_token_note,
    map_note,
    map_panels,
    overlap_text,
    pad_html,
    slider_label,
    style_heat,
    word_heat,
)
from lmsteer_core.ui.tabs.compose.setting import (
    NOBODY,
    PROMPT_CHARACTERS,
    STYLE,
    WORD,
    Controls,
    Setting,
    StyleMap,
    first_two,
    third_choices,
)
from lmsteer_core.ui.tabs.compose.style_map import write_style_map

TEXT = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=32, seed=3)
COLUMN_IDS = live_text.ColumnIds("compose-baseline", "compose-steered", "compose-status")
_MAP_TEXT = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=16, seed=3)
_JUDGE = (
    "The judge is the steer's own likelihood ratio, log P(token | ε = 1) − log P(token | ε = −1), "
    "with the text read unsteered, one short text a cell. It is not an outside judge: it weighs "
    "words, so “not bad at all” counts as negative."
)
_PRESS_THE_BUTTON = (
    "Press the button: short texts are written and scored, which takes some seconds."
)


class ComposeHandlers:
    """The handlers of the tab's events; each is given the request of a page.

    Attributes:
        baselines: The unsteered texts.
    """

    def __init__(self, page: Page) -> None:
        """Start with nothing being written."""
        self._workbench, self._steers = page.workbench, page.steers
        self._text_runs, self._map_runs = Runs(), Runs()
        self.baselines = Baselines(page.workbench)
        self._latest_maps: dict[str, Setting] = {}  # by session, until something ends the map
        self._drawn_notes: dict[str, Any] = {}  # by session
        self._style_maps: dict[str, StyleMap] = {}  # by session
        self._word_plane = functools.lru_cache(maxsize=64)(self._read_plane)

    def write_text(self, request: gr.Request, controls: Controls) -> Iterator[Updates]:
        """Write the baseline and the steered text at the point."""
        session = session_of(request)

        def write(is_wanted: Wanted) -> Iterator[LiveView]:
            setting = self._setting(request, controls)
            point = (
                check_epsilon(controls.at_across, setting.across.name),
                check_epsilon(controls.at_up, setting.up.name),
            )
            sampling = _with_seed(TEXT, controls.seed)
            yield from live_text.side_by_side(
                self._workbench,
                self.baselines.of(session, setting.prompt, sampling),
                setting.prompt,
                setting.epsilons(*point),
                sampling,
                is_wanted,
                self._steers.by_name(session),
                COLUMN_IDS,
                unlock=controls.is_unlocked,
            )

        for baseline, steered, status in self._text_runs.follow_live(request, 2, write):
            yield {"baseline": baseline, "steered": steered, "status": status}

    def write_branch(self, request: gr.Request, message: str) -> Iterator[tuple[Any, ...]]:
        """Let both columns go on from another token of a text."""
        session = session_of(request)

        def write(is_wanted: Wanted) -> Iterator[LiveView]:
            return branch(session, message, self.baselines, is_wanted, COLUMN_IDS)

        yield from self._text_runs.follow_live(request, 2, write)

    def write_opening(
        self,
        request: gr.Request,
        controls: Controls,
        opening: Controls,
        example: Future[LiveView],
    ) -> Iterator[Updates]:
        """Write what a link asks for, or show the opening example where none asks for anything."""
        if controls != opening:
            yield from self.write_text(request, controls)
            return
        panels = self._text_runs.unless_begun(request, example)
        yield dict(zip(("baseline", "steered", "status"), panels, strict=True))

    def write_map(self, request: gr.Request, controls: Controls) -> Iterator[Updates]:
        """Draw the map of the text's style: 25 short texts, scored by a steer."""
        session = session_of(request)

        def write(is_wanted: Wanted) -> Iterator[tuple[Any, ...]]:
            setting = self._setting(request, controls)
            self._latest_maps[session] = setting
            sampling = _with_seed(_MAP_TEXT, controls.seed)
            page_steers = self._steers.by_name(session)
            for progress in write_style_map(
                self._workbench, setting, sampling, page_steers, is_wanted
            ):
                if isinstance(progress, str):
                    yield {}, widgets.progress(progress)
                    continue
                self._style_maps[session] = progress
                heat = style_heat(progress, controls.judge == "up")
                panels = map_panels(setting, _shown_point(controls), heat)
                yield panels, map_note(controls.prompt, _JUDGE)

        for panels, status in self._map_runs.follow(request, 1, write):
            if status == gr.skip() and session not in self._latest_maps:
                # The last progress may reach the page after the note of what ended the map.
                status = self._drawn_notes.get(session, status)
            yield {**(panels if "pad" in panels else {}), "map_status": status}

    def draw(self, request: gr.Request, controls: Controls) -> Updates:
        """Draw the plane with the map that is asked for, if that takes no writing."""
        try:
            drawn = self._drawn(request, controls)
        except LMSteerError as error:
            drawn = {"map_status": widgets.note(str(error), "error")}
        self._drawn_notes[session_of(request)] = drawn["map_status"]
        return drawn

    def fit(self, request: gr.Request, controls: Controls) -> Updates:
        """Fit sliders, lock and notice to the chosen steers; what was drawn is out of date."""
        self._end_map(request)
        session = session_of(request)
        sliders: Updates = {}
        notices = []
        for slider, name, epsilon in (
            ("at_across", controls.across, controls.at_across),
            ("at_up", controls.up, controls.at_up),
            ("third_epsilon", controls.third, controls.third_epsilon),
        ):
            is_known = name in self._steers.names(session)
            steer = self._steers.steer(session, name) if is_known else None
            low = steer.card.lowest(-EXTENT, controls.is_unlocked) if steer else -EXTENT
            value = max(low, epsilon or 0.0)
            update = gr.update(minimum=low, value=value, visible=is_known)
            sliders[slider] = {**update, "label": slider_label(steer.card)} if steer else update
            notices += [steer.card.notice] if steer and steer.card.is_locked else []
        return {
            **sliders,
            "unlock": gr.update(visible=bool(notices)),
            "notice": widgets.note(" ".join(dict.fromkeys(notices)), "warning"),
            **self._fitted_pad(
                request, controls, (sliders["at_across"]["value"], sliders["at_up"]["value"])
            ),
        }

    def offer(self, request: gr.Request, controls: Controls) -> Updates:
        """List the steers that this visitor has."""
        names = self._steers.names(session_of(request))
        kept = [name for name in (controls.across, controls.up) if name in names]
        first, second = first_two(list(dict.fromkeys([*kept, *names])))
        third = controls.third if controls.third in names else NOBODY
        return {
            "across": gr.update(choices=names, value=first),
            "up": gr.update(choices=names, value=second),
            "third": gr.update(choices=third_choices(names), value=third),
        }

    def show_kind(self, request: gr.Request, controls: Controls) -> Updates:
        """Show what the kind of map needs; a style map of before ends."""
        is_style = controls.kind == STYLE
        if not is_style:
            self._end_map(request)
        judges = [(controls.across or "first", "across"), (controls.up or "second", "up")]
        return {
            "word": gr.update(visible=controls.kind == WORD),
            "score": gr.update(visible=is_style),
            "judge": gr.update(visible=is_style, choices=judges),
        }

    def stop(self, request: gr.Request) -> None:
        """End what is being written."""
        for runs in (self._text_runs, self._map_runs):
            runs.stop(session_of(request), requested_at(request))
        self.baselines.cut(session_of(request))

    def forget(self, request: gr.Request) -> None:
        """Drop what belongs to a connection that ended."""
        for runs in (self._text_runs, self._map_runs):
            runs.forget(session_of(request))
        self.baselines.forget(session_of(request))
        for kept in (self._latest_maps, self._drawn_notes, self._style_maps):
            kept.pop(session_of(request), None)

    def _setting(self, request: gr.Request, controls: Controls) -> Setting:
        session = session_of(request)
        names = [controls.across, controls.up]
        if controls.third not in (None, NOBODY):
            names.append(controls.third)
        if len(set(names)) < len(names) and None not in names:
            raise InputError("Choose different steers: each can be used once.")
        across, up, *others = (self._steers.steer(session, name) for name in names)
        third = [(steer, check_epsilon(controls.third_epsilon, steer.name)) for steer in others]
        for steer, epsilon in third:
            steer.card.check_unlocked(epsilon, controls.is_unlocked)
        moved = tuple((steer, epsilon) for steer, epsilon in third if epsilon)
        prompt = controls.prompt[-PROMPT_CHARACTERS:]
        return Setting(prompt, across, up, moved, controls.is_unlocked)

    def _drawn(self, request: gr.Request, controls: Controls) -> Updates:
        setting = self._setting(request, controls)
        heat, note = None, ""
        style_map = self._style_maps.get(session_of(request))
        if controls.kind == WORD:
            word_plane = self._word_plane(setting, controls.word)
            heat = word_heat(setting, word_plane)
            note = first_token_note(word_plane, controls.word)
        elif controls.kind == STYLE and style_map and style_map.setting == setting:
            heat, note = style_heat(style_map, controls.judge == "up"), _JUDGE
        elif controls.kind == STYLE:
            if self._latest_maps.get(session_of(request)) != setting:
                self._end_map(request)
            note = _PRESS_THE_BUTTON
        panels = map_panels(setting, _shown_point(controls), heat)
        return {**panels, "map_status": map_note(controls.prompt, note)}

    def _fitted_pad(
        self, request: gr.Request, controls: Controls, point: tuple[float, float]
    ) -> Updates:
        try:
            pair = dataclasses.replace(controls, prompt="", third=NOBODY)
            setting = self._setting(request, pair)
        except LMSteerError:
            return {"about": ""}
        return {"about": overlap_text(setting), "pad": pad_html(setting, point)}

    def _read_plane(self, setting: Setting, word: str) -> Plane:
        return self._workbench.plane(
            setting.prompt, setting.across, setting.up, word, held=setting.third
        )

    def _end_map(self, request: gr.Request) -> None:
        """End the map being written without a word: what ends it says what is next."""
        self._latest_maps.pop(session_of(request), None)
        self._map_runs.start(session_of(request), requested_at(request))


def _shown_point(controls: Controls) -> tuple[float, float]:
    return controls.at_across or 0.0, controls.at_up or 0.0


def _with_seed(sampling: Sampling, seed: float | None) -> Sampling:
    if seed is None:
        raise InputError("The seed is empty; give it a whole number.")
    return dataclasses.replace(sampling, seed=int(seed))
