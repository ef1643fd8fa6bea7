"""The verb `evaluate`: its options, the order of the work, what it prints and writes."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from lmsteer_core.cli.opening import Result
from lmsteer_core.cli.progress_line import progress_line
from lmsteer_core.cli.verbs import Verbs
from lmsteer_core.errors import InputError

if TYPE_CHECKING:
    from lmsteer_core.evaluation.judges import Judge
    from lmsteer_core.evaluation.task import Task
    from lmsteer_core.progress import Progress

_FULL = {"n_prompts": None, "samples": 25, "strengths": None}
_QUICK = {"n_prompts": 24, "samples": 2, "strengths": (1.5, 3.0)}
READING = "reading"
_QUICK_METHODS = (
    "unsteered",
    "lm-steer-descriptions",
    "prompt-prefix",
    "lm-steer-labels",
    "word-offsets",
    "additive",
)
"""What is made and writes within a minute or two."""


def add_evaluate(verbs: Verbs) -> None:
    """Add the verb `evaluate`."""
    parser = verbs.add("evaluate", run, show, "Compare ways to steer by the paper's protocol.")
    add = parser.add_argument
    add(
        "--task", default="sentiment", metavar="TASK", help="a style, such as sentiment, or reading"
    )
    add(
        "--quick",
        action="store_true",
        help="minutes on two cores: few prompts, samples and methods",
    )
    add(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="its train.jsonl has text and label (default: no text); of reading, folders by style",
    )
    add(
        "--prompts",
        type=Path,
        nargs="+",
        default=(),
        metavar="FILE",
        help="JSON lines with prompt (default: by the task)",
    )
    add("--n-prompts", type=int, metavar="N", help="the first N prompts (default: all)")
    add("--samples", type=int, metavar="N", help="continuations of each (default 25)")
    add("--tokens", type=int, default=20, metavar="N", help="tokens of a continuation (default 20)")
    add("--top-p", type=float, default=0.9, metavar="P", help="nucleus (default 0.9)")
    add("--seed", type=int, default=0, metavar="S")
    add("--methods", nargs="+", metavar="METHOD", help="default: all that the data allow")
    add(
        "--strengths",
        type=float,
        nargs="+",
        metavar="S",
        help="swept in place of each method's own",
    )
    add(
        "--training-steps",
        type=int,
        metavar="N",
        help="Adam steps of the methods that learn by it (default 200; official 300); "
        "of reading, the official recipe's (default: left out)",
    )
    add(
        "--sections",
        default="curves",
        metavar="LIST",
        help="of curves,composition,data (default curves)",
    )
    add(
        "--judges",
        nargs="+",
        metavar="JUDGE",
        help="profanity, vader, tfidf:FILE, hf:MODEL, lm:MODEL",
    )
    add("--perplexity-model", metavar="ID", help="a second model that measures fluency, e.g. gemma")
    add(
        "--perplexity-samples",
        type=int,
        metavar="N",
        help="of a prompt's texts, the first N (default: all)",
    )
    add("--out", type=Path, metavar="FOLDER", help="where all is kept and a stopped run goes on")
    add("--score", type=Path, metavar="FILE", help="only score generations in the published format")


def run(args: argparse.Namespace) -> Result:
    """Run the verb; return the summary, or the figures of --score."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    for name, value in (_QUICK if args.quick else _FULL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.perplexity_samples is not None and args.perplexity_samples < 1:
        raise InputError("--perplexity-samples must be at least 1.")
    if args.task == READING:
        return _read(args, progress_line(logged=True))
    return _scored(args) if args.score else _evaluated(args, progress_line(logged=True))


def show(result: Result) -> str:
    """Return what a person reads at the end."""
    from lmsteer_core.evaluation.report import markdown, verdict, wording
    from lmsteer_core.evaluation.report.tables import Table, glance_table, methods_table

    if "marked" in result:
        from lmsteer_core.evaluation.reading import tables as reading_tables

        shown = [markdown.text(each) for each in reading_tables(result) if each.rows]
        return "\n\n".join([*shown, f"Report: {result['report']}"])
    if "file" in result:
        figures = [[label, wording.span(figure)] for label, figure in result["figures"].items()]
        note = f"{result['prompts']} prompts; " + "; ".join(
            f"{k} ({v})" for k, v in result["by"].items()
        )
        return markdown.text(Table(result["file"], note, ["figure", "value"], figures))
    tables = [markdown.text(table(result)) for table in (methods_table, glance_table)]
    return "\n\n".join([*tables, "\n".join(verdict.verdict(result)), f"Report: {result['report']}"])


