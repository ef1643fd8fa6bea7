"""What the Next word tab and its card do, without a browser: on a tiny random model."""

from __future__ import annotations

import dataclasses
import html
import json
import re

import gradio as gr
import pytest

from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.tabs.next_word.chart import Chart
from lmsteer_core.ui.tabs.next_word.handlers import (
    AxisSettings,
    CardSettings,
    ChartSettings,
    NextWordCardHandlers,
    NextWordHandlers,
)

REQUEST = gr.Request(session_hash="a", headers={})
SETTINGS = ChartSettings(
    prompt="The kitchen was",
    steer_name="joy",
    followed=["table"],
    unlocked=False,
    is_log=False,
    held_names=("", ""),
    held_epsilons=(0.0, 0.0),
)


@pytest.fixture
def handlers(page: Page) -> NextWordHandlers:
    chart = Chart(page.workbench, "view", height=300, n_ranked=4)
    return NextWordHandlers(page.steers, chart, "slider")


def for_browser(words: str) -> dict:
    (data,) = re.findall(r'data-next="([^"]*)"', words)
    return json.loads(html.unescape(data))


def test_the_browser_gets_every_word_at_every_epsilon(handlers) -> None:
    figure, words, status = handlers.show(REQUEST, SETTINGS)
    data = for_browser(words)
    assert data["slider"] == "slider"
    assert data["words"][0]["text"].startswith("tab")
    assert {len(word["p"]) for word in data["words"]} == {len(data["epsilons"])}
    assert len(figure.data) >= len(data["words"])
    assert 'role="alert"' not in status


def test_a_prompt_beyond_the_context_is_cut_with_a_note(handlers) -> None:
    settings = dataclasses.replace(SETTINGS, prompt="word " * 20_000)
    _, words, status = handlers.show(REQUEST, settings)
    assert for_browser(words)["words"]
    assert "The prompt was cut" in status
    assert "cut" not in handlers.show(REQUEST, SETTINGS)[2]


def test_a_steer_cannot_be_on_the_axis_and_held(handlers) -> None:
    settings = dataclasses.replace(SETTINGS, held_names=("joy", ""), held_epsilons=(1.0, 0.0))
    *kept, status = handlers.show(REQUEST, settings)
    assert "on the axis" in status
    assert kept == [gr.skip()] * 2


def test_the_slider_is_fitted_to_the_axis(handlers) -> None:
    slider, poles, unlock, _ = handlers.fit_axis(REQUEST, AxisSettings("joy", False, 1.5, ("", "")))
    assert (slider["label"], slider["value"]) == ("ε of joy", 1.5)
    assert "slider-box" in poles
    assert not unlock["visible"]
    assert handlers.fit_axis(REQUEST, AxisSettings(None, False, 0.0, ())) == (gr.skip(),) * 4


def test_a_steer_that_went_is_held_no_longer(handlers, page) -> None:
    assert [u["value"] for u in handlers.update_held(REQUEST, "joy", "")] == ["joy", ""]
    page.steers.remove("a", "joy")
    assert [u["value"] for u in handlers.update_held(REQUEST, "joy", "")] == ["", ""]


def test_the_card_follows_the_slider_of_its_axis_and_reads_a_prompts_end(page) -> None:
    chart = Chart(page.workbench, "card", height=300, n_ranked=4)
    slider_ids = [f"slider-{i}" for i in range(4)]
    card = NextWordCardHandlers(page.steers, chart, slider_ids, ask_id="ask", unlock_id="unlock")
    settings = CardSettings("word " * 600, "joy", False, (1.0, None, 0.0, 0.0))
    _, words, status = card.show(REQUEST, settings)
    data = for_browser(words)
    assert data["slider"] == "slider-0"
    assert data["held"] == dict.fromkeys(slider_ids[1:], 0.0)
    assert (data["ask"], data["unlock"]) == ("ask", "unlock")
    assert "last 2000 characters" in status
