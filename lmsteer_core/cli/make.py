"""The verbs that make a steer: `train` and `transfer`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from lmsteer_core.cli.opening import Result, find_steer, open_workbench
from lmsteer_core.cli.progress_line import progress_line
from lmsteer_core.cli.verbs import Verbs
from lmsteer_core.errors import InputError

if TYPE_CHECKING:
    from lmsteer_core.workbench import Workbench


def add_train(verbs: Verbs) -> None:
    """Add the verb `train`."""
    parser = verbs.add(
        "train", run_train, show_train, "Make a steer from descriptions, examples or labelled text."
    )
    parser.add_argument(
        "data", nargs="?", metavar="DATA", help="JSONL or CSV with text and label in [−1, 1]"
    )
    parser.add_argument(
        "--zero-is-negative",
        action="store_true",
        help="the labels of DATA are 0 and 1, and 0 is the − pole",
    )
    parser.add_argument("--name", required=True)
    parser.add_argument("--plus", metavar="TEXT", help="describe what +ε should read like")
    parser.add_argument("--minus", metavar="TEXT", help="describe what −ε should read like")
    parser.add_argument(
        "--plus-examples", metavar="FILE", help="3 to 50 texts of the + pole, one a line"
    )
    parser.add_argument(
        "--minus-examples", metavar="FILE", help="3 to 50 texts of the − pole, one a line"
    )
    parser.add_argument(
        "--data-weight",
        type=float,
        default=0.3,
        metavar="SHARE",
        help="share of DATA beside descriptions or examples, 0 to 1 (default 0.3)",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="where to write it (default: your steers folder)"
    )
    parser.add_argument(
        "--method",
        choices=["closed-form", "adam"],
        default="closed-form",
        help="adam is the paper's recipe: 1,000 steps on DATA, slow, for reference",
    )
    parser.add_argument(
        "--rank", type=int, metavar="R", help="rank of W (default: as much as is of use)"
    )


def run_train(args: argparse.Namespace) -> Result:
    """Make a steer and save it."""
    from lmsteer_core.steers.card import check_name
    from lmsteer_core.steers.library import user_steers_of

    check_name(args.name)
    if args.rank is not None and args.rank < 1:
        raise InputError("--rank must be at least 1.")
    sources = _sources(args)
    with open_workbench(args) as workbench:
        if args.method == "adam":
            steer = workbench.train_official(
                args.name, sources[0][0], progress_line(), rank=args.rank or 1000
            )
        else:
            steer = workbench.train(args.name, sources, progress_line(), rank=args.rank)
        folder = steer.save(args.out or user_steers_of(workbench.model_id) / args.name)
        named = args.name if args.out is None else str(folder)
    return {"steer": named, "folder": str(folder), "card": dataclasses.asdict(steer.card)}


def _sources(args: argparse.Namespace) -> list[tuple[Any, float]]:
    """Return what a steer is to be made from, with weights, before any model is loaded."""
    from lmsteer_core.training.labelled_file import read_labelled, read_lines
    from lmsteer_core.training.sources.descriptions import Descriptions
    from lmsteer_core.training.sources.examples import Examples
    from lmsteer_core.training.sources.labelled_text import LabelledText

    for plus, minus, name in (
        (args.plus, args.minus, "plus and --minus"),
        (args.plus_examples, args.minus_examples, "plus-examples and --minus-examples"),
    ):
        if (plus is None) != (minus is None):
            raise InputError(f"Give both --{name}.")
    if not 0 < args.data_weight < 1:
        raise InputError("--data-weight must be between 0 and 1.")
    sources: list[Any] = []
    if args.plus is not None:
        sources.append(Descriptions(args.plus, args.minus))
    if args.plus_examples is not None:
        sources.append(Examples(read_lines(args.plus_examples), read_lines(args.minus_examples)))
    if args.data is None:
        if args.zero_is_negative:
            raise InputError("--zero-is-negative says what the labels of DATA mean; give DATA.")
        if not sources or args.method == "adam":
            raise InputError(
                "Give a DATA file, or both --plus and --minus; --method adam needs DATA alone."
            )
        return [(source, 1 / len(sources)) for source in sources]
    if sources and args.method == "adam":
        raise InputError(
            "--method adam learns from DATA alone; leave out the descriptions and examples."
        )
    labelled = read_labelled(args.data, zero_is_negative=args.zero_is_negative)
    for note in labelled.notes:
        sys.stderr.write(f"lmsteer: {args.data}: {note}\n")
    if labelled.n_duplicates:
        sys.stderr.write(f"lmsteer: left out {labelled.n_duplicates} repeated texts.\n")
    data = LabelledText(labelled.texts, labelled.labels)
    if not sources:
        return [(data, 1.0)]
    return [
        *((source, (1 - args.data_weight) / len(sources)) for source in sources),
        (data, args.data_weight),
    ]


def show_train(result: Result) -> str:
    """Return what `train` prints for a person."""
    return (
        f"Wrote {result['folder']}\n"
        f'Try: python -m lmsteer_core generate "My life is" --steer {result["steer"]}=2'
    )


def add_transfer(verbs: Verbs) -> None:
    """Add the verb `transfer`."""
    parser = verbs.add("transfer", run_transfer, show_transfer, "Carry a steer to another model.")
    parser.add_argument(
        "steer",
        nargs="*",
        metavar="STEER",
        help="steers of --model (default: all that the other model lacks)",
    )
    parser.add_argument(
        "--to", required=True, metavar="MODEL", help="embedded, gemma, hub id, folder or .gguf"
    )
    parser.add_argument(
        "--method",
        choices=["behaviour", "ridge", "procrustes", "transpose"],
        default="behaviour",
        help="by what the steer does (default), or by a map between embeddings: "
        "ridge is better for rare words, such as insults",
    )
    parser.add_argument("--name", help="name on the other model (default: the same)")
    parser.add_argument(
        "--out", metavar="DIR", help="where to write it (default: your steers folder)"
    )


def run_transfer(args: argparse.Namespace) -> Result:
    """Carry steers to another model and save them."""
    from lmsteer_core.steers.card import check_name
    from lmsteer_core.workbench import Workbench

    if len(args.steer) != 1 and (args.name or args.out):
        raise InputError("--name and --out are for one steer; name it.")
    if args.name is not None:
        check_name(args.name)
    with open_workbench(args) as workbench, Workbench.open(args.to) as target:
        return _transfer(args, workbench, target)


def _transfer(args: argparse.Namespace, workbench: Workbench, target: Workbench) -> Result:
    from lmsteer_core.steers.library import user_steers_of

    names = args.steer or [name for name in workbench.names if name not in target.steers]
    steers = [find_steer(workbench, name) for name in names]
    done = []
    for steer in steers:
        new_steer = workbench.transfer(
            steer, target, method=args.method, name=args.name, progress=progress_line()
        )
        folder = new_steer.save(args.out or user_steers_of(target.model_id) / new_steer.name)
        done.append(
            {
                "steer": new_steer.name if args.out is None else str(folder),
                "folder": str(folder),
                "fit": dataclasses.asdict(workbench.fit_report(steer, target)),
                "card": dataclasses.asdict(new_steer.card),
            }
        )
    return {
        "source": workbench.model_id,
        "target": target.model_id,
        "to": args.to,
        "steers": done,
    }


def show_transfer(result: Result) -> str:
    """Return what `transfer` prints for a person."""
    lines = []
    for transferred in result["steers"]:
        lines.append(
            f"Wrote {transferred['folder']}. Its words there, by a map between the embeddings:"
        )
        lines += [
            f"  {word.strip()} → {', '.join(w.strip() for w in words)}"
            for word, words in transferred["fit"]["neighbours"]
        ]
    if not lines:
        return f"{result['target']} has every steer of {result['source']}."
    fit, steer = result["steers"][0]["fit"], result["steers"][0]["steer"]
    lines.append(
        f"{result['source']} and {result['target']} share {fit['n_shared']:,} words; the map "
        f"explains {fit['r2']:.0%} of the variance."
    )
    lines.append(
        'Try: python -m lmsteer_core generate "My life is" --model '
        f"{result['to']} --steer {steer}=2"
    )
    return "\n".join(lines)
