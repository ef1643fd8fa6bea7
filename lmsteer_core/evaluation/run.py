"""Methods × strengths × prompts × samples → generations → scores, as files: a killed run goes on.

    run.json                           what every text of the folder has in common
    methods/TASK/KEY/                  what a method was made into, and method.json with its facts
    generations/CELL.jsonl             one line a prompt, in the official format
    scores/CELL.json                   every judge's scores and every model's log-likelihoods

A cell is one method at one strength; three sections have cells:

    curves        every strength of a method's sweep with every sign of the task, all prompts
    composition   a grid of two strengths: the task's method beside the same method of the other task
    data          one strength, some methods made from 10, 30, 100 and 1,000 texts
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from lmsteer_core.decoding import Sampling
from lmsteer_core.errors import InputError
from lmsteer_core.evaluation.baselines import MAKERS as BASELINES
from lmsteer_core.evaluation.budget import Budget, budgets
from lmsteer_core.evaluation.judges import Judge
from lmsteer_core.evaluation.likelihood import continuation_nll
from lmsteer_core.evaluation.methods import MAKERS as HEAD_METHODS
from lmsteer_core.evaluation.methods import Composable, Maker, Method, Unsteered
from lmsteer_core.evaluation.prompts import Generations, append_lines, read_generations, whole_lines
from lmsteer_core.evaluation.task import Task
from lmsteer_core.generation import Row
from lmsteer_core.language_model import LanguageModel
from lmsteer_core.neutral import Progress, part
from lmsteer_core.steer import fingerprint_digest

MAKERS: dict[str, Maker] = {**HEAD_METHODS, **BASELINES}
UNSTEERED = "unsteered"
SECTIONS = ("curves", "composition", "data")
COMPOSED = ("lm-steer-descriptions", "additive", "input-steer")
"""Whose grids of two strengths are written: one method of each kind that has two acting at once."""
DATA_METHODS = ("lm-steer-labels", "word-offsets", "additive")
"""What the section on data makes anew for every size: the methods that learn by Adam take hours to."""
DATA_SIZES = (10, 30, 100, 1000)
"""Training texts of the section on data; the whole file's point is taken from the curves."""

_ROWS_PER_BATCH = 64
_MAX_SAMPLES = 1000
_TIMED_ROWS = 8
_TIMED_REPEATS = 3


@dataclass(frozen=True)
class Protocol:
    """How much is written.

    Attributes:
        n_samples: Continuations of a prompt.
        sampling: How each is drawn.
        section_prompts: Prompts of the sections on composition and data: the first of all.
        section_samples: Their continuations: the first of a prompt's.
        budgets: How long methods learn, by their keys.
    """

    n_samples: int = 25
    sampling: Sampling = Sampling(temperature=1.0, top_p=0.9, max_new_tokens=20)
    section_prompts: int = 100
    section_samples: int = 5
    budgets: Mapping[str, Budget] = field(default_factory=budgets)

    def __post_init__(self) -> None:
        """Refuse numbers of samples that no run could have."""
        if not 1 <= self.n_samples <= _MAX_SAMPLES:
            raise InputError(f"--samples must be between 1 and {_MAX_SAMPLES}, not {self.n_samples}.")


@dataclass(frozen=True)
class Cell:
    """One method at one strength.

    Attributes:
        method: Its key in `MAKERS`.
        strength: Signed.
        section: One of `SECTIONS`.
        held: Composition: the strength of the other task's method.
        n_texts: Data: how many texts the method was made from.
    """

    method: str
    strength: float
    section: str = "curves"
    held: float | None = None
    n_texts: int | None = None

    @property
    def path(self) -> str:
        """Where its files are, without their endings."""
        place = self.section if self.n_texts is None else f"{self.section}/{self.n_texts}"
        beside = "" if self.held is None else f" {self.held:+g}"
        return f"{place}/{self.method}/{self.strength:+g}{beside}"


@dataclass(frozen=True)
class Scorer:
    """A judge or a language model.

    Attributes:
        name: Its key in a file of scores.
        version: What exactly gave the numbers; another version scores anew.
        score: What it says of texts, a number per prompt and sample.
    """

    name: str
    version: str
    score: Callable[[Sequence[Generations]], dict[str, Any]]


