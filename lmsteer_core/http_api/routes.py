"""The HTTP API: what OpenAI's clients speak, with ε by steer name as `steer` in the body.

    POST /v1/completions, /v1/chat/completions      GET /v1/models, /v1/steers

Source of the formats: OpenAI's API reference. What is not supported is refused, never ignored.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import anyio
from anyio.to_thread import run_sync
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lmsteer_core.errors import LMSteerError
from lmsteer_core.generation.generate import Row, check_number_of_rows
from lmsteer_core.generation.live_row import LiveRow
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.http_api.answer import Answer
from lmsteer_core.http_api.schemas import Chat, Completion, GenerationRequest, TokenScores
from lmsteer_core.serving.engine import Busy, Job, Lost
from lmsteer_core.workbench import Workbench

MAX_BYTES = 2_000_000
"""Largest body that is read."""


_CLIENT_CLOSED_REQUEST = 499
"""What web servers log for a request whose client went away; nobody reads it."""

_WAITERS = anyio.CapacityLimiter(256)
"""Threads that may wait for the engine; gradio's own are few and do other work."""

_log = logging.getLogger(__name__)


class _Refused(Exception):
    """A request that gets an error instead of an answer."""

    def __init__(self, status: int, told: str) -> None:
        super().__init__(told)
        self.status = status


