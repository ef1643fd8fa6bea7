"""What the Next word tab, and its card on the Steer tab, do when their widgets are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lmsteer_core.analysis.next_word import EPSILON_GRID
from lmsteer_core.errors import LMSteerError
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.page_steers import PageSteers
from lmsteer_core.ui.page.request import session_of
from lmsteer_core.ui.tabs.next_word.chart import Chart, Question

_CARD_READS = 2000
"""Characters of a long prompt that the card reads: it must not keep generation waiting."""


@dataclass(frozen=True)
class ChartSettings:
    """What the tab's chart shows.

    Attributes:
        prompt: What is continued.
        steer_name: The steer on the axis.
        followed: Words that always have a curve.
        unlocked: Whether offensive poles may be shown.
        is_log: Whether probabilities are on a logarithmic axis.
        held_names: Steers held at one ε each; "" for none.
        held_epsilons: ε of each of them.
    """

    prompt: str
    steer_name: str | None
    followed: list[str] | None
    unlocked: bool
    is_log: bool
    held_names: tuple[str | None, ...]
    held_epsilons: tuple[float, ...]


@dataclass(frozen=True)
class AxisSettings:
    """What the slider of the axis is fitted to.

    Attributes:
        steer_name: The steer on the axis.
        unlocked: Whether offensive poles may be shown.
        epsilon: Where the slider stands.
        held_names: Steers held at one ε each; "" for none.
    """

    steer_name: str | None
    unlocked: bool
    epsilon: float | None
    held_names: tuple[str | None, ...]


@dataclass(frozen=True)
class CardSettings:
    """What the card on the Steer tab shows.

    Attributes:
        prompt: What is continued.
        steer_name: The steer on the axis.
        unlocked: Whether offensive poles may be shown.
        epsilons: ε of every slider, in the order of `PageSteers.behind_sliders`.
    """

    prompt: str
    steer_name: str | None
    unlocked: bool
    epsilons: tuple[float | None, ...]


class NextWordHandlers:
    """The handlers of the tab's events."""

    def __init__(self, page_steers: PageSteers, chart: Chart, slider_id: str) -> None:
        """Draw on `chart`, whose line follows the slider with the element id `slider_id`."""
        self._page_steers, self._chart, self._slider_id = page_steers, chart, slider_id

    def show(self, request: gr.Request, settings: ChartSettings) -> tuple[Any, Any, str]:
        """Return the figure, the words for the browser, and a status line."""
        session = session_of(request)
        pairs = zip(settings.held_names, settings.held_epsilons, strict=True)
        try:
            question = Question(
                settings.prompt,
                self._page_steers.steer(session, settings.steer_name),
                held=tuple(
                    (self._page_steers.steer(session, name), float(epsilon))
                    for name, epsilon in pairs
                    if name and epsilon
                ),
                followed=tuple(word for word in settings.followed or () if word.strip()),
                unlocked=settings.unlocked,
            )
            return self._chart.draw(question, self._slider_id, is_log=settings.is_log)
        except LMSteerError as error:
            return gr.skip(), gr.skip(), widgets.note(str(error), "error")

    def fit_axis(self, request: gr.Request, settings: AxisSettings) -> tuple[Any, Any, Any, Any]:
        """Fit the slider to the steer on the axis, and offer to unlock what has a notice.

        Returns:
            Updates of the slider, its poles, the offer to unlock, and the notice.
        """
        session, unlocked = session_of(request), settings.unlocked
        try:
            axis = self._page_steers.steer(session, settings.steer_name)
            held = [self._page_steers.steer(session, name) for name in settings.held_names if name]
        except LMSteerError:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        notices = [steer.card.notice for steer in (axis, *held) if steer.card.is_locked]
        low = axis.card.lowest(EPSILON_GRID[0], unlocked)
        notice = " ".join(dict.fromkeys(notices)) if unlocked else ""
        return (
            gr.update(
                minimum=low, value=max(low, settings.epsilon or 0.0), label=f"ε of {axis.name}"
            ),
            widgets.poles(axis.card, f"{self._slider_id}-box"),
            gr.update(visible=bool(notices)),
            widgets.note(notice, "warning"),
        )

    def update_held(self, request: gr.Request, *chosen: str | None) -> list[Any]:
        """Return the updates that list the page's steers in every chooser of a held one."""
        names = self._page_steers.names(session_of(request))
        return [
            gr.update(choices=held_choices(names), value=name if name in names else "")
            for name in chosen
        ]


class NextWordCardHandlers:
    """The handlers of the card's events."""

    def __init__(
        self,
        page_steers: PageSteers,
        chart: Chart,
        slider_ids: Sequence[str],
        *,
        ask_id: str,
        unlock_id: str,
    ) -> None:
        """Draw on `chart`, whose line follows one of the Steer tab's sliders.

        Args:
            page_steers: The steers that visitors made.
            chart: What is drawn on.
            slider_ids: Element id of every slider, in the order of `PageSteers.behind_sliders`.
            ask_id: Element id of the button by which the browser asks for new curves.
            unlock_id: Element id of the offer to unlock.
        """
        self._page_steers, self._chart, self._slider_ids = page_steers, chart, slider_ids
        self._ids: dict[str, Any] = {"ask": ask_id, "unlock": unlock_id}

    def show(self, request: gr.Request, settings: CardSettings) -> tuple[Any, Any, str]:
        """Return the figure, the words for the browser, and a status line."""
        session, prompt = session_of(request), settings.prompt
        sliders = zip(
            self._slider_ids,
            self._page_steers.behind_sliders(session),
            settings.epsilons,
            strict=True,
        )
        try:
            axis = self._page_steers.steer(session, settings.steer_name)
            axis_id, others = "", list[tuple[str, Steer | None, float]]()
            for elem_id, steer, epsilon in sliders:
                if steer and steer.name == axis.name:
                    axis_id = elem_id
                else:
                    others.append((elem_id, steer, float(epsilon or 0.0)))
            held = tuple((steer, epsilon) for _, steer, epsilon in others if steer and epsilon)
            note = f"The card reads the prompt's last {_CARD_READS} characters."
            return self._chart.draw(
                Question(prompt[-_CARD_READS:], axis, held=held, unlocked=settings.unlocked),
                axis_id,
                note=note if len(prompt) > _CARD_READS else "",
                unlocked=settings.unlocked,
                held={elem_id: epsilon for elem_id, _, epsilon in others},
                **self._ids,
            )
        except LMSteerError as error:
            return gr.skip(), gr.skip(), widgets.note(str(error), "error")


def held_choices(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return what the chooser of a held steer offers: no steer, or one of the names."""
    return [("none", ""), *((name, name) for name in names)]
