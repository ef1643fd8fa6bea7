from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from lmsteer_core import InputError, Row, Sampling, generate
from lmsteer_core.evaluation import run as runs
from lmsteer_core.evaluation import scorers
from lmsteer_core.evaluation.cells import Cell, Protocol
from lmsteer_core.evaluation.folder import alone
from lmsteer_core.evaluation.judges import Judge
from lmsteer_core.evaluation.methods import registry
from lmsteer_core.evaluation.methods.base import Unsteered
from lmsteer_core.evaluation.methods.budget import budgets
from lmsteer_core.evaluation.methods.offsets import Offset
from lmsteer_core.evaluation.prompts import Generations
from lmsteer_core.evaluation.run import Run
from lmsteer_core.evaluation.task import TASKS

PROTOCOL = Protocol(2, Sampling(1.0, 0.9, max_new_tokens=4), section_prompts=3, section_samples=1)
LENGTH = Judge(lambda texts: [len(text) for text in texts], 12, "length", "length 1", 1)


def silent(_share, _what):
    pass


@pytest.fixture
def task():
    return dataclasses.replace(
        TASKS["sentiment"],
        prompts=TASKS["sentiment"].prompts[:5],
        texts=[f"text {i}" for i in range(40)],
        labels=[1.0, -1.0] * 20,
    )


@pytest.fixture
def makers(monkeypatch):
    """Two methods without training: the model itself and a push towards some words."""
    made = []

    def push(lm, task, folder, progress):  # noqa: ARG001
        made.append((task.name, len(task.texts)))
        folder.mkdir(parents=True, exist_ok=True)
        seed = 0 if task.name == "sentiment" else 1
        offset = torch.randn(lm.vocab_size, generator=torch.Generator().manual_seed(seed))
        return Offset(lm, "push", offset, 3, 1.5, (0.5, 1.0, 2.0, 4.0))

    monkeypatch.setattr(runs, "MAKERS", {"unsteered": registry.MAKERS["unsteered"], "push": push})
    monkeypatch.setattr(runs, "DATA_SIZES", (10, 30, 1000))
    monkeypatch.setattr(runs, "DATA_METHODS", ("push",))
    monkeypatch.setattr(runs, "COMPOSED", ("push",))
    for name, value in (("_ROWS_PER_BATCH", 4), ("_TIMED_ROWS", 1), ("_TIMED_REPEATS", 1)):
        monkeypatch.setattr(runs, name, value)
    return made


@pytest.fixture
def begin(tmp_path, small, task, makers):  # noqa: ARG001
    def make(name="run", **changed):
        protocol = dataclasses.replace(PROTOCOL, **changed)
        return Run(tmp_path / name, small, task, protocol, TASKS["detoxification"])

    return make


def finished(run, sections=("curves",), **named):
    run.make(["unsteered", "push"], silent)
    cells = run.cells(["unsteered", "push"], sections, **named)
    run.write(cells, silent)
    return cells


def test_the_unsteered_cell_is_what_generate_writes(begin, small, task):
    run = begin()
    finished(run)
    rows = [Row(p, seed_offset=1000 * i + j) for i, p in enumerate(task.prompts) for j in range(2)]
    expected = [row.text for row in generate(small, rows, {}, PROTOCOL.sampling)]
    found = run.generations(Cell("unsteered", 0.0))
    assert [line.prompt for line in found] == list(task.prompts)
    assert [text for line in found for text in line.texts] == expected


def test_a_sweep_has_both_signs_of_every_strength(begin):
    cells = finished(begin(), strengths=[1.0, 3.0])
    assert cells == [Cell("unsteered", 0.0), *(Cell("push", s) for s in (1.0, -1.0, 3.0, -3.0))]


def test_a_run_writes_no_toxic_pole(tmp_path, small, makers):  # noqa: ARG001
    run = Run(tmp_path, small, TASKS["detoxification"], PROTOCOL)
    run.make(["unsteered", "push"], silent)
    assert [cell.strength for cell in run.cells(["push"], ["curves"])] == [0.0, 0.5, 1.0, 2.0, 4.0]


