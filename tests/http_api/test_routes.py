"""The HTTP API on the embedded model, mostly through OpenAI's own client."""

from __future__ import annotations

import json

import httpx
import openai
import pytest
from support.serving import PROMPT, serve, wait_until

from lmsteer_core import LanguageModel, Row, Sampling, generate
from lmsteer_core.http_api.routes import MAX_BYTES
from lmsteer_core.workbench import Workbench

KEY = "ada:secret"


@pytest.fixture(scope="module")
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="any", max_retries=0)


def ours(lm: LanguageModel, workbench: Workbench, epsilon: float, **settings) -> str:
    (done,) = generate(
        lm, [Row(PROMPT, {"sentiment": epsilon})], workbench.steers, Sampling(**settings)
    )
    return done.text


def test_a_steered_completion_is_what_the_library_generates(client, lm, workbench) -> None:
    model = client.models.list().data[0].id
    texts = {}
    for epsilon in (-1.5, 1.5):
        done = client.completions.create(
            model=model,
            prompt=PROMPT,
            max_tokens=12,
            temperature=0.9,
            top_p=0.95,
            seed=3,
            extra_body={"steer": {"sentiment": epsilon}},
        )
        texts[epsilon] = done.choices[0].text
        assert texts[epsilon] == ours(lm, workbench, epsilon, max_new_tokens=12, seed=3)
        n_new = done.usage.completion_tokens
        assert done.choices[0].finish_reason == ("length" if n_new == 12 else "stop")
        assert done.usage.prompt_tokens == len(lm.encode(PROMPT)[0])
    assert texts[-1.5] != texts[1.5]


def test_a_stream_brings_the_same_text_in_pieces(client, lm, workbench) -> None:
    pieces = list(
        client.completions.create(
            model=lm.model_id,
            prompt=PROMPT,
            max_tokens=12,
            temperature=0.9,
            top_p=0.95,
            seed=3,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"steer": {"sentiment": 1.5}},
        )
    )
    assert len(pieces) > 10
    assert pieces[-1].usage.completion_tokens == 12
    choices = [piece.choices[0] for piece in pieces[:-1]]
    assert "".join(c.text for c in choices) == ours(lm, workbench, 1.5, max_new_tokens=12, seed=3)
    assert [c.finish_reason for c in choices[-2:]] == [None, "length"]


def test_logprobs_are_of_the_steered_model_with_the_unsteered_beside(client, lm) -> None:
    done = client.completions.create(
        model=lm.model_id,
        prompt=PROMPT,
        max_tokens=5,
        seed=3,
        logprobs=1,
        extra_body={"steer": {"sentiment": 2.0}},
    )
    choice = done.choices[0]
    assert "".join(choice.logprobs.tokens) == choice.text
    assert choice.logprobs.text_offset[0] == 0
    assert all(p < 0 for p in choice.logprobs.token_logprobs)
    base = choice.logprobs.model_extra["base_token_logprobs"]
    assert any(abs(a - b) > 0.05 for a, b in zip(base, choice.logprobs.token_logprobs, strict=True))
    for token, logprob, top in zip(
        choice.logprobs.tokens,
        choice.logprobs.token_logprobs,
        choice.logprobs.top_logprobs,
        strict=True,
    ):
        assert top[token] == logprob
        assert len(top) == 1 or max(top.values()) > logprob


def test_logprobs_of_0_are_those_of_the_chosen_tokens(client, lm) -> None:
    done = client.completions.create(model=lm.model_id, prompt=PROMPT, max_tokens=3, logprobs=0)
    assert len(done.choices[0].logprobs.token_logprobs) == done.usage.completion_tokens
    assert done.choices[0].logprobs.top_logprobs is None


def test_a_chat_is_answered_whole_and_streamed(client) -> None:
    asked = {
        "model": "embedded",
        "max_tokens": 10,
        "seed": 5,
        "temperature": 0.7,
        "logprobs": True,
        "messages": [{"role": "user", "content": "Write a sentence about the sea."}],
        "extra_body": {"steer": {"pirate": 1.0}},
    }
    whole = client.chat.completions.create(**asked)
    message = whole.choices[0].message
    assert message.role == "assistant"
    assert message.content
    assert "".join(t.token for t in whole.choices[0].logprobs.content) == message.content
    pieces = list(client.chat.completions.create(**asked, stream=True))
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == message.content


def test_several_answers_to_several_prompts(client, lm) -> None:
    done = client.completions.create(
        model=lm.model_id,
        prompt=["Every morning", PROMPT],
        n=2,
        max_tokens=6,
        seed=1,
        temperature=1.5,
    )
    assert [choice.index for choice in done.choices] == [0, 1, 2, 3]
    assert len({choice.text for choice in done.choices}) == 4


