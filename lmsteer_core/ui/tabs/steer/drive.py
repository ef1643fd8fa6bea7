"""Drive: one text flows on while the sliders move; every token shows the ε it was written under."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gradio as gr

from lmsteer_core.errors import InputError
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.serving.endless_text import Drive
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.events import LOOK, QUIET, STREAMING
from lmsteer_core.ui.page.request import requested_at, session_of
from lmsteer_core.ui.page.runs import Runs, Wanted
from lmsteer_core.ui.tabs.steer import drive_markup
from lmsteer_core.workbench import Workbench

Setting = Callable[..., tuple[dict[str, float], dict[str, Steer]]]
"""(request, unlocked, *slider values) → ε by steer name, and the steers."""

_ABOUT = (
    "One text that does not end. Move the sliders: what you set holds from the next token on, and "
    "each token keeps the colour of the strongest ε it was written under. A text caught in a loop "
    "of a few words begins again from the prompt."
)


class DriveView:
    """The view's widgets and the texts of all pages."""

    def __init__(self, workbench: Workbench, setting: Setting) -> None:
        """Add the widgets to the open Blocks.

        Args:
            workbench: The model and the steers all pages share.
            setting: Reads the sliders.
        """
        self._workbench, self._setting = workbench, setting
        self._runs = Runs()
        self._drives: dict[str, Drive] = {}
        with gr.Column(visible=False, elem_id="drive") as self.box:
            with gr.Row():
                self._go = gr.Button("Start", variant="primary", elem_id="drive-go")
                self._pause = gr.Button("Pause", variant="stop", elem_id="drive-pause")
            with gr.Column(elem_classes=["card", "steered"]):
                gr.HTML(f"<p>{_ABOUT}</p>", elem_classes="card-title")
                self._ribbons = gr.HTML(elem_id="drive-ribbons")
                self._text = gr.HTML(elem_id="drive-text")
            self._status = gr.HTML(elem_id="drive-status")
            with gr.Row(elem_classes="highlight-save"):
                self._anew = gr.Button(
                    "Begin again from the prompt", size="sm", elem_id="drive-anew"
                )
                self._save = {
                    kind: gr.Button(f"Save as {kind.upper()}", size="sm", elem_id=f"drive-{kind}")
                    for kind in ("html", "csv")
                }
            self._file = gr.Textbox(visible="hidden", label="File")

    def listen(
        self, prompt: gr.Textbox, sampling: list[Any], unlock: gr.Checkbox, sliders: list[gr.Slider]
    ) -> None:
        """Add the events, once the widgets they read are there."""
        panels = [self._text, self._ribbons, self._status]
        event: dict[str, Any] = {
            "inputs": [prompt, *sampling, unlock, *sliders],
            "outputs": panels,
            **STREAMING,
        }
        self._go.click(self._write, **event)
        self._anew.click(self._forget_text, None, None, **QUIET).then(self._write, **event)
        self._pause.click(self.stop, None, None, **QUIET)
        save = "(file) => window.lmsteerHighlight.save(file)"
        for kind, button in self._save.items():
            saved = button.click(self._saver(kind), None, self._file, **LOOK)
            saved.then(None, self._file, None, js=save)

    def steer(
        self, request: gr.Request, epsilons: Mapping[str, float], steers: Mapping[str, Steer]
    ) -> None:
        """Set the page's ε from the next token on, if its text is begun."""
        if drive := self._drives.get(session_of(request)):
            drive.steer(epsilons, steers)

    def stop(self, request: gr.Request) -> None:
        """Pause the page's text."""
        self._runs.stop(session_of(request), requested_at(request))

    def forget(self, request: gr.Request) -> None:
        """Drop all of a page that was closed."""
        self._runs.forget(session_of(request))
        self._drives.pop(session_of(request), None)

    def _forget_text(self, request: gr.Request) -> None:
        self._drives.pop(session_of(request), None)

    def _write(
        self,
        request: gr.Request,
        prompt: str,
        temperature: float,
        top_p: float,
        _n_tokens: float,
        seed: float | None,
        unlocked: bool,
        *values: float,
    ) -> Iterator[tuple[Any, ...]]:
        def write(is_wanted: Wanted) -> Iterator[tuple[Any, ...]]:
            if seed is None:
                raise InputError("The seed is empty; open Sampling and give it a whole number.")
            session = session_of(request)
            setting = self._setting(request, unlocked, *values)
            drive = self._drives.get(session)
            if drive is None:
                dice = Sampling(temperature, top_p, seed=int(seed))
                drive = self._drives[session] = self._workbench.endless_text(prompt, dice)
            drive.steer(*setting)
            began, n_before = time.monotonic(), len(drive.written)
            yield *_panels(drive), widgets.progress("Waiting …")
            for _ in drive.tokens(is_wanted):
                n_new = len(drive.written) - n_before
                rate = n_new / max(time.monotonic() - began, 1e-3)
                yield (
                    *_panels(drive),
                    widgets.progress(f"{len(drive.written):,} tokens, {rate:.0f} a second"),
                )

        yield from self._runs.follow(request, 2, write, stopped="Paused: Start goes on from here.")

    def _saver(self, kind: str) -> Callable[[gr.Request], str]:
        def save(request: gr.Request) -> str:
            drive = self._drives.get(session_of(request))
            if not drive:
                return ""
            html = drive_markup.html_of(drive, self._workbench.model_id)
            text = html if kind == "html" else drive_markup.csv_of(drive)
            return json.dumps({"name": f"drive.{kind}", "text": text})

        return save


def _panels(drive: Drive) -> tuple[str, str]:
    return drive_markup.flowing(drive.prompt, drive.written), drive_markup.ribbons(drive.written)
