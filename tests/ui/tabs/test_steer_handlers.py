"""What the Steer tab does, without a browser: on a tiny random model."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import pytest
from support.models import make_steer

from lmsteer_core import LanguageModel
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.tabs.steer.handlers import SteerHandlers
from lmsteer_core.ui.tabs.steer.settings import (
    DRIVE,
    SIDE_BY_SIDE,
    ContinuumSettings,
    SliderSettings,
    chosen_steers,
)

REQUEST = gr.Request(session_hash="a", headers={})
STRANGER = gr.Request(session_hash="b", headers={})
SETTINGS = SliderSettings(
    prompt="The kitchen was",
    temperature=0.9,
    top_p=0.95,
    n_tokens=6,
    seed=3,
    unlocked=False,
    view=SIDE_BY_SIDE,
    epsilons=(3.0, 0.0, 0.0, 0.0),
)


@pytest.fixture
def handlers(page: Page) -> SteerHandlers:
    return SteerHandlers(page)


def wait_until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        time.sleep(0.01)


def last(updates) -> tuple:
    *_, panels = updates
    return panels


def add_locked(page: Page, small: LanguageModel) -> None:
    steer = make_steer(small.output_embedding, name="rude", seed=1)
    page.steers.add(
        "a", dataclasses.replace(steer, card=dataclasses.replace(steer.card, notice="It offends."))
    )


def test_a_prompt_beyond_the_context_is_cut_with_a_note(handlers) -> None:
    huge = dataclasses.replace(SETTINGS, prompt="word " * 20_000)
    *_, status = last(handlers.write_columns(REQUEST, huge))
    assert "The prompt was cut" in status


def test_both_columns_are_written_and_differ_where_the_slider_stands(handlers) -> None:
    baseline, steered, status = last(handlers.write_columns(REQUEST, SETTINGS))
    assert baseline != steered
    assert "joy +3" in status
    at_zero = dataclasses.replace(SETTINGS, epsilons=(0.0,) * 4)
    baseline, same, status = last(handlers.write_columns(REQUEST, at_zero))
    assert baseline == same
    assert "Every slider is at 0" in status


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"seed": None}, "seed is empty"), ({"prompt": ""}, "empty"), ({"top_p": 0.0}, "top")],
)
def test_a_setting_that_cannot_be_used_is_one_sentence(handlers, change, sentence: str) -> None:
    settings = dataclasses.replace(SETTINGS, **change)
    *kept, status = last(handlers.write_columns(REQUEST, settings))
    assert sentence in status
    assert 'role="alert"' in status
    assert kept == [gr.skip()] * 2


def test_a_slider_without_its_steer_says_what_to_do(handlers) -> None:
    assert "upload it again" in last(handlers.write_columns(STRANGER, SETTINGS))[-1]


def test_a_locked_pole_is_refused_until_it_is_unlocked(handlers, page, small) -> None:
    add_locked(page, small)
    settings = dataclasses.replace(SETTINGS, epsilons=(0.0, -2.0, 0.0, 0.0))
    assert 'role="alert"' in last(handlers.write_columns(REQUEST, settings))[-1]
    unlocked = dataclasses.replace(settings, unlocked=True)
    epsilons, steers = chosen_steers(page.steers, "a", unlocked)
    assert epsilons == {"joy": 0.0, "rude": -2.0}
    assert list(steers) == ["joy", "rude"]


def test_unlocking_moves_only_the_sliders_that_were_locked(handlers, page, small) -> None:
    add_locked(page, small)
    joy, rude, *_, notice = handlers.lock_sliders(REQUEST, True)
    assert joy == gr.skip()
    assert rude["minimum"] < 0
    assert "It offends." in notice["value"]
    *_, notice = handlers.lock_sliders(REQUEST, False)
    assert not notice["visible"]


def test_slots_show_the_pages_steers_with_their_poles(handlers, page, small) -> None:
    add_locked(page, small)
    updates = handlers.show_slots(REQUEST, False)
    boxes, sliders, poles = updates[0:-1:3], updates[1:-1:3], updates[2:-1:3]
    assert [box["visible"] for box in boxes] == [True, True, False, False]
    assert [slider["label"] for slider in sliders[:2]] == ["joy", "rude"]
    assert sliders[1]["minimum"] == 0.0
    assert "own-2-box" in poles[1]
    assert updates[-1]["visible"]


def test_the_continuum_goes_from_pole_to_pole(handlers) -> None:
    writing = {f.name: getattr(SETTINGS, f.name) for f in dataclasses.fields(SETTINGS)[:6]}
    settings = ContinuumSettings(**writing, steer_name="joy", n_lines=5)
    lines, _ = last(handlers.write_continuum(REQUEST, settings))
    assert lines.count("<li ") == 5
    assert lines.index('class="eps">−3<') < lines.index('class="eps">0<')


def test_stop_ends_a_text_and_a_lost_connection_leaves_the_pages_steers(handlers, page) -> None:
    texts = handlers.write_columns(REQUEST, SETTINGS)
    next(texts)
    handlers.stop(REQUEST)
    assert "Stopped." in last(texts)[-1]
    handlers.forget(REQUEST)
    assert list(page.steers.by_name("a")) == ["joy"]


def test_a_driven_text_follows_its_slider_and_is_saved(handlers) -> None:
    settings = dataclasses.replace(SETTINGS, view=DRIVE)
    assert handlers.drive.csv_file(REQUEST) == ""
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(last, handlers.drive.write(REQUEST, settings))
        wait_until(lambda: handlers.drive.csv_file(REQUEST).count("3.0") > 3)
        moved = dataclasses.replace(settings, epsilons=(-3.0, 0.0, 0.0, 0.0))
        assert last(handlers.follow_slider(REQUEST, moved)) == (gr.skip(),) * 3
        wait_until(lambda: "-3.0" in handlers.drive.csv_file(REQUEST))
        handlers.stop(REQUEST)
        _, ribbons, status = writing.result()
    assert "now −3" in ribbons
    assert "Paused" in status
    saved = json.loads(handlers.drive.csv_file(REQUEST))
    rows = list(csv.DictReader(io.StringIO(saved["text"].removeprefix("\ufeff"))))
    assert saved["name"] == "drive.csv"
    assert {float(row["joy"]) for row in rows} == {3.0, -3.0}
    assert "<svg" in json.loads(handlers.drive.html_file(REQUEST))["text"]
