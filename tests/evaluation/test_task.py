from __future__ import annotations

import json

import pytest

from lmsteer_core import InputError
from lmsteer_core.evaluation.task import TASKS, load_task

SENTENCES = [f"number {i} of the texts that we wrote" for i in range(12)]


@pytest.fixture
def data(tmp_path):
    for name, field in (
        ("sentiment/train", "text"),
        ("sentiment/dev", "text"),
        ("prompts/neutral", "prompt"),
    ):
        path = tmp_path / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        labels = [(-1) ** i * (0.5 if i % 3 else 1) for i in range(12)]
        lines = [
            {field: text, "label": label} for text, label in zip(SENTENCES, labels, strict=True)
        ]
        path.write_text("\n".join(map(json.dumps, lines)))
    return tmp_path / "sentiment"


@pytest.mark.parametrize("name", TASKS)
def test_a_task_runs_without_data(name):
    task = load_task(name, n_prompts=24)
    assert len(task.prompts) == 24
    assert not task.texts
    assert task.positive != task.negative


def test_data_bring_texts_and_prompts(data):
    task = load_task("sentiment", data)
    assert list(task.texts) == SENTENCES
    assert list(task.prompts) == SENTENCES
    assert list(load_task("sentiment", data, n_prompts=3).prompts) == SENTENCES[:3]


def test_toxic_beginnings_are_what_is_to_be_detoxified(data):
    task = load_task("detoxification", data)
    assert list(task.prompts) == [" ".join(text.split()[:4]) for text in SENTENCES[1::2]]
    assert task.pole == -1


def test_files_of_prompts_are_taken_in_turn_before_all_others(data, tmp_path):
    files = tmp_path / "one.jsonl", tmp_path / "more.jsonl"
    files[0].write_text('{"prompt": "One"}\n{"prompt": "Two"}')
    files[1].write_text('{"prompt": "Three"}\n{"prompt": "Four"}')
    assert load_task("sentiment", data, files[:1]).prompts == ["One", "Two"]
    assert load_task("sentiment", None, files, 3).prompts == ["One", "Two", "Three"]


def test_samples_are_balanced_and_nested(data):
    task = load_task("sentiment", data)
    small, large = task.sample(4), task.sample(10)
    assert len(small.texts) == 4
    assert list(small.texts) == list(large.texts)[:4]
    assert sum(label > 0 for label in large.labels) == 5
    assert [dict(zip(task.texts, task.labels, strict=True))[t] for t in small.texts] == list(
        small.labels
    )
    with pytest.raises(InputError, match="not 14 training texts"):
        task.sample(14)


def test_what_is_missing_is_said(data, tmp_path):
    with pytest.raises(
        InputError, match="no task 'poetry': use sentiment, detoxification, clickbait"
    ):
        load_task("poetry")
    with pytest.raises(InputError, match="no file"):
        load_task("sentiment", tmp_path / "nowhere")
    with pytest.raises(InputError, match="There are 12 prompts, not 30"):
        load_task("sentiment", data, n_prompts=30)
    with pytest.raises(InputError, match="at least 2 prompts"):
        load_task("sentiment", data, n_prompts=1)
