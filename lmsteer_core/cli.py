"""The command line: one verb per capability, `--json` for machines, exit 2 on a user's mistake."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from lmsteer_core.errors import InputError, LMSteerError
from lmsteer_core.evaluation import command
from lmsteer_core.models import EMBEDDED

Result = dict[str, Any]

_SECONDS_PER_LINE = 30


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
    parser = _Parser(prog="python -m lmsteer_core", description="Steer a language model's word embeddings.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)

    def verb(name: str, run: Callable[..., Result], show: Callable[[Result], str], text: str) -> _Parser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run, show=show)
        sub.add_argument(
            "--model", default=EMBEDDED, metavar="ID", help="embedded, gemma, hub id, folder or .gguf"
        )
        sub.add_argument("--json", action="store_true", help="machine-readable output")
        return sub

    verb("models", _models, _show_models, "List the models that can be loaded here.")
    sub = verb("steers", _steers, _show_steers, "List the steers found for the model.")
    sub.add_argument("steer", nargs="*", metavar="STEER", help="these alone: names, folders, hub ids")

    sub = verb("generate", _generate, _show_generate, "Generate steered text beside the baseline.")
    sub.add_argument("prompt", metavar="PROMPT")
    sub.add_argument(
        "--steer", action="append", default=[], metavar="NAME=E", help="ε of a steer; repeatable"
    )
    sub.add_argument("--samples", type=int, default=1, metavar="N")
    sub.add_argument("--max-new-tokens", type=int, default=40, metavar="N")
    sub.add_argument("--temperature", type=float, default=0.9, metavar="T")
    sub.add_argument("--top-p", type=float, default=0.95, metavar="P")
    sub.add_argument("--seed", type=int, default=0, metavar="S")

    sub = verb("nextword", _nextword, _show_nextword, "Show the next word's probability over a grid of ε.")
    sub.add_argument("prompt", metavar="PROMPT")
    sub.add_argument("--steer", action="append", required=True, metavar="NAME[=E]",
                     help="NAME goes on the axis; any other steer is held, as OTHER=E")  # fmt: skip
    sub.add_argument("--top", type=int, default=10, metavar="K", help="how many words (default 10)")
    sub.add_argument("--word", action="append", default=[], metavar="W", help="follow a word; repeatable")
    sub.add_argument(
        "--at", type=float, default=2.0, metavar="E", help="ε of the ranked lists at −E, 0 and +E (default 2)"
    )

    sub = verb("words", _words, _show_words, "List the words of a steer's strongest dimensions.")
    sub.add_argument("steer", metavar="STEER")
    sub.add_argument("--dims", type=int, default=5, metavar="N")
    sub.add_argument("--top", type=int, default=10, metavar="N")

    sub = verb("analyze", _analyze, _show_analyze, "Find the tokens of a text that carry a style.")
    sub.add_argument("text", metavar="TEXT")
    sub.add_argument("--steer", required=True, metavar="NAME")

    sub = verb("train", _train, _show_train, "Make a steer from descriptions, examples or labelled text.")
    sub.add_argument("data", nargs="?", metavar="DATA", help="JSONL or CSV with text and label in [−1, 1]")
    sub.add_argument("--name", required=True)
    sub.add_argument("--plus", metavar="TEXT", help="describe what +ε should read like")
    sub.add_argument("--minus", metavar="TEXT", help="describe what −ε should read like")
    sub.add_argument("--plus-examples", metavar="FILE", help="3 to 50 texts of the + pole, one a line")
    sub.add_argument("--minus-examples", metavar="FILE", help="3 to 50 texts of the − pole, one a line")
    sub.add_argument("--data-weight", type=float, default=0.3, metavar="SHARE",
                     help="share of DATA beside descriptions or examples, 0 to 1 (default 0.3)")  # fmt: skip
    sub.add_argument("--out", metavar="DIR", help="where to write it (default: your steers folder)")
    sub.add_argument(
        "--method", choices=["closed-form", "adam"], default="closed-form",
        help="adam is the paper's recipe: 1,000 steps on DATA, slow, for reference",
    )  # fmt: skip
    sub.add_argument("--rank", type=int, metavar="R", help="rank of W (default: as much as is of use)")

    sub = verb("transfer", _transfer, _show_transfer, "Carry a steer to another model.")
    sub.add_argument("steer", nargs="*", metavar="STEER",
                     help="steers of --model (default: all that the other model lacks)")  # fmt: skip
    sub.add_argument("--to", required=True, metavar="MODEL", help="embedded, gemma, hub id, folder or .gguf")
    sub.add_argument("--method", choices=["behaviour", "ridge", "procrustes", "transpose"],
                     default="behaviour",
                     help="by what the steer does (default), or by a map between embeddings: "
                          "ridge is better for rare words, such as insults")  # fmt: skip
    sub.add_argument("--name", help="name on the other model (default: the same)")
    sub.add_argument("--out", metavar="DIR", help="where to write it (default: your steers folder)")

    sub = verb("import", _import, _show_import, "Read steers from an official LM-Steer checkpoint.")
    sub.add_argument("checkpoint", metavar="CHECKPOINT.pt")
    sub.add_argument("--name", action="append", default=[], metavar="NAME",
                     help="name of the next steer; repeatable (default: all, as steer-0, …)")  # fmt: skip
    sub.add_argument("--index", action="append", default=[], type=int, metavar="I",
                     help="which steer a --name is, one per --name (default: 0, 1, …)")  # fmt: skip
    sub.add_argument("--out", metavar="DIR", help="where each gets a folder (default: your steers folder)")

    sub = verb("export", _export, _show_export, "Write steers at a fixed ε for tools that know no steers.")
    sub.add_argument("steer", metavar="STEER")
    sub.add_argument("--format", choices=["peft", "merged"], required=True,
                     help="a LoRA adapter for the base model, or a whole model")  # fmt: skip
    sub.add_argument("--epsilon", required=True, metavar="E", help="ε of STEER")
    sub.add_argument("--steer", action="append", default=[], dest="more", metavar="NAME=E",
                     help="another steer in the same export; repeatable")  # fmt: skip
    sub.add_argument("--out", required=True, metavar="DIR", help="a new or empty folder")

    sub = verb("push", _push, _show_push, "Put a steer on the Hugging Face hub, with your own token.")
    sub.add_argument("steer", metavar="STEER")
    sub.add_argument("--to", required=True, metavar="OWNER/NAME", help="made if it is not there yet")
    sub.add_argument("--private", action="store_true", help="make a new repository private")

    sub = verb("evaluate", _evaluate, command.show, "Compare ways to steer by the paper's protocol.")
    command.add_options(sub)

    sub = verb("serve", _serve, _show_serve, "Serve the app over replicas of the engine, on Ray Serve.")
    sub.add_argument("--replicas", type=int, default=1, metavar="N", help="engines behind it (default 1)")
    sub.add_argument("--max-replicas", type=int, metavar="M",
                     help="let Ray start more, up to M, when many people write (default: N)")  # fmt: skip
    sub.add_argument("--address", metavar="HOST:PORT",
                     help="a running Ray cluster; auto is this machine's (default: start one)")  # fmt: skip
    add_serving_options(sub)
    return parser


def add_serving_options(parser: argparse.ArgumentParser) -> None:
    """Add --host, --port and --auth, which `app.py` and the verb `serve` both take."""
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    parser.add_argument("--port", type=_port, default=os.environ.get("GRADIO_SERVER_PORT", "7860"))
    parser.add_argument(
        "--auth", type=_auth, metavar="USER:PASSWORD", help="ask visitors to log in; also the API's key"
    )


def _port(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError("must be between 1 and 65535")


def _auth(text: str) -> tuple[str, str]:
    user, _, password = text.partition(":")
    if user and password:
        return user, password
    raise argparse.ArgumentTypeError("wants USER:PASSWORD")


def _open(args: argparse.Namespace, dtype: str = "auto") -> Any:
    """Open the workbench; imported here so that `--help` and bad arguments answer at once."""
    from transformers.utils import logging

    from lmsteer_core.workbench import Workbench

    logging.set_verbosity_error()
    workbench = Workbench.open(args.model, dtype=dtype)
    for problem in workbench.problems:
        sys.stderr.write(f"lmsteer: passed over a steer: {problem}\n")
    return workbench


def _steer(workbench: Any, name: str) -> Any:
    """Return a steer by its name, its folder or, as OWNER/NAME, from the hub."""
    if name not in workbench.steers and re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not Path(name).exists():
        from lmsteer_core.interop import pull
        from lmsteer_core.steer import check_fingerprint

        steer = pull(name)
        check_fingerprint(steer, workbench.lm.fingerprint_rows, workbench.lm.model_id)
        workbench.steers[name] = steer
    return workbench.steer(name)


def _models(_args: argparse.Namespace) -> Result:
    from lmsteer_core.models import available_models

    return {"models": available_models()}


def _show_models(result: Result) -> str:
    rows = [f"{m['id']:<28} {m['name']:<28} {m['source']}" for m in result["models"]]
    return "\n".join([*rows, "Any Hugging Face causal LM also loads by its id or folder."])


def _steers(args: argparse.Namespace) -> Result:
    workbench = _open(args)
    steers = [_steer(workbench, name) for name in args.steer or sorted(workbench.steers)]
    cards = [dataclasses.asdict(steer.card) for steer in steers]
    return {"model": workbench.lm.model_id, "steers": cards}


def _show_steers(result: Result) -> str:
    rows = [
        f"{s['name']:<16} {s['negative']} ↔ {s['positive']}   ε {s['epsilon_range'][0]:g} … "
        f"{s['epsilon_range'][1]:g}   {s['method']}" + (f"\n{'':<16} ⚠ {s['notice']}" if s["notice"] else "")
        for s in result["steers"]
    ]
    return "\n".join(rows) or f"No steers found for {result['model']}."


def _epsilons(items: Sequence[Any]) -> dict[str, float]:
    """Return ε by steer from NAME=E arguments."""
    from lmsteer_core.steer import check_epsilon

    epsilons = {}
    for item in items:
        name, equals, value = item.rpartition("=")
        if not equals:
            raise InputError(f"--steer wants NAME=E, for example sentiment=2, not '{item}'.")
        with suppress(ValueError):
            value = float(value)
        epsilons[name] = check_epsilon(value, name)
    return epsilons


def _generate(args: argparse.Namespace) -> Result:
    from lmsteer_core.decoding import Sampling
    from lmsteer_core.generation import Row, generate

    epsilons = _epsilons(args.steer)
    sampling = Sampling(args.temperature, args.top_p, args.max_new_tokens, args.seed)
    if not 1 <= args.samples <= 255:
        raise InputError(f"--samples must be between 1 and 255, not {args.samples}.")
    workbench = _open(args)
    steers = {name: _steer(workbench, name) for name in epsilons}
    if workbench.lm.encode(args.prompt, reserve=sampling.max_new_tokens)[1]:
        sys.stderr.write(
            f"lmsteer: the prompt's beginning was cut to fit the context of "
            f"{workbench.lm.context_length} tokens.\n"
        )
    rows = [Row(args.prompt, dict.fromkeys(epsilons, 0.0))]
    rows += [Row(args.prompt, epsilons, seed_offset=i) for i in range(args.samples)]
    done = generate(workbench.lm, rows, steers, sampling)
    return {
        "prompt": args.prompt,
        "model": workbench.lm.model_id,
        "rows": [
            {
                "epsilons": dict(row.row.epsilons),
                "text": row.text,
                "tokens": [
                    {"text": t.text, "logprob": t.logprob, "base_logprob": t.base_logprob} for t in row.tokens
                ],
            }
            for row in done
        ],
    }


def _show_generate(result: Result) -> str:
    def title(epsilons: dict[str, float]) -> str:
        return ", ".join(f"{name} {e:+g}" for name, e in epsilons.items() if e) or "baseline"

    return "\n\n".join(f"[{title(r['epsilons'])}]\n{result['prompt']}{r['text']}" for r in result["rows"])


def _nextword(args: argparse.Namespace) -> Result:
    from lmsteer_core.nextword import next_words

    axis = [item for item in args.steer if "=" not in item]
    if len(axis) != 1:
        raise InputError(
            "nextword wants one --steer NAME for the axis and holds every other as --steer OTHER=E, "
            f"for example --steer sentiment; here {len(axis)} stand without =E."
        )
    held = _epsilons([item for item in args.steer if "=" in item])
    if axis[0] in held:
        raise InputError(f"'{axis[0]}' is on the axis, so it cannot be held at {held[axis[0]]:g} too.")
    if args.top < 1:
        raise InputError(f"--top must be at least 1, not {args.top}.")
    workbench = _open(args, dtype="float32")
    found = next_words(
        workbench.lm,
        args.prompt,
        _steer(workbench, axis[0]),
        held=[(_steer(workbench, name), epsilon) for name, epsilon in held.items()],
        at=args.at,
        top=args.top,
        follow=args.word,
    )
    if found.cut:
        sys.stderr.write("lmsteer: the prompt's beginning was cut to fit the context.\n")
    return {
        "epsilon": found.epsilons,
        "words": [{"text": w.text, "probability": w.probability} for w in found.words],
        "followed": [
            {"word": w.word, "text": w.text, "whole": w.is_whole, "probability": w.probability}
            for w in found.followed
        ],
        "rankings": [
            {
                "epsilon": r.epsilon,
                "words": [
                    {"text": text, "probability": p} for text, p in zip(r.texts, r.probability, strict=True)
                ],
            }
            for r in found.rankings
        ],
        "steer": axis[0],
        "held": held,
    }


def _show_nextword(result: Result) -> str:
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


def _words(args: argparse.Namespace) -> Result:
    from lmsteer_core.geometry import dimensions

    if args.dims < 1 or args.top < 1:
        raise InputError("--dims and --top must be at least 1.")
    workbench = _open(args)
    found = dimensions(workbench.lm, _steer(workbench, args.steer), n_dims=args.dims, n_words=args.top)
    return {"steer": args.steer, "dimensions": [dataclasses.asdict(d) for d in found]}


def _show_words(result: Result) -> str:
    return "\n".join(
        f"{i}. σ {d['singular_value']:.3g} ({d['energy']:.0%} of the energy)\n"
        f"   + {', '.join(d['positive'])}\n   − {', '.join(d['negative'])}"
        for i, d in enumerate(result["dimensions"], 1)
    )


def _analyze(args: argparse.Namespace) -> Result:
    from lmsteer_core.scoring import read_text, strongest_spans, weigh

    workbench = _open(args, dtype="float32")
    steer = _steer(workbench, args.steer)
    read = read_text(workbench.lm, args.text)
    if read.cut:
        sys.stderr.write(
            f"lmsteer: the text is too long; only its first {len(read.token_ids)} tokens were read.\n"
        )
    found = weigh(workbench.lm, read, steer)
    return {
        "tokens": [
            {"text": text, "evidence": value}
            for text, value in zip(read.token_texts, found.evidence, strict=True)
        ],
        "spans": [dataclasses.asdict(span) for span in strongest_spans(read.token_texts, found.evidence)],
        "posterior": {"epsilon": found.epsilons, "probability": found.posterior},
    }


def _show_analyze(result: Result) -> str:
    posterior = result["posterior"]
    best = max(zip(posterior["probability"], posterior["epsilon"], strict=True))[1]
    tokens = " ".join(f"{t['text'].strip()}[{t['evidence']:+.1f}]" for t in result["tokens"])
    spans = [f"{span['evidence']:+.2f} nats  {span['text']}" for span in result["spans"]]
    return "\n".join([tokens, "", "Strongest spans:", *spans, "", f"Most likely ε: {best:+g}"])


def _train(args: argparse.Namespace) -> Result:
    from lmsteer_core.steer import check_name
    from lmsteer_core.training import calibrated, train

    check_name(args.name)
    if args.rank is not None and args.rank < 1:
        raise InputError("--rank must be at least 1.")
    sources = _sources(args)
    workbench = _open(args)
    if args.method == "adam":
        from lmsteer_core.official import N_STEPS, train_official

        data, rank = sources[0][0], args.rank or 1000
        raw = train_official(
            workbench.lm, args.name, data.texts, data.labels, rank=rank, progress=_progress()
        )[N_STEPS]
        steer = calibrated(workbench.lm, raw, data, progress=_progress())
    else:
        steer = train(workbench.lm, args.name, sources, rank=args.rank, progress=_progress())
    folder = steer.save(args.out or _own_folder(workbench.lm.model_id) / args.name)
    named = args.name if args.out is None else str(folder)
    return {"steer": named, "folder": str(folder), "card": dataclasses.asdict(steer.card)}


def _sources(args: argparse.Namespace) -> list[tuple[Any, float]]:
    """Return what a steer is to be made from, with weights, before any model is loaded."""
    from lmsteer_core.labelled import read_labelled, read_lines
    from lmsteer_core.sources import Descriptions, Examples, LabelledText

    for plus, minus, name in (
        (args.plus, args.minus, "plus and --minus"),
        (args.plus_examples, args.minus_examples, "plus-examples and --minus-examples"),
    ):
        if (plus is None) != (minus is None):
            raise InputError(f"Give both --{name}.")
    if not 0 < args.data_weight < 1:
        raise InputError("--data-weight must be between 0 and 1.")
    taught: list[Any] = []
    if args.plus is not None:
        taught.append(Descriptions(args.plus, args.minus))
    if args.plus_examples is not None:
        taught.append(Examples(read_lines(args.plus_examples), read_lines(args.minus_examples)))
    if args.data is None:
        if not taught or args.method == "adam":
            raise InputError("Give a DATA file, or both --plus and --minus; --method adam needs DATA alone.")
        return [(source, 1 / len(taught)) for source in taught]
    if taught and args.method == "adam":
        raise InputError("--method adam learns from DATA alone; leave out the descriptions and examples.")
    found = read_labelled(args.data)
    if found.n_duplicates:
        sys.stderr.write(f"lmsteer: left out {found.n_duplicates} repeated texts.\n")
    data = LabelledText(found.texts, found.labels)
    if not taught:
        return [(data, 1.0)]
    return [*((source, (1 - args.data_weight) / len(taught)) for source in taught), (data, args.data_weight)]


def _show_train(result: Result) -> str:
    return (
        f"Wrote {result['folder']}\n"
        f'Try: python -m lmsteer_core generate "My life is" --steer {result["steer"]}=2'
    )


def _transfer(args: argparse.Namespace) -> Result:
    from lmsteer_core.steer import check_name
    from lmsteer_core.transfer import fit_report, transfer
    from lmsteer_core.workbench import Workbench

    if len(args.steer) != 1 and (args.name or args.out):
        raise InputError("--name and --out are for one steer; name it.")
    if args.name is not None:
        check_name(args.name)
    workbench = _open(args)
    target = Workbench.open(args.to)
    names = args.steer or [name for name in workbench.names if name not in target.steers]
    steers = [_steer(workbench, name) for name in names]
    done = []
    for steer in steers:
        made = transfer(
            workbench.lm, steer, target.lm, method=args.method, name=args.name, progress=_progress()
        )
        folder = made.save(args.out or _own_folder(target.lm.model_id) / made.name)
        done.append({
            "steer": made.name if args.out is None else str(folder),
            "folder": str(folder),
            "fit": dataclasses.asdict(fit_report(workbench.lm, steer, target.lm)),
            "card": dataclasses.asdict(made.card),
        })  # fmt: skip
    return {"source": workbench.lm.model_id, "target": target.lm.model_id, "to": args.to, "steers": done}


def _show_transfer(result: Result) -> str:
    lines = []
    for made in result["steers"]:
        lines.append(f"Wrote {made['folder']}. Its words there, by a map between the embeddings:")
        lines += [
            f"  {word.strip()} → {', '.join(w.strip() for w in words)}"
            for word, words in made["fit"]["neighbours"]
        ]
    if not lines:
        return f"{result['target']} has every steer of {result['source']}."
    fit, steer = result["steers"][0]["fit"], result["steers"][0]["steer"]
    lines.append(
        f"{result['source']} and {result['target']} share {fit['n_shared']:,} words; the map explains "
        f"{fit['r2']:.0%} of the variance."
    )
    lines.append(
        f'Try: python -m lmsteer_core generate "My life is" --model {result["to"]} --steer {steer}=2'
    )
    return "\n".join(lines)


def _own_folder(model_id: str) -> Path:
    """Return where a user's own steers of a model are kept."""
    from lmsteer_core.workbench import user_steers

    return user_steers() / model_id.replace("/", "--").lower()


