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


def test_a_mistake_is_one_sentence(client: Client) -> None:
    with pytest.raises(AppError, match="no steer named 'joy'"):
        client.predict("My life is", "joy", 4, api_name="/nextword")
    with pytest.raises(AppError, match="empty"):
        client.predict(" ", {}, 4, 0.9, 0.95, 3, api_name="/generate")


def test_nothing_else_is_public_and_all_say_what_they_are_for(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert all(endpoint["description"].endswith(".") for endpoint in endpoints.values())
    assert set(endpoints) == {"/generate", "/nextword", "/words", "/analyze", "/steers"}
