"""Options of events, what their handlers read, and scripts that stand before them."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import gradio as gr
from gradio.components import Component

S = TypeVar("S")

QUIET: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
"""Options of an event that is answered at once."""

STREAMING: dict[str, Any] = {
    "concurrency_id": "generate",
    "concurrency_limit": 64,  # the engine has its own line
    "api_visibility": "private",
    "show_progress": "hidden",
    "trigger_mode": "multiple",
}
"""Options of an event that shows text while it is generated."""

LOOK: dict[str, Any] = {
    "concurrency_id": "look",
    "concurrency_limit": 4,
    "api_visibility": "private",
    "show_progress": "hidden",
    "trigger_mode": "always_last",
}
"""Options of an event that computes what to look at; of several only the last is answered."""

JOB: dict[str, Any] = {
    "concurrency_id": "train",
    "concurrency_limit": 64,  # jobs have their own line
    "api_visibility": "private",
    "show_progress": "hidden",
    "trigger_mode": "multiple",
}
"""Options of an event that tells how far a job in the background is."""


class Inputs(Generic[S]):
    """The widgets whose values make up one settings object, by the names of its fields.

    A field with several widgets, such as a slider for each steer, gets a tuple of their values.
    """

    def __init__(self, settings: type[S], **widgets: Component | Sequence[Component]) -> None:
        """Name a widget, or several, for each field of a dataclass.

        Raises:
            TypeError: If the names are not those of the fields.
        """
        names = {field.name for field in dataclasses.fields(settings)}  # type: ignore[arg-type]
        if names != set(widgets):
            odd = ", ".join(sorted(names ^ set(widgets)))
            raise TypeError(f"{settings.__name__} and its widgets differ in: {odd}.")
        self._settings, self._widgets = settings, widgets

    @property
    def widgets(self) -> list[Any]:
        """All widgets, in the order in which they were named."""
        return [
            widget
            for named in self._widgets.values()
            for widget in ([named] if isinstance(named, Component) else named)
        ]

    @property
    def opening(self) -> S:
        """What the widgets say on a page that was just opened."""
        return self._read([widget.value for widget in self.widgets])

    def event(
        self, handler: Callable[[gr.Request, S], Any], outputs: Sequence[Any], **options: Any
    ) -> dict[str, Any]:
        """Return the arguments of an event that calls `handler(request, settings)`."""
        fn = self._with_settings(handler)
        return {"fn": fn, "inputs": self.widgets, "outputs": [*outputs], **options}

    def _with_settings(self, handler: Callable[[gr.Request, S], Any]) -> Callable[..., Any]:
        """Return a function of the widgets' values; gradio asks its kind, so that stays."""

        async def stream_async(request: gr.Request, *values: Any) -> AsyncIterator[Any]:
            async for shown in handler(request, self._read(values)):
                yield shown

        def stream(request: gr.Request, *values: Any) -> Iterator[Any]:
            yield from handler(request, self._read(values))

        def answer(request: gr.Request, *values: Any) -> Any:
            return handler(request, self._read(values))

        if inspect.isasyncgenfunction(handler):
            return stream_async
        return stream if inspect.isgeneratorfunction(handler) else answer

    def _read(self, values: Sequence[Any]) -> S:
        remaining = iter(values)
        return self._settings(
            **{
                name: next(remaining)
                if isinstance(named, Component)
                else tuple(next(remaining) for _ in named)
                for name, named in self._widgets.items()
            }
        )


def call_js(function: str, *constants: object) -> str:
    """Return the script of an event that calls a function of the page's modules.

    Args:
        function: Its module's name in assets/js/main.js and its own, e.g. "compose.place".
        constants: Arguments that come before the values of the event's widgets, as JSON has them.
    """
    arguments = "".join(f"{json.dumps(argument)}, " for argument in constants)
    return f"async (...values) => (await window.lmsteer).{function}({arguments}...values)"


PACE_JS = call_js("page.pace")
"""A moving slider's events come some four times a second, and the last one always."""


def note_js(notes: Mapping[Any, str], otherwise: str = "") -> str:
    """Return the script that shows an example's note while the widgets hold that example.

    A change made by a button can be reported before the widget holds it: the button needs a `then`
    besides.

    Args:
        notes: HTML by the widgets' values, a tuple of strings.
        otherwise: HTML for everything else: a note on one text is not true of another.
    """
    known = {
        json.dumps(values, ensure_ascii=False, separators=(",", ":")): html
        for values, html in notes.items()
    }
    script = f"({json.dumps(known)})[JSON.stringify(values)] ?? {json.dumps(otherwise)}"
    return f"(...values) => {script}"