def _import(args: argparse.Namespace) -> Result:
    from lmsteer_core.interop import read_official, save_repository

    if args.index and len(args.index) != len(args.name):
        raise InputError(f"Give one --index per --name; here are {len(args.index)} and {len(args.name)}.")
    indices = args.index or range(len(args.name))
    if len(set(indices)) < len(indices):
        raise InputError("Each --index may be given once.")
    lm = _open(args).lm
    steers = read_official(args.checkpoint, lm, dict(zip(indices, args.name, strict=True)) or None)
    parent = Path(args.out) if args.out else _own_folder(lm.model_id)
    return {
        "model": lm.model_id,
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


def _show_import(result: Result) -> str:
    return "\n".join(f"Wrote {s['folder']}: rank {s['rank']}, {s['data']}" for s in result["steers"])


def _export(args: argparse.Namespace) -> Result:
    from lmsteer_core.interop import export_merged, export_peft

    epsilons = _epsilons([f"{args.steer}={args.epsilon}", *args.more])
    if len(epsilons) <= len(args.more):
        raise InputError("Each steer may be named once.")
    workbench = _open(args, dtype="float32")
    parts = [(_steer(workbench, name), epsilon) for name, epsilon in epsilons.items()]
    write = export_peft if args.format == "peft" else export_merged
    folder = write(workbench.lm, parts, args.out)
    return {
        "model": workbench.lm.model_id,
        "epsilons": epsilons,
        "format": args.format,
        "folder": str(folder),
    }


def _show_export(result: Result) -> str:
    loader = "AutoModelForCausalLM.from_pretrained("
    if result["format"] == "peft":
        loader = "PeftModel.from_pretrained(base_model, "
    return f'Wrote {result["folder"]}\nLoad it with {loader}"{result["folder"]}").'


def _push(args: argparse.Namespace) -> Result:
    from huggingface_hub import get_token

    from lmsteer_core.interop import push

    token = get_token()
    if not token:
        raise InputError("push needs your own token: log in with `hf auth login`, or set HF_TOKEN.")
    steer = _steer(_open(args), args.steer)
    return {"steer": steer.name, "address": push(steer, args.to, token, private=args.private)}


def _show_push(result: Result) -> str:
    return f"{result['steer']} is at {result['address']}"


def _evaluate(args: argparse.Namespace) -> Result:
    from transformers.utils import logging

    logging.set_verbosity_error()
    return command.run(args, _progress(logged=True))


def _serve(args: argparse.Namespace) -> Result:
    try:
        from lmsteer_core.serve import replicas
        from lmsteer_core.ui.app import serve_app
    except ImportError as error:
        told = f"serve runs in a checkout, with Ray: pip install -r requirements-serve.txt ({error})."
        raise InputError(told) from error
    workbench = _open(args)
    with replicas(workbench.lm, args.model, args.replicas, args.max_replicas, args.address) as engine:
        workbench.engine = engine
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # at Ray's own, processes would stay behind
        serve_app(workbench, host=args.host, port=args.port, auth=args.auth)
    return {}


def _show_serve(_result: Result) -> str:
    return "Stopped."


def _progress(*, logged: bool = False) -> Callable[[float, str], None]:
    """Return a one-line progress report on stderr; where nobody watches silent, or a line now and then."""
    watched = sys.stderr.isatty()
    if not watched and not logged:
        return lambda _share, _what: None
    began, first, latest = time.monotonic(), 0.0, 0.0
    told = began - _SECONDS_PER_LINE

    def report(share: float, what: str) -> None:
        nonlocal began, first, latest, told
        now = time.monotonic()
        if share < latest or latest == 0:  # another piece of work, or one that an earlier call began
            began, first = now, share
        latest = share
        done = share - first
        left = (now - began) * (1 - share) / done if done > 0.02 else 0
        line = f"{share:4.0%} {what}{f', about {_duration(left)} left' if left >= 1 else ''}"
        if watched:
            sys.stderr.write(f"\r\033[K{line}" + "\n" * (share >= 1))
        elif now - told >= _SECONDS_PER_LINE or share >= 1:
            told = now
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    return report


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
