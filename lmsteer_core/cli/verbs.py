"""What each verb begins with: its name, its two functions, and the options that all verbs take.

By `argparse`: a port to Typer saved 20 lines and would make it a dependency of the library.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn

from lmsteer_core.cli.opening import Result
from lmsteer_core.models.packages import EMBEDDED


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line on stderr."""

    def error(self, message: str) -> NoReturn:
        """Exit 2 after one line that says what is wrong."""
        self.exit(2, f"lmsteer: {message}; see `{self.prog} --help`.\n")


class Verbs:
    """The verbs of a parser; each verb's file adds its own."""

    def __init__(self, parser: Parser) -> None:
        """Let a parser have verbs; one must be given."""
        self._subparsers = parser.add_subparsers(
            dest="verb", required=True, metavar="VERB", parser_class=Parser
        )

    def add(
        self, name: str, run: Callable[..., Result], show: Callable[[Result], str], text: str
    ) -> Parser:
        """Add a verb and return its parser, which has --model and --json.

        Args:
            name: The word on the command line.
            run: Takes the parsed arguments and returns what --json prints.
            show: Returns what a person reads instead.
            text: What the verb does, in one sentence.
        """
        parser: Parser = self._subparsers.add_parser(name, help=text, description=text)
        parser.set_defaults(run=run, show=show)
        parser.add_argument(
            "--model",
            default=EMBEDDED,
            metavar="ID",
            help="embedded, gemma, hub id, folder or .gguf",
        )
        parser.add_argument("--json", action="store_true", help="machine-readable output")
        return parser


def add_unlock(parser: Parser) -> None:
    """Add --unlock to a verb that may reach a locked pole."""
    parser.add_argument(
        "--unlock", action="store_true", help="allow the pole that a steer's notice locks"
    )
