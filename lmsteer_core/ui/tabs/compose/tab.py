"""Compose: two steers at once, as a plane of (ε₁, ε₂)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import gradio as gr

from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page import live_text
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import (
    LOOK,
    PACE_JS,
    QUIET,
    STREAMING,
    Inputs,
    call_js,
    note_js,
)
from lmsteer_core.ui.page.inspector import on_message
from lmsteer_core.ui.page.live_view import LiveView
from lmsteer_core.ui.page.wiring import Updates, wired
from lmsteer_core.ui.tabs.compose.handlers import COLUMN_IDS, TEXT, ComposeHandlers
from lmsteer_core.ui.tabs.compose.layout import (
    Extras,
    MapCard,
    PlaneColumn,
    Presets,
    TextColumn,
    create_equation,
    create_extras,
    create_map,
    create_plane,
    create_presets,
    create_text,
)
from lmsteer_core.ui.tabs.compose.markup import preset_note
from lmsteer_core.ui.tabs.compose.setting import (
    NOBODY,
    WORD,
    Controls,
    Setting,
    first_two,
    third_choices,
)
from lmsteer_core.ui.tabs.examples import EXAMPLE_PROMPTS, PLANE_EXAMPLES, PlaneExample


def create_compose_tab(page: Page) -> None:
    """Add the tab's widgets and events to the open Blocks."""
    workbench, names = page.workbench, page.workbench.names
    examples = [each for each in PLANE_EXAMPLES if {each.across, each.up} <= set(names)]
    own_pair = PlaneExample("", EXAMPLE_PROMPTS[0], *first_two(names), (1.0, 1.0), "good")
    start = examples[0] if examples else own_pair
    setting = None
    if start.across and start.up:
        pair = workbench.steer(start.across), workbench.steer(start.up)
        setting = Setting(start.prompt, *pair, (), False)
    else:
        gr.HTML(
            widgets.note("Composing takes two steers: make them on the New steer tab.", "warning")
        )
    presets = create_presets(examples, start)
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            plane = create_plane(names, start, setting)
        with gr.Column(scale=3, min_width=320):
            text = create_text(start)
            shown_map = create_map(start)
            extras = create_extras(names, setting)
    create_equation()
    _keep(page, plane, text, shown_map, extras)
    handlers = ComposeHandlers(page)
    events = _Events(handlers, plane, text, shown_map, extras)
    events.wire(page)
    events.wire_presets(presets, examples)
    if setting:
        example = live_text.finished_example(
            workbench,
            handlers.baselines,
            setting.prompt,
            setting.epsilons(*start.point),
            TEXT,
            COLUMN_IDS,
        )
        events.wire_opening(page, example)


def _keep(
    page: Page, plane: PlaneColumn, text: TextColumn, shown_map: MapCard, extras: Extras
) -> None:
    links = page.links
    for key, chooser, epsilon, slider in (
        ("compose.across", plane.across, "compose.e1", plane.at_across),
        ("compose.up", plane.up, "compose.e2", plane.at_up),
    ):
        links.keep_steer(key, chooser)
        links.keep_epsilon(epsilon, slider, key)
    links.keep_steer("compose.third", extras.third, third_choices, none=NOBODY)
    links.keep_epsilon("compose.e3", extras.third_epsilon, "compose.third")
    links.keep(
        "compose.",
        prompt=text.prompt,
        seed=extras.seed,
        map=shown_map.kind,
        word=shown_map.word,
        judge=shown_map.judge,
    )


