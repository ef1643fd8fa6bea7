"""The card of the next word's curve beside the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from lmsteer_core.errors import LMSteerError
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import LOOK, QUIET
from lmsteer_core.ui.page.request import session_of
from lmsteer_core.ui.tabs.next_word.chart import Question, View

_CARD_READS = 2000
"""Characters of a long prompt that the card reads: it must not keep generation waiting."""


def create_nextword_card(
    page: Page,
    *,
    prompt: gr.Textbox,
    unlock: gr.Checkbox,
    sliders: Sequence[gr.Slider],
) -> None:
    """Add a card that shows the Steer tab's next word; its line follows one of the tab's sliders.

    The browser asks for new curves when a slider other than that one has moved (nextword.js),
    through a hidden button: a listener on the sliders would wait until their text is generated.

    Args:
        page: What the tabs share.
        prompt: The tab's prompt.
        unlock: Whether offensive poles may be shown.
        sliders: One per shared steer in the order of `workbench.names`, then one per slot of the
            page.
    """
    workbench, own, changed, demo = page.workbench, page.steers, page.announcement, page.demo
    names = workbench.names

    def show(
        request: gr.Request, text: str, name: str | None, unlocked: bool, *values: float | None
    ) -> tuple[Any, ...]:
        session = session_of(request)
        steers = [*(workbench.steers[n] for n in names), *own.slots(session)]
        try:
            axis = own.steer(session, name)
            rows = list(zip(sliders, steers, values, strict=True))
            at = next((s.elem_id for s, steer, _ in rows if steer and steer.name == axis.name), "")
            held = tuple((st, float(e)) for s, st, e in rows if st and e and s.elem_id != at)
            note = f"The card reads the prompt's last {_CARD_READS} characters."
            return view.show(
                Question(text[-_CARD_READS:], axis, held, (), unlocked),
                at or "",
                note=note if len(text) > _CARD_READS else "",
                ask=ask.elem_id,
                unlock=unlock.elem_id,
                unlocked=unlocked,
                held={s.elem_id: e or 0.0 for s, _, e in rows if s.elem_id != at},
            )
        except LMSteerError as error:
            return gr.skip(), gr.skip(), widgets.note(str(error), "error")

    with gr.Column(elem_classes=["card", "next-card"]):
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                gr.HTML(
                    "<h2>Next word</h2><p>What may come right after the prompt, exactly, at "
                    "every ε of one steer; the others stay at their sliders. The line is that "
                    "steer's slider above.</p>"
                )
            which = gr.Dropdown(
                names,
                value=names[0] if names else None,
                label="Steer on the axis",
                min_width=200,
                elem_id="steer-next-axis",
            )
        view = View(workbench, "steer-next", height=330, n_ranked=6)
        view.add_words()
        view.add_lists()
        ask = gr.Button("Ask", visible="hidden", elem_id="steer-next-ask")
    look: dict[str, Any] = {
        "fn": show,
        "inputs": [prompt, which, unlock, *sliders],
        "outputs": view.outputs,
        **LOOK,
    }
    gr.on([demo.load, ask.click, which.change], **look)
    prompt.change(js=pause_js("card"), **look)
    changed.change(own.update_chooser, which, which, **QUIET).then(**look)


def pause_js(of: str) -> str:
    """Return the script that lets an event through once its widgets have come to rest."""
    return f"(...values) => window.lmsteerNextword.pause('{of}', values)"
