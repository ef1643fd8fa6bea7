"""Long work in the background: one job at a time over all visitors, each of which can be ended."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic, TypeVar

import gradio as gr

from lmsteer_core.errors import Cancelled, LMSteerError
from lmsteer_core.progress import Progress
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.request import requested_at, session_of
from lmsteer_core.ui.page.visits import JOB_SECONDS, Hold, Visits
from lmsteer_core.ui.page.wiring import Updates

T = TypeVar("T")

_TICK_SECONDS = 0.3
_SETTLED_SECONDS, _LEAST_SHARE = 2.0, 0.02
"""Speed is measured from here on: what was cached is skipped at once and says nothing about it."""

CLOSING = threading.Event()
"""Set when the server stops: Python would wait for every job in the queue."""

_log = logging.getLogger(__name__)


class _End(Enum):
    """Why a job shall end early."""

    CANCELLED = auto()
    SUPERSEDED = auto()


class Job(Generic[T]):
    """One piece of work: where it is, and what came of it once `is_done`."""

    def __init__(
        self,
        work: Callable[[Progress], T],
        queue: ThreadPoolExecutor,
        is_abandoned: Callable[[], bool],
    ) -> None:
        """Queue `work`, which is called with a progress callback when its turn comes.

        It ends at its next report after it was ended or abandoned.
        """
        self._is_abandoned = is_abandoned
        self._end: _End | None = None
        self._reports: list[tuple[float, float]] = []  # (seconds on the clock, share)
        self._activity = ""
        self._future = queue.submit(self._run, work)

    @property
    def is_done(self) -> bool:
        """Whether it ended, in whatever way."""
        return self._future.done()

    @property
    def has_result(self) -> bool:
        """Whether it came to its end and was wanted until then."""
        is_whole = self.is_done and not (self._end or self._future.cancelled())
        return is_whole and self._future.exception() is None

    def result(self) -> T:
        """Return what was made, or raise what ended the job; waits until it is done."""
        return self._future.result()

    def cancel(self) -> None:
        """End it because its page says so."""
        self._end_early(_End.CANCELLED)

    def supersede(self) -> None:
        """End it because its page asked for another, which tells how it goes from then on."""
        self._end_early(_End.SUPERSEDED)

    def ending(self, *, cancelled: str, failed: str) -> str:
        """Return as HTML why it has no result, or nothing where that needs no words.

        Args:
            cancelled: The sentence after `cancel`.
            failed: The sentence for an error that is not an `LMSteerError`.
        """
        if self._end is _End.CANCELLED:
            return widgets.note(cancelled)
        if self._end or self.has_result:
            return ""
        error = self._future.exception()
        return widgets.note(str(error) if isinstance(error, LMSteerError) else failed, "error")

    def bar(self) -> str:
        """Return as HTML how far it is."""
        if self._end:
            return widgets.progress("Cancelling …")
        if not self._reports:
            return widgets.progress_bar(0, "Waiting for its turn …", "Training")
        share = self._reports[-1][1]
        return widgets.progress_bar(
            share, f"{self._activity} … {share:.0%}{self._time_left()}", "Training"
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

    def _end_early(self, reason: _End) -> None:
        if not self.is_done:
            self._end = reason
            self._future.cancel()  # it leaves the queue, if its turn has not come yet

    def _run(self, work: Callable[[Progress], T]) -> T:
        try:
            self._report(0, "Starting")
            result = work(self._report)
        except LMSteerError:
            raise
        except Exception:
            _log.exception("A job in the background failed.")
            raise
        return result

    def _report(self, share: float, activity: str) -> None:
        if CLOSING.is_set() or self._end or self._is_abandoned():
            raise Cancelled("Cancelled.")
        self._reports.append((time.monotonic(), share))
        self._activity = activity[:1].upper() + activity[1:]


@dataclass(frozen=True)
class _Word:
    """The latest that a page said of its jobs: the job to begin, or None to cancel."""

    session: str
    requested: float
    job: Job[Any] | None


class Jobs(Generic[T]):
    """The latest job of one kind of every page; a newer one, or Cancel, ends the older.

    A job goes on for `JOB_SECONDS` without its page, which may come back to it.
    """

    def __init__(self, visits: Visits, queue: ThreadPoolExecutor) -> None:
        """Start with none; `queue` has one worker and is shared by all kinds."""
        self._visits, self._queue = visits, queue
        self._words: Hold[_Word] = visits.hold()
        self._lock = threading.Lock()

    def start(self, request: gr.Request, work: Callable[[Progress], T]) -> Job[T]:
        """Return the page's new job, which supersedes those it asked for earlier."""
        page = self._visits.page_of(session_of(request))
        job = Job(work, self._queue, lambda: self._visits.absent_seconds(page) > JOB_SECONDS)
        with self._lock:
            later = self._later_word(request)
            if later is None:
                self._say(request, job, Job.supersede)
            elif later.job is None:
                job.cancel()
            else:
                job.supersede()
        return job

    def cancel(self, request: gr.Request) -> None:
        """End the page's job; also one that was asked for before and is not here yet."""
        with self._lock:
            if self._later_word(request) is None:
                self._say(request, None, Job.cancel)

    def unfinished(self, request: gr.Request) -> Job[T] | None:
        """Return the page's job, unless its end was shown already."""
        word = self._words.get(session_of(request))
        return word.job if word else None

    async def follow(
        self,
        request: gr.Request,
        job: Job[T],
        show: Callable[[T], Updates],
        *,
        cancelled: str,
        failed: str,
    ) -> AsyncIterator[Updates]:
        """Yield updates of "status" until the job is done, then what `show` makes of its result.

        `cancelled` and `failed` are as for `Job.ending`.
        """
        while not job.is_done:
            self._visits.page_of(session_of(request))  # the page is there: it takes this
            yield {"status": job.bar()}
            await asyncio.sleep(_TICK_SECONDS)
        if job.has_result:
            yield show(job.result())
        elif ending := job.ending(cancelled=cancelled, failed=failed):
            yield {"status": ending}
        self._forget(request, job)

    def _forget(self, request: gr.Request, job: Job[T]) -> None:
        with self._lock:
            word = self._words.get(session_of(request))
            if word and word.job is job:
                self._words.put(session_of(request), dataclasses.replace(word, job=None))

    def _later_word(self, request: gr.Request) -> _Word | None:
        """Return the latest word if it was sent after this request: a server may reorder them."""
        word = self._words.get(session_of(request))
        is_later = (
            word and word.session == session_of(request) and word.requested > requested_at(request)
        )
        return word if is_later else None

    def _say(self, request: gr.Request, job: Job[T] | None, end: Callable[[Job[T]], None]) -> None:
        word = self._words.get(session_of(request))
        if word and word.job:
            end(word.job)
        self._words.put(session_of(request), _Word(session_of(request), requested_at(request), job))
