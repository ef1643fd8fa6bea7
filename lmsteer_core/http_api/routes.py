"""The HTTP API: what OpenAI's clients speak, with ε by steer name as `steer` in the body.

    POST /v1/completions, /v1/chat/completions
    GET /v1/models, /v1/models/{id}, /v1/steers, /health

Source of the formats: OpenAI's API reference. What is not supported is refused, never ignored.
The routes are Starlette's own: a FastAPI router reads a body of any size before it can refuse it,
and answers errors by handlers of the whole app, of which most is gradio's.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lmsteer_core.errors import LMSteerError
from lmsteer_core.http_api.refusal import Refused, error_body, status_of
from lmsteer_core.http_api.schemas import Chat, Completion, GenerationRequest
from lmsteer_core.http_api.writing import answer
from lmsteer_core.workbench import Workbench

MAX_BYTES = 2_000_000
"""Largest body that is read."""

_CLIENT_CLOSED_REQUEST = 499
"""What web servers log for a request whose client went away; nobody reads it."""

_log = logging.getLogger(__name__)

_Endpoint = Callable[[Request], Awaitable[Response]]


def routes(workbench: Workbench, *, key: str | None = None) -> list[Route]:
    """Return the API's routes.

    Args:
        workbench: The model and its steers.
        key: If given, requests must carry it as their bearer token; /health answers without.
    """

    def generation_endpoint(kind: type[GenerationRequest]) -> _Endpoint:
        async def endpoint(request: Request) -> Response:
            body = await _read(request, kind)
            _check_model(workbench, body.model)
            return await _unless_disconnected(request, answer(workbench, body))

        return endpoint

    async def models(_request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(workbench)]})

    async def model(request: Request) -> Response:
        _check_model(workbench, request.path_params["id"])
        return JSONResponse(_model(workbench))

    async def steers(_request: Request) -> Response:
        shown = ("name", "negative", "positive", "epsilon_range", "collapse_range", "notice")
        cards = [workbench.steers[name].card for name in workbench.names]
        data = [
            {"object": "steer", **{name: getattr(card, name) for name in shown}} for card in cards
        ]
        return JSONResponse({"object": "list", "data": data})

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return [
        Route("/v1/completions", _guarded(generation_endpoint(Completion), key), methods=["POST"]),
        Route("/v1/chat/completions", _guarded(generation_endpoint(Chat), key), methods=["POST"]),
        Route("/v1/models", _guarded(models, key)),
        Route("/v1/models/{id:path}", _guarded(model, key)),
        Route("/v1/steers", _guarded(steers, key)),
        Route("/health", health),
    ]


def _guarded(endpoint: _Endpoint, key: str | None) -> _Endpoint:
    """Ask for the key, and answer errors in OpenAI's shape."""

    async def guarded(request: Request) -> Response:
        refusal: Exception
        try:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            if key and not hmac.compare_digest(token.encode(), key.encode()):
                raise Refused(401, "Send the app's USER:PASSWORD as the API key.")
            return await endpoint(request)
        except (LMSteerError, Refused) as error:
            refusal = error
        except Exception:
            _log.exception("A request failed.")
            refusal = Refused(500, "The server failed; its log says why.")
        return JSONResponse(error_body(refusal), status_code=status_of(refusal))

    return guarded


async def _read(request: Request, kind: type[GenerationRequest]) -> GenerationRequest:
    """Return the body of a request, or refuse it."""
    # A page of another site can post to this machine, but not as JSON.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refused(400, "Send JSON, with the header Content-Type: application/json.")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BYTES:
            raise Refused(
                413, f"The request is larger than {MAX_BYTES:,} bytes; shorten the prompt."
            )
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Refused(400, f"{field}: {first['msg']}." if field else f"{first['msg']}.") from error


def _check_model(workbench: Workbench, name: str | None) -> None:
    if name not in (None, workbench.model_id, "embedded"):
        raise Refused(404, f"There is no model '{name}' here; this is {workbench.model_id}.")


def _model(workbench: Workbench) -> dict[str, Any]:
    return {"id": workbench.model_id, "object": "model", "created": 0, "owned_by": "lmsteer"}


async def _unless_disconnected(request: Request, answer: Coroutine[Any, Any, Response]) -> Response:
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