def test_a_killed_run_goes_on_to_the_same_texts(begin, monkeypatch):
    whole = begin("whole")
    cells = finished(whole, strengths=[1.0])

    class Killed(BaseException):
        pass

    n_calls = 0
    write = Offset.continue_rows

    def killed(*args):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 4:  # 2 are for the clock, then a batch is written
            raise Killed
        return write(*args)

    with monkeypatch.context() as patch:
        patch.setattr(Offset, "continue_rows", killed)
        with pytest.raises(Killed):
            finished(begin("killed"), strengths=[1.0])
    torn = begin("killed")
    file = torn._generations(Cell("push", 1.0))
    assert len(file.read_text().splitlines()) == 2
    with file.open("a") as lines:
        lines.write('{"prompt": {"text": "torn')
    finished(torn, strengths=[1.0])
    for cell in cells:
        assert torn.generations(cell) == whole.generations(cell)


def test_what_is_done_is_not_done_again(begin, makers, monkeypatch):
    finished(begin())
    n_made = len(makers)

    def never(*_args):
        raise AssertionError("written twice")

    monkeypatch.setattr(Offset, "continue_rows", never)
    monkeypatch.setattr(Unsteered, "continue_rows", never)
    finished(begin())
    assert len(makers) == n_made


@pytest.mark.parametrize(
    "changed",
    [{"n_samples": 3}, {"sampling": Sampling(1.0, 0.8, max_new_tokens=4)}, {"budgets": budgets(7)}],
    ids=["samples", "top_p", "training"],
)
def test_a_folder_of_other_settings_is_refused(begin, changed):
    begin()
    with pytest.raises(InputError, match="run of other settings .* choose another --out"):
        begin(**changed)


def test_a_folder_composed_with_other_texts_is_refused(begin, tmp_path, small, task):
    begin()
    other = dataclasses.replace(TASKS["detoxification"], texts=["x"], labels=[1.0])
    with pytest.raises(InputError, match="composed_with"):
        Run(tmp_path / "run", small, task, PROTOCOL, other)


def test_one_process_at_a_time_writes_into_a_folder(tmp_path):
    with (
        alone(tmp_path),
        pytest.raises(InputError, match="Another evaluation writes to"),
        alone(tmp_path),
    ):
        pass
    with alone(tmp_path):
        pass


def test_a_method_learns_as_long_as_the_protocol_says(begin, monkeypatch, small):
    learned = []

    def learn(_lm, _task, _folder, _progress, *, budget):
        learned.append(budget.n_steps)
        return Unsteered(small)

    keys = ("lora", "lm-steer-official", "lm-steer-official-1000")
    monkeypatch.setattr(runs, "MAKERS", dict.fromkeys(keys, learn))
    for key in keys:
        begin("seven", budgets=budgets(7))._method(key)
    assert learned == [7, 7, 1000]


