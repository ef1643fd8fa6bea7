"""From a request to its answer: rows in line, their texts as they grow, whole or streamed."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.responses import JSONResponse, Response, StreamingResponse

from lmsteer_core.errors import InputError, LMSteerError
from lmsteer_core.generation.generate import Row, check_number_of_rows
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.http_api.answer import Answer, Piece
from lmsteer_core.http_api.refusal import error_body
from lmsteer_core.http_api.schemas import Chat, GenerationRequest
from lmsteer_core.progress import finished
from lmsteer_core.serving.engine import Busy
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.steers.steer import Steer
from lmsteer_core.workbench import Workbench

_WAITING_THREADS = anyio.CapacityLimiter(256)
"""Threads that may wait for the engine; gradio's own are few and do other work."""

_STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""Proxies pass a stream on piece by piece."""

_Pieces = AsyncGenerator[tuple[int, Piece], None]


@dataclass(frozen=True)
class _Writing:
    """A request that is being written.

    Attributes:
        sampling: How its tokens are drawn.
        n_alternatives: Likeliest tokens that are wanted in each token's place.
        steers: What steers it, each with its ε.
        rows: What is continued; the n answers to one prompt stand together.
        echoes: What each answer begins with.
        answers: Each row's text.
    """

    request: GenerationRequest
    sampling: Sampling
    n_alternatives: int
    steers: list[tuple[Steer, float]]
    rows: list[Row]
    echoes: list[str]
    answers: list[Answer]

    def finish(self, index: int) -> str:
        """Return why an answer ended: at its limit, or at the model's end or a stop text."""
        answer = self.answers[index]
        is_long = not answer.is_stopped and answer.n_tokens >= self.request.limit
        return "length" if is_long else "stop"

    @property
    def usage(self) -> dict[str, int]:
        """Tokens that were read and written."""
        n_read = sum(len(row.prompt_ids) for row in self.rows[:: self.request.n])
        n_new = sum(answer.n_tokens for answer in self.answers)
        return {"prompt_tokens": n_read, "completion_tokens": n_new, "total_tokens": n_read + n_new}


async def answer(workbench: Workbench, request: GenerationRequest) -> Response:
    """Return the whole answer to a request, or a stream of its pieces.

    Raises:
        Busy: If the line is full.
        LMSteerError: If the request cannot be answered.
    """
    # Tokenizing a long prompt must not hold up everybody's stream.
    writing = await run_sync(lambda: _prepare(workbench, request), limiter=_WAITING_THREADS)
    kind = "chatcmpl" if isinstance(request, Chat) else "cmpl"
    head = {
        "id": f"{kind}-{secrets.token_hex(12)}",
        "object": request.chunk if request.stream else request.object,
        "created": int(time.time()),
        "model": workbench.model_id,
    }
    if request.stream:
        events = _events(workbench, writing, head)
        # Its first piece comes before the headers, so that a full line is a 429.
        return StreamingResponse(
            _prepend(await anext(events), events),
            media_type="text/event-stream",
            headers=_STREAM_HEADERS,
        )
    async for _ in _pieces(workbench, writing):
        pass
    full_answers = await run_sync(
        lambda: [_full_answer(workbench, writing, i) for i in range(len(writing.rows))],
        limiter=_WAITING_THREADS,
        abandon_on_cancel=True,
    )
    choices = [
        request.choice(i, piece, writing.finish(i), workbench.token_text)
        for i, piece in enumerate(full_answers)
    ]
    return JSONResponse({**head, "choices": choices, "usage": writing.usage})


