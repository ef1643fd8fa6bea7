from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from lmsteer_core.cli.main import main
from lmsteer_core.evaluation import run as runs
from lmsteer_core.evaluation.prompts import Generations, append_lines

FAST = ("--n-prompts", "3", "--samples", "2", "--tokens", "4", "--methods", "prompt-prefix")


@pytest.fixture
def evaluate(small, monkeypatch, capsys, tmp_path):
    """Run the verb on the tiny model; return its status, stdout and stderr."""
    monkeypatch.setattr("lmsteer_core.models.loading.load_model", lambda _name: small)
    monkeypatch.setattr(runs, "_TIMED_REPEATS", 1)
    monkeypatch.setenv("LMSTEER_CACHE", str(tmp_path / "cache"))

    def call(*args):
        try:
            status = main(["evaluate", *args])
        except SystemExit as stop:
            status = int(stop.code or 0)
        return status, *capsys.readouterr()

    return call


def test_a_run_prints_the_table_and_leaves_a_report(evaluate, tmp_path):
    status, out, err = evaluate(*FAST, "--out", str(tmp_path / "run"))
    assert status == 0
    assert "prompt prefix" in out
    assert "vaderSentiment" in out
    assert "100%" in err
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"run.json", "table.json", "report.html", "report.md", "generations", "scores"} <= names
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!doctype html>")


def test_json_is_the_table_and_twice_the_same(evaluate, tmp_path):
    calls = [evaluate(*FAST, "--json", "--out", str(tmp_path / "run")) for _ in range(2)]
    assert calls[0][1] == calls[1][1]
    summary = json.loads(calls[0][1])
    assert [m["name"] for m in summary["methods"]] == ["unsteered", "prompt prefix"]
    assert summary["settings"]["samples"] == 2
    assert list(summary["judges"]) == ["vader"]


def test_without_a_folder_a_run_goes_on_in_the_cache_by_its_settings(evaluate, tmp_path):
    for samples in ("1", "1", "2"):
        assert evaluate(*FAST, "--samples", samples)[0] == 0
    assert len(list((tmp_path / "cache" / "evaluation").iterdir())) == 2


def test_quick_is_small_and_needs_no_data(evaluate, monkeypatch):
    chosen: dict[str, Any] = {}

    def stop(self, methods, progress):  # noqa: ARG001
        chosen.update(
            n=len(self.task.prompts), samples=self.protocol.n_samples, methods=list(methods)
        )
        raise KeyboardInterrupt

    monkeypatch.setattr(runs.Run, "make", stop)
    assert evaluate("--task", "detoxification", "--quick")[0] == 130
    assert chosen == {
        "n": 24,
        "samples": 2,
        "methods": ["unsteered", "lm-steer-descriptions", "prompt-prefix"],
    }


def test_without_quick_the_protocol_is_the_papers(evaluate, monkeypatch):
    def stop(self, _methods, _progress):
        assert self.protocol.n_samples == 25
        assert self.protocol.sampling.max_new_tokens == 20
        assert self.protocol.sampling.top_p == 0.9
        raise KeyboardInterrupt

    monkeypatch.setattr(runs.Run, "make", stop)
    assert evaluate()[0] == 130


def test_anyones_generations_are_scored(evaluate, tmp_path):
    file = tmp_path / "anyone.jsonl"
    good = Generations("The day", [" was lovely, I liked it", " went by"])
    bad = Generations("The soup", [" was awful", " was terrible and cold"])
    append_lines(file, [good.to_json(), bad.to_json()])
    status, out, _ = evaluate("--score", str(file), "--json", "--perplexity-model", "tiny")
    assert status == 0
    found = json.loads(out)
    assert found["figures"]["positivity, vader"]["value"] == pytest.approx(0.25)
    assert found["figures"]["corpus perplexity, tiny"]["value"] > 1
    assert found["by"]["vader"].startswith("vaderSentiment")
    assert "positivity, vader" in evaluate("--score", str(file))[1]
    first = ("--perplexity-model", "tiny", "--perplexity-samples", "1")
    assert (
        "the first 1"
        in json.loads(evaluate("--score", str(file), "--json", *first)[1])["by"]["tiny"]
    )


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--task", "poetry"], "no task 'poetry'"),
        (["--task", "poetry", "--score", "x.jsonl"], "no task 'poetry'"),
        (["--methods", "magic"], "no method 'magic'"),
        (["--methods", "additive"], "give --data"),
        (["--sections", "curves,figures"], "no section 'figures'"),
        (["--judges", "perspective"], "no judge 'perspective'"),
        (["--judges", "profanity"], "No judge measures positivity; add vader"),
        (["--strengths", "-1"], "--strengths are above 0"),
        (["--training-steps", "0"], "Steps and texts a step must be from 1"),
        (["--samples", "0"], "--samples must be between 1 and"),
        (["--perplexity-samples", "0"], "--perplexity-samples must be at least 1"),
        (["--n-prompts", "1"], "at least 2 prompts"),
        (["--n-prompts", "49"], "There are 48 prompts, not 49"),
        (["--tokens", "0"], "max new tokens must be"),
        (["--data", "nowhere"], "no file"),
        (["--score", "nowhere.jsonl"], "no file"),
    ],
)
def test_a_mistake_is_one_sentence(evaluate, args, told, tmp_path):
    status, out, err = evaluate(
        *args, *(() if "--score" in args else ("--out", str(tmp_path / "run")))
    )
    assert (status, out) == (2, "")
    lines = [line for line in err.splitlines() if line.startswith("lmsteer: ")]
    assert len(lines) == 1
    assert told in lines[0]


def test_importing_the_core_imports_no_evaluation():
    code = (
        "import sys, lmsteer_core, lmsteer_core.cli\n"
        "print([m for m in sys.modules if m.startswith('lmsteer_core.evaluation.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
