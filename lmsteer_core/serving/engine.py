"""One thread that writes for everybody: all requests' rows share one batch, each with its own ε.

Who may begin, when there is not room for everybody:

- Room is memory for the keys and values of all rows, counted in tokens: of each row its prompt and
  the most it may add.
- A small request, up to a sixteenth of the room, begins whole and at the next step, in order of
  arrival.
- A large one begins row by row: of the large requests, the one with the fewest running tokens is
  next.
- Neither kind may take more than three quarters of the room, so the other always finds a place.

Whatever goes wrong with a row ends that row's request alone.
"""

from __future__ import annotations

import contextvars
import itertools
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from lmsteer_core.errors import OUT_OF_MEMORY, InputError, LMSteerError, is_out_of_memory
from lmsteer_core.generation.batch import Batch
from lmsteer_core.generation.live_row import LiveRow, Token
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Steps

Step = list[Token | None]
"""Each row's next token, None once it has ended."""

_T = TypeVar("_T")

MAX_WAITING = 64
"""Requests in line; beyond it nobody would wait so long."""

MAX_SECONDS = 900.0

_IDLE_SECONDS = 0.05
"""How often a caller looks whether its text is still wanted."""

_SMALL_SHARE, _KIND_SHARE = 1 / 16, 3 / 4
"""Shares of the room: what a small request takes at most, and what all of one kind may take."""

_log = logging.getLogger(__name__)


class Busy(LMSteerError):
    """The line is full."""


class Lost(LMSteerError):
    """What was writing the text is gone; somebody else can write it."""


class Job:
    """A request and its text as it is written; iterate over it for the steps, or cancel it.

    Attributes:
        rows: What is written; a new ε in `row.epsilons` holds from the row's next token.
        n_tokens: Room that all of them need.
        unbegun: Those of them that still wait for room.
    """

    def __init__(self, rows: Sequence[LiveRow], position: Callable[[Job], int]) -> None:
        """Made by `Engine.submit`."""
        self.rows = list(rows)
        self.n_tokens = sum(map(_room, rows))
        self.unbegun = deque(self.rows)
        self.expires = time.monotonic() + MAX_SECONDS
        self.is_cancelled = False
        self._steps: queue.SimpleQueue[Step | LMSteerError | None] = queue.SimpleQueue()
        self._position = position

    @property
    def position(self) -> int:
        """How many requests are in line before this one; 0 once it is being written."""
        return self._position(self)

    def cancel(self) -> None:
        """Free the rows at the next step; what was written stays readable."""
        self.is_cancelled = True

    def steps(self, is_wanted: Callable[[], bool] = lambda: True) -> Generator[Step]:
        """Yield the steps until the text ends or `is_wanted` turns False; leaving early cancels.

        Raises:
            LMSteerError: If the text cannot be written to its end.
        """
        try:
            while is_wanted():
                try:
                    step = self._steps.get(timeout=_IDLE_SECONDS)
                except queue.Empty:
                    continue
                if step is None:
                    return
                if isinstance(step, LMSteerError):
                    raise step
                yield step
        finally:
            self.cancel()

    def put(self, step: Step | LMSteerError | None) -> None:
        """Hand the reader a step, an error or the end."""
        self._steps.put(step)

    def fail(self, error: Exception) -> None:
        """End this request, and no other, with a sentence."""
        if is_out_of_memory(error):
            error = InputError(OUT_OF_MEMORY)
        elif not isinstance(error, LMSteerError):
            _log.error("A text could not be written.", exc_info=error)
            error = LMSteerError(f"This text cannot be written ({error!r}).")
        self.put(error)
        self.cancel()


