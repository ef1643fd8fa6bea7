"""What the Words tab does, without a browser: on a tiny random model."""

from __future__ import annotations

import dataclasses

import gradio as gr
import pytest
from support.models import make_steer

from lmsteer_core.ui.page.context import Announcement, Page
from lmsteer_core.ui.tabs.words.handlers import FindSettings, LensSettings, WordsHandlers
from lmsteer_core.ui.tabs.words.lens import DEFAULT_LABEL, READINGS

REQUEST = gr.Request(session_hash="a", headers={})
SETTINGS = LensSettings("joy", DEFAULT_LABEL, raw=True, across=1, up=2, unlocked=False)
FIRST_DIMENSION = gr.EventData(None, {"dimension": 0})


@pytest.fixture
def handlers(page: Page) -> WordsHandlers:
    return WordsHandlers(page)


def find(handlers: WordsHandlers, typed: str) -> tuple:
    return handlers.find(REQUEST, FindSettings(**dataclasses.asdict(SETTINGS), typed=typed))


@pytest.mark.parametrize("reading", READINGS)
def test_a_steer_is_shown_in_every_reading(handlers, reading: str) -> None:
    settings = dataclasses.replace(SETTINGS, reading=reading)
    table, spectrum, word_map, about, offer = handlers.show(REQUEST, settings)
    assert table.count("data-try") == 4
    assert spectrum.data
    assert word_map.layout.meta == f"joy {reading} True 1 2"
    assert reading in about
    assert not offer["visible"]


def test_words_are_placed_and_unknown_ones_named(handlers) -> None:
    places, problem = find(handlers, "table, zzyzzx")
    assert "table" in places
    assert "data-pins" in places
    assert "zzyzzx" in problem
    assert "table" not in problem
    *kept, problem = find(handlers, ", ".join(f"word{i}" for i in range(30)))
    assert "at most" in problem
    assert kept == [gr.skip()]


def test_a_dimension_becomes_a_steer_of_the_page_and_all_tabs_are_told(handlers, page) -> None:
    note, announcement = handlers.try_dimension(
        REQUEST, FIRST_DIMENSION, "joy", DEFAULT_LABEL, False
    )
    assert isinstance(announcement, Announcement)
    assert page.steers.by_name("a")[announcement.newest].rank == 1
    assert announcement.newest in note
    assert announcement.newest in handlers.show_overlap(REQUEST)


def test_a_locked_pole_shows_no_word_and_no_dimension_of_it_is_made(handlers, page, small) -> None:
    steer = make_steer(small.output_embedding, name="rude")
    card = dataclasses.replace(steer.card, notice="It offends.")
    page.steers.add("a", dataclasses.replace(steer, card=card))
    settings = dataclasses.replace(SETTINGS, steer_name="rude")
    table, spectrum, word_map, about, offer = handlers.show(REQUEST, settings)
    assert word_map.data[0].customdata
    assert spectrum.data
    assert min(word_map.data[0].marker.color) >= 0
    assert "It offends." in about
    assert offer["visible"]
    note, announcement = handlers.try_dimension(
        REQUEST, FIRST_DIMENSION, "rude", DEFAULT_LABEL, False
    )
    assert "locked" in note
    assert announcement == gr.skip()
    unlocked = handlers.show(REQUEST, dataclasses.replace(settings, unlocked=True))
    assert len(unlocked[0]) > len(table)
    assert min(unlocked[2].data[0].marker.color) < 0