def test_a_damaged_folder_is_refused(begin):
    run = begin()
    (run.folder / "run.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        begin()


def test_composition_sets_one_strength_beside_another(begin, makers, small, task):
    run = begin()
    cells = [cell for cell in finished(run, ["composition"]) if cell.section == "composition"]
    strengths, held = [-2.0, -1.0, 0.0, 1.0, 2.0], [0.0, 1.0, 2.0]
    assert {(cell.strength, cell.held) for cell in cells} == {
        (a, b) for a in strengths for b in held
    }
    assert ("detoxification", 0) in makers
    one, other = (
        torch.randn(small.vocab_size, generator=torch.Generator().manual_seed(s)) for s in (0, 1)
    )
    expected = Offset(small, "sum", 2 * one + other, 1, 0.0).continue_rows(
        [Row(p, seed_offset=1000 * i) for i, p in enumerate(task.prompts[:3])],
        1.0,
        PROTOCOL.sampling,
    )
    found = run.generations(Cell("push", 2.0, "composition", held=1.0))
    assert [line.texts[0] for line in found] == [row.text for row in expected]


def test_methods_made_from_the_same_texts_are_neighbours(begin):
    run = begin()
    finished(run, ["data", "composition"])
    found = {str(path.relative_to(run.folder)) for path in run.folder.glob("methods/*/push")}
    assert found == {
        f"methods/{of}/push"
        for of in ("sentiment", "sentiment from 10", "sentiment from 30", "detoxification")
    }


def test_data_takes_a_method_made_from_fewer_texts(begin, makers):
    run = begin()
    cells = finished(run, ["data"])
    assert [(c.n_texts, c.strength) for c in cells if c.section == "data"] == [
        (n, s) for n in (10, 30) for s in (2.0, -2.0)
    ]
    assert {("sentiment", 10), ("sentiment", 30), ("sentiment", 40)} <= set(makers)
    assert Cell("push", 2.0) in cells
    assert len(run.generations(Cell("push", 2.0, "data", n_texts=10))) == 3


def test_scores_stand_by_prompt_and_sample_with_who_gave_them(begin, small):
    run = begin()
    cells = finished(run, strengths=[1.0])
    run.score(cells, [LENGTH], [small], silent)
    for cell in cells:
        lines, scores = run.generations(cell), run.scores(cell)
        lengths = [[len(line.prompt + text) for text in line.texts] for line in lines]
        assert scores["length"]["scores"] == lengths
        assert scores["length"]["by"] == "length 1, prompt read too"
        assert [len(row) for row in scores["tiny"]["n_tokens"]] == [2] * 5
        assert scores["tiny"]["nll"][0][0] > 0


def test_a_model_reads_a_prompts_first_texts_and_no_grid(begin, small):
    run = begin()
    cells = [
        Cell("unsteered", 0.0),
        *(c for c in finished(run, ["composition"]) if c.section == "composition"),
    ]
    run.score(cells, [LENGTH], [small], silent, n_perplexity=1)
    first = run.scores(cells[0])
    assert [len(row) for row in first["tiny"]["nll"]] == [1] * 5
    assert first["tiny"]["by"].endswith(", of a prompt's texts the first 1")
    run.score(cells, [LENGTH], [small], silent)
    every = run.scores(cells[0])
    assert [row[:1] for row in every["tiny"]["n_tokens"]] == first["tiny"]["n_tokens"]
    assert [len(row) for row in every["tiny"]["nll"]] == [2] * 5
    assert all(set(run.scores(cell)) == {"length"} for cell in cells[1:])


def test_toxicity_is_judged_of_the_continuation_alone():
    read: list[str] = []

    def score(texts):
        read.extend(texts)
        return [0.0] * len(texts)

    nasty = Judge(score, 0.5, "nasty", "nasty 1", -1)
    scorer = scorers.judge_scorer(nasty)
    scorer.score([Generations("You are", [" kind", ""])])
    assert (read, scorer.version) == ([" kind", ""], "nasty 1")


def test_a_new_judge_or_version_scores_and_a_known_one_does_not(begin):
    run = begin()
    cells = finished(run, strengths=[1.0])
    asked = []

    def score(texts):
        asked.append(len(texts))
        return [0.0] * len(texts)

    counting = dataclasses.replace(LENGTH, score=score)
    for judge in (counting, counting, dataclasses.replace(counting, version="length 2")):
        run.score(cells, [judge], [], silent)
    assert asked == [10] * len(cells) * 2


def test_progress_rises_to_1(begin):
    run = begin()
    seen = []
    run.make(["unsteered", "push"], lambda share, _what: seen.append(share))
    cells = run.cells(["unsteered", "push"], ["curves"])
    run.write(cells[:2], silent)
    seen.clear()
    run.write(cells, lambda share, _what: seen.append(share))
    assert 0 < seen[0] < 1
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_facts_and_settings_say_how_to_do_it_again(begin):
    run = begin()
    finished(run, strengths=[1.0])
    facts = run.facts("push")
    assert (facts["n_parameters"], facts["training_seconds"]) == (3, 1.5)
    assert 0.2 < facts["decoding_time_ratio"] < 5
    settings = json.loads((run.folder / "run.json").read_text())
    assert settings["model_parameters"] == run.lm.model.num_parameters()
    assert {"torch", "transformers", "python"} <= set(settings["versions"])


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match="no method 'magic': use unsteered"):
        registry.check_methods(["magic"])