class Engine:
    """Writes the rows of many requests in one batch, in a thread of its own.

    A second thread that computes would slow every step down: torch's threads wait for each other in
    the kernel as soon as there are more of them than cores.
    """

    def __init__(self, lm: LanguageModel) -> None:
        """Start no thread before the first request."""
        self._lm = lm
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._calls: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._names = itertools.count(1)
        self._is_closed = False

    def submit(self, rows: Sequence[LiveRow]) -> Job:
        """Put a request in line; its rows are written in step.

        Raises:
            Busy: If the line is full.
        """
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                raise Busy(f"{MAX_WAITING} requests are waiting already; try again in a minute.")
            job = Job(rows, self._position)
            self._waiting.append(job)
            self._wake()
        return job

    def call(self, work: Callable[[], _T]) -> _T:
        """Run something short in the engine's thread and return its result.

        Between two steps of the texts there is one call, so neither keeps the other waiting for
        long.
        """
        future: Future[_T] = Future()
        with self._changed:
            self._calls.append((work, future))
            self._wake()
        return future.result()

    def work(self, steps: Steps[_T]) -> Steps[_T]:
        """Run each of the steps as a `call`."""
        while True:
            try:
                share = self.call(lambda: next(steps))
            except StopIteration as end:
                result: _T = end.value
                return result
            yield share

    def close(self) -> None:
        """Stop the thread; whoever still waits gets an error."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread:
            thread.join()

    def _wake(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            name = f"lmsteer-engine-{next(self._names)}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            # Not inside of a context in which its caller steers the model.
            contextvars.Context().run(self._thread.start)
        self._changed.notify_all()

    def _position(self, job: Job) -> int:
        with self._changed:
            return self._waiting.index(job) + 1 if job in self._waiting else 0

    def _run(self) -> None:
        """Write until closed.

        Whatever goes wrong ends the running requests, never the waiting ones.
        """
        while True:
            batch = Batch(self._lm)
            try:
                self._serve(batch)
                self._end(Lost("The app is shutting down."), include_waiting=True)
                return
            except BaseException as error:  # even SystemExit: nobody else would serve who waits
                failed = Lost(f"The model failed ({error!r}); try again.")
                self._end(InputError(OUT_OF_MEMORY) if is_out_of_memory(error) else failed)

    def _serve(self, batch: Batch) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._running or self._calls or self._is_closed):
                    self._changed.wait()
                if self._is_closed:
                    return
                for job in self._finish(batch):
                    job.put(None)
                self._admit(batch)
                if batch.pause and not self._calls:
                    self._changed.wait(batch.pause)
                call = self._calls.popleft() if self._calls else None
            if call:
                work, future = call
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)
            drawn = batch.step() if batch.rows else {}
            for job in self._running:
                step = [drawn.get(row) for row in job.rows]
                errors = [each for each in step if isinstance(each, Exception)]
                if errors:
                    job.fail(errors[0])
                elif any(step):
                    job.put([each for each in step if not isinstance(each, Exception)])

    def _finish(self, batch: Batch) -> list[Job]:
        """Take out and return the jobs whose text has ended, expired or is not wanted any more."""
        live, now = set(batch.rows), time.monotonic()
        ended = []
        for job in (*self._waiting, *self._running):
            is_written = not job.unbegun and not live & set(job.rows)
            if job.is_cancelled or is_written or now > job.expires:
                ended.append(job)
                batch.leave(job.rows)
            if now > job.expires:
                job.put(
                    InputError(
                        f"This took longer than {MAX_SECONDS / 60:.0f} minutes; ask for less."
                    )
                )
        self._running = [job for job in self._running if job not in ended]
        self._waiting = deque(job for job in self._waiting if job not in ended)
        return ended

    def _admit(self, batch: Batch) -> None:
        """Let rows begin as far as there is room; this module's head says whose."""
        jobs = [*self._running, *self._waiting]
        if not any(job.unbegun for job in jobs):
            return
        live = set(batch.rows)
        running = {job: sum(_room(row) for row in job.rows if row in live) for job in jobs}
        begun: dict[Job, list[LiveRow]] = {}
        for job in jobs:
            if job.unbegun and self._is_small(job):
                if not self._has_room(running, job, job.n_tokens):
                    break
                begun[job] = list(job.unbegun)
                running[job] = job.n_tokens
        large = [job for job in jobs if job.unbegun and not self._is_small(job)]
        while large:
            job = min(large, key=lambda job: running[job])
            row = job.unbegun[len(begun.get(job, []))]
            if not self._has_room(running, job, _room(row)):
                break
            begun.setdefault(job, []).append(row)
            running[job] += _room(row)
            large = [job for job in large if len(begun.get(job, [])) < len(job.unbegun)]
        for job, rows in begun.items():
            self._begin(batch, job, rows)

    def _begin(self, batch: Batch, job: Job, rows: Sequence[LiveRow]) -> None:
        if job in self._waiting:
            self._waiting.remove(job)
            self._running.append(job)
        for _ in rows:
            job.unbegun.popleft()
        try:
            batch.join(rows)
        except Exception as error:
            job.fail(error)

    def _is_small(self, job: Job) -> bool:
        return job.n_tokens <= self._lm.room * _SMALL_SHARE

    def _has_room(self, running: Mapping[Job, int], job: Job, n_tokens: int) -> bool:
        """Return whether tokens of a job fit beside those that run already, by job."""
        of_kind = sum(
            n for other, n in running.items() if self._is_small(other) == self._is_small(job)
        )
        total = sum(running.values())
        is_within = (
            of_kind + n_tokens <= self._lm.room * _KIND_SHARE and total + n_tokens <= self._lm.room
        )
        return is_within or total == 0  # a text as long as the context is written by itself

    def _end(self, reason: LMSteerError, *, include_waiting: bool = False) -> None:
        with self._changed:
            jobs = [*self._running, *(self._waiting if include_waiting else [])]
            self._running = []
            calls = list(self._calls) if include_waiting else []
            if include_waiting:
                self._waiting.clear()
                self._calls.clear()
        for job in jobs:
            job.put(reason)
        for _, future in calls:
            future.set_exception(reason)


def _room(row: LiveRow) -> int:
    """Return the most tokens a row may come to."""
    return len(row.ids) + row.sampling.max_new_tokens
