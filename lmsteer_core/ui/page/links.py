"""Which widgets a link restores: each has a key, and tells the browser when it changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
from gradio.components import Component

from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.page.events import call_js
from lmsteer_core.ui.page.link import (
    FIRST_TAB,
    MAX_TEXT,
    STEER_PREFIX,
    Choice,
    Epsilon,
    Kind,
    Number,
    Reading,
    SteerName,
    Text,
    Values,
    Words,
    read_link,
    tab_of,
)

_MAX_SEED = 2**32 - 1
_LOOK: dict[str, Any] = {"api_visibility": "private", "trigger_mode": "multiple"}

Choices = Callable[[list[str]], list[Any]]
"""Names of steers → what a widget offers."""


@dataclass(frozen=True)
class _Field:
    """A widget that a link restores, and what it offers if it chooses a steer."""

    component: Component
    kind: Kind
    choices: Choices | None = None

    def update(self, value: Any, names: list[str]) -> Any:
        if self.choices is None:
            return value
        return gr.update(choices=self.choices(names), value=value)


class Links:
    """The widgets of all tabs that make up the state of a page."""

    def __init__(self) -> None:
        """Start with none."""
        self._fields: dict[str, _Field] = {}
        self._slots: list[gr.Slider] = []

    @property
    def components(self) -> list[Component]:
        """All of them."""
        return [*(field.component for field in self._fields.values()), *self._slots]

    def of_tab(self, tab: str) -> list[Component]:
        """Return those of one tab."""
        named = [field.component for key, field in self._fields.items() if tab_of(key) == tab]
        return [*named, *(self._slots if tab == FIRST_TAB else [])]

    @property
    def openings(self) -> dict[str, Any]:
        """What each widget holds on a page that was just opened, by its key."""
        return {key: field.component.value for key, field in self._fields.items()}

    def keep(self, prefix: str = "", /, **widgets: Component) -> None:
        """Let links restore widgets, under their names after `prefix`.

        What a widget may hold is told by its kind and its limits. Call it before the tab's own
        events: Gradio runs the listeners of one event in turn.
        """
        for name, widget in widgets.items():
            self._add(f"{prefix}{name}", _Field(widget, _kind_of(widget)))

    def keep_steer(
        self, key: str, chooser: Component, choices: Choices = list, *, none: str | None = None
    ) -> None:
        """Let links restore a widget that chooses a steer.

        Args:
            key: Its key.
            chooser: The widget.
            choices: What it offers, given the names of the page's steers.
            none: The value that stands for no steer.
        """
        self._add(key, _Field(chooser, SteerName(none), choices))

    def keep_epsilon(self, key: str, slider: gr.Slider, chosen_by: str) -> None:
        """Let links restore ε of the steer that the widget with the key `chosen_by` chooses."""
        self._add(key, _Field(slider, Epsilon(_epsilons(slider), chosen_by=chosen_by)))

    def keep_sliders(self, names: Sequence[str], sliders: Sequence[gr.Slider]) -> None:
        """Let links restore a slider for each of the shared steers, then for each slot."""
        for name, slider in zip(names, sliders, strict=False):
            kind = Epsilon(_epsilons(slider), name)
            self._add(f"{STEER_PREFIX}{name}", _Field(slider, kind))
        self._slots = [*sliders[len(names) :]]
        for i, slider in enumerate(self._slots):
            js = call_js("link.keepSlot", i)
            slider.change(None, slider, None, js=js, **_LOOK)

    def read(
        self,
        fragment: str,
        steers: Mapping[str, Steer],
        slots: Sequence[Steer | None],
        model_id: str,
        more: Mapping[str, Kind],
        *,
        unlocked: bool = False,
        whole: str | None = None,
    ) -> tuple[Reading, dict[Any, Any]]:
        """Return what a link says, and the updates that restore it.

        Args:
            fragment: As in the address.
            steers: The page's steers by name.
            slots: Which of them are in the page's slots.
            model_id: The app's model.
            more: Kinds of keys that stand for no widget.
            unlocked: Whether ε may lead to locked poles.
            whole: A tab on which what the link does not name is as on a page that was just opened.
        """
        own = {
            f"{STEER_PREFIX}{steer.name}": _Field(slider, Epsilon(_epsilons(slider), steer.name))
            for steer, slider in zip(slots, self._slots, strict=True)
            if steer
        }
        fields = {**self._fields, **own}
        kinds = {**{key: field.kind for key, field in fields.items()}, **more}
        for key, kind in kinds.items():
            if isinstance(kind, Epsilon):
                kinds[key] = replace(kind, is_unlocked=unlocked)
        reading = read_link(fragment, kinds, self.openings, steers, model_id)
        values = {key: value for key, value in reading.values.items() if key in fields}
        if whole:
            before = {**self.openings, **dict.fromkeys(own, 0.0)}
            values = {k: v for k, v in (before | values).items() if tab_of(k) == whole}
        updates: dict[Any, Any] = {
            fields[key].component: fields[key].update(value, list(steers))
            for key, value in values.items()
        }
        return reading, updates

    def values(self, reading: Reading) -> Values:
        """Return what all widgets hold on a page that shows a link."""
        return {**self.openings, **reading.values}

    def _add(self, key: str, field: _Field) -> None:
        self._fields[key] = field
        # Kept as JSON reads it: the browser compares what a widget holds with it.
        opening = json.loads(json.dumps(field.component.value))
        field.component.change(  # type: ignore[attr-defined]
            None, field.component, None, js=call_js("link.keep", key, opening), **_LOOK
        )


def _kind_of(widget: Component) -> Kind:
    """Return what a widget may hold."""
    match widget:
        case gr.Checkbox():
            return Choice({"1": True, "0": False})
        case gr.Slider():
            return _range(widget)
        case gr.Number():
            return Number(0, _MAX_SEED, 1)
        case gr.Dropdown(multiselect=True):
            return Words(widget.max_choices or 1)
        case gr.Dropdown() | gr.Radio():
            return Choice({str(value): value for _, value in widget.choices})
        case gr.Textbox():
            return Text(widget.max_length or MAX_TEXT)
    raise TypeError(f"A link cannot hold what a {type(widget).__name__} holds.")


def _range(slider: gr.Slider) -> Number:
    return Number(slider.minimum, slider.maximum, slider.step)


def _epsilons(slider: gr.Slider) -> Number:
    """Return what a slider can hold once its steer's − pole is unlocked."""
    return Number(-slider.maximum, slider.maximum, slider.step)
