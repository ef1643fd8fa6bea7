"""The app's named endpoints through gradio's own client."""

from __future__ import annotations

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError


@pytest.fixture(scope="module")
def client(app_url: str) -> Client:
    return Client(app_url, verbose=False)


def test_generate_streams_both_texts(client: Client) -> None:
    job = client.submit("My life is", {"sentiment": 2.0}, 8, 0.9, 0.95, 3, api_name="/generate")
    done = job.result(timeout=120)
    baseline, steered = done["baseline"], done["steered"]
    assert baseline["text"] != steered["text"]
    assert steered["text"].startswith(job.outputs()[0]["steered"]["text"])
    assert len(steered["token_ids"]) == len(steered["logprobs"]) <= 8


def test_the_lens_answers(client: Client) -> None:
    curves = client.predict("The movie was", "sentiment", 4, api_name="/nextword")
    assert len(curves["probability"]) == 4
    assert all(len(p) == len(curves["epsilon"]) for p in curves["probability"].values())
    assert "wonderful" in client.predict("sentiment", 1, 8, api_name="/words")[0]["positive"]
    found = client.predict("I love it, wonderful.", "sentiment", api_name="/analyze")
    assert sum(found["evidence"]) > 0
    assert client.predict(api_name="/steers")["detoxification"]["notice"]


def test_the_parts_of_an_inspected_token_sum_to_its_shift(client: Client) -> None:
    found = client.predict("The movie was great", {"sentiment": 2.0}, -1, api_name="/inspect")
    assert found["token"]["text"] == " great"
    shares = sum(sum(share["dimensions"]) for share in found["shares"])
    assert found["shift"] > 0.5
    assert shares + found["normaliser"] == pytest.approx(found["shift"], abs=1e-4)
    assert len(found["before"]) == len(found["after"]) == 10
    for args, says in (
        (["Hi", {}, 0], "needs two tokens"),
        (["Hi there", {"joy": 1}, -1], "no steer named"),
        (["Hi there", [2.0], -1], "by steer name"),
        (["Hi there", {"detoxification": -1}, -1], "is locked"),
        (["Hi there", {}, 9], "place must be between"),
        ([" ", {}, -1], "empty"),
    ):
        with pytest.raises(AppError, match=says):
            client.predict(*args, api_name="/inspect")


def test_a_mistake_is_one_sentence(client: Client) -> None:
    with pytest.raises(AppError, match="no steer named 'joy'"):
        client.predict("My life is", "joy", 4, api_name="/nextword")
    with pytest.raises(AppError, match="empty"):
        client.predict(" ", {}, 4, 0.9, 0.95, 3, api_name="/generate")


def test_values_of_another_kind_are_one_sentence_and_a_running_text_goes_on(client: Client) -> None:
    running = client.submit(
        "My life is", {"sentiment": 2.0}, 40, 0.9, 0.95, 3, api_name="/generate"
    )
    settings = ["My life is", {"sentiment": 2.0}, 8, 0.9, 0.95, 3]
    wrong = [
        (1, {"sentiment": "2"}),
        (1, [2.0]),
        (1, {"sentiment": None}),
        (2, "8"),
        (3, "warm"),
        (5, 2.5),
    ]
    for i, value in [*wrong, (0, 7), (0, None), (2, 0), (5, -1)]:
        with pytest.raises(AppError, match=r"[Mm]ust be|given by steer name"):
            client.predict(*settings[:i], value, *settings[i + 1 :], api_name="/generate")
    for name, rest in {"/words": (1, 0), "/nextword": ("sentiment", 10**6)}.items():
        with pytest.raises(AppError, match="must be between"):
            client.predict("sentiment", *rest, api_name=name)
    with pytest.raises(AppError, match="must be text"):
        client.predict(["sentiment"], 1, 8, api_name="/words")
    whole = client.predict(*settings[:5], 3.0, api_name="/generate")
    assert running.result(timeout=120)["steered"]["text"].startswith(whole["steered"]["text"])


def test_nothing_else_is_public_and_all_say_what_they_are_for(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert all(endpoint["description"].endswith(".") for endpoint in endpoints.values())
    looks = {"/nextword", "/words", "/analyze", "/inspect", "/steers"}
    assert set(endpoints) == {"/generate", *looks}


def test_a_locked_pole_needs_an_unlock(client: Client) -> None:
    settings = ["My life is", {"detoxification": -0.5}, 2, 0.9, 0.95, 3]
    words = ["detoxification", 1, 3]
    with pytest.raises(AppError, match="is locked"):
        client.predict(*settings, api_name="/generate")
    locked, opened = (client.predict(*words, *u, api_name="/words") for u in ((), (True,)))
    assert locked != opened  # the pole's own words are left out, and no other
    for args, name in ((settings, "/generate"), (words, "/words")):
        with pytest.raises(AppError, match="true or false"):
            client.predict(*args, "false", api_name=name)
        assert client.predict(*args, True, api_name=name)
    for unlock, lowest in ((False, 0), (True, -3)):
        curves = client.predict("It is", "detoxification", 2, unlock, api_name="/nextword")
        assert min(curves["epsilon"]) == lowest
