"""The verb `serve`, and the options that it shares with `app.py`."""

from __future__ import annotations

import argparse
import os
import signal

from lmsteer_core.cli.opening import Result, open_workbench
from lmsteer_core.errors import InputError


def add_serving_options(parser: argparse.ArgumentParser) -> None:
    """Add --host, --port and --auth, which `app.py` and the verb `serve` both take."""
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    parser.add_argument("--port", type=_port, default=os.environ.get("GRADIO_SERVER_PORT", "7860"))
    parser.add_argument(
        "--auth",
        type=_auth,
        metavar="USER:PASSWORD",
        help="ask visitors to log in; also the API's key",
    )


def _port(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError("must be between 1 and 65535")


def _auth(text: str) -> tuple[str, str]:
    user, _, password = text.partition(":")
    if user and password:
        return user, password
    raise argparse.ArgumentTypeError("wants USER:PASSWORD")


def run_serve(args: argparse.Namespace) -> Result:
    """Serve the app over replicas of the engine until interrupted."""
    try:
        from lmsteer_core.serving.replicas import replicas
        from lmsteer_core.ui.app import serve_app
    except ImportError as error:
        told = (
            f"serve runs in a checkout, with Ray: pip install -r requirements-serve.txt ({error})."
        )
        raise InputError(told) from error
    workbench = open_workbench(args)
    with replicas(
        workbench.lm, args.model, args.replicas, args.max_replicas, args.address
    ) as engine:
        workbench.engine = engine
        # at Ray's own, processes would stay behind
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        serve_app(workbench, host=args.host, port=args.port, auth=args.auth)
    return {}


def show_serve(_result: Result) -> str:
    """Return what `serve` prints for a person."""
    return "Stopped."
