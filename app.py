"""Serve the LM-Steer Workbench: `python app.py`, or run this file as a Hugging Face Space."""

from __future__ import annotations

import sys

from lmsteer_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["app", *sys.argv[1:]]))
