"""The next word's curves with what the browser draws beside them: the same on two tabs.

The server computes the curves once per prompt and setting; the line at the slider's ε and every
number beside the chart are the browser's (assets/js/next_word.js), so a slider asks nobody.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from lmsteer_core.analysis.next_word import EPSILON_GRID, NextWords, WordCurve
from lmsteer_core.errors import InputError
from lmsteer_core.steers.steer import Steer
from lmsteer_core.text import is_unspaced
from lmsteer_core.ui.figures.next_word import Line, lines, next_word_curves
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.format import epsilon_text, visible
from lmsteer_core.workbench import Workbench

N_LINES = 8


@dataclass(frozen=True)
class Question:
    """What one chart answers: hashable, so that answers are kept."""

    prompt: str
    axis: Steer
    held: tuple[tuple[Steer, float], ...] = ()
    followed: tuple[str, ...] = ()
    unlocked: bool = False

    @property
    def is_locked(self) -> bool:
        """Whether the − pole of the axis stays out of sight."""
        return self.axis.card.is_locked and not self.unlocked

    @property
    def epsilons(self) -> list[float]:
        """The grid of the axis."""
        low = self.axis.card.lowest(EPSILON_GRID[0], self.unlocked)
        return [epsilon for epsilon in EPSILON_GRID if epsilon >= low]

    def check(self) -> None:
        """Raise InputError for a steer in two places."""
        for steer, _ in self.held:
            if steer.name == self.axis.name:
                raise InputError(f"'{steer.name}' is on the axis, so it cannot be held too.")


class Chart:
    """Computes what one chart shows.

    Attributes:
        elem_id: Element id of the chart's widgets.
    """

    def __init__(self, workbench: Workbench, elem_id: str, *, height: int, n_ranked: int) -> None:
        """Draw figures of `height` pixels, and lists of `n_ranked` words."""
        self.elem_id, self._height = elem_id, height

        @functools.lru_cache(maxsize=32)
        def next_words(question: Question) -> NextWords:
            question.check()
            grid = question.epsilons
            return workbench.next_words(
                question.prompt,
                question.axis,
                held=question.held,
                unlock=question.unlocked,
                epsilons=grid,
                ranked=grid,
                n_ranked=n_ranked,
                top=N_LINES,
                follow=question.followed,
            )

        self._next_words = next_words

    def draw(
        self,
        question: Question,
        slider_id: str,
        *,
        is_log: bool = False,
        note: str = "",
        **for_browser: Any,
    ) -> tuple[Any, str, str]:
        """Return the figure, the words for the browser, and a status line.

        Args:
            question: What to show.
            slider_id: Element id of the slider that the line follows.
            is_log: Whether probabilities are on a logarithmic axis.
            note: Said first in the status line.
            for_browser: What else the browser needs to know.

        Raises:
            InputError: If the question cannot be answered.
        """
        result = self._next_words(question)
        words = _shown_words(result)
        drawn = lines([(shown_curve(word), word.probability) for word in words])
        card = question.axis.card
        figure = next_word_curves(
            drawn,
            result.epsilons,
            title=f"← {card.negative} · ε of {card.name} · {card.positive} →",
            useful=card.epsilon_range,
            breaks=card.collapse_range,
            is_log=is_log,
            height=self._height,
        )
        data = {
            **for_browser,
            "view": self.elem_id,
            "slider": slider_id,
            "locked": question.is_locked,
            "poles": (card.negative, card.positive),
            "isHeld": bool(question.held),
            **_curves_for_browser(result, words, drawn),
        }
        return figure, _data_html(data), widgets.note(_status_text(question, result, note))


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


def _shown_words(result: NextWords) -> list[WordCurve]:
    """Return the words that were asked for, then the likeliest others."""
    ids = {word.token_id for word in result.followed}
    return [*result.followed, *(word for word in result.words if word.token_id not in ids)]


def _curves_for_browser(
    result: NextWords, words: Sequence[WordCurve], drawn: Sequence[Line]
) -> dict[str, Any]:
    """Return what the browser draws from: words over the grid, and the likeliest ones at each ε."""
    return {
        "epsilons": result.epsilons,
        "words": [
            {
                "text": line.text,
                "side": line.side,
                "dash": line.dash,
                "p": [_rounded(p) for p in line.probability],
                "of": "" if word.is_whole else word.word.strip(),
            }
            for word, line in zip(words, drawn, strict=True)
        ],
        "tops": [
            [
                (shown_token(text), _rounded(p))
                for text, p in zip(at.texts, at.probability, strict=True)
            ]
            for at in result.rankings
        ],
    }


def _rounded(p: float) -> float:
    return float(f"{p:.4g}")


def _data_html(data: dict[str, Any]) -> Markup:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup('<div class="nw-now" data-next="{}"></div>').format(text)


def _status_text(question: Question, result: NextWords, note: str) -> str:
    """Return what a reader must know about these curves, in sentences."""
    held = ", ".join(f"{steer.name} at {epsilon_text(e)}" for steer, e in question.held)
    sentences = [note, f"Held: {held}." if held else ""]
    if result.cut:
        sentences.append("The prompt was cut: the model reads its end.")
    sentences += [
        f"“{word.word.strip()}” is several tokens: its curve is that of the first, "
        f"{shown_token(word.text)}, and so of every word that begins with it."
        for word in result.followed
        if not word.is_whole
    ]
    return " ".join(filter(None, sentences))
