"""Serve the LM-Steer Workbench: `python app.py`, or run this file as a Hugging Face Space."""

from __future__ import annotations

import argparse
import os
import sys

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def main() -> int:
    """Parse arguments, open the workbench, serve the app until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", default="embedded", metavar="ID", help="embedded, gemma, hub id, folder or .gguf"
    )
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("GRADIO_SERVER_PORT", "7860")))
    parser.add_argument("--share", action="store_true", help="also serve through a public gradio link")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="ask visitors to log in; also the API's key")
    args = parser.parse_args()
    user, colon, password = (args.auth or "").partition(":")
    if args.auth and not (user and colon and password):
        parser.error("--auth wants USER:PASSWORD")
    if not 1 <= args.port <= 65535:
        parser.error("--port must be between 1 and 65535")

    from transformers.utils import logging

    from lmsteer_core.errors import LMSteerError
    from lmsteer_core.http_api import routes
    from lmsteer_core.ui.app import build_app, launch_options
    from lmsteer_core.ui.trainings import CLOSING
    from lmsteer_core.workbench import Workbench

    logging.set_verbosity_error()
    try:
        workbench = Workbench.open(args.model)
    except LMSteerError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        build_app(workbench).queue(max_size=200).launch(
            server_name=args.host,
            server_port=args.port,
            share=args.share,
            auth=(user, password) if args.auth else None,
            app_kwargs={"routes": routes(workbench, key=args.auth)},
            **launch_options(),
        )
    except OSError:
        sys.stderr.write(
            f"Cannot serve on {args.host}, port {args.port}: the port is taken or the host is not this "
            "machine's; choose others with --port and --host.\n"
        )
        return 2
    finally:
        CLOSING.set()
    return 0


if __name__ == "__main__":
    sys.exit(main())
