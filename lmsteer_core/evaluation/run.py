"""Methods × strengths × prompts × samples → generations → scores, as files: a killed run goes on.

    run.json                           what every text of the folder has in common
    methods/TASK/KEY/                  what a method was made into, and method.json with its facts
    generations/CELL.jsonl             one line a prompt, in the official format
    scores/CELL.json                   every judge's scores and every model's log-likelihoods

A cell is one method at one strength; three sections have cells:

    curves        every strength of a method's sweep with every sign of the task, all prompts
    composition   a grid of two strengths: the task's method beside that of the other task
    data          one strength, some methods made from 10, 30, 100 and 1,000 texts
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmsteer_core.evaluation.cells import (
    DATA_SIZES,
    MAX_SAMPLES,
    SECTIONS,
    UNSTEERED,
    Cell,
    Protocol,
)
from lmsteer_core.evaluation.folder import begin_run, settings_of, training_text_facts
from lmsteer_core.evaluation.judges import Judge
from lmsteer_core.evaluation.methods.base import Composable, Method, Unsteered
from lmsteer_core.evaluation.methods.registry import COMPOSED, DATA_METHODS, MAKERS
from lmsteer_core.evaluation.prompts import Generations, append_lines, read_generations, whole_lines
from lmsteer_core.evaluation.scorers import judge_scorer, model_scorer
from lmsteer_core.evaluation.task import Task
from lmsteer_core.files import replace_file
from lmsteer_core.generation.generate import Row
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress, part

_ROWS_PER_BATCH = 64
_TIMED_ROWS = 8
_TIMED_REPEATS = 3


class Run:
    """A folder and what is to be written into it."""

    def __init__(
        self,
        folder: Path,
        lm: LanguageModel,
        task: Task,
        protocol: Protocol,
        other: Task | None = None,
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
        self.folder, self.lm, self.task, self.protocol, self.other = (
            folder,
            lm,
            task,
            protocol,
            other,
        )
        settings = settings_of(lm, task, protocol)
        begin_run(
            folder,
            settings
            if other is None
            else {**settings, "composed_with": training_text_facts(other)},
        )

    def make(self, methods: Sequence[str], progress: Progress) -> None:
        """Make every method that the folder lacks, and note what a report says of each."""
        for i, key in enumerate(methods):
            if not self._facts(key).is_file():
                method = self._method(key, part(progress, i / len(methods), (i + 1) / len(methods)))
                facts = {
                    "name": method.name,
                    "n_parameters": method.n_parameters,
                    "training_seconds": method.training_seconds,
                    "strengths": method.strengths,
                    "decoding_time_ratio": self._time(method),
                }
                replace_file(self._facts(key), json.dumps(facts, indent=1))
        progress(1.0, "all methods are made")

    def cells(
        self,
        methods: Sequence[str],
        sections: Sequence[str],
        strengths: Sequence[float] | None = None,
    ) -> list[Cell]:
        """Return the cells of made methods.

        Args:
            methods: Keys of methods.
            sections: Some of `SECTIONS`.
            strengths: The sweep, in place of each method's own where it has more than one strength.
        """
        planned = [Cell(UNSTEERED, 0.0)]
        for key in methods:
            facts = self.facts(key)
            method_strengths = facts["strengths"]
            swept = strengths if strengths and len(method_strengths) > 1 else method_strengths
            signed = [sign * s for s in swept for sign in self.task.signs]
            if "curves" in sections:
                planned += [Cell(key, s) for s in signed]
            if not signed:
                continue
            if "composition" in sections and self.other and key in COMPOSED:
                few = (swept[:-1] or swept)[-2:]  # text at the strongest may be broken
                rows, columns = (
                    sorted([0.0, *(sign * s for s in few for sign in task.signs)])
                    for task in (self.task, self.other)
                )
                planned += [
                    Cell(key, s, "composition", held=held) for s in rows for held in columns
                ]
            if "data" in sections and key in DATA_METHODS and self.task.texts:
                middle = swept[len(swept) // 2]
                sizes = [n for n in DATA_SIZES if n < len(self.task.texts)]
                ends = [sign * middle for sign in self.task.signs]
                planned += [Cell(key, end, "data", n_texts=n) for n in sizes for end in ends]
                planned += [Cell(key, end) for end in ends]
        return list(dict.fromkeys(planned))

    def write(self, cells: Sequence[Cell], progress: Progress) -> None:
        """Write every text that the folder lacks, batch by batch."""
        n_missing = {cell: self._n_prompts(cell) - len(self._kept(cell)) for cell in cells}
        total = sum(self._n_prompts(cell) for cell in cells)
        done = total - sum(n_missing.values())
        order = sorted(
            filter(n_missing.get, cells), key=lambda c: (SECTIONS.index(c.section), c.method)
        )
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
            progress(
                i / len(todo), f"scoring by {scorer.name}: {cell.method} at {cell.strength:+g}"
            )
            scored = {"by": scorer.version, **scorer.score(self.generations(cell))}
            replace_file(self._scores(cell), json.dumps({**self.scores(cell), scorer.name: scored}))
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
            lines
            if len(lines) >= self._n_prompts(cell)
            else whole_lines(file, self._prompts_per_batch(cell))
        )

    def _prompts_per_batch(self, cell: Cell) -> int:
        return max(1, _ROWS_PER_BATCH // self._n_samples(cell))

    def _batches(self, cell: Cell, method: Method) -> Any:
        """Yield the lines of each batch that a cell lacks.

        Sample j of prompt i always has the same random numbers.
        """
        n_samples, size = self._n_samples(cell), self._prompts_per_batch(cell)
        for start in range(len(self._kept(cell)), self._n_prompts(cell), size):
            prompts = self.task.prompts[start : min(start + size, self._n_prompts(cell))]
            rows = [
                Row(prompt, seed_offset=(start + i) * MAX_SAMPLES + j)
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
                    [
                        [token.id for token in row.tokens]
                        for row in done[i * n_samples : (i + 1) * n_samples]
                    ],
                ).to_json()
                for i, prompt in enumerate(prompts)
            ]

    def _method(
        self, key: str, progress: Progress = lambda _share, _what: None, n_texts: int | None = None
    ) -> Method:
        task = self.task if n_texts is None else self.task.sample(n_texts)
        return self._make(key, task, self._made_in(key, n_texts=n_texts), progress)

    def _make(self, key: str, task: Task, folder: Path, progress: Progress) -> Method:
        budget = self.protocol.budgets.get(key)
        return MAKERS[key](
            self.lm, task, folder, progress, **({"budget": budget} if budget else {})
        )

    def _beside(self, method: Method, cell: Cell) -> Method:
        assert self.other is not None and cell.held is not None
        folder = self._made_in(cell.method, self.other)
        other = self._make(cell.method, self.other, folder, lambda _share, _what: None)
        assert isinstance(method, Composable) and isinstance(other, Composable)
        return method.beside(other, cell.held)

    def _made_in(self, key: str, task: Task | None = None, n_texts: int | None = None) -> Path:
        """Return a method's folder.

        Methods made from the same texts are neighbours and may share.
        """
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
