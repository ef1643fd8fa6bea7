"""Serve the LM-Steer Workbench: `python app.py`, or run this file as a Hugging Face Space."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def main() -> int:
    """Parse arguments, open the workbench, serve the app until interrupted."""
    from lmsteer_core.cli.main import main as command
    from lmsteer_core.cli.serve import add_serving_options
    from lmsteer_core.errors import LMSteerError

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", default="embedded", metavar="ID", help="embedded, gemma, hub id, folder or .gguf"
    )
    add_serving_options(parser)
    parser.add_argument(
        "--share", action="store_true", help="also serve through a public gradio link"
    )
    parser.add_argument(
        "--transfer",
        action="store_true",
        help="first carry over the shipped steers that the model lacks",
    )
    parser.add_argument(
        "--mcp", action="store_true", help="also be an MCP server; needs gradio[mcp]"
    )
    args = parser.parse_args()
    if args.mcp and not find_spec("mcp"):
        parser.error('--mcp needs the package mcp; install it with: pip install "gradio[mcp]"')

    from transformers.utils import logging

    from lmsteer_core.ui.app import serve_app
    from lmsteer_core.workbench import Workbench

    logging.set_verbosity_error()
    options = {
        name: value for name, value in vars(args).items() if name not in ("model", "transfer")
    }
    if args.transfer and (status := command(["transfer", "--to", args.model])):
        return status
    try:
        serve_app(Workbench.open(args.model), **options)
    except LMSteerError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
