"""The command line: one verb per capability, `--json` for machines, exit 2 on a user's mistake."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from lmsteer_core.cli import (
    evaluate,
    exchange,
    explore,
    generate,
    inspection,
    make,
    serve,
    word_space,
)
from lmsteer_core.cli.verbs import Parser, Verbs
from lmsteer_core.errors import LMSteerError

_VERBS = (
    explore.add_models,
    explore.add_install,
    explore.add_steers,
    generate.add_generate,
    explore.add_nextword,
    explore.add_words,
    word_space.add_neighbours,
    word_space.add_axis,
    word_space.add_analogy,
    explore.add_analyze,
    inspection.add_inspect,
    make.add_train,
    make.add_transfer,
    exchange.add_import,
    exchange.add_export,
    exchange.add_push,
    evaluate.add_evaluate,
    serve.add_app,
    serve.add_serve,
)
"""In the order in which `--help` lists them."""


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


def _parser() -> Parser:
    parser = Parser(
        prog="python -m lmsteer_core", description="Steer a language model's word embeddings."
    )
    verbs = Verbs(parser)
    for add_verb in _VERBS:
        add_verb(verbs)
    return parser
