"""The drawer that opens on a token: one for the whole page, filled when somebody asks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr
from gradio.components import Component

from lmsteer_core.errors import InputError, LMSteerError
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.markup import inspection, widgets
from lmsteer_core.ui.page.events import LOOK, call_js
from lmsteer_core.ui.page.request import session_of
from lmsteer_core.ui.page.written import WRITTEN, Place
from lmsteer_core.workbench import Workbench

_STEER, _COMPOSE = "steer-branch", "compose-branch"
BRANCH_FIELDS = {
    "baseline": _STEER,
    "steered": _STEER,
    "continuum": _STEER,
    "compose-baseline": _COMPOSE,
    "compose-steered": _COMPOSE,
}
"""Panels whose texts can go on from another token, and the id of the field that asks for it."""


_N_NAMED = 16
"""Dimensions that are named by their words; weaker ones by their number alone."""

_WORDS: WeakKeyDictionary[Steer, list[str]] = WeakKeyDictionary()


def create_inspector() -> None:
    """Add the hidden fields and the event by which the page's drawer is filled."""
    message, send = _message_field("inspector-message")
    answer = gr.Textbox(visible="hidden", label="Answer", elem_id="inspector-answer")
    send.click(explain, message, answer, **LOOK).then(
        None, [message, answer], None, js=call_js("inspector.show"), api_visibility="private"
    )


def on_message(
    elem_id: str,
    write: Callable[..., Any],
    outputs: Sequence[gr.HTML],
    *more: Component,
    **options: Any,
) -> None:
    """Let a tab's columns be written when the page's scripts say so.

    Args:
        elem_id: Of the hidden field, as the scripts know it.
        write: Takes the request, the field's JSON and the values of `more`.
        outputs: The columns and their status line.
        more: Other widgets that it reads.
        options: Of the event.
    """
    message, send = _message_field(elem_id)
    send.click(write, [message, *more], outputs, **options)


def _message_field(elem_id: str) -> tuple[gr.Textbox, gr.Button]:
    """Add a hidden field and the button by which the page says that it is filled."""
    field = gr.Textbox(visible="hidden", label="Token", elem_id=elem_id)
    return field, gr.Button("Ask", visible="hidden", elem_id=f"{elem_id}-go")


def explain(request: gr.Request, message: str) -> str:
    """Return what the drawer shows of a token, as HTML.

    Args:
        request: Of the page.
        message: A `Place` as JSON.
    """
    try:
        place = Place.parse(message)
        text, start = WRITTEN.find(session_of(request), place)
        token = text.tokens[start]
        if text.sampling and math.isnan(token.base_logprob):
            raise InputError("The app set this break, not the model: there is nothing to tell.")
        ids = [*text.ids_before(start), token.id]
        parts = text.parts(token)
        # What is locked was unlocked for the text itself.
        found = text.workbench.inspect_token(ids, -1, parts, unlock=True)
        notes = []
        if place.place > start:
            notes.append(f"The first of the {place.place - start + 1} tokens of “{place.word}”.")
        if text.sampling is None:
            notes.append("Nobody steered this text; “after” is what ε = +1 makes of this place.")
        elif parts and not any(token.epsilons.values()):
            notes.append("Written unsteered; “after” is what this steering would make of it.")
        return inspection.drawer(
            found,
            before=text.workbench.text(ids[:-1]),
            notes=notes,
            words={steer.name: _dimension_words(text.workbench, steer) for steer, _ in parts},
            branch_field=BRANCH_FIELDS.get(place.panel, "") if text.sampling else "",
        )
    except LMSteerError as error:
        return widgets.note(str(error), "error")


def _dimension_words(workbench: Workbench, steer: Steer) -> list[str]:
    """Return the words at both ends of a steer's dimensions; of a locked steer none are shown."""
    if steer.card.is_locked:
        return []
    words = _WORDS.get(steer)
    if words is None:
        found = workbench.dimensions(steer, n_dims=min(steer.rank, _N_NAMED), n_words=1)
        words = [" ↔ ".join([*each.negative, *each.positive]) for each in found]
        _WORDS[steer] = words
    return words
