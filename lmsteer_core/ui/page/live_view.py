"""What a run shows while it writes: panels that grow by tokens, and a status line.

A page gets a panel's beginning once and then only what is new (`LiveView.news`); when the run has
ended it gets the whole panel, which is the same.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from markupsafe import Markup

from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.tokens import Piece
from lmsteer_core.ui.page.written import Written

_numbers = itertools.count(1)


class LiveText(Protocol):
    """A text that grows.

    Attributes:
        pieces: What follows its beginning; only ever appended to.
        first_change: Index of the token to mark, if any.
        limit: Pieces that the page keeps, of all if None.
    """

    pieces: list[Piece]
    first_change: int | None
    limit: int | None

    def beginning(self) -> Markup:
        """Return the text without any piece."""
        ...

    def html(self) -> Markup:
        """Return the whole text, or as much of it as the limit leaves."""
        ...


@dataclass(frozen=True)
class LivePanel:
    """A panel of growing texts.

    Attributes:
        elem_id: Which one.
        texts: In the order in which they stand.
        frame: Puts the texts' HTML into the panel's.
        keeps_old: Whether what stood here stays, dimmed, until the new text overtakes it.
        written: The tokens of each text, for whoever asks about one.
    """

    elem_id: str
    texts: Sequence[LiveText]
    frame: Callable[[Sequence[Markup]], Markup]
    keeps_old: bool = False
    written: Sequence[Written] = ()

    def html(self) -> Markup:
        """Return the whole panel."""
        return self.frame([text.html() for text in self.texts])

    def news(self, sent: dict[str, Any]) -> dict[str, Any] | None:
        """Return what is not yet `sent`, which is brought up to date; None for nothing."""
        news: dict[str, Any] = {}
        if "texts" not in sent:
            sent["texts"] = [[0, None] for _ in self.texts]
            news["html"] = self.frame([text.beginning() for text in self.texts])
            news["keepsOld"] = self.keeps_old
        texts = []
        for i, (text, of_text) in enumerate(zip(self.texts, sent["texts"], strict=True)):
            n_sent, marked = of_text
            n_pieces, change = len(text.pieces), text.first_change
            if n_pieces == n_sent and change == marked:
                continue
            of_text[:] = n_pieces, change
            first = max(n_sent, n_pieces - text.limit) if text.limit else n_sent
            new = {"text": i, "pieces": text.pieces[first:n_pieces], "limit": text.limit}
            texts.append(new | ({} if change is None else {"firstChange": change}))
        return news | {"id": self.elem_id, "texts": texts} if news or texts else None


@dataclass(frozen=True)
class RedrawnPanel:
    """A small panel that is drawn anew: its size must not grow with the text's length."""

    elem_id: str
    html: Callable[[], Markup]

    def news(self, sent: dict[str, Any]) -> dict[str, Any] | None:
        """Return the panel if it differs from what was `sent`."""
        html = self.html()
        if sent.get("html") == html:
            return None
        sent["html"] = html
        return {"id": self.elem_id, "html": html, "texts": []}


@dataclass(eq=False)
class LiveView:
    """The panels of one run.

    Attributes:
        panels: What it shows.
        status_id: The status line's element.
        note: The status line when the run has ended.
        number: Greater than that of every run before.
        is_over: Whether nothing will be added.
        is_flushed: Set once a page has got all of it.
        about: Of what the page keeps the run by; empty if it keeps none.
    """

    panels: Sequence[LivePanel | RedrawnPanel]
    status_id: str
    note: Markup = Markup()
    number: int = field(default_factory=lambda: next(_numbers))
    is_over: bool = False
    is_flushed: threading.Event = field(default_factory=threading.Event)
    about: Mapping[str, Any] = field(default_factory=dict)
    _progress: str = "Waiting …"

    def written(self) -> dict[str, Sequence[Written]]:
        """Return the tokens of the texts by panel."""
        return {each.elem_id: each.written for each in self.panels if isinstance(each, LivePanel)}

    def progress(self, text: str) -> LiveView:
        """Set what the status line says meanwhile; return the view."""
        self._progress = text
        return self

    def finish(self, note: Markup) -> LiveView:
        """Set what the status line says in the end; return the view."""
        self.note = note
        return self

    def html(self) -> list[Markup]:
        """Return the panels as they stand, whole."""
        return [panel.html() for panel in self.panels]

    def news(self, sent: dict[str, Any]) -> dict[str, Any] | None:
        """Return what a page must be told.

        Args:
            sent: What the page has got of this view, {} for nothing; it is brought up to date.
        """
        is_over = self.is_over
        panels = [
            news
            for panel in self.panels
            if (news := panel.news(sent.setdefault(panel.elem_id, {}))) is not None
        ]
        status = self.note if is_over else widgets.progress(self._progress)
        if not panels and not is_over and sent.get("status") == status:
            return None
        sent["status"] = status
        line = {"id": self.status_id, "html": status}
        about = {"about": self.about} if is_over and self.about else {}
        return {"run": self.number, "panels": panels, "status": line, "isOver": is_over, **about}