def routes(workbench: Workbench, *, key: str | None = None) -> list[Route]:
    """Return the API's routes.

    Args:
        workbench: The model and its steers.
        key: If given, requests must carry it as their bearer token.
    """

    def guarded(
        answer: Callable[[Request], Awaitable[Response]],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                given = request.headers.get("authorization", "").removeprefix("Bearer ")
                if key and not hmac.compare_digest(given.encode(), key.encode()):
                    raise _Refused(401, "Send the app's USER:PASSWORD as the API key.")
                return await answer(request)
            except _Refused as error:
                return _error(error.status, str(error))
            except Busy as error:
                return _error(429, str(error))
            except Lost as error:
                return _error(503, str(error))
            except LMSteerError as error:
                return _error(400, str(error))
            except Exception:
                _log.exception("A request failed.")
                return _error(500, "The server failed; its log says why.")

        return endpoint

    def writes(kind: type[GenerationRequest]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            asked = await _read(request, kind, workbench)
            return await _unless_gone(request, _answer(workbench, asked))

        return answer

    async def models(_request: Request) -> Response:
        model = {
            "id": workbench.model_id,
            "object": "model",
            "created": 0,
            "owned_by": "lmsteer",
        }
        return JSONResponse({"object": "list", "data": [model]})

    async def steers(_request: Request) -> Response:
        shown = ("name", "negative", "positive", "epsilon_range", "collapse_range", "notice")
        cards = [workbench.steers[name].card for name in workbench.names]
        data = [
            {"object": "steer", **{name: getattr(card, name) for name in shown}} for card in cards
        ]
        return JSONResponse({"object": "list", "data": data})

    return [
        Route("/v1/completions", guarded(writes(Completion)), methods=["POST"]),
        Route("/v1/chat/completions", guarded(writes(Chat)), methods=["POST"]),
        Route("/v1/models", guarded(models)),
        Route("/v1/steers", guarded(steers)),
    ]


async def _read(
    request: Request, kind: type[GenerationRequest], workbench: Workbench
) -> GenerationRequest:
    """Return the body of a request, or refuse it."""
    # A page of another site can post to this machine, but not as JSON.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise _Refused(400, "Send JSON, with the header Content-Type: application/json.")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BYTES:
            raise _Refused(
                413, f"The request is larger than {MAX_BYTES:,} bytes; shorten the prompt."
            )
    try:
        asked = kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _Refused(400, f"{place}: {first['msg']}." if place else f"{first['msg']}.") from error
    known = workbench.model_id
    if asked.model not in (None, known, "embedded"):
        raise _Refused(404, f"There is no model '{asked.model}' here; this is {known}.")
    return asked


async def _unless_gone(request: Request, answer: Coroutine[Any, Any, Response]) -> Response:
    """Return an answer, or end the work on it as soon as whoever asked has gone away."""

    async def disconnected() -> Response:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return Response(status_code=_CLIENT_CLOSED_REQUEST)

    tasks = [asyncio.create_task(work) for work in (answer, disconnected())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()


async def _answer(workbench: Workbench, asked: GenerationRequest) -> Response:
    """Return the whole answer, or a stream of its pieces."""
    seed = secrets.randbelow(2**32) if asked.seed is None else asked.seed
    sampling = Sampling(asked.temperature, asked.top_p, asked.limit, seed)
    prompts, stops = asked.prompts(workbench), asked.stops
    check_number_of_rows(len(prompts) * asked.n)  # before so many rows are made
    wanted = [Row(prompt, asked.steer, seed_offset=i) for prompt in prompts for i in range(asked.n)]
    # Tokenizing a long prompt must not hold up everybody's stream.
    job = await run_sync(
        lambda: workbench.submit(wanted, sampling, logprobs=asked.is_scored, unlock=asked.unlock),
        limiter=_WAITERS,
    )
    rows = job.rows
    kind = "chatcmpl" if isinstance(asked, Chat) else "cmpl"
    head = {
        "id": f"{kind}-{secrets.token_hex(12)}",
        "object": asked.chunk if asked.stream else asked.object,
        "created": int(time.time()),
        "model": workbench.model_id,
    }
    answers = [Answer(stops) for _ in rows]
    pieces = _pieces(job, answers)
    if asked.stream:
        sent = _events(asked, head, rows, answers, pieces)
        # Its first piece comes before the headers, so that a full line is a 429.
        return StreamingResponse(_again(await anext(sent), sent), media_type="text/event-stream")
    async for _ in pieces:
        pass
    choices = [
        asked.choice(i, answer.text, answer.scores, _finish(row, answer), False)
        for i, (row, answer) in enumerate(zip(rows, answers, strict=True))
    ]
    return JSONResponse({**head, "choices": choices, "usage": _usage(rows[:: asked.n], answers)})


async def _pieces(
    job: Job, answers: Sequence[Answer]
) -> AsyncGenerator[tuple[int, str, TokenScores], None]:
    """Yield each row's new text as the engine writes it; leaving early frees the rows."""
    steps = job.steps(lambda: not job.is_cancelled)
    try:
        while True:
            step = await run_sync(next, steps, None, abandon_on_cancel=True, limiter=_WAITERS)
            if step is None:
                return
            for i, (token, answer) in enumerate(zip(step, answers, strict=True)):
                if token is not None:
                    yield i, *answer.take(token)
            if all(answer.is_stopped for answer in answers):
                return
    finally:
        job.cancel()


async def _events(
    asked: GenerationRequest,
    head: Mapping[str, Any],
    rows: Sequence[LiveRow],
    answers: Sequence[Answer],
    pieces: AsyncGenerator[tuple[int, str, TokenScores], None],
) -> AsyncGenerator[str, None]:
    """Yield server-sent events: one per piece, one that ends each answer, and the end."""
    try:
        async with aclosing(pieces):
            async for i, text, scores in pieces:
                yield _event({**head, "choices": [asked.choice(i, text, scores, None, True)]})
        for i, (row, answer) in enumerate(zip(rows, answers, strict=True)):
            last = asked.choice(i, answer.rest(), TokenScores(), _finish(row, answer), True)
            yield _event({**head, "choices": [last]})
        if asked.stream_options and asked.stream_options.include_usage:
            yield _event({**head, "choices": [], "usage": _usage(rows[:: asked.n], answers)})
    except Busy:
        raise
    except LMSteerError as error:  # the headers are gone, so the stream itself must say it
        yield _event(_told(503 if isinstance(error, Lost) else 400, str(error)))
    yield "data: [DONE]\n\n"


async def _again(first: str, rest: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    async with aclosing(rest):
        yield first
        async for event in rest:
            yield event


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _finish(row: LiveRow, answer: Answer) -> str:
    """Return why an answer ended: at its limit, or at the model's end or a stop text."""
    is_long = not answer.is_stopped and len(answer.scores.tokens) >= row.sampling.max_new_tokens
    return "length" if is_long else "stop"


def _usage(prompts: Sequence[LiveRow], answers: Sequence[Answer]) -> dict[str, int]:
    n_prompt, n_new = (
        sum(len(row.ids) for row in prompts),
        sum(len(a.scores.tokens) for a in answers),
    )
    return {"prompt_tokens": n_prompt, "completion_tokens": n_new, "total_tokens": n_prompt + n_new}


def _told(status: int, message: str) -> dict[str, Any]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(status, kind)
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _error(status: int, message: str) -> Response:
    return JSONResponse(_told(status, message), status_code=status)
