"""Beyond one machine: the app in front, replicas of the engine behind it, on Ray Serve.

The front keeps a model of its own for all that is not writing: prompts, analysis, training. Rows go
to a replica as plain data; a steer lies in Ray's object store once, and a replica fetches what it
needs.

    submit → Serve picks a replica → steps come back as they are written → Job
    row.epsilons changes → broadcast to all replicas, of which one is writing that row
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import anyio
import torch
from anyio.to_thread import run_sync

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is reported to anybody
# The front counts what each replica has. Counts that expire would send a whole class to one
# replica.
os.environ.setdefault("RAY_SERVE_QUEUE_LENGTH_CACHE_TIMEOUT_S", "1e9")
import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException

from lmsteer_core.errors import InputError, LMSteerError, ModelError
from lmsteer_core.generation.live_row import LiveRow
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.models.loading import load_model
from lmsteer_core.resources import PACKAGE
from lmsteer_core.serving.cores import share_of_cores
from lmsteer_core.serving.engine import MAX_WAITING, Busy, Engine, Job, Lost, Step
from lmsteer_core.steers.steer import Steer

MAX_ONGOING = 64
"""Requests a replica takes at once; up to `MAX_WAITING` more wait in the front."""

TARGET_REQUESTS = 8
"""Requests a replica has when another one is worth starting."""

_NAME = "lmsteer"

_Epsilons = list[dict[str, float]]
_Refs = Mapping[str, Any]
"""Steers by name, each a reference into Ray's object store."""


class Replica:
    """An engine that writes what the front asks for.

    Serve keeps several, wherever there are cores.
    """

    def __init__(self, model_id: str, dtype: str, n_threads: int) -> None:
        """Load a model of its own, in the front's precision, to compute on its share of cores."""
        torch.set_num_threads(n_threads)
        self._engine = Engine(load_model(model_id, dtype=dtype))
        self._jobs: dict[str, Job] = {}
        self._steers: WeakValueDictionary[Any, Steer] = WeakValueDictionary()
        self._readers = anyio.CapacityLimiter(MAX_ONGOING)

    async def write(
        self, name: str, rows: Sequence[Mapping[str, Any]], refs: _Refs
    ) -> AsyncIterator[Step | LMSteerError]:
        """Yield the steps of a request, and the error that ends it early; leaving frees its rows.

        Args:
            name: What `steer` calls the request.
            rows: Fields of a `LiveRow` each, without `steers`.
            refs: The steers of all rows.
        """
        try:
            steers = await run_sync(self._fetch, refs)
            job = self._engine.submit([LiveRow(**row, steers=steers) for row in rows])
        except LMSteerError as error:
            yield error
            return
        self._jobs[name] = job
        steps = job.steps(lambda: not job.is_cancelled)
        try:
            while step := await run_sync(
                next, steps, None, abandon_on_cancel=True, limiter=self._readers
            ):
                yield step
        except LMSteerError as error:
            yield error
        finally:
            job.cancel()
            del self._jobs[name]

    async def steer(self, name: str, epsilons: _Epsilons, refs: _Refs) -> bool:
        """Set the ε of a request's rows from the next token on; return whether it is here."""
        if job := self._jobs.get(name):
            steers = await run_sync(self._fetch, refs)
            for row, new in zip(job.rows, epsilons, strict=True):
                row.steers = {**row.steers, **steers}
                row.epsilons = new
        return job is not None

    def _fetch(self, refs: _Refs) -> dict[str, Steer]:
        # Rows with the same steer must hold the same object: the batch multiplies it once for all
        # of them.
        return {
            name: self._steers.get(ref) or self._steers.setdefault(ref, ray.get(ref))
            for name, ref in refs.items()
        }


class _FollowedJob(Job):
    """A job of which a replica knows the name, and which ends there when its reader leaves."""

    following: Future[None] | None = None

    def __init__(self, rows: Sequence[LiveRow], position: Callable[[Job], int]) -> None:
        super().__init__(rows, position)
        self.name = secrets.token_hex(8)

    def cancel(self) -> None:
        super().cancel()
        if self.following:
            self.following.cancel()


