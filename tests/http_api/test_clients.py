"""Other people's clients, as their documentation uses them, against the API of a tiny model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lmsteer_core import LanguageModel, Row, Sampling, generate
from lmsteer_core.analysis.token_scores import scoring
from lmsteer_core.progress import finished

PROMPT = "The garden is"
STEER = {"calm": 8.0}
CHAT = [{"role": "user", "content": "Say something."}]
DOCS: list[dict[str, Any]] = [
    {"text": "The garden is", "label": 0},
    {"text": "All the rooms are", "label": 1},
]
CHOICES = ["kind and warm", "cold"]
SETTINGS: dict[str, Any] = {"max_tokens": 8, "seed": 3, "temperature": 1.0, "top_p": 1.0}

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"


@pytest.fixture(scope="module")
def texts(tiny_workbench, small: LanguageModel) -> dict[str, str]:
    """What the library writes, steered: a continuation and an answer in a chat."""
    sampling = Sampling(1.0, 1.0, 8, 3)
    rows = [Row(PROMPT, STEER), Row(tiny_workbench.chat_prompt(CHAT), STEER)]
    text, chat = generate(small, rows, tiny_workbench.steers, sampling)
    assert text.text != generate(small, [Row(PROMPT)], {}, sampling)[0].text
    return {"text": text.text, "chat": chat.text}


def test_langchain(tiny_url: str, texts) -> None:
    from langchain_openai import ChatOpenAI, OpenAI

    where: dict[str, Any] = {
        "base_url": tiny_url,
        "api_key": "any",
        "model": "tiny",
        "max_retries": 0,
    }
    chat = ChatOpenAI(**where, **SETTINGS, extra_body={"steer": STEER})
    assert chat.invoke("Say something.").content == texts["chat"]
    assert "".join(str(part.content) for part in chat.stream("Say something.")) == texts["chat"]
    text = OpenAI(**where, **SETTINGS, extra_body={"steer": STEER})
    assert text.invoke(PROMPT) == texts["text"]
    assert "".join(text.stream(PROMPT)) == texts["text"]
    assert len(text.generate([PROMPT, "Once"]).generations) == 2


def test_litellm(tiny_url: str, texts) -> None:
    import litellm

    where = {"api_base": tiny_url, "api_key": "any", "num_retries": 0}
    asked = {**where, **SETTINGS, "extra_body": {"steer": STEER}}
    chat = {"model": "openai/tiny", "messages": CHAT, **asked}
    assert litellm.completion(**chat).choices[0].message.content == texts["chat"]
    parts = litellm.completion(**chat, stream=True)
    assert "".join(p.choices[0].delta.content or "" for p in parts if p.choices) == texts["chat"]
    text = {"model": "text-completion-openai/tiny", "prompt": PROMPT, **asked}
    assert litellm.text_completion(**text).choices[0].text == texts["text"]
    parts = litellm.text_completion(**text, stream=True)
    assert "".join(part.choices[0].text or "" for part in parts) == texts["text"]


def lm_eval_tasks(folder: Path) -> list[dict[str, Any]]:
    """A task of choosing and one of writing, whose texts lie in the folder."""
    (folder / "docs.json").write_text("\n".join(map(json.dumps, DOCS)))
    common = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / "docs.json")}},
        "test_split": "test",
        "doc_to_text": "{{text}}",
    }
    chosen = {
        "task": "chosen",
        "output_type": "multiple_choice",
        "doc_to_choice": CHOICES,
        "doc_to_target": "{{label}}",
        "metric_list": [{"metric": "acc"}],
    }
    written = {
        "task": "written",
        "output_type": "generate_until",
        "doc_to_target": "{{text}}",
        "generation_kwargs": {"until": ["\n\n"], "max_gen_toks": 5, "temperature": 0},
        "metric_list": [{"metric": "exact_match"}],
    }
    return [{**common, **chosen}, {**common, **written}]


def test_lm_eval(
    tiny_url: str, tiny_workbench, small: LanguageModel, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    import lm_eval
    from lm_eval.models.openai_completions import LocalCompletionsAPI
    from lm_eval.tasks import TaskManager

    small.tokenizer.save_pretrained(tmp_path / "tokenizer")

    class Steered(LocalCompletionsAPI):  # type: ignore[misc]  # its package has no types
        steer: dict[str, float] = {}

        def _create_payload(self, *args, **kwargs):
            return {**super()._create_payload(*args, **kwargs), "steer": self.steer}

    scores: dict[tuple[str, str], list[float]] = {}
    manager = TaskManager(include_defaults=False)
    plain: dict[str, float] = {}
    for steer in (plain, STEER):
        model = Steered(
            base_url=f"{tiny_url}/completions",
            model="tiny",
            tokenizer_backend="huggingface",
            tokenizer=str(tmp_path / "tokenizer"),
            batch_size=2,
            max_retries=1,
        )
        model.steer = steer
        samples = lm_eval.simple_evaluate(
            model, tasks=lm_eval_tasks(tmp_path), task_manager=manager, bootstrap_iters=0
        )["samples"]
        steers = [(tiny_workbench.steer(name), epsilon) for name, epsilon in steer.items()]
        for doc, sample in zip(DOCS, samples["chosen"], strict=True):
            for choice, (logprob, _) in zip(CHOICES, sample["filtered_resps"], strict=True):
                before = small.tokenizer(doc["text"])["input_ids"]
                ids = small.tokenizer(f"{doc['text']} {choice}")["input_ids"]
                tokens = finished(scoring(small, ids, steers))[len(before) :]
                expected = sum(token.logprob for token in tokens)
                assert float(logprob) == pytest.approx(expected, abs=1e-3)
                scores.setdefault((doc["text"], choice), []).append(float(logprob))
        greedy = Sampling(0.0, 1.0, 5)
        for doc, sample in zip(DOCS, samples["written"], strict=True):
            (row,) = generate(small, [Row(doc["text"], steer)], tiny_workbench.steers, greedy)
            assert sample["filtered_resps"][0] == row.text.partition("\n\n")[0]
    assert all(abs(plain - steered) > 0.01 for plain, steered in scores.values())
