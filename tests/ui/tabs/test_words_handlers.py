"""What the Words tab does, without a browser: on a tiny random model."""

from __future__ import annotations

import dataclasses
import html

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
    table, spectrum, word_map, about, offer, across, up = handlers.show(REQUEST, settings)
    (first, one), *_ = across["choices"]
    assert one == 1
    assert f"dimension {first.replace(' · ', ' (')})" == html.unescape(
        word_map.layout.xaxis.title.text
    )
    assert up == across
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
    table, spectrum, word_map, about, offer, *_ = handlers.show(REQUEST, settings)
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


def test_a_dimension_has_a_page_that_reads_a_text(handlers) -> None:
    page, looked = handlers.look(REQUEST, FIRST_DIMENSION, "joy", DEFAULT_LABEL, False, "")
    assert looked == 0
    assert "Dimension 1" in page
    assert "In your text" not in page
    text = "The <b>sun</b> came out at noon."
    page = handlers.read(REQUEST, 0, "joy", DEFAULT_LABEL, False, text)
    assert "In your text" in page
    assert "<b>sun" not in page
    for i, told in ((None, "Choose a dimension"), (99, "no dimension 100")):
        assert told in handlers.read(REQUEST, i, "joy", DEFAULT_LABEL, False, text)


@pytest.mark.parametrize(
    ("word", "told"),
    [("", "empty"), ("xqzzy", "no whole word"), ("हिन्दी", "no whole word"), ("w " * 200, "w w w")],
)
def test_a_word_without_neighbours_is_one_sentence(handlers, word: str, told: str) -> None:
    note = handlers.neighbours(REQUEST, word, "joy", 2.0, False)
    assert told in note
    assert note.count("<p") == 1


def test_a_word_has_neighbours_before_and_after(handlers) -> None:
    assert handlers.neighbours(REQUEST, "table", "joy", 2.0, False).count("<table") == 2
    assert handlers.neighbours(REQUEST, "table", "joy", 0.0, False).count("<table") == 1


def test_pins_belong_to_their_steer(handlers, page, small) -> None:
    page.steers.add("a", make_steer(small.output_embedding, name="gloom"))
    kept, shown, typed = handlers.change_steer(REQUEST, {}, "joy", "gloom", "table, chair")
    assert (kept["joy"], shown) == ("table, chair", "gloom")
    assert typed
    kept, shown, typed = handlers.change_steer(REQUEST, kept, "gloom", "joy", "lamp")
    assert (kept["gloom"], shown, typed) == ("lamp", "joy", "table, chair")