def _prepare(workbench: Workbench, request: GenerationRequest) -> _Writing:
    """Check a request, and read its prompts into tokens."""
    prompts, n_alternatives = request.prompts(workbench), request.n_alternatives
    check_number_of_rows(len(prompts) * request.n)  # before so many rows are made
    if request.stream and request.is_echoed and request.is_scored:
        raise InputError("echo with logprobs cannot be streamed; leave out one of the three.")
    steers = [(workbench.steer(n), check_epsilon(e, n)) for n, e in request.steer.items()]
    for steer, epsilon in steers:
        steer.card.check_unlocked(epsilon, request.unlock)
    seed = secrets.randbelow(2**32) if request.seed is None else request.seed % 2**32
    sampling = Sampling(request.temperature, request.top_p, max(1, request.limit), seed)
    rows: list[Row] = []
    echoes: list[str] = []
    n_answers: Counter[tuple[int, ...]] = Counter()
    for prompt in prompts:
        ids = workbench.prompt_ids(prompt, request.limit)
        # A prompt that comes again gets other noise, as each of its n answers does.
        offsets = range(n_answers[ids], n_answers[ids] + request.n)
        n_answers[ids] += request.n
        rows += [Row("", request.steer, offset, ids) for offset in offsets]
        text = prompt if isinstance(prompt, str) else workbench.text(ids)
        echoes += [text if request.is_echoed else ""] * request.n
    stops = request.stops
    answers = [Answer(stops, len(echo)) for echo in echoes]
    return _Writing(request, sampling, n_alternatives, steers, rows, echoes, answers)


async def _pieces(workbench: Workbench, writing: _Writing) -> _Pieces:
    """Yield each row's new text as the engine writes it; leaving early frees the rows."""
    request, answers = writing.request, writing.answers
    if not request.limit:
        for i, echo in enumerate(writing.echoes):
            yield i, Piece(echo)
        return
    job = workbench.submit(
        writing.rows,
        writing.sampling,
        logprobs=request.is_scored,
        n_alternatives=writing.n_alternatives,
        unlock=request.unlock,
    )
    steps = job.steps(lambda: not job.is_cancelled)
    try:
        if request.is_echoed:
            for i, echo in enumerate(writing.echoes):
                yield i, Piece(echo)
        while True:
            step = await run_sync(
                next, steps, None, abandon_on_cancel=True, limiter=_WAITING_THREADS
            )
            if step is None:
                return
            for i, (token, answer) in enumerate(zip(step, answers, strict=True)):
                if token is not None:
                    yield i, answer.append(token)
            if all(answer.is_stopped for answer in answers):
                return
    finally:
        job.cancel()


def _full_answer(workbench: Workbench, writing: _Writing, index: int) -> Piece:
    """Return an answer, behind its prompt if that is echoed, with scores if they are wanted."""
    request, answer, row = writing.request, writing.answers[index], writing.rows[index]
    if not request.is_echoed:
        return answer.full()
    if not request.is_scored:
        return Piece(writing.echoes[index] + answer.text)
    written = tuple(token.id for token in answer.tokens)
    # Harnesses take the last score away as that of what was written, even if that was the end.
    is_ended = not answer.is_stopped and answer.n_tokens < request.limit
    scored = finished(
        workbench.score(
            row.prompt_ids + written,
            writing.steers,
            writing.n_alternatives,
            with_end=is_ended,
            unlock=request.unlock,
        )
    )
    n_prompt = len(row.prompt_ids)
    tokens = [*scored[:n_prompt], *answer.tokens, *scored[n_prompt + len(written) :]]
    return Piece("".join(token.text for token in tokens), tokens)


async def _events(
    workbench: Workbench, writing: _Writing, head: Mapping[str, Any]
) -> AsyncGenerator[str, None]:
    """Yield server-sent events: one per piece, one that ends each answer, and the end."""
    request, started = writing.request, set[int]()

    def event(index: int, piece: Piece, finish: str | None = None) -> str:
        is_first = index not in started
        started.add(index)
        part = request.part(index, piece, finish, workbench.token_text, is_first=is_first)
        return _event({**head, "choices": [part]})

    try:
        async with aclosing(_pieces(workbench, writing)) as pieces:
            async for i, piece in pieces:
                yield event(i, piece)
        for i, answer in enumerate(writing.answers):
            yield event(i, answer.flush(), writing.finish(i))
        if request.stream_options and request.stream_options.include_usage:
            yield _event({**head, "choices": [], "usage": writing.usage})
    except Busy:
        raise
    except LMSteerError as error:  # the headers are gone, so the stream itself must say it
        yield _event(error_body(error))
    yield "data: [DONE]\n\n"


async def _prepend(first: str, rest: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    async with aclosing(rest):
        yield first
        async for event in rest:
            yield event


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
