"""What OpenAI's API promises its clients, on a tiny model."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import httpx
import openai
import pytest
import torch
from openai.types import Completion, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from support.serving import PROMPT, serve

from lmsteer_core import LanguageModel
from lmsteer_core.http_api import schemas
from lmsteer_core.workbench import Workbench

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Say something."}]}
STEERED: dict[str, Any] = {"steer": {"calm": 2.0}}


@pytest.fixture(scope="module")
def url(tiny_url: str) -> str:
    return tiny_url


@pytest.fixture(scope="module")
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="any", max_retries=0)


def post(url: str, path: str = "completions", **body: Any) -> dict[str, Any]:
    if path == "completions":
        body = {"prompt": PROMPT, **body}
    answer = httpx.post(f"{url}/{path}", json={"max_tokens": 6, "seed": 1, **body}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def streamed(url: str, path: str, body: dict[str, Any]) -> tuple[httpx.Headers, list[dict]]:
    with httpx.stream("POST", f"{url}/{path}", json={**body, "stream": True}, timeout=60) as got:
        lines = [line.removeprefix("data: ") for line in got.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    return got.headers, [json.loads(line) for line in lines[:-1]]


def refused(url: str, path: str = "completions", **body: Any) -> dict[str, Any]:
    answer = httpx.post(f"{url}/{path}", json=body, timeout=60)
    assert answer.status_code == 400
    return answer.json()["error"]


def test_answers_are_what_openais_own_types_say(url: str) -> None:
    Completion.model_validate(post(url, logprobs=3, **STEERED), strict=True)
    ChatCompletion.model_validate(
        post(url, "chat/completions", **CHAT, logprobs=True, top_logprobs=2), strict=True
    )
    _, chunks = streamed(url, "completions", {"prompt": PROMPT, "max_tokens": 4, "logprobs": 1})
    Completion.model_validate(chunks[-1], strict=True)  # the type knows no answer that goes on
    _, chunks = streamed(url, "chat/completions", {**CHAT, "max_tokens": 4, "logprobs": True})
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)


def test_null_stands_for_a_field_left_out(url: str) -> None:
    for kind, path, given in (
        (schemas.Completion, "completions", {"prompt": PROMPT}),
        (schemas.Chat, "chat/completions", CHAT),
    ):
        nulls = dict.fromkeys({*kind.model_fields, "suffix", "logit_bias", "tools"} - {*given})
        answer = httpx.post(f"{url}/{path}", json={**nulls, **given, "n": 2}, timeout=60)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["choices"]) == 2
    assert "prompt" in refused(url, prompt=None)["message"]


def test_only_the_first_chunk_of_an_answer_has_a_role(url: str, client: openai.OpenAI) -> None:
    _, chunks = streamed(url, "chat/completions", {**CHAT, "max_tokens": 5, "n": 2, "seed": 1})
    for index in (0, 1):
        deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"][0]["index"] == index]
        assert deltas[0]["role"] == "assistant"
        assert all("role" not in delta for delta in deltas[1:])
    # OpenAI's own accumulator adds the chunks up; it raises because the answer is at its limit.
    with (
        client.chat.completions.stream(model="tiny", seed=1, max_tokens=5, **CHAT) as stream,
        pytest.raises(openai.LengthFinishReasonError) as cut,
    ):
        stream.get_final_completion()
    message = cut.value.completion.choices[0].message
    assert message.role == "assistant"
    assert (
        message.content
        == post(url, "chat/completions", **CHAT, max_tokens=5)["choices"][0]["message"]["content"]
    )


def test_with_a_stop_text_tokens_make_up_the_text(url: str) -> None:
    full = post(url, max_tokens=20, logprobs=0)["choices"][0]
    tokens = [t for t in full["logprobs"]["tokens"] if t.strip()]
    for stop in (tokens[4], tokens[4][1:] or tokens[4], tokens[3][-1] + tokens[4][:1]):
        cut = post(url, max_tokens=20, logprobs=0, stop=stop)["choices"][0]
        assert cut["text"] == full["text"].partition(stop)[0]
        assert "".join(cut["logprobs"]["tokens"]) == cut["text"]
        _, chunks = streamed(
            url,
            "completions",
            {"prompt": PROMPT, "max_tokens": 20, "seed": 1, "logprobs": 0, "stop": stop},
        )
        choices = [chunk["choices"][0] for chunk in chunks]
        assert all("".join(c["logprobs"]["tokens"]) == c["text"] for c in choices)
        assert "".join(choice["text"] for choice in choices) == cut["text"]


def test_the_same_prompt_twice_gives_two_texts_and_once_what_it_gave_alone(url: str) -> None:
    texts = [c["text"] for c in post(url, prompt=[PROMPT, "Once", PROMPT], n=2)["choices"]]
    assert len({texts[0], texts[1], texts[4], texts[5]}) == 4
    assert texts[:2] == [c["text"] for c in post(url, n=2)["choices"]]
    assert texts[2] == post(url, prompt="Once")["choices"][0]["text"]
    assert texts[4:] == [c["text"] for c in post(url, n=4)["choices"]][2:]


def test_any_whole_number_is_a_seed(url: str) -> None:
    texts = {
        seed: post(url, seed=seed)["choices"][0]["text"] for seed in (-1, 2**32 - 1, 2**70, 0, 1)
    }
    assert texts[-1] == texts[2**32 - 1] == post(url, seed=-1)["choices"][0]["text"]
    assert texts[2**70] == texts[0] != texts[1]


def test_a_model_is_found_by_its_id(url: str, client: openai.OpenAI, tiny_workbench) -> None:
    Model.model_validate(httpx.get(f"{url}/models/tiny").json(), strict=True)
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError, match="owner/nosuch"):
        client.models.retrieve("owner/nosuch")
    lm = tiny_workbench._lm
    lm.model_id = "owner/tiny"
    try:
        assert httpx.get(f"{url}/models/owner/tiny").json()["id"] == "owner/tiny"
        assert client.models.retrieve("owner/tiny").id == "owner/tiny"
    finally:
        lm.model_id = "tiny"


def test_health_answers_without_a_key(tiny_workbench: Workbench) -> None:
    server, address = serve(tiny_workbench, "ada:secret")
    answer = httpx.get(address.removesuffix("/v1") + "/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert httpx.get(f"{address}/models/tiny").status_code == 401
    server.should_exit = True


def test_streams_pass_proxies_unbuffered(url: str) -> None:
    headers, _ = streamed(url, "completions", {"prompt": PROMPT, "max_tokens": 2})
    assert headers["cache-control"] == "no-cache"
    assert headers["x-accel-buffering"] == "no"


def test_a_prompt_longer_than_the_context_is_refused_never_cut(url: str, small) -> None:
    for body in ({"prompt": "word " * 600}, {"prompt": [7] * 600}, {"prompt": [[7], [7] * 510]}):
        error = refused(url, max_tokens=6, **body)
        assert error["code"] == "context_length_exceeded"
        assert "maximum context length is 512 tokens" in error["message"]
    messages = [{"role": "user", "content": "word " * 600}]
    assert refused(url, "chat/completions", messages=messages)["code"] == "context_length_exceeded"
    prompt = "word " * 300
    n_tokens = len(small.encode(prompt)[0])
    assert post(url, prompt=prompt, n=64, max_tokens=1)["usage"]["prompt_tokens"] == n_tokens > 300


def test_prompts_may_be_token_ids(url: str, small: LanguageModel) -> None:
    texts = [PROMPT, "Once upon a time"]
    ids = [small.encode(text)[0] for text in texts]
    expected = [post(url, prompt=text)["choices"][0]["text"] for text in texts]
    assert post(url, prompt=ids[0])["choices"][0]["text"] == expected[0]
    assert [c["text"] for c in post(url, prompt=ids)["choices"]] == expected
    assert post(url, prompt=ids[1], echo=True, max_tokens=0)["choices"][0]["text"] == texts[1]
    bad_prompts: list[Any] = [[-1], [small.vocab_size], [[]], [], [1.5], [True], [[1], "a"]]
    for bad in bad_prompts:
        assert refused(url, prompt=bad)["message"]


def test_logprobs_name_the_likeliest_tokens_under_the_steer(url: str, tiny_workbench) -> None:
    choice = post(url, prompt=PROMPT, max_tokens=1, logprobs=20, **STEERED)["choices"][0]
    top = choice["logprobs"]["top_logprobs"][0]
    assert 20 <= len(top) <= 21
    found = tiny_workbench.next_words(
        PROMPT, tiny_workbench.steer("calm"), ranked=[2.0], n_ranked=20
    ).rankings[0]
    log_p = torch.tensor(found.probability).log().tolist()
    assert [*top.values()][:20] == pytest.approx(log_p, abs=1e-3)
    assert [*top][:20] == found.texts
    chat = post(url, "chat/completions", **CHAT, logprobs=True, top_logprobs=5)["choices"][0]
    for token in chat["logprobs"]["content"]:
        scores = [each["logprob"] for each in token["top_logprobs"]]
        assert len(scores) == 5
        assert scores == sorted(scores, reverse=True)
    assert "logprobs" in refused(url, prompt=PROMPT, logprobs=21)["message"]
    assert "top_logprobs" in refused(url, "chat/completions", **CHAT, top_logprobs=2)["message"]


def test_an_echoed_prompt_is_scored_as_the_model_would_have_written_it(url, small) -> None:
    ids = small.encode(PROMPT)[0]
    for more in ({}, STEERED):
        choice = post(url, prompt=ids, echo=True, logprobs=2, max_tokens=3, **more)["choices"][0]
        scores = choice["logprobs"]
        assert choice["text"].startswith(PROMPT)
        assert "".join(scores["tokens"]) == choice["text"]
        assert scores["token_logprobs"][0] is scores["top_logprobs"][0] is None
        assert scores["text_offset"][len(ids)] == len(PROMPT)
        assert len(scores["tokens"]) == len(ids) + 3
        # One token at a time, the model's own next-token distribution says the same.
        for n in (1, len(ids) - 1):
            alone = post(url, prompt=ids[:n], max_tokens=1, logprobs=20, **more)["choices"][0]
            first = alone["logprobs"]["top_logprobs"][0]
            best = sorted(first.values())[-2:]
            assert sorted(scores["top_logprobs"][n].values())[-2:] == pytest.approx(best, abs=1e-3)
    base, steered = (
        post(url, echo=True, logprobs=0, max_tokens=0, **more)["choices"][0]["logprobs"]
        for more in ({}, STEERED)
    )
    assert base["token_logprobs"][1:] == pytest.approx(steered["base_token_logprobs"][1:], abs=1e-4)
    assert base["token_logprobs"][1:] != pytest.approx(steered["token_logprobs"][1:], abs=1e-2)


def test_no_new_token_is_an_answer_too(url: str) -> None:
    choice = post(url, max_tokens=0)["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("", "length")
    choice = post(url, max_tokens=0, echo=True)["choices"][0]
    assert choice["text"] == PROMPT
    _, chunks = streamed(url, "completions", {"prompt": PROMPT, "max_tokens": 0, "echo": True})
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == PROMPT
    assert "joy" in refused(url, prompt=PROMPT, max_tokens=0, steer={"joy": 1.0})["message"]
    assert "streamed" in refused(url, prompt="a", echo=True, logprobs=1, stream=True)["message"]


def test_a_locked_pole_needs_an_unlock(url: str, tiny_workbench, monkeypatch) -> None:
    steer = tiny_workbench.steer("calm")
    card = dataclasses.replace(steer.card, notice="It may offend.")
    monkeypatch.setattr(tiny_workbench, "steers", {"calm": dataclasses.replace(steer, card=card)})
    down: dict[str, Any] = {"prompt": PROMPT, "steer": {"calm": -1.0}}
    for more in ({}, {"max_tokens": 0}, {"unlock": False}, {"stream": True}):
        assert '"unlock": true' in refused(url, **down, **more)["message"]
    post(url, **down, unlock=True)
    post(url, **STEERED)
    assert refused(url, **down, unlock="yes")["message"]
