"""Trainings in the background, one at a time over all visitors, each of which can be cancelled."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from lmsteer_core.errors import Cancelled
from lmsteer_core.progress import Progress
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.runs import Wanted

T = TypeVar("T")

_TICK_SECONDS = 0.3
_SETTLED_SECONDS, _LEAST_SHARE = 2.0, 0.02
"""Speed is measured from here on: what was cached is skipped at once and says nothing about it."""


CLOSING = threading.Event()
"""Set when the server stops: Python would wait for every training in the queue."""


class Training(Generic[T]):
    """One training: where it is, and what came of it once `is_done`."""

    def __init__(
        self, work: Callable[[Progress], T], is_wanted: Wanted, pool: ThreadPoolExecutor
    ) -> None:
        """Queue `work`; it ends at its next report after `is_wanted` turned False."""
        self._is_wanted = is_wanted
        self._reports: list[tuple[float, float]] = []  # (seconds on the clock, share)
        self._doing = ""
        self._future = pool.submit(lambda: self._run(work))

    @property
    def is_done(self) -> bool:
        """Whether `result` can be asked for."""
        return self._future.done()

    def withdraw(self) -> None:
        """Leave the queue, if the turn has not come yet."""
        self._future.cancel()

    def result(self) -> T:
        """Return what was made, or raise what ended the training."""
        return self._future.result()

    async def bars(self) -> AsyncIterator[str]:
        """Yield the progress bar as HTML until the training is done, or has given way."""
        while not self.is_done:
            if not self._is_wanted():
                self.withdraw()
            yield self.bar() if self._is_wanted() else widgets.progress("Cancelling …")
            await asyncio.sleep(_TICK_SECONDS)

    def bar(self) -> str:
        """Return the progress bar as HTML."""
        if not self._reports:
            return widgets.progress_bar(0, "Waiting for its turn …", "Training")
        share = self._reports[-1][1]
        return widgets.progress_bar(
            share, f"{self._doing} … {share:.0%}{self._time_left()}", "Training"
        )

    def _time_left(self) -> str:
        now, (began, _), (_, share) = time.monotonic(), self._reports[0], self._reports[-1]
        start, done = next(
            (r for r in self._reports if r[0] >= began + _SETTLED_SECONDS), (now, share)
        )
        if share < done + _LEAST_SHARE:
            return ""
        seconds = (now - start) * (1 - share) / (share - done)
        return f", about {f'{seconds / 60:.0f} min' if seconds >= 90 else f'{seconds:.0f} s'} left"

    def _run(self, work: Callable[[Progress], T]) -> T:
        self._report(0, "Starting")
        return work(self._report)

    def _report(self, share: float, doing: str) -> None:
        if CLOSING.is_set() or not self._is_wanted():
            raise Cancelled("Cancelled.")
        self._reports.append((time.monotonic(), share))
        self._doing = doing[:1].upper() + doing[1:]


class Trainings:
    """The one queue of all visitors."""

    def __init__(self) -> None:
        """Start idle."""
        self._pool = ThreadPoolExecutor(1, "training")

    def start(self, work: Callable[[Progress], T], is_wanted: Wanted) -> Training[T]:
        """Return the training that calls `work` with a progress callback when its turn comes."""
        return Training(work, is_wanted, self._pool)
