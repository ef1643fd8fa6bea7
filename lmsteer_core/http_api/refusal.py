"""Requests that get an error instead of an answer, in OpenAI's shape."""

from __future__ import annotations

from typing import Any

from lmsteer_core.errors import ContextError
from lmsteer_core.serving.engine import Busy, Lost


class Refused(Exception):
    """A request that the API itself refuses.

    Attributes:
        status: The HTTP status of the answer.
    """

    def __init__(self, status: int, message: str) -> None:
        """Refuse with a sentence."""
        super().__init__(message)
        self.status = status


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, Refused):
        return error.status
    return 429 if isinstance(error, Busy) else 503 if isinstance(error, Lost) else 400


def error_body(error: Exception) -> dict[str, Any]:
    """Return what a client reads of an error."""
    status = status_of(error)
    kind = "server_error" if status >= 500 else "invalid_request_error"
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(status, kind)
    code = "context_length_exceeded" if isinstance(error, ContextError) else None
    return {"error": {"message": str(error), "type": kind, "param": None, "code": code}}