def _evaluated(args: argparse.Namespace, progress: Progress) -> Result:
    from lmsteer_core.evaluation.cells import Protocol
    from lmsteer_core.evaluation.folder import alone, settings_of
    from lmsteer_core.evaluation.methods.budget import budgets
    from lmsteer_core.evaluation.report import markdown, page
    from lmsteer_core.evaluation.run import Run
    from lmsteer_core.evaluation.summary import summarize
    from lmsteer_core.evaluation.task import load_task
    from lmsteer_core.files import cache_folder
    from lmsteer_core.generation.sampling import Sampling
    from lmsteer_core.models.loading import load_model

    if not all(0 < s < float("inf") for s in args.strengths or ()):
        raise InputError("--strengths are above 0; the signs are the task's.")
    sampling = Sampling(1.0, args.top_p, args.tokens, args.seed)
    protocol = Protocol(args.samples, sampling, budgets=budgets(args.training_steps))
    sections = _sections(args.sections)
    task = load_task(args.task, args.data, args.prompts, args.n_prompts)
    other = _other(args, task) if "composition" in sections else None
    methods = _methods(args, task)
    judges = _judges(args, task, *(other.judges if other else ()))

    lm = load_model(args.model).for_batches
    digest = hashlib.sha256(json.dumps(settings_of(lm, task, protocol)).encode()).hexdigest()[:12]
    folder = args.out or cache_folder() / "evaluation" / f"{task.name}-{digest}"
    with alone(folder):
        work = Run(folder, lm, task, protocol, other)
        work.make(methods, progress)
        cells = work.cells(methods, sections, args.strengths)
        work.write(cells, progress)
        second = [load_model(args.perplexity_model).for_batches] if args.perplexity_model else []
        work.score(cells, judges, [lm, *second], progress, args.perplexity_samples)
        summary = summarize(work, methods, cells)
        for name, content in (
            ("table.json", json.dumps(summary, indent=1, ensure_ascii=False)),
            ("report.md", markdown.markdown(summary)),
            ("report.html", page.html(summary)),
        ):
            (folder / name).write_text(content, encoding="utf-8")
    return {**summary, "report": str(folder / "report.html")}


def _read(args: argparse.Namespace, progress: Progress) -> Result:
    """Evaluate the task `reading`."""
    from lmsteer_core.evaluation.reading import evaluate_reading, tables
    from lmsteer_core.evaluation.report.page import tables_html
    from lmsteer_core.files import cache_folder
    from lmsteer_core.models.loading import load_model
    from lmsteer_core.steers.library import discover, steer_folders

    lm = load_model(args.model)
    steers, _ = discover(steer_folders(), lm.output_embedding, lm.model_id)
    folder = args.out or cache_folder() / "evaluation" / READING
    folder.mkdir(parents=True, exist_ok=True)
    result = evaluate_reading(
        lm,
        list(steers.values()),
        args.data,
        progress,
        args.n_prompts,
        official=folder / "official" if args.training_steps else None,
        n_steps=args.training_steps,
    )
    about = [
        f"How well the steers of {lm.model_id} read. Made by `lmsteer evaluate --task reading`."
    ]
    for name, content in (
        ("table.json", json.dumps(result, indent=1, ensure_ascii=False)),
        ("report.html", tables_html("Reading", about, tables(result))),
    ):
        (folder / name).write_text(content, encoding="utf-8")
    return {**result, "report": str(folder / "report.html")}


def _scored(args: argparse.Namespace) -> Result:
    from lmsteer_core.evaluation.prompts import read_generations
    from lmsteer_core.evaluation.scorers import judge_scorer, model_scorer
    from lmsteer_core.evaluation.summary import figures, shown
    from lmsteer_core.evaluation.task import TASKS
    from lmsteer_core.models.loading import load_model

    if args.task not in TASKS:
        raise InputError(f"There is no task '{args.task}': use {', '.join(TASKS)}.")
    lines = read_generations(args.score)
    scorers = [judge_scorer(judge) for judge in _judges(args, TASKS[args.task])]
    if args.perplexity_model:
        scorers.append(
            model_scorer(load_model(args.perplexity_model).for_batches, args.perplexity_samples)
        )
    scores = {scorer.name: scorer.score(lines) for scorer in scorers}
    return {
        "file": str(args.score),
        "prompts": len(lines),
        "by": {scorer.name: scorer.version for scorer in scorers},
        "figures": shown(figures(lines, scores, TASKS[args.task])),
    }


def _sections(text: str) -> list[str]:
    from lmsteer_core.evaluation.cells import SECTIONS

    named = [name.strip() for name in text.split(",")]
    for name in named:
        if name not in SECTIONS:
            raise InputError(f"There is no section '{name}': use {', '.join(SECTIONS)}.")
    return named


def _methods(args: argparse.Namespace, task: Task) -> list[str]:
    from lmsteer_core.evaluation.methods.registry import (
        MAKERS,
        NEED_NO_TEXT,
        ON_REQUEST,
        check_methods,
    )

    if args.methods:
        check_methods(args.methods)
        return list(dict.fromkeys(["unsteered", *args.methods]))
    return [
        key
        for key in (_QUICK_METHODS if args.quick else MAKERS)
        if key not in ON_REQUEST and (task.texts or key in NEED_NO_TEXT)
    ]


def _judges(args: argparse.Namespace, task: Task, *more: str) -> list[Judge]:
    from lmsteer_core.evaluation.judges import checked, load_judge

    dev = args.data / "dev.jsonl" if args.data else None
    names = args.judges or (*task.judges, *more) or ([f"tfidf:{dev}"] if dev else [])
    judges = [load_judge(name, task.pole, task.question) for name in names]
    if task.pole not in {judge.pole for judge in judges}:
        known = " or ".join((*task.judges, "lm:MODEL"))
        raise InputError(f"No judge measures {task.measured}; add {known} to --judges.")
    return [
        checked(judge, dev) if judge.name.startswith("lm:") and dev and dev.is_file() else judge
        for judge in judges
    ]


def _other(args: argparse.Namespace, task: Task) -> Task:
    """Return the task that is composed with this one, from the folder beside its data."""
    from lmsteer_core.evaluation.task import TASKS, load_task

    name = next(name for name in TASKS if name != task.name)
    return load_task(name, args.data.parent / name) if args.data else TASKS[name]
