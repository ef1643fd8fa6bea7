"""The verb `inspect`: why one token of a text is as likely as it is."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from lmsteer_core.cli.opening import Result, find_steer, open_workbench, parse_epsilons
from lmsteer_core.cli.verbs import Verbs, add_unlock

_SHOWN_DIMENSIONS = 5


def add_inspect(verbs: Verbs) -> None:
    """Add the verb `inspect`."""
    parser = verbs.add(
        "inspect",
        run_inspect,
        show_inspect,
        "Say what each steer and dimension adds to one token of a text.",
    )
    parser.add_argument("text", metavar="TEXT")
    parser.add_argument(
        "--steer", action="append", default=[], metavar="NAME=E", help="ε of a steer; repeatable"
    )
    add_unlock(parser)
    parser.add_argument(
        "--token",
        type=int,
        default=-1,
        metavar="N",
        help="its place among the text's tokens, from 0; negative ones count from the end "
        "(default -1, the last)",
    )
    parser.add_argument(
        "--top", type=int, default=10, metavar="K", help="how many alternatives (default 10)"
    )


def run_inspect(args: argparse.Namespace) -> Result:
    """Say what each steer and dimension adds to one token of a text."""
    epsilons = parse_epsilons(args.steer)
    with open_workbench(args, dtype="float32") as workbench:
        found = workbench.inspect_token(
            args.text,
            args.token,
            [(find_steer(workbench, name), epsilon) for name, epsilon in epsilons.items()],
            top=args.top,
            unlock=args.unlock,
        )
    return {**dataclasses.asdict(found), "shift": found.shift}


def show_inspect(result: Result) -> str:
    """Return what `inspect` prints for a person."""
    token = result["token"]

    def part(what: str, nats: float) -> str:
        return f"{nats:+9.4f}  {what}"

    def alternative(each: dict[str, Any]) -> str:
        return f"{each['base_logprob']:9.4f} {each['logprob']:9.4f}  {each['text']!r}"

    lines = [
        f"{token['text']!r}, token {result['position']}: log p {token['base_logprob']:.4f} (rank "
        f"{result['base_rank']:,}) → {token['logprob']:.4f} (rank {result['rank']:,})",
        "",
    ]
    for share in result["shares"]:
        dimensions = share["dimensions"]
        lines.append(part(f"{share['name']} {share['epsilon']:+g}, of which", sum(dimensions)))
        order = sorted(range(len(dimensions)), key=lambda i: -abs(dimensions[i]))
        for i in order[:_SHOWN_DIMENSIONS]:
            lines.append(f"   {part(f'dimension {i + 1}', dimensions[i])}")
        if rest := order[_SHOWN_DIMENSIONS:]:
            lines.append(f"   {part(f'{len(rest)} more', sum(dimensions[i] for i in rest))}")
    if result["softcap"]:
        lines.append(part("softcap of the model", result["softcap"]))
    lines.append(part("normaliser: what the other words gain or lose", result["normaliser"]))
    lines.append(part("shift of log p, in nats: the sum", result["shift"]))
    for title, name in (("Likeliest before", "before"), ("Likeliest after", "after")):
        lines += ["", f"{title} steering, log p before and after:"]
        lines += map(alternative, result[name])
    return "\n".join(lines)