class Run:
    """A folder and what is to be written into it."""

    def __init__(
        self, folder: Path, lm: LanguageModel, task: Task, protocol: Protocol, other: Task | None = None
    ) -> None:
        """Begin a run or go on with one.

        Args:
            folder: Where everything is kept.
            lm: The language model, in the dtype it is to write in.
            task: The task.
            protocol: How much is written.
            other: The second task, for composition.

        Raises:
            InputError: If the folder holds a run of other settings.
        """
        self.folder, self.lm, self.task, self.protocol, self.other = folder, lm, task, protocol, other
        settings = settings_of(lm, task, protocol)
        _begin(folder, settings if other is None else {**settings, "composed_with": _taught(other)})

    def make(self, methods: Sequence[str], progress: Progress) -> None:
        """Make every method that the folder lacks, and note what a report says of each."""
        for i, key in enumerate(methods):
            if not self._facts(key).is_file():
                method = self._method(key, part(progress, i / len(methods), (i + 1) / len(methods)))
                facts = {
                    "name": method.name, "n_parameters": method.n_parameters,
                    "training_seconds": method.training_seconds, "strengths": method.strengths,
                    "decoding_time_ratio": self._time(method),
                }  # fmt: skip
                _replace(self._facts(key), json.dumps(facts, indent=1))
        progress(1.0, "all methods are made")

    def cells(
        self, methods: Sequence[str], sections: Sequence[str], strengths: Sequence[float] | None = None
    ) -> list[Cell]:
        """Return the cells of made methods.

        Args:
            methods: Keys of methods.
            sections: Some of `SECTIONS`.
            strengths: The sweep, in place of each method's own where it has more than one strength.
        """
        found = [Cell(UNSTEERED, 0.0)]
        for key in methods:
            facts = self.facts(key)
            own = facts["strengths"]
            swept = strengths if strengths and len(own) > 1 else own
            signed = [sign * s for s in swept for sign in self.task.signs]
            if "curves" in sections:
                found += [Cell(key, s) for s in signed]
            if not signed:
                continue
            if "composition" in sections and self.other and key in COMPOSED:
                few = (swept[:-1] or swept)[-2:]  # text at the strongest may be broken
                rows, columns = (
                    sorted([0.0, *(sign * s for s in few for sign in task.signs)])
                    for task in (self.task, self.other)
                )
                found += [Cell(key, s, "composition", held=held) for s in rows for held in columns]
            if "data" in sections and key in DATA_METHODS and self.task.texts:
                middle = swept[len(swept) // 2]
                sizes = [n for n in DATA_SIZES if n < len(self.task.texts)]
                ends = [sign * middle for sign in self.task.signs]
                found += [Cell(key, end, "data", n_texts=n) for n in sizes for end in ends]
                found += [Cell(key, end) for end in ends]
        return list(dict.fromkeys(found))

    def write(self, cells: Sequence[Cell], progress: Progress) -> None:
        """Write every text that the folder lacks, batch by batch."""
        n_missing = {cell: self._n_prompts(cell) - len(self._kept(cell)) for cell in cells}
        total = sum(self._n_prompts(cell) for cell in cells)
        done = total - sum(n_missing.values())
        order = sorted(filter(n_missing.get, cells), key=lambda c: (SECTIONS.index(c.section), c.method))
        loaded: tuple[Any, Method] | None = None
        for cell in order:
            making = cell.method, cell.n_texts, cell.held is not None
            if loaded is None or loaded[0] != making:
                loaded = None  # two methods at once may not fit into memory
                loaded = making, self._method(cell.method, n_texts=cell.n_texts)
            method = loaded[1]
            if cell.held is not None:
                method = self._beside(method, cell)
            for lines in self._batches(cell, method):
                append_lines(self._generations(cell), lines)
                done += len(lines)
                progress(done / total, f"writing: {method.name} at {cell.strength:+g}")

    def score(
        self,
        cells: Sequence[Cell],
        judges: Sequence[Judge],
        models: Sequence[LanguageModel],
        progress: Progress,
        n_perplexity: int | None = None,
    ) -> None:
        """Score every finished cell by every judge and under every model that has not done so.

        Args:
            cells: What to score; a grid of two strengths is shown by the judges alone.
            judges: They read every text.
            models: They read the first `n_perplexity` texts of a prompt; None for all.
            progress: Told how far it is.
            n_perplexity: See above; a model takes longer to read a text than another to write it.
        """
        pairs = [(judge_scorer(judge), cell) for judge in judges for cell in cells]
        read = [cell for cell in cells if cell.section != "composition"]
        pairs += [(model_scorer(model, n_perplexity), cell) for model in models for cell in read]
        todo = [
            (scorer, cell)
            for scorer, cell in pairs
            if self.scores(cell).get(scorer.name, {}).get("by") != scorer.version
        ]
        for i, (scorer, cell) in enumerate(todo):
            progress(i / len(todo), f"scoring by {scorer.name}: {cell.method} at {cell.strength:+g}")
            found = {"by": scorer.version, **scorer.score(self.generations(cell))}
            _replace(self._scores(cell), json.dumps({**self.scores(cell), scorer.name: found}))
        progress(1.0, "all texts are scored")

    def facts(self, method: str) -> dict[str, Any]:
        """Return what is known of a made method."""
        return dict(json.loads(self._facts(method).read_text()))

    def generations(self, cell: Cell) -> list[Generations]:
        """Return a finished cell's texts."""
        return read_generations(self._generations(cell))

    def scores(self, cell: Cell) -> dict[str, Any]:
        """Return a cell's scores by judge and model."""
        file = self._scores(cell)
        return dict(json.loads(file.read_text())) if file.is_file() else {}

    def _facts(self, method: str) -> Path:
        return self._made_in(method) / "method.json"

    def _generations(self, cell: Cell) -> Path:
        return self.folder / "generations" / f"{cell.path}.jsonl"

    def _scores(self, cell: Cell) -> Path:
        return self.folder / "scores" / f"{cell.path}.json"

    def _n_prompts(self, cell: Cell) -> int:
        most = len(self.task.prompts)
        return most if cell.section == "curves" else min(most, self.protocol.section_prompts)

    def _n_samples(self, cell: Cell) -> int:
        most = self.protocol.n_samples
        return most if cell.section == "curves" else min(most, self.protocol.section_samples)

    def _kept(self, cell: Cell) -> list[str]:
        """Return a cell's lines, cut to whole batches."""
        file = self._generations(cell)  # in bf16 a text may depend on what shares its batch
        lines = whole_lines(file)
        return (
            lines if len(lines) >= self._n_prompts(cell) else whole_lines(file, self._prompts_per_batch(cell))
        )

    def _prompts_per_batch(self, cell: Cell) -> int:
        return max(1, _ROWS_PER_BATCH // self._n_samples(cell))

    def _batches(self, cell: Cell, method: Method) -> Any:
        """Yield the lines of each batch that a cell lacks; sample j of prompt i always has the same dice."""
        n_samples, size = self._n_samples(cell), self._prompts_per_batch(cell)
        for start in range(len(self._kept(cell)), self._n_prompts(cell), size):
            prompts = self.task.prompts[start : min(start + size, self._n_prompts(cell))]
            rows = [
                Row(prompt, seed_offset=(start + i) * _MAX_SAMPLES + j)
                for i, prompt in enumerate(prompts)
                for j in range(n_samples)
            ]
            done = []
            for first in range(0, len(rows), _ROWS_PER_BATCH):
                some = rows[first : first + _ROWS_PER_BATCH]
                done += method.continue_rows(some, cell.strength, self.protocol.sampling)
            yield [
                Generations(
                    prompt,
                    [row.text for row in done[i * n_samples : (i + 1) * n_samples]],
                    [[token.id for token in row.tokens] for row in done[i * n_samples : (i + 1) * n_samples]],
                ).to_json()
                for i, prompt in enumerate(prompts)
            ]

    def _method(
        self, key: str, progress: Progress = lambda _share, _what: None, n_texts: int | None = None
    ) -> Method:
        task = self.task if n_texts is None else self.task.sample(n_texts)
        return self._made(key, task, self._made_in(key, n_texts=n_texts), progress)

    def _made(self, key: str, task: Task, folder: Path, progress: Progress) -> Method:
        budget = self.protocol.budgets.get(key)
        return MAKERS[key](self.lm, task, folder, progress, **({"budget": budget} if budget else {}))

    def _beside(self, method: Method, cell: Cell) -> Method:
        assert self.other is not None and cell.held is not None
        folder = self._made_in(cell.method, self.other)
        other = self._made(cell.method, self.other, folder, lambda _share, _what: None)
        assert isinstance(method, Composable) and isinstance(other, Composable)
        return method.beside(other, cell.held)

    def _made_in(self, key: str, task: Task | None = None, n_texts: int | None = None) -> Path:
        """Return a method's folder; methods made from the same texts are neighbours and may share."""
        of = (task or self.task).name + ("" if n_texts is None else f" from {n_texts}")
        return self.folder / "methods" / of / key

    def _time(self, method: Method) -> float | None:
        """Return the time of the same rows over the unsteered model's; medians, in turn."""
        if not method.strengths:
            return 1.0
        prompts = [self.task.prompts[i % len(self.task.prompts)] for i in range(_TIMED_ROWS)]
        rows = [Row(prompt, seed_offset=i) for i, prompt in enumerate(prompts)]
        seconds: dict[bool, list[float]] = {True: [], False: []}
        base = Unsteered(self.lm)
        for _ in range(_TIMED_REPEATS + 1):
            for writer in (base, method):
                strength = 0.0 if writer is base else method.strengths[0]
                start = time.perf_counter()
                done = writer.continue_rows(rows, strength, self.protocol.sampling)
                spent = time.perf_counter() - start
                seconds[writer is base].append(spent / max(1, sum(len(row.tokens) for row in done)))
        slow, fast = (float(np.median(seconds[is_base][1:])) for is_base in (False, True))
        return slow / fast


def settings_of(lm: LanguageModel, task: Task, protocol: Protocol) -> dict[str, Any]:
    """Return what all texts of a folder have in common, as JSON has it."""
    return {
        "task": task.name,
        "model": lm.model_id,
        "model_fingerprint": fingerprint_digest(lm.fingerprint_rows),
        "dtype": str(lm.output_embedding.dtype).removeprefix("torch."),
        "model_parameters": lm.model.num_parameters(),
        "prompts": len(task.prompts),
        "prompts_sha256": _digest(task.prompts),
        **_taught(task),
        "training_steps": {key: budget.n_steps for key, budget in protocol.budgets.items()},
        "samples": protocol.n_samples,
        **dataclasses.asdict(protocol.sampling),
    }


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into a folder.

    Raises:
        InputError: If one does, or nobody can.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0).acquire()
    except Timeout as error:
        raise InputError(
            f"Another evaluation writes to {folder}: wait for it, or choose another --out."
        ) from error
    except OSError as error:
        raise InputError(f"Cannot write to {folder}: {error.strerror}; choose another --out.") from error
    with lock:
        yield


def check_methods(methods: Sequence[str]) -> None:
    """Raise InputError unless all are names of methods."""
    for key in methods:
        if key not in MAKERS:
            raise InputError(f"There is no method '{key}': use {', '.join(MAKERS)}.")


def judge_scorer(judge: Judge) -> Scorer:
    """Return a judge as a scorer: as published, what speaks for the + pole reads the prompt too."""
    with_prompt = judge.pole > 0

    def score(lines: Sequence[Generations]) -> dict[str, Any]:
        read = [line.prompt * with_prompt + text for line in lines for text in line.texts]
        found = judge.score(read)
        scores = _by_prompt([round(float(s), 5) for s in found], lines)
        return {"pole": judge.pole, "threshold": judge.threshold, "scores": scores}

    return Scorer(judge.name, judge.version + ", prompt read too" * with_prompt, score)


def model_scorer(lm: LanguageModel, n_samples: int | None = None) -> Scorer:
    """Return a language model as a scorer: nats and tokens of a prompt's first continuations, or of all."""

    def score(lines: Sequence[Generations]) -> dict[str, Any]:
        lines = [dataclasses.replace(line, texts=line.texts[:n_samples]) for line in lines]
        prompts = [line.prompt for line in lines for _ in line.texts]
        nll, n_tokens = continuation_nll(lm, prompts, [text for line in lines for text in line.texts])
        nats = [round(x, 3) if n else 0.0 for x, n in zip(nll, n_tokens, strict=True)]
        return {"nll": _by_prompt(nats, lines), "n_tokens": _by_prompt(n_tokens, lines)}

    few = f", of a prompt's texts the first {n_samples}" if n_samples else ""
    return Scorer(lm.model_id, f"sha256 {fingerprint_digest(lm.fingerprint_rows)}{few}", score)


def _by_prompt(values: Sequence[Any], lines: Sequence[Generations]) -> list[list[Any]]:
    ends = np.cumsum([len(line.texts) for line in lines])
    return [list(values[end - len(line.texts) : end]) for end, line in zip(ends, lines, strict=True)]


def _begin(folder: Path, settings: dict[str, Any]) -> None:
    """Write run.json, or raise InputError if it is there and differs."""
    file = folder / "run.json"
    try:
        known = json.loads(file.read_text()) if file.is_file() else {**settings, "versions": _versions()}
    except ValueError as error:
        raise InputError(f"{file} is damaged; choose another --out.") from error
    for key, value in settings.items():
        before = known.setdefault(key, value)
        if before != value:
            told = f"{key}: {before}, not {value}"
            raise InputError(f"{folder} holds a run of other settings ({told}); choose another --out.")
    _replace(file, json.dumps(known, indent=1, ensure_ascii=False))


def _taught(task: Task) -> dict[str, Any]:
    """Return what a task's methods learn from."""
    return {
        "texts": len(task.texts),
        "texts_sha256": _digest(zip(task.texts, task.labels, strict=True)),
        "descriptions": [task.positive, task.negative],
    }


def _versions() -> dict[str, str]:
    packages = ("torch", "transformers", "tokenizers", "scikit-learn", "numpy")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}


def _replace(file: Path, text: str) -> None:
    """Write a file whole: a kill leaves the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}.writing")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, file)


def _digest(items: Any) -> str:
    return hashlib.sha256(json.dumps(list(items), ensure_ascii=False).encode()).hexdigest()[:16]
