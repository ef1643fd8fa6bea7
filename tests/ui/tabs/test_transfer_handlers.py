"""What the Transfer tab does, without a browser, between two tiny random models."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest
from support.coroutines import run_apart
from support.models import make_plain

from lmsteer_core import LanguageModel
from lmsteer_core.ui.tabs.transfer.handlers import Choice, Strength, TransferHandlers
from lmsteer_core.ui.tabs.transfer.second_model import SecondModel
from lmsteer_core.workbench import Workbench

CHOICE = Choice(from_id="tiny", steer="joy", to_id="twin", method="ridge")


def request(session: str = "a") -> SimpleNamespace:
    return SimpleNamespace(session_hash=session, headers={})


@pytest.fixture
def models(page, small, monkeypatch) -> SecondModel:
    twin = Workbench(LanguageModel(small.model, small.tokenizer, "twin"))
    row = {"name": "twin", "id": "twin"}
    where = "lmsteer_core.ui.tabs.transfer.second_model"
    monkeypatch.setattr(f"{where}.available_models", lambda: [row])
    monkeypatch.setattr(f"{where}.Workbench.open", lambda _: twin)
    return SecondModel(page.workbench)


@pytest.fixture
def handlers(page, models, brief, monkeypatch) -> TransferHandlers:  # noqa: ARG001
    where = "lmsteer_core.transfer.transfer.neutral_text"  # the real transfer on less text
    monkeypatch.setattr(where, lambda lm, **_: make_plain(lm))
    return TransferHandlers(page, models)


def collected(updates) -> list[dict]:
    async def collect() -> list[dict]:
        return [each async for each in updates]

    return run_apart(asyncio.wait_for(collect(), 120))


def test_a_carried_steer_is_reported_and_writes_on_both_models(handlers, page) -> None:
    *_, final = collected(handlers.carry(request(), CHOICE))
    assert "joy is carried to twin." in final["status"]
    assert "announcement" not in final  # it is no steer of the app's model
    assert "share 4" in final["report"]
    assert final["report"].count("<tr>") == 9
    assert final["source_head"] == "<h3>tiny</h3><p>where the steer was made</p>"
    *_, written = handlers.write(request(), Strength("The bus was", 2.0))
    assert written["source_texts"].count("<li") == written["target_texts"].count("<li") == 3
    assert list(page.steers.by_name("a")) == ["joy"]
    *_, refused = handlers.write(request("b"), Strength("The bus was", 2.0))
    assert "this page holds none" in refused["text_status"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"to_id": "tiny"}, "two different models"),
        ({"to_id": None}, "two different models"),
        ({"steer": None}, "Choose a steer"),
    ],
)
def test_a_mistake_is_one_sentence(handlers, change: dict, sentence: str) -> None:
    (only,) = collected(handlers.carry(request(), replace(CHOICE, **change)))
    assert sentence in only["status"]


def test_a_model_the_app_does_not_offer_is_refused(handlers) -> None:
    *_, final = collected(handlers.carry(request(), replace(CHOICE, to_id="any/other")))
    assert "installed here" in final["status"]
    *_, offered = handlers.offer(request(), "any/other", None)
    assert offered["which"]["choices"] == []


def test_the_steers_of_the_chosen_model_are_offered(handlers) -> None:
    *_, own = handlers.offer(request(), "tiny", None)
    assert own["which"]["choices"] == ["joy"]
    *_, other = handlers.offer(request(), "twin", "joy")
    assert other["which"]["value"] is None
    assert "no steers yet" in other["status"]
