"""The next word's curves with what the browser draws beside them: the same on two tabs.

The server computes the curves once per prompt and setting; the line at the slider's ε and every
number beside the chart are the browser's (assets/nextword.js), so a slider asks nobody.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from lmsteer_core.analysis.next_word import EPSILON_GRID, NextWords, WordCurve
from lmsteer_core.errors import InputError
from lmsteer_core.steers.steer import Steer, check_unlocked
from lmsteer_core.text import is_unspaced
from lmsteer_core.ui.figures.next_word import Line, lines, next_word_curves
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.format import epsilon_text, visible
from lmsteer_core.workbench import Workbench

_N_LINES = 8
_KEY = (
    "Blue lines gain towards +ε, orange ones towards −ε; dashes tell lines of one colour apart. "
    "The ground is grey where the steer is useful; a dashed red line marks where its text breaks."
)


@dataclass(frozen=True)
class Question:
    """What one chart answers: hashable, so that answers are kept."""

    prompt: str
    axis: Steer
    held: tuple[tuple[Steer, float], ...] = ()
    follow: tuple[str, ...] = ()
    unlocked: bool = False

    @property
    def is_locked(self) -> bool:
        """Whether the − pole of the axis stays out of sight."""
        return bool(self.axis.card.notice) and not self.unlocked

    @property
    def epsilons(self) -> list[float]:
        """The grid of the axis."""
        return [epsilon for epsilon in EPSILON_GRID if epsilon >= 0 or not self.is_locked]

    def check(self) -> None:
        """Raise InputError for a steer in two places, or an offensive pole that is locked."""
        for steer, epsilon in self.held:
            if steer.name == self.axis.name:
                raise InputError(f"'{steer.name}' is on the axis, so it cannot be held too.")
            check_unlocked(steer, epsilon, self.unlocked)


class View:
    """The chart with its words: the same on both tabs."""

    def __init__(self, workbench: Workbench, elem_id: str, *, height: int, n_ranked: int) -> None:
        """Add a chart of `height` pixels and lists of `n_ranked` words to the open Blocks."""
        self._height = height
        with gr.Row(elem_classes="next-words", elem_id=elem_id):
            with gr.Column(scale=3, min_width=320):
                self.plot = gr.Plot(show_label=False, elem_id=f"{elem_id}-chart")
            self.side = gr.Column(scale=2, min_width=260)
        self._elem_id = elem_id

        @functools.lru_cache(maxsize=32)
        def answer(question: Question) -> NextWords:
            question.check()
            grid = question.epsilons
            return workbench.next_words(
                question.prompt,
                question.axis,
                held=question.held,
                epsilons=grid,
                ranked=grid,
                n_ranked=n_ranked,
                top=_N_LINES,
                follow=question.follow,
            )

        self._answer = answer

    def add_words(self) -> None:
        """Add the words at the slider's ε to the column beside the chart."""
        with self.side:
            self.now = gr.HTML(elem_id=f"{self._elem_id}-now")

    def add_lists(self) -> None:
        """Add what stands below the chart."""
        gr.HTML(f'<p class="limits">{_KEY}</p>', padding=False)
        self.status = gr.HTML(elem_id=f"{self._elem_id}-status", padding=False)
        gr.HTML(f'<div class="nw-lists" data-of="{self._elem_id}"></div>', padding=False)

    @property
    def outputs(self) -> list[Any]:
        """The widgets that `show` fills."""
        return [self.plot, self.now, self.status]

    def show(
        self, question: Question, slider: str, *, is_log: bool = False, note: str = "", **given: Any
    ) -> tuple[Any, str, str]:
        """Return the figure, the words for the browser, and a status line.

        Args:
            question: What to show.
            slider: Element id of the slider that the line follows.
            is_log: Whether probabilities are on a logarithmic axis.
            note: Said first in the status line.
            given: What else the browser needs to know.
        """
        found = self._answer(question)
        words = _shown_words(found)
        drawn = lines([(shown_curve(word), word.probability) for word in words])
        card = question.axis.card
        figure = next_word_curves(
            drawn,
            found.epsilons,
            title=f"← {card.negative} · ε of {card.name} · {card.positive} →",
            useful=card.epsilon_range,
            breaks=card.collapse_range,
            is_log=is_log,
            height=self._height,
        )
        data = {
            **given,
            "view": self._elem_id,
            "slider": slider,
            "locked": question.is_locked,
            "poles": (card.negative, card.positive),
            "isHeld": bool(question.held),
            **_payload(found, words, drawn),
        }
        return figure, _data_html(data), widgets.note(_status(question, found, note))


def shown_token(text: str) -> str:
    """Return a token as a word, or in quotation marks with its spaces visible if it is not a word.

    A word is set off by a space, or its script has none.
    """
    word = text.removeprefix(" ")
    if word[:1].isalnum() and word == word.strip() and (word != text or is_unspaced(word[0])):
        return word
    return f"“{visible(text)}”"


def shown_curve(curve: WordCurve) -> str:
    """Return the name of a curve: its token, with … if the word that was asked for goes on."""
    return shown_token(curve.text) + ("" if curve.is_whole else "…")


def _shown_words(found: NextWords) -> list[WordCurve]:
    """Return the words that were asked for, then the likeliest others."""
    ids = {word.token_id for word in found.followed}
    return [*found.followed, *(word for word in found.words if word.token_id not in ids)]


def _payload(found: NextWords, words: Sequence[WordCurve], drawn: Sequence[Line]) -> dict[str, Any]:
    """Return what the browser draws from: words over the grid, and the likeliest ones at each ε."""
    return {
        "epsilons": found.epsilons,
        "words": [
            {
                "text": line.text,
                "side": line.side,
                "dash": line.dash,
                "p": [_short(p) for p in line.probability],
                "of": "" if word.is_whole else word.word.strip(),
            }
            for word, line in zip(words, drawn, strict=True)
        ],
        "tops": [
            [
                (shown_token(text), _short(p))
                for text, p in zip(at.texts, at.probability, strict=True)
            ]
            for at in found.rankings
        ],
    }


def _short(p: float) -> float:
    return float(f"{p:.4g}")


def _data_html(data: dict[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f'<div class="nw-now" data-next="{escape(text)}"></div>'


def _status(question: Question, found: NextWords, note: str) -> str:
    """Return what a reader must know about these curves, in sentences."""
    held = ", ".join(f"{steer.name} at {epsilon_text(e)}" for steer, e in question.held)
    told = [note, f"Held: {held}." if held else ""]
    if found.cut:
        told.append("The prompt was cut: the model reads its end.")
    told += [
        f"“{word.word.strip()}” is several tokens: its curve is that of the first, "
        f"{shown_token(word.text)}, and so of every word that begins with it."
        for word in found.followed
        if not word.is_whole
    ]
    return " ".join(filter(None, told))
