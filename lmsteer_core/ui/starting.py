"""The page that is shown until the app is there: the last start's example, and what is waited for.

Nothing but the standard library is imported, since importing Gradio, torch and transformers is what
takes the time.
"""

from __future__ import annotations

import html
import json
import os
import socket
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any

from lmsteer_core.errors import InputError
from lmsteer_core.files import cache_folder, replace_file
from lmsteer_core.resources import ASSETS

_EXAMPLE = """
<p>Meanwhile, what $model_id wrote at the last start:</p>
<div class="columns">
<div class="card baseline"><div class="card-title"><h2>Baseline</h2><p>the model as it is</p></div>
$baseline</div>
<div class="card steered"><div class="card-title"><h2>Steered</h2><p>$setting</p></div>
$steered</div></div>
"""


def keep_example(model_id: str, baseline: str, steered: str, setting: str) -> None:
    """Keep a finished example for the next start.

    Args:
        model_id: The model that wrote it.
        baseline: The text at ε = 0, as HTML.
        steered: The steered text, as HTML.
        setting: With which steer, and ε.
    """
    example = {"baseline": baseline, "steered": steered}
    example |= {"model_id": html.escape(model_id), "setting": html.escape(setting)}
    with suppress(OSError):  # a cache that cannot be written costs the next start its example only
        replace_file(_example_file(), json.dumps(example))


class StartingPage:
    """Serves the page, with 503 as its status, on the app's own address."""

    def __init__(self, host: str, port: int, model_id: str) -> None:
        """Listen, and answer in a thread.

        Raises:
            InputError: If the address cannot be listened on.
        """
        page = _page(model_id).encode()

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(HTTPStatus.SERVICE_UNAVAILABLE)
                self.send_header("Retry-After", "1")
                self.send_header("Cache-Control", "no-store")
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            do_POST = do_GET

            def log_message(self, *_args: Any) -> None:
                """Print nothing."""

        try:
            self._server = _Server((host, port), Answer)
        except OSError as error:
            raise cannot_serve(host, port) from error
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Leave the address to the app; closing again does nothing."""
        self._server.shutdown()
        self._server.server_close()


def cannot_serve(host: str, port: int) -> InputError:
    """Return what to do about an address that cannot be listened on."""
    return InputError(
        f"Cannot serve on {host}, port {port}: the port is taken or the host is not this "
        "machine's; choose others with --port and --host."
    )


class _Server(ThreadingHTTPServer):
    # Elsewhere it would let two servers listen on one port.
    allow_reuse_address = os.name == "posix"

    def __init__(self, address: tuple[str, int], answer: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, answer)


def _page(model_id: str) -> str:
    template = Template((ASSETS / "starting.html").read_text(encoding="utf-8"))
    style = (ASSETS / "style.css").read_text(encoding="utf-8")
    return template.substitute(style=style, model_id=html.escape(model_id), example=_kept_example())


def _kept_example() -> str:
    """Return the example of the last start as HTML, or nothing."""
    try:
        example = json.loads(_example_file().read_text(encoding="utf-8"))
        return Template(_EXAMPLE).substitute(example)
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def _example_file() -> Path:
    return cache_folder() / "example.json"
