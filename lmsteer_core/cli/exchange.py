"""The verbs that bring steers in and out: `import`, `export` and `push`."""

from __future__ import annotations

import argparse
from pathlib import Path

from lmsteer_core.cli.opening import Result, find_steer, open_workbench, parse_epsilons
from lmsteer_core.cli.verbs import Verbs, add_unlock
from lmsteer_core.errors import InputError


def add_import(verbs: Verbs) -> None:
    """Add the verb `import`."""
    parser = verbs.add(
        "import", run_import, show_import, "Read steers from an official LM-Steer checkpoint."
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT.pt")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="name of the next steer; repeatable (default: all, as steer-0, …)",
    )
    parser.add_argument(
        "--index",
        action="append",
        default=[],
        type=int,
        metavar="I",
        help="which steer a --name is, one per --name (default: 0, 1, …)",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="where each gets a folder (default: your steers folder)"
    )


def run_import(args: argparse.Namespace) -> Result:
    """Read the steers of an official checkpoint and save them."""
    from lmsteer_core.exchange.hub import save_repository
    from lmsteer_core.steers.library import user_steers_of

    if args.index and len(args.index) != len(args.name):
        raise InputError(
            f"Give one --index per --name; here are {len(args.index)} and {len(args.name)}."
        )
    indices = args.index or range(len(args.name))
    if len(set(indices)) < len(indices):
        raise InputError("Each --index may be given once.")
    with open_workbench(args) as workbench:
        names = dict(zip(indices, args.name, strict=True)) or None
        steers = workbench.read_official(args.checkpoint, names)
        parent = Path(args.out) if args.out else user_steers_of(workbench.model_id)
    return {
        "model": workbench.model_id,
        "steers": [
            {
                "steer": s.name,
                "rank": s.rank,
                "data": s.card.data,
                "folder": str(save_repository(s, parent / s.name)),
            }
            for s in steers
        ],
    }


def show_import(result: Result) -> str:
    """Return what `import` prints for a person."""
    return "\n".join(
        f"Wrote {s['folder']}: rank {s['rank']}, {s['data']}" for s in result["steers"]
    )


def add_export(verbs: Verbs) -> None:
    """Add the verb `export`."""
    parser = verbs.add(
        "export",
        run_export,
        show_export,
        "Write steers at a fixed ε for tools that know no steers.",
    )
    parser.add_argument("steer", metavar="STEER")
    parser.add_argument(
        "--format",
        choices=["peft", "merged"],
        required=True,
        help="a LoRA adapter for the base model, or a whole model",
    )
    parser.add_argument("--epsilon", required=True, metavar="E", help="ε of STEER")
    parser.add_argument(
        "--steer",
        action="append",
        default=[],
        dest="more",
        metavar="NAME=E",
        help="another steer in the same export; repeatable",
    )
    add_unlock(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="a new or empty folder")


def run_export(args: argparse.Namespace) -> Result:
    """Write steers at a fixed ε for tools that know no steers."""
    epsilons = parse_epsilons([f"{args.steer}={args.epsilon}", *args.more])
    if len(epsilons) <= len(args.more):
        raise InputError("Each steer may be named once.")
    with open_workbench(args, dtype="float32") as workbench:
        parts = [(find_steer(workbench, name), epsilon) for name, epsilon in epsilons.items()]
        folder = workbench.export(parts, args.out, peft=args.format == "peft", unlock=args.unlock)
    return {
        "model": workbench.model_id,
        "epsilons": epsilons,
        "format": args.format,
        "folder": str(folder),
    }


def show_export(result: Result) -> str:
    """Return what `export` prints for a person."""
    loader = "AutoModelForCausalLM.from_pretrained("
    if result["format"] == "peft":
        loader = "PeftModel.from_pretrained(base_model, "
    return f'Wrote {result["folder"]}\nLoad it with {loader}"{result["folder"]}").'


def add_push(verbs: Verbs) -> None:
    """Add the verb `push`."""
    parser = verbs.add(
        "push", run_push, show_push, "Put a steer on the Hugging Face hub, with your own token."
    )
    parser.add_argument("steer", metavar="STEER")
    parser.add_argument(
        "--to", required=True, metavar="OWNER/NAME", help="made if it is not there yet"
    )
    parser.add_argument("--private", action="store_true", help="make a new repository private")


def run_push(args: argparse.Namespace) -> Result:
    """Put a steer on the hub with the token of the user."""
    from huggingface_hub import get_token

    from lmsteer_core.exchange.hub import push

    token = get_token()
    if not token:
        raise InputError("push needs your own token: log in with `hf auth login`, or set HF_TOKEN.")
    with open_workbench(args) as workbench:
        steer = find_steer(workbench, args.steer)
    return {"steer": steer.name, "address": push(steer, args.to, token, private=args.private)}


def show_push(result: Result) -> str:
    """Return what `push` prints for a person."""
    return f"{result['steer']} is at {result['address']}"
