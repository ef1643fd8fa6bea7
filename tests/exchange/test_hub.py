"""A steer goes to the hub and comes back unchanged."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from huggingface_hub import HfApi
from support.exports import one_sentence, read_front_matter
from support.models import make_steer

from lmsteer_core import Steer, SteerError
from lmsteer_core.exchange.hub import model_card, pull, push, save_repository
from lmsteer_core.steers.card import CARD_FILE
from lmsteer_core.steers.steer import WEIGHTS_FILE


def test_a_model_card_carries_what_the_hub_shows():
    steer = make_steer(torch.randn(97, 32), name="clean", model_id="SmolLM2-135M-Instruct")
    noticed = Steer(
        steer.left,
        steer.right,
        steer.fingerprint_rows,
        type(steer.card).from_json(
            steer.card.to_json().replace('"notice": ""', '"notice": "Read: this"')
        ),
    )
    text = model_card(noticed)
    assert read_front_matter(text) == {
        "base_model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "library_name": "lmsteer",
        "tags": ["lm-steer", "steering"],
    }
    assert "# clean: cold ↔ warm" in text
    assert "> Read: this" in text
    assert "base_model" not in read_front_matter(model_card(make_steer(torch.randn(97, 32))))


def test_packaged_models_are_named_as_on_the_hub(lm):
    assert "base_model: HuggingFaceTB/SmolLM2-135M-Instruct" in model_card(
        make_steer(lm.output_embedding, model_id=lm.model_id)
    )


def test_a_repository_is_a_steer_folder_with_a_readme(tmp_path):
    steer = make_steer(torch.randn(97, 32))
    folder = save_repository(steer, tmp_path / "style")
    assert {file.name for file in folder.iterdir()} == {CARD_FILE, WEIGHTS_FILE, "README.md"}
    assert Steer.load(folder).card == steer.card


def test_a_pushed_steer_is_pulled_unchanged(hub):
    steer = make_steer(torch.randn(97, 32))
    assert push(steer, "me/warm", "hf_mine").endswith("/me/warm")
    assert set(hub.files) == {CARD_FILE, WEIGHTS_FILE, "README.md"}
    assert {token for path, token in hub.asked if "/models/" in path} == {"Bearer hf_mine"}
    assert read_front_matter(hub.files["README.md"].decode())["library_name"] == "lmsteer"
    hub.files["pytorch_model.bin"] = b"not asked for"
    again = pull("me/warm")
    assert torch.equal(again.left, steer.left)
    assert again.card == steer.card


def test_what_the_hub_refuses_is_one_sentence(hub, monkeypatch):
    steer = make_steer(torch.randn(97, 32))
    for call, words in [
        (lambda: pull("me/nobody"), "no repository me/nobody"),
        (lambda: pull("../me"), "Cannot fetch"),
        (lambda: push(steer, "not/a/name", "hf_mine"), "Cannot push"),
    ]:
        with pytest.raises(SteerError, match=words) as caught:
            call()
        one_sentence(caught.value)
    monkeypatch.setattr(
        "lmsteer_core.exchange.hub.HfApi", partial(HfApi, endpoint="http://127.0.0.1:9")
    )
    for call in (lambda: pull("me/warm"), lambda: push(steer, "me/warm", "hf_mine")):
        with pytest.raises(SteerError, match="Cannot") as caught:
            call()
        one_sentence(caught.value)
    assert not hub.files
