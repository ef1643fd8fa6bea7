"""What the Highlight tab does when its widgets are used."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import gradio as gr
from markupsafe import Markup

from lmsteer_core.analysis.spans import UnitKind
from lmsteer_core.errors import InputError
from lmsteer_core.progress import map_shares
from lmsteer_core.steers.steer import Steer
from lmsteer_core.text import check_text
from lmsteer_core.ui.figures.posterior import posterior_curves
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.request import requested_at, session_of
from lmsteer_core.ui.page.runs import Runs, Wanted
from lmsteer_core.ui.page.written import WRITTEN
from lmsteer_core.ui.tabs.highlight import markup
from lmsteer_core.ui.tabs.highlight.analysis import MEASURES, Analysis, Analyst, Shown
from lmsteer_core.ui.tabs.highlight.files import csv_of, html_of
from lmsteer_core.ui.tabs.highlight.inspection import read_as_written

BY_PLACE, BY_STRENGTH = "as in the text", "strongest first"


@dataclass(frozen=True)
class UnitSettings:
    """How the evidence is split.

    Attributes:
        kind: Tokens, words or sentences.
        order: BY_PLACE or BY_STRENGTH, of the table of numbers.
        measure_name: One of `MEASURES`.
    """

    kind: UnitKind
    order: str
    measure_name: str


@dataclass(frozen=True)
class SpanSettings:
    """Which spans are listed.

    Attributes:
        n_spans: Spans at most, of each text.
        max_tokens: Tokens of a span at most.
        measure_name: One of `MEASURES`.
    """

    n_spans: float
    max_tokens: float
    measure_name: str


@dataclass(frozen=True)
class FileSettings(SpanSettings):
    """How a saved page shows the evidence.

    Attributes:
        kind: Tokens, words or sentences.
    """

    kind: UnitKind


@dataclass(frozen=True)
class ReadSettings(UnitSettings, SpanSettings):
    """What is read, and how it is shown.

    Attributes:
        text: The text.
        second: What it is compared with.
        is_comparing: Whether there is a second text.
        steer_name: The steer whose evidence is shown.
    """

    text: str
    second: str
    is_comparing: bool
    steer_name: str | None

    @property
    def texts(self) -> dict[str, str]:
        """The texts to read, by what they are called; one alone is "text"."""
        if not self.is_comparing:
            return {"text": self.text}
        return dict(zip(markup.NAMES, (self.text, self.second), strict=True))


class Panels(NamedTuple):
    """What the tab shows of a reading, in the order of its outputs; unset ones stay as they are."""

    second_panel: Any = gr.skip()
    marked: Any = gr.skip()
    marked_second: Any = gr.skip()
    legend: Any = gr.skip()
    table: Any = gr.skip()
    spans: Any = gr.skip()
    posterior: Any = gr.skip()
    profile: Any = gr.skip()
    summary: Any = gr.skip()
    effects: Any = gr.skip()
    status: Any = gr.skip()


_Reading = Generator[Panels, None, list[Analysis]]
"""Yields progress, returns what came of each text."""


class HighlightHandlers:
    """The handlers of the tab's events."""

    def __init__(self, page: Page) -> None:
        """Start with nothing read."""
        self._page_steers, self._workbench = page.steers, page.workbench
        self._analyst = Analyst(page.workbench)
        self._runs = Runs()
        self._shown: dict[str, Shown] = {}  # by session: what its page shows and would save

    def read(self, request: gr.Request, settings: ReadSettings) -> Iterator[tuple[Any, ...]]:
        """Yield how far the reading is, then what the texts say about the steers."""
        session = session_of(request)

        def write(is_wanted: Wanted) -> Iterator[Panels]:
            steer = self._page_steers.steer(session, settings.steer_name)
            names = self._page_steers.names(session)
            steers = [self._page_steers.steer(session, name) for name in names]
            analyses = yield from self._weigh(settings.texts, steer, steers)
            if not is_wanted():  # what is saved must be what is shown
                return
            cards = tuple(each.card for each in steers)
            shown = self._shown[session] = Shown(steer.card, tuple(analyses), cards)
            self._note_tokens(session, shown, settings)
            yield _reading_panels(shown, settings)

        yield from self._runs.follow(request, len(Panels._fields) - 1, write)

    def read_one_again(
        self, request: gr.Request, settings: ReadSettings
    ) -> Iterator[tuple[Any, ...]]:
        """Read the first text alone, once there is no second one to compare it with."""
        if settings.is_comparing:
            yield Panels()
        else:
            yield from self.read(request, settings)

    def show_units(self, request: gr.Request, settings: UnitSettings) -> tuple[Any, ...]:
        """Return what depends on the units: both texts, the key to the tints, and the table."""
        shown = self._shown.get(session_of(request))
        if shown is None:
            return (gr.skip(),) * 4
        self._note_tokens(session_of(request), shown, settings)
        return unit_panels(shown, settings)

    def show_spans(self, request: gr.Request, settings: SpanSettings) -> Any:
        """Return the strongest spans of each text."""
        shown = self._shown.get(session_of(request))
        return _spans(shown, settings) if shown else gr.skip()

    def split(self, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Yield how far it is, then what each word of the shown texts does."""
        session = session_of(request)

        def write(_: Wanted) -> Iterator[tuple[Any, ...]]:
            shown = self._shown.get(session)
            if not shown:
                raise InputError("Highlight a text first, then its words can be taken apart.")
            steer = self._page_steers.steer(session, shown.card.name)
            effects = []
            for text in shown.texts:
                steps = self._workbench.word_effects("".join(text.token_texts), steer)
                effects.append((yield from map_shares(steps, _effects_progress)))
            yield markup.effects_tables(shown, effects), ""

        yield from self._runs.follow(request, 1, write)

    def html_file(self, request: gr.Request, settings: FileSettings) -> str:
        """Return what is shown as HTML that stands alone, named, as JSON; "" if nothing is."""
        shown = self._shown.get(session_of(request))
        if not shown:
            return ""
        return _file(
            shown,
            "html",
            html_of(shown, settings.kind, *_span_limits(settings), MEASURES[settings.measure_name]),
        )

    def csv_file(self, request: gr.Request) -> str:
        """Return the evidence of every token as a table, named, as JSON; "" if nothing is shown."""
        shown = self._shown.get(session_of(request))
        return _file(shown, "csv", csv_of(shown)) if shown else ""

    def stop(self, request: gr.Request) -> str:
        """End the reading; return the status line."""
        self._runs.stop(session_of(request), requested_at(request))
        return widgets.note("Stopped.")

    def forget(self, request: gr.Request) -> None:
        """Drop all of a page that was closed."""
        self._runs.forget(session_of(request))
        self._shown.pop(session_of(request), None)

    def _note_tokens(self, session: str, shown: Shown, settings: UnitSettings) -> None:
        """Let the page ask about the units that it shows."""
        steer = self._page_steers.steer(session, shown.card.name)
        measure = MEASURES[settings.measure_name]
        panels = zip(("highlighted", "highlighted-second"), shown.texts, strict=False)
        WRITTEN.put(
            session,
            {
                panel: [
                    read_as_written(
                        self._workbench, text, markup.units_of(text, settings.kind, measure), steer
                    )
                ]
                for panel, text in panels
            },
        )

    def _weigh(self, texts: dict[str, str], steer: Steer, steers: list[Steer]) -> _Reading:
        """Yield the progress of reading each text; return what each says about the steers."""
        for name, text in texts.items():
            check_text(text, name)
        analyses = []
        for name, text in texts.items():
            what = f"Reading the {name} …" if len(texts) > 1 else "Reading …"
            yield _progress(what)(0)
            analyses.append(
                (yield from map_shares(self._analyst.weigh(text, steer, steers), _progress(what)))
            )
        return analyses


def unit_panels(shown: Shown, settings: UnitSettings) -> tuple[str, str, str, str]:
    """Return both texts tinted, the key to the tints and the table of numbers."""
    kind, measure = settings.kind, MEASURES[settings.measure_name]
    first, *others = markup.marked_texts(shown, kind, measure)
    table = markup.units_tables(shown, kind, measure, by_strength=settings.order == BY_STRENGTH)
    return first, others[0] if others else "", markup.legend(shown.poles, kind, measure), table


def _reading_panels(shown: Shown, settings: ReadSettings) -> Panels:
    marked, marked_second, legend, table = unit_panels(shown, settings)
    return Panels(
        second_panel=gr.update(visible=settings.is_comparing),
        marked=marked,
        marked_second=marked_second,
        legend=legend,
        table=table,
        spans=_spans(shown, settings),
        posterior=_posterior(shown),
        profile=markup.profile_table(shown),
        summary=Markup().join(map(widgets.note, markup.summary(shown))),
        effects="",
        status="",
    )


def _progress(what: str) -> Callable[[float], Panels]:
    return lambda share: Panels(status=_bar(share, what))


def _effects_progress(share: float) -> tuple[Any, ...]:
    return gr.skip(), _bar(share, "Reading it without each word …")


def _bar(share: float, what: str) -> str:
    return widgets.progress_bar(share, f"{what} {share:.0%}", what)


def _posterior(shown: Shown) -> Any:
    names = markup.SHORT_NAMES if len(shown.texts) > 1 else ("",)
    return posterior_curves(
        shown.texts[0].weighed.epsilons,
        {
            name: (text.weighed.posterior, text.weighed.best_epsilon)
            for name, text in zip(names, shown.texts, strict=True)
        },
    )


def _spans(shown: Shown, settings: SpanSettings) -> Markup:
    return markup.spans_of(shown, *_span_limits(settings), MEASURES[settings.measure_name])


def _span_limits(settings: SpanSettings) -> tuple[int, int]:
    return int(settings.n_spans), int(settings.max_tokens)


def _file(shown: Shown, ending: str, text: str) -> str:
    """Return what the page needs to save a file, as JSON."""
    return json.dumps({"name": f"highlight-{shown.card.name}.{ending}", "text": text})