class _Events:
    """What follows on what."""

    def __init__(
        self,
        handlers: ComposeHandlers,
        plane: PlaneColumn,
        text: TextColumn,
        shown_map: MapCard,
        extras: Extras,
    ) -> None:
        self._handlers = handlers
        self._plane, self._text, self._map, self._extras = plane, text, shown_map, extras
        self._controls = Inputs(
            Controls,
            prompt=text.prompt,
            across=plane.across,
            up=plane.up,
            third=extras.third,
            third_epsilon=extras.third_epsilon,
            is_unlocked=plane.unlock,
            at_across=plane.at_across,
            at_up=plane.at_up,
            seed=extras.seed,
            kind=shown_map.kind,
            word=shown_map.word,
            judge=shown_map.judge,
        )
        self._panels = {
            "pad": plane.pad,
            "key": plane.key,
            "table": shown_map.table,
            "map_status": shown_map.status,
        }
        texts = {"baseline": text.baseline, "steered": text.steered, "status": text.status}
        self.write = self._event(handlers.write_text, texts, STREAMING)
        self.draw = self._event(handlers.draw, self._panels, LOOK)
        fitted = {
            "at_across": plane.at_across,
            "at_up": plane.at_up,
            "third_epsilon": extras.third_epsilon,
            "unlock": plane.unlock,
            "notice": plane.notice,
            "about": extras.about,
            "pad": plane.pad,
        }
        self.fit = self._event(handlers.fit, fitted, QUIET)
        kinds = {"word": shown_map.word, "score": shown_map.score, "judge": shown_map.judge}
        self.show_kind = self._event(handlers.show_kind, kinds, QUIET)

    def wire(self, page: Page) -> None:
        """Connect what a visitor does, and what other tabs announce."""
        plane, text, shown_map, extras = self._plane, self._text, self._map, self._extras
        gr.on([text.generate.click, text.prompt.submit], **self.draw).then(**self.write)
        point = [plane.at_across, plane.at_up]
        for slider in point:
            slider.input(js=PACE_JS, **self.write)
            slider.change(None, point, None, js=call_js("compose.place"))
        extras.third_epsilon.input(js=PACE_JS, **self.draw).then(**self.write)
        gr.on(
            [plane.across.input, plane.up.input, extras.third.input, plane.unlock.input],
            **self.fit,
        ).then(**self.show_kind).then(**self.draw).then(**self.write)
        shown_map.kind.input(**self.show_kind).then(**self.draw)
        gr.on([shown_map.word.submit, shown_map.word.blur, shown_map.judge.input], **self.draw)
        shown_map.score.click(**self._event(self._handlers.write_map, self._panels, STREAMING))
        text.stop.click(self._handlers.stop, None, None, **QUIET)
        columns = [text.baseline, text.steered, text.status]
        on_message("compose-branch", self._handlers.write_branch, columns, **STREAMING)
        choosers = {"across": plane.across, "up": plane.up, "third": extras.third}
        page.announcement.change(**self._event(self._handlers.offer, choosers, QUIET)).then(
            **self.fit
        ).then(**self.show_kind).then(**self.draw)
        page.demo.unload(self._handlers.forget)

    def wire_opening(self, page: Page, example: Future[LiveView]) -> None:
        """Draw and write what the widgets say when a page opens."""
        text, opening = self._text, self._controls.opening

        def write(request: gr.Request, controls: Controls) -> Iterator[Updates]:
            yield from self._handlers.write_opening(request, controls, opening, example)

        texts = {"baseline": text.baseline, "steered": text.steered, "status": text.status}
        page.when_open(
            "compose", self.fit, self.show_kind, self.draw, self._event(write, texts, STREAMING)
        )

    def wire_presets(self, presets: Presets, examples: Sequence[PlaneExample]) -> None:
        """Connect the buttons, and show a preset's lesson for as long as its setting stands."""
        plane, text = self._plane, self._text
        lessons = {
            (each.prompt, each.across or "", each.up or ""): preset_note(each.lesson)
            for each in examples
        }
        teach: dict[str, Any] = {
            "fn": None,
            "inputs": [text.prompt, plane.across, plane.up],
            "outputs": presets.note,
            "js": note_js(lessons, preset_note()),
        }
        gr.on([text.prompt.change, plane.across.change, plane.up.change], **teach)
        outputs = [
            text.prompt,
            plane.across,
            plane.up,
            plane.at_across,
            plane.at_up,
            self._map.word,
            self._map.kind,
            self._extras.third,
            self._extras.third_epsilon,
        ]
        for button, each in zip(presets.buttons, examples, strict=True):
            values = (each.prompt, each.across, each.up, *each.point, each.word, WORD, NOBODY, 0.0)
            pressed = button.click(lambda values=values: values, None, outputs, **QUIET)
            pressed.then(**teach).then(**self.fit).then(**self.show_kind).then(**self.draw).then(
                **self.write
            )

    def _event(
        self, handler: Any, outputs: dict[str, Any], options: dict[str, Any]
    ) -> dict[str, Any]:
        return wired(handler, self._controls, outputs, **options)
