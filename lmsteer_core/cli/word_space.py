"""The verbs `neighbours`, `axis` and `analogy`: words among words, before and after ε."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

from lmsteer_core.cli.opening import Result, find_steer, open_workbench
from lmsteer_core.cli.verbs import Parser, Verbs, add_unlock
from lmsteer_core.errors import InputError

_MIDDLE = 2.0
"""ε where a steer is named without one."""


def add_neighbours(verbs: Verbs) -> None:
    """Add the verb `neighbours`."""
    parser = verbs.add(
        "neighbours",
        run_neighbours,
        show_neighbours,
        "List a word's nearest words in the output embedding, before and after ε.",
    )
    parser.add_argument("word", metavar="WORD")
    _add_move(parser)
    parser.add_argument("--measure", default="cosine", metavar="M", help="cosine (default) or dot")
    parser.add_argument("--top", type=int, default=12, metavar="N")


def run_neighbours(args: argparse.Namespace) -> Result:
    """Return a word's nearest words before and after ε."""
    with open_workbench(args) as workbench:
        found = workbench.neighbours(
            args.word, **_move(workbench, args), n=args.top, measure=args.measure
        )
    return dataclasses.asdict(found)


def show_neighbours(result: Result) -> str:
    """Return what `neighbours` prints for a person."""

    def line(each: dict[str, Any]) -> str:
        hub = "  (a hub: near to very many words)" if each["is_hub"] else ""
        return f"{each['before']:+8.3f} {each['after']:+8.3f}  {each['word']}{hub}"

    lines = [f"Nearest to '{result['word']}', similarity before and after ε:"]
    lines += map(line, result["before"])
    if result["closer"] or result["leaving"]:
        lines += ["", "Nearest at ε:", *map(line, result["after"]), ""]
        lines.append(f"Come closer: {', '.join(result['closer'])}")
        lines.append(f"Leave: {', '.join(result['leaving'])}")
    return "\n".join(lines)


def add_axis(verbs: Verbs) -> None:
    """Add the verb `axis`."""
    parser = verbs.add(
        "axis", run_axis, show_axis, "Order words on an axis between two sets of opposed words."
    )
    for end, example in (("plus", "good,great"), ("minus", "bad,awful")):
        parser.add_argument(
            f"--{end}",
            required=True,
            nargs="+",
            metavar="WORD",
            help=f"words of one end, such as {example}",
        )
    _add_move(parser)
    parser.add_argument("--top", type=int, default=12, metavar="N")


def run_axis(args: argparse.Namespace) -> Result:
    """Return the words at the ends of an axis, and those that ε moves along it."""
    with open_workbench(args) as workbench:
        found = workbench.axis(
            _words(args.plus), _words(args.minus), **_move(workbench, args), n=args.top
        )
    return dataclasses.asdict(found)


def show_axis(result: Result) -> str:
    """Return what `axis` prints for a person."""

    def listed(words: Sequence[Sequence[Any]]) -> str:
        return ", ".join(f"{word} {value:+.2f}" for word, value in words)

    lines = [
        f"{', '.join(result['minus'])} ↔ {', '.join(result['plus'])}, cosine to the axis:",
        f"   + {listed(result['positive'])}",
        f"   − {listed(result['negative'])}",
    ]
    if result["towards_plus"] or result["towards_minus"]:
        lines += [
            "ε moves along it:",
            f"   + {listed(result['towards_plus'])}",
            f"   − {listed(result['towards_minus'])}",
        ]
    return "\n".join(lines)


def add_analogy(verbs: Verbs) -> None:
    """Add the verb `analogy`."""
    parser = verbs.add(
        "analogy",
        run_analogy,
        show_analogy,
        "Answer: A is to B as C is to whom, before and after ε.",
    )
    for name in ("a", "b", "c"):
        parser.add_argument(name, metavar=name.upper())
    parser.add_argument("--answer", metavar="WORD", help="tell this word's place among all")
    _add_move(parser)
    parser.add_argument("--top", type=int, default=5, metavar="N")


def run_analogy(args: argparse.Namespace) -> Result:
    """Return the answers to an analogy before and after ε."""
    with open_workbench(args) as workbench:
        found = workbench.analogy(
            args.a, args.b, args.c, **_move(workbench, args), answer=args.answer, n=args.top
        )
    return dataclasses.asdict(found)


def show_analogy(result: Result) -> str:
    """Return what `analogy` prints for a person."""
    a, b, c = result["words"]
    lines = [f"{a} is to {b} as {c} is to …"]
    for title, words, rank in (
        ("before", result["before"], result["rank_before"]),
        ("at ε", result["after"], result["rank_after"]),
    ):
        place = f"   (the expected answer is number {rank:,})" if rank else ""
        lines.append(
            f"   {title}: {', '.join(f'{word} {value:.2f}' for word, value in words)}{place}"
        )
    return "\n".join(lines)


def _add_move(parser: Parser) -> None:
    parser.add_argument("--steer", metavar="S", help="what moves the words")
    parser.add_argument("--epsilon", type=float, metavar="E", help=f"its ε (default {_MIDDLE:g})")
    add_unlock(parser)


def _move(workbench: Any, args: argparse.Namespace) -> dict[str, Any]:
    if args.steer is None:
        if args.epsilon is not None:
            raise InputError("--epsilon needs --steer NAME: nothing else moves words.")
        return {}
    epsilon = _MIDDLE if args.epsilon is None else args.epsilon
    steer = find_steer(workbench, args.steer)
    return {"steer": steer, "epsilon": epsilon, "unlock": args.unlock}


def _words(items: Sequence[str]) -> list[str]:
    """Return the words of arguments with or without commas between them."""
    return [word for item in items for part in item.split(",") if (word := part.strip())]
