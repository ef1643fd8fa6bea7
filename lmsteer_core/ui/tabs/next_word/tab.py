"""Next word: exact probabilities of what comes next, as curves over ε, as a tab and as a card."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from lmsteer_core.analysis.next_word import EPSILON_GRID
from lmsteer_core.errors import LMSteerError
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import LOOK, QUIET, note_js
from lmsteer_core.ui.page.request import session_of
from lmsteer_core.ui.tabs.examples import NEXT_WORD_EXAMPLES, NextWordExample
from lmsteer_core.ui.tabs.next_word.card import pause_js
from lmsteer_core.ui.tabs.next_word.chart import Question, View

_MAX_FOLLOWED = 5
_N_HELD = 2

_CAPTION = (
    "How likely each next word is at every ε, exactly and over the whole vocabulary; the upright "
    "line stands at the slider's ε."
)
_LIMITS = (
    "These are probabilities before temperature and top-p. They look one token ahead: in a longer "
    "text, ε also acts through the words it has already changed. The model writes in tokens, so a "
    "short entry such as “un” may be the beginning of a longer word."
)
_FORMULA = "P(v | ε) = softmax(E h + ε E Wᵀ h + Σ held ε_s E W_sᵀ h)_v"
_TOLD = (
    "h is the hidden state after the prompt, which no steer moves; E holds the output embeddings."
)


def create_nextword_tab(page: Page) -> None:
    """Add the tab's widgets and events to the open Blocks."""
    workbench, own, changed, demo = page.workbench, page.steers, page.announcement, page.demo
    names = workbench.names
    presets = [p for p in NEXT_WORD_EXAMPLES if {p.steer, *(p.held or ())[:1]} <= set(names)]
    first = (
        presets[0]
        if presets
        else NextWordExample("", names[0] if names else "", "My life is", "", 1.0)
    )

    def show(
        request: gr.Request,
        prompt: str,
        name: str | None,
        follow: list[str] | None,
        unlocked: bool,
        is_log: bool,
        *held: Any,
    ) -> tuple[Any, ...]:
        session = session_of(request)
        try:
            pairs = zip(held[::2], held[1::2], strict=True)
            kept = tuple((own.steer(session, other), float(e)) for other, e in pairs if other and e)
            words = tuple(word for word in follow or () if word.strip())
            question = Question(prompt, own.steer(session, name), kept, words, unlocked)
            return view.show(question, slider.elem_id or "", is_log=is_log)
        except LMSteerError as error:
            return gr.skip(), gr.skip(), widgets.note(str(error), "error")

    def set_axis(
        request: gr.Request,
        name: str | None,
        unlocked: bool,
        epsilon: float | None,
        *others: str | None,
    ) -> tuple[Any, ...]:
        """Fit the slider to the steer on the axis, and offer to unlock what has a notice."""
        session = session_of(request)
        try:
            chosen = [own.steer(session, other) for other in (name, *others) if other]
        except LMSteerError:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        if not name:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        notices = list(dict.fromkeys(steer.card.notice for steer in chosen if steer.card.notice))
        low = 0.0 if chosen[0].card.notice and not unlocked else EPSILON_GRID[0]
        return (
            gr.update(minimum=low, value=max(low, epsilon or 0.0), label=f"ε of {name}"),
            widgets.poles(chosen[0].card, box),
            gr.update(visible=bool(notices)),
            widgets.note(" ".join(notices) if unlocked else "", "warning"),
        )

    def offer_held(request: gr.Request, *chosen: str | None) -> dict[Any, Any]:
        held_names = own.names(session_of(request))
        return {
            widget: gr.update(
                choices=_held_choices(held_names), value=name if name in held_names else ""
            )
            for widget, name in zip(held[::2], chosen, strict=True)
        }

    box = "nextword-epsilon-box"
    with gr.Row(elem_classes="examples"):
        buttons = [gr.Button(preset.label, size="sm", variant="secondary") for preset in presets]
    told = gr.HTML(_told(first.told), elem_id="nextword-told", padding=False)
    with gr.Row():
        prompt = gr.Textbox(
            first.prompt,
            label="Prompt",
            placeholder="Write a few words to continue …",
            lines=1,
            max_lines=5,
            scale=3,
            min_width=280,
            elem_id="nextword-prompt",
        )
        follow = gr.Dropdown(
            [],
            value=list(first.follow),
            multiselect=True,
            allow_custom_value=True,
            label="Add a word (press Enter)",
            max_choices=_MAX_FOLLOWED,
            scale=2,
            min_width=240,
            elem_id="nextword-follow",
        )
        which = gr.Dropdown(
            names,
            value=first.steer or None,
            label="Steer on the axis",
            min_width=200,
            elem_id="nextword-steer",
        )
    view = View(workbench, "nextword-view", height=330, n_ranked=10)
    with view.side, gr.Column(elem_classes="steer-slider", elem_id=box):
        slider = gr.Slider(
            EPSILON_GRID[0],
            EPSILON_GRID[-1],
            first.epsilon,
            step=0.1,
            label="ε",
            buttons=[],
            elem_id="nextword-epsilon",
        )
        poles = gr.HTML()
    view.add_words()
    gr.HTML(f"<p>{_CAPTION}</p>", padding=False)
    with gr.Row():
        with gr.Column(min_width=240):
            is_log = gr.Checkbox(False, label="Logarithmic scale", elem_id="nextword-log")
            unlock = gr.Checkbox(
                False,
                label="Show offensive poles (for research)",
                visible=False,
                elem_id="nextword-unlock",
            )
        held: list[Any] = []
        with (
            gr.Column(scale=3, min_width=300),
            gr.Accordion("Hold other steers", open=False, elem_id="nextword-held"),
        ):
            for i in range(1, _N_HELD + 1):
                with gr.Row():
                    held.append(
                        gr.Dropdown(
                            _held_choices(names),
                            value="",
                            label=f"Held steer {i}",
                            elem_id=f"held-steer-{i}",
                        )
                    )
                    held.append(
                        gr.Slider(
                            -3,
                            3,
                            0,
                            step=0.1,
                            label=f"ε of held steer {i}",
                            buttons=[],
                            elem_id=f"held-{i}",
                            elem_classes="epsilon",
                        )
                    )
    notice = gr.HTML(padding=False, elem_id="nextword-notice")
    view.add_lists()
    gr.HTML(
        f"{widgets.equation(_FORMULA, _TOLD, 'analysis/next_word.py')}<p "
        f'class="limits">{_LIMITS}</p>'
    )

    asked: list[Any] = [prompt, which, follow, unlock, is_log, *held]
    axis: dict[str, Any] = {
        "fn": set_axis,
        "inputs": [which, unlock, slider, *held[::2]],
        "outputs": [slider, poles, unlock, notice],
        **QUIET,
    }
    look: dict[str, Any] = {"fn": show, "inputs": asked, "outputs": view.outputs, **LOOK}
    gr.on([demo.load, which.change, unlock.change, *(w.change for w in held[::2])], **axis)
    gr.on([widget.change for widget in asked], js=pause_js("nextword"), **look)
    demo.load(**look)
    changed.change(own.update_chooser, which, which, **QUIET).then(
        offer_held, held[::2], held[::2], **QUIET
    ).then(**look)
    taught = {(preset.prompt, preset.steer): _told(preset.told) for preset in presets}
    teach: dict[str, Any] = {
        "fn": None,
        "inputs": [prompt, which],
        "outputs": told,
        "js": note_js(taught),
    }
    gr.on([prompt.change, which.change], **teach)
    for button, preset in zip(buttons, presets, strict=True):
        button.click(
            lambda preset=preset: _preset_values(preset),
            None,
            [prompt, which, follow, slider, *held],
            **QUIET,
        ).then(**teach)


def _told(text: str) -> str:
    return f'<p class="nw-told">{escape(text)}</p>' if text else ""


def _held_choices(names: Sequence[str]) -> list[tuple[str, str]]:
    return [("none", ""), *((name, name) for name in names)]


def _preset_values(preset: NextWordExample) -> tuple[Any, ...]:
    held = [*(preset.held or ("", 0.0)), *["", 0.0] * (_N_HELD - 1)]
    return preset.prompt, preset.steer, list(preset.follow), preset.epsilon, *held
