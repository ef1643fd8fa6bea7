"""The HTTP API on a free port, and waiting for what another thread does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from lmsteer_core.http_api.routes import routes
from lmsteer_core.workbench import Workbench

PROMPT = "The new neighbours turned out to be"


def wait_until(holds: Callable[[], object]) -> None:
    """Return once it holds; fail after 30 s."""
    for _ in range(3000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("waited for 30 s")


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def serve(workbench: Workbench, key: str | None) -> tuple[uvicorn.Server, str]:
    """Serve the HTTP API alone; return the server and where it answers."""
    port = free_port()
    app = Starlette(routes=routes(workbench, key=key))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    return server, f"http://127.0.0.1:{port}/v1"
