"""What the New steer tab does, without a browser, on a tiny random model."""

import asyncio
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.coroutines import run_apart

from lmsteer_core.exchange import archive
from lmsteer_core.training.train import train
from lmsteer_core.ui.tabs.train.form_input import DESCRIPTIONS, EXAMPLES, FormInput
from lmsteer_core.ui.tabs.train.handlers import TrainHandlers

FORM = FormInput(
    name="sailor",
    mode=DESCRIPTIONS,
    positive="a pirate's rough tale of the sea",
    negative="a dull memo",
    more="",
    less="",
    path=None,
)


def request(session: str = "a") -> SimpleNamespace:
    return SimpleNamespace(session_hash=session, headers={})


@pytest.fixture
def handlers(page, small_plain, brief, monkeypatch) -> TrainHandlers:  # noqa: ARG001
    shorter = partial(train, plain=small_plain, n_prompts=1)  # the real training on less text
    monkeypatch.setattr("lmsteer_core.workbench.train", shorter)
    return TrainHandlers(page)


def collected(updates) -> list[dict]:
    async def collect() -> list[dict]:
        return [each async for each in updates]

    return run_apart(asyncio.wait_for(collect(), 60))


def test_a_made_steer_is_the_pages_own_and_announced(handlers, page) -> None:
    *_, final = collected(handlers.make(request(), FORM))
    assert "sailor is made: its slider is now on the Steer tab." in final["status"]
    assert final["announcement"].newest == "sailor"
    assert final["which"]["choices"] == ["joy", "sailor"]
    assert page.steers.steer("a", "sailor").card.negative == "dull memo"
    assert "sailor" not in page.steers.by_name("b")
    shown = handlers.show_newest(request(), final["announcement"])
    assert "<b>sailor</b>: − dull memo ↔ pirate&#39;s rough tale" in shown["summary"]
    assert page.workbench.unpacked([shown["download"]]).name == "sailor"


def test_it_is_kept_though_its_page_lost_the_connection(handlers, page) -> None:
    page.visits.arrive("before", "0123456789abcdef" * 2)

    async def lose_the_connection() -> None:
        updates = handlers.make(request("before"), FORM)
        await anext(updates)
        await updates.aclose()  # as gradio does when the stream breaks
        page.visits.leave("before")

    run_apart(lose_the_connection())
    page.visits.arrive("after", "0123456789abcdef" * 2)
    *_, final = collected(handlers.resume(request("after")))
    assert "sailor is made" in final["status"]
    assert list(page.steers.by_name("after")) == ["sailor"]
    assert collected(handlers.resume(request("after"))) == []
    assert collected(handlers.resume(request("stranger"))) == []
    assert page.steers.by_name("stranger") == {}


def test_cancel_makes_nothing(handlers, page, monkeypatch) -> None:
    reading, go = threading.Event(), threading.Event()

    def slow(name, source, progress):
        reading.set()
        go.wait(10)
        return type(page.workbench).train(page.workbench, name, source, progress)

    monkeypatch.setattr(page.workbench, "train", slow)

    async def cancel() -> list[dict]:
        updates = handlers.make(request(), FORM)
        shown = [await anext(updates)]
        await asyncio.to_thread(reading.wait, 10)
        handlers.cancel(request())
        go.set()
        return [*shown, *[each async for each in updates]]

    *_, final = run_apart(cancel())
    assert "Cancelled; everything you typed is still here." in final["status"]
    assert list(page.steers.by_name("a")) == ["joy"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"positive": ""}, "empty"),
        ({"name": "<b>"}, "name is 1–64"),
        ({"mode": EXAMPLES, "more": "one\ntwo", "less": "three\nfour\nfive"}, "3"),
    ],
)
def test_a_mistake_is_one_sentence(handlers, change: dict, sentence: str) -> None:
    (only,) = collected(handlers.make(request(), replace(FORM, **change)))
    assert sentence in only["status"]
    assert "note error" in only["status"]


def test_a_kept_steer_is_taken_and_what_is_none_is_refused(handlers, page, tmp_path: Path) -> None:
    file = tmp_path / "joy.zip"
    file.write_bytes(archive.pack(page.steers.steer("a", "joy")))
    taken = handlers.upload(request("b"), [str(file)])
    assert "joy is here" in taken["status"]
    assert list(page.steers.by_name("b")) == ["joy"]
    (tmp_path / "notes.zip").write_text("just a note")
    refused = handlers.upload(request("b"), [str(tmp_path / "notes.zip")])
    assert "not a zip" in refused["status"]
    assert refused["upload"] is None


def test_removing_announces_what_is_left(handlers, page) -> None:
    removed = handlers.remove(request(), "joy")
    assert removed["announcement"].newest is None
    assert not removed["box"]["visible"]
    assert page.steers.by_name("a") == {}


def test_a_sample_is_written_at_both_ends(handlers) -> None:
    *_, final = handlers.write_sample(request(), "joy")
    assert final["texts"].count("<li") == 3
    *_, nothing = handlers.write_sample(request("b"), "joy")
    assert nothing == {"texts": "", "texts_status": ""}