def test_a_stop_text_ends_the_answer_and_is_not_part_of_it(client, lm) -> None:
    asked = {"model": lm.model_id, "prompt": PROMPT, "max_tokens": 24, "temperature": 0}
    full = client.completions.create(**asked).choices[0].text
    stop = full[9:14]
    done = client.completions.create(**asked, stop=[stop, "never there"])
    assert done.choices[0].text == full[: full.index(stop)]
    assert done.choices[0].finish_reason == "stop"
    pieces = client.completions.create(**asked, stop=stop, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == full[: full.index(stop)]


def test_an_unknown_steer_is_a_400_that_lists_the_known_ones(client, lm) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match=r"no steer named 'joy'.*sentiment"):
            client.completions.create(
                model=lm.model_id, prompt=PROMPT, stream=stream, extra_body={"steer": {"joy": 1.0}}
            )


def test_the_steers_are_listed_with_their_poles_and_ranges(url) -> None:
    listed = {steer["name"]: steer for steer in httpx.get(f"{url}/steers").json()["data"]}
    assert listed["sentiment"]["positive"] == "positive"
    assert listed["sentiment"]["epsilon_range"][0] < 0
    assert listed["detoxification"]["notice"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "prompt: Field required"),
        ({"prompt": " "}, "prompt is empty"),
        ({"prompt": "a", "frequency_penalty": 1.0}, "frequency_penalty"),
        ({"prompt": "a", "no_such": 1}, "no_such"),
        ({"prompt": "a", "temperature": -1}, "temperature must be between"),
        ({"prompt": "a", "steer": {"sentiment": 99}}, "between −10 and 10"),
        ({"prompt": "a", "n": 1000}, "256 texts"),
        ({"prompt": "a", "max_tokens": 1_000_000}, "max new tokens"),
        ({"prompt": "a", "stop": [""]}, "stop takes"),
        ({"prompt": "a", "logprobs": 21}, "logprobs"),
        ({"prompt": [-1, 2]}, "Token ids"),
        ("[]", "an object"),
        ("{", "JSON"),
        ('{"prompt": "a", "steer": {"sentiment": NaN}}', "not nan"),
        (b"\xff\xfe", "JSON"),
        ('{"prompt": "half \\ud800 a character"}', ""),
    ],
)
def test_a_bad_body_is_one_sentence(url, body, told: str) -> None:
    content = json.dumps(body) if isinstance(body, dict) else body
    answer = httpx.post(
        f"{url}/completions", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]


def test_wrong_kinds_of_request_are_refused(url) -> None:
    assert httpx.post(f"{url}/completions", content='{"prompt": "a"}').status_code == 400
    big = httpx.post(f"{url}/completions", json={"prompt": "a" * (MAX_BYTES + 1)})
    assert (big.status_code, "larger" in big.text) == (413, True)
    other = httpx.post(f"{url}/completions", json={"prompt": "a", "model": "nosuch"})
    assert (other.status_code, "nosuch" in other.text) == (404, True)
    system = {"messages": [{"role": "robot", "content": "hi"}]}
    assert httpx.post(f"{url}/chat/completions", json=system).status_code == 400


def test_a_reader_who_leaves_frees_the_rows(url, workbench) -> None:
    body = {"prompt": PROMPT, "max_tokens": 2000, "stream": True}
    with httpx.stream("POST", f"{url}/completions", json=body, timeout=60) as answer:
        next(answer.iter_lines())
        assert workbench._engine._running
    wait_until(lambda: not workbench._engine._running)


@pytest.mark.parametrize("is_running", [True, False])
def test_a_client_who_goes_away_without_streaming_frees_the_rows(
    url, workbench, is_running, monkeypatch
):
    if not is_running:  # it gives up while it waits in line
        monkeypatch.setattr("lmsteer_core.serving.engine.Engine._admit", lambda *_: None)
    body = {"prompt": PROMPT, "n": 8, "max_tokens": 4000}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{url}/completions", json=body, timeout=httpx.Timeout(60, read=1.5))
    wait_until(lambda: not workbench._engine._running and not workbench._engine._waiting)


def test_values_of_another_kind_are_refused_and_whole_floats_taken(url) -> None:
    good = {"prompt": PROMPT, "max_tokens": 3.0, "seed": 3.0, "n": 1.0, "steer": {"sentiment": 2}}
    assert httpx.post(f"{url}/completions", json=good, timeout=60).status_code == 200
    for bad in (
        {"steer": {"sentiment": "2"}},
        {"seed": "3"},
        {"seed": 2.5},
        {"n": True},
        {"temperature": "1"},
    ):
        answer = httpx.post(f"{url}/completions", json={**good, **bad}, timeout=60)
        assert answer.status_code == 400, bad


def test_with_a_key_only_its_bearer_is_answered(workbench) -> None:
    server, address = serve(workbench, KEY)
    assert httpx.get(f"{address}/models").status_code == 401
    assert (
        httpx.get(f"{address}/models", headers={"Authorization": "Bearer wrong"}).status_code == 401
    )
    assert openai.OpenAI(base_url=address, api_key=KEY).models.list().data
    server.should_exit = True
