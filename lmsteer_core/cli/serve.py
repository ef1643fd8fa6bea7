"""The verbs that serve the app: `app` in one process, `serve` over replicas of the engine."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from concurrent.futures import Future
from importlib.util import find_spec
from typing import TYPE_CHECKING

from lmsteer_core.cli.make import run_transfer, show_transfer
from lmsteer_core.cli.opening import Result, open_workbench
from lmsteer_core.cli.verbs import Parser, Verbs
from lmsteer_core.errors import InputError
from lmsteer_core.models.packages import EMBEDDED

if TYPE_CHECKING:
    from lmsteer_core.ui.starting import StartingPage


def add_app(verbs: Verbs) -> None:
    """Add the verb `app`."""
    parser = verbs.add("app", run_app, show_serve, "Serve the app.")
    _add_serving_options(parser)
    add = parser.add_argument
    add("--share", action="store_true", help="also serve through a public gradio link")
    add(
        "--decoder",
        choices=["auto", "torch"],
        default="auto",
        help="what writes the texts: the fastest faithful one here, or torch",
    )
    add("--transfer", action="store_true", help="first carry over the steers that the model lacks")
    add("--mcp", action="store_true", help="also be an MCP server; needs gradio[mcp]")


def run_app(args: argparse.Namespace) -> Result:
    """Serve the app until interrupted."""
    if args.mcp and not find_spec("mcp"):
        raise InputError('--mcp needs the package mcp; install it with: pip install "gradio[mcp]".')
    starting = _starting_page(args)
    try:
        from lmsteer_core.ui.app import serve_app
    except ImportError as error:
        raise _missing("app", "app", error) from error
    if args.transfer:
        carried = argparse.Namespace(
            model=EMBEDDED, steer=[], to=args.model, method="behaviour", name=None, out=None
        )
        sys.stderr.write(f"{show_transfer(run_transfer(carried))}\n")
    workbench = open_workbench(args)
    if args.decoder == "auto":
        workbench.accelerate().add_done_callback(_print_result)
    serve_app(
        workbench,
        starting,
        host=args.host,
        port=args.port,
        auth=args.auth,
        share=args.share,
        mcp=args.mcp,
    )
    return {}


def add_serve(verbs: Verbs) -> None:
    """Add the verb `serve`."""
    parser = verbs.add(
        "serve", run_serve, show_serve, "Serve the app over replicas of the engine, on Ray Serve."
    )
    parser.add_argument(
        "--replicas", type=int, default=1, metavar="N", help="engines behind it (default 1)"
    )
    parser.add_argument(
        "--max-replicas",
        type=int,
        metavar="M",
        help="let Ray start more, up to M, when many people write (default: N)",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="a running Ray cluster; auto is this machine's (default: start one)",
    )
    _add_serving_options(parser)


def run_serve(args: argparse.Namespace) -> Result:
    """Serve the app over replicas of the engine until interrupted."""
    starting = _starting_page(args)
    try:
        import lmsteer_core.serving.replicas  # noqa: F401
        from lmsteer_core.ui.app import serve_app
    except ImportError as error:
        raise _missing("serve", "app,serve", error) from error
    workbench = open_workbench(args)
    with workbench.replicated(args.model, args.replicas, args.max_replicas, args.address):
        # at Ray's own, processes would stay behind
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        serve_app(workbench, starting, host=args.host, port=args.port, auth=args.auth)
    return {}


def _starting_page(args: argparse.Namespace) -> StartingPage:
    """Show on the address that the app is starting, and say where."""
    from lmsteer_core.ui.starting import StartingPage

    page = StartingPage(args.host, args.port, args.model)
    sys.stderr.write(f"* Starting; http://{args.host}:{args.port} can be opened already.\n")
    return page


def _print_result(sentence: Future[str]) -> None:
    sys.stderr.write(f"* {sentence.result()}\n")


def _add_serving_options(parser: Parser) -> None:
    """Add --host, --port and --auth, which `app` and `serve` both take."""
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


def _missing(verb: str, extras: str, error: ImportError) -> InputError:
    """Return what to do about a package that is not installed."""
    return InputError(
        f'{verb} needs more packages: pip install "lmsteer-workbench[{extras}]" ({error}).'
    )


def show_serve(_result: Result) -> str:
    """Return what `serve` prints for a person."""
    return "Stopped."