class Replicas(Engine):
    """An engine whose texts are written by replicas; `call` still runs here.

    A new ε holds a few tokens later: it is sent when the front gets a token, and the text goes on
    meanwhile.
    """

    def __init__(self, lm: LanguageModel, handle: Any) -> None:
        """Start the thread that follows all requests.

        Args:
            lm: The front's own model.
            handle: A Serve deployment of `Replica`.
        """
        super().__init__(lm)
        self._handle = handle
        self._queue: list[Job] = []
        self._refs_by_steer: WeakKeyDictionary[Steer, Any] = WeakKeyDictionary()
        self._loop = asyncio.new_event_loop()
        self._follower = threading.Thread(
            target=self._loop.run_forever, name="lmsteer-replicas", daemon=True
        )
        self._follower.start()

    def submit(self, rows: Sequence[LiveRow]) -> _FollowedJob:
        """Put a request in line; its rows are written in step by one of the replicas.

        The job's steps raise `Busy` if the line is full and `Lost` if the replica died.
        """
        job = _FollowedJob(rows, self._position)
        self._queue.append(job)
        job.following = asyncio.run_coroutine_threadsafe(self._follow(job), self._loop)
        return job

    def close(self) -> None:
        """Stop the threads; whoever still reads gets the end."""
        super().close()
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._follower.join()
        self._loop.close()

    async def _follow(self, job: _FollowedJob) -> None:
        """Hand a job the steps of its replica, and the replica the job's new ε."""
        sent = _epsilons(job)
        rows = [
            {
                "ids": row.ids,
                "epsilons": row_epsilons,
                "sampling": row.sampling,
                "seed_offset": row.seed_offset,
                "logprobs": row.logprobs,
                "n_alternatives": row.n_alternatives,
                "pace": row.pace,
            }
            for row, row_epsilons in zip(job.rows, sent, strict=True)
        ]
        steps = self._handle.options(stream=True).write.remote(
            job.name, rows, self._refs(job, sent)
        )
        try:
            async for step in steps:
                self._leave_queue(job)
                job.put(step)
                if (current := _epsilons(job)) != sent:
                    replies = self._handle.broadcast(
                        "steer", job.name, current, self._refs(job, current)
                    )
                    # Another replica may be dying.
                    await replies.results_async(return_exceptions=True)
                    sent = current
        except BackPressureError:
            job.put(Busy(f"{MAX_WAITING} requests are waiting already; try again in a minute."))
        except (RayError, RayServeException):
            if not job.is_cancelled:
                job.put(Lost("The replica that wrote this text stopped; ask for it again."))
        finally:
            self._leave_queue(job)
            steps.cancel()
            job.put(None)

    def _refs(self, job: Job, epsilons: _Epsilons) -> dict[str, Any]:
        """Return the steers that a job's rows name, put into the object store once each."""
        steers = {
            n: row.steers[n]
            for row, row_epsilons in zip(job.rows, epsilons, strict=True)
            for n in row_epsilons
        }
        return {
            name: self._refs_by_steer.get(steer)
            or self._refs_by_steer.setdefault(steer, ray.put(steer))
            for name, steer in steers.items()
        }

    def _position(self, job: Job) -> int:
        waiting = list(self._queue)
        return waiting.index(job) + 1 if job in waiting else 0

    def _leave_queue(self, job: Job) -> None:
        if job in self._queue:
            self._queue.remove(job)


async def _cancel_all() -> None:
    """Cancel all that runs beside this in the loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _epsilons(job: Job) -> _Epsilons:
    return [dict(row.epsilons) for row in job.rows]


@contextmanager
def replicas(
    lm: LanguageModel, model_id: str, n: int, most: int | None = None, address: str | None = None
) -> Iterator[Replicas]:
    """Run replicas of a model until the context is left.

    Args:
        lm: The front's own model.
        model_id: What each machine loads it by.
        n: Replicas to start.
        most: Replicas that Serve may start when many people write at once; n if None.
        address: HOST:PORT of a running Ray cluster, "auto" for this machine's; None starts one
            here.

    Raises:
        InputError: If there is no such cluster, or fewer cores in it than replicas.
        ModelError: If the replicas cannot start.
    """
    most = n if most is None else most
    if not 1 <= n <= most:
        raise InputError(f"--replicas must be between 1 and --max-replicas, not {n} of {most}.")
    _connect(address)
    try:
        cores = share_of_cores([node["Resources"].get("CPU", 0) for node in _nodes()], most)
        handle = _deploy(lm, model_id, cores, n, most)
        engine = Replicas(lm, handle)
        yield engine
        engine.close()
    finally:
        serve.delete(_NAME)
        ray.shutdown()


def _deploy(lm: LanguageModel, model_id: str, cores: int, n: int, most: int) -> Any:
    """Return the handle of n replicas, once they are up."""
    scale: dict[str, Any] = {"num_replicas": n}
    if most > n:
        limits = {
            "min_replicas": n,
            "max_replicas": most,
            "target_ongoing_requests": TARGET_REQUESTS,
        }
        scale = {"autoscaling_config": limits}
    deployment = serve.deployment(
        max_ongoing_requests=MAX_ONGOING,
        max_queued_requests=MAX_WAITING,
        ray_actor_options={"num_cpus": cores},
        **scale,
    )(Replica)
    dtype = str(lm.output_embedding.dtype).removeprefix("torch.")
    serve.start(proxy_location="Disabled")
    try:
        # One name: a second front on a cluster takes the first one's place.
        return serve.run(deployment.bind(model_id, dtype, cores), name=_NAME, route_prefix=None)
    except RuntimeError as error:
        raise ModelError(f"The replicas cannot start: {error}") from error


def _connect(address: str | None) -> None:
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    options: dict[str, Any] = {"include_dashboard": False}
    if address:
        # Other machines need the same packages, and get this one as it is here.
        options = {"runtime_env": {"py_modules": [str(PACKAGE)]}}
    try:
        if address and address != "auto":  # Ray itself would try for many minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", **options)
    except (OSError, RuntimeError, ValueError) as error:
        problem = f"No Ray cluster answers at '{address}'" if address else "Ray cannot start here"
        raise InputError(f"{problem}: {error}.") from error


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]
