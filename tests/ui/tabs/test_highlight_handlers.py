"""What the Highlight tab does, without a browser: on a tiny random model."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re

import gradio as gr
import pytest
from markupsafe import escape

from lmsteer_core.analysis.word_effects import MAX_WORDS, word_effects
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.inspector import explain
from lmsteer_core.ui.page.written import WRITTEN, Place
from lmsteer_core.ui.tabs.highlight.analysis import ORDINARY, PAPER
from lmsteer_core.ui.tabs.highlight.handlers import (
    BY_PLACE,
    BY_STRENGTH,
    FileSettings,
    HighlightHandlers,
    Panels,
    ReadSettings,
    SpanSettings,
    UnitSettings,
)

REQUEST = gr.Request(session_hash="a", headers={})
STRANGER = gr.Request(session_hash="b", headers={})
SETTINGS = ReadSettings(
    text="The soup was cold <b>, but we loved the view.",
    second="We walked along the canal",
    is_comparing=False,
    steer_name="joy",
    kind="words",
    order=BY_PLACE,
    n_spans=3,
    max_tokens=10,
    measure_name=ORDINARY.name,
)


@pytest.fixture
def handlers(page: Page) -> HighlightHandlers:
    return HighlightHandlers(page)


def read(handlers: HighlightHandlers, **changes) -> list[Panels]:
    settings = dataclasses.replace(SETTINGS, **changes)
    return [Panels(*panels) for panels in handlers.read(REQUEST, settings)]


def test_every_token_and_word_can_be_asked_about(handlers, small) -> None:
    text = "The soup was cold 🍲, but we loved it."
    *_, last = read(handlers, text=text)
    ids = small.prefix_ids + small.token_ids(text)
    for kind in ("words", "tokens"):
        settings = UnitSettings(kind, BY_PLACE, ORDINARY.name)
        marked, *_ = handlers.show_units(REQUEST, settings)
        spans = re.findall(r"data-place=\"(\d+)\"[^>]*>([^<]+)</span>", marked)
        assert "".join(word for _, word in spans) == text.replace(" ", "")
        for at, word in spans[1:]:
            asked = {"panel": "highlighted", "text": 0, "place": int(at), "word": word}
            written, start = WRITTEN.find("a", Place.model_validate(asked))
            assert [*written.ids_before(start), written.tokens[start].id] == ids[
                : len(small.prefix_ids) + start + 1
            ]
            assert small.tokenizer.decode(ids[: int(at) + 1]).endswith(word)
            assert "shift of log p" in explain(REQUEST, json.dumps(asked))
    assert (
        "data-place"
        not in handlers.show_units(REQUEST, UnitSettings("sentences", BY_PLACE, ORDINARY.name))[0]
    )
    assert last.marked


def test_a_text_is_read_then_weighed_by_every_steer(handlers) -> None:
    first, *_, last = read(handlers)
    assert "Reading …" in first.status
    assert 'class="profile"' in last.profile
    (shown,) = [panels for panels in read(handlers) if panels.marked != gr.skip()]
    assert "&lt;b&gt;" in shown.marked
    assert "<b>," not in shown.marked
    assert shown.marked_second == ""
    assert not shown.second_panel["visible"]
    assert "ordinary text" in shown.summary


def test_two_texts_are_named_and_compared(handlers) -> None:
    updates = read(handlers, is_comparing=True)
    assert "Reading the first text …" in updates[0].status
    (shown,) = [panels for panels in updates if panels.marked != gr.skip()]
    assert shown.marked.startswith("<h2>The first text</h2>")
    assert shown.marked_second.startswith("<h2>The second text</h2>")
    assert "speaks more for" in shown.summary or "equally" in shown.summary


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"text": " "}, "The text is empty"),
        ({"second": "", "is_comparing": True}, "The second text is empty"),
        ({"steer_name": "gone"}, "no steer named"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(handlers, changes, sentence: str) -> None:
    (panels,) = read(handlers, **changes)
    assert sentence in panels.status
    assert panels[:-1] == Panels()[:-1]


def test_without_a_second_text_the_first_is_read_again(handlers) -> None:
    comparing = dataclasses.replace(SETTINGS, is_comparing=True)
    assert [*handlers.read_one_again(REQUEST, comparing)] == [Panels()]
    assert len([*handlers.read_one_again(REQUEST, SETTINGS)]) > 1


def test_units_and_spans_are_drawn_again_from_what_was_read(handlers) -> None:
    units = UnitSettings("tokens", BY_STRENGTH, PAPER.name)
    assert handlers.show_units(REQUEST, units) == (gr.skip(),) * 4
    read(handlers)
    _, _, legend, table = handlers.show_units(REQUEST, units)
    assert "times likelier" in legend
    numbers = [float(n.replace("−", "-")) for n in re.findall(r'"num \w+">([^<]+)<', table)]
    assert len(numbers) > 5
    assert numbers == sorted(numbers, key=abs, reverse=True)
    spans = SpanSettings(3, 10, PAPER.name)
    assert "nat" in handlers.show_spans(REQUEST, spans)
    assert handlers.show_spans(STRANGER, spans) == gr.skip()


def test_what_is_shown_can_be_saved_by_its_page_alone(handlers) -> None:
    read(handlers)
    settings = FileSettings(3, 10, ORDINARY.name, "words")
    page = json.loads(handlers.html_file(REQUEST, settings))
    assert page["name"] == "highlight-joy.html"
    assert "<svg" in page["text"]
    table = json.loads(handlers.csv_file(REQUEST))
    rows = list(csv.DictReader(io.StringIO(table["text"].removeprefix("\ufeff"))))
    assert "".join(row["text"] for row in rows) == SETTINGS.text
    assert handlers.html_file(STRANGER, settings) == handlers.csv_file(STRANGER) == ""
    handlers.forget(REQUEST)
    assert handlers.csv_file(REQUEST) == ""


def test_stop_ends_a_reading(handlers) -> None:
    updates = handlers.read(REQUEST, SETTINGS)
    next(updates)
    assert "Stopped." in handlers.stop(REQUEST)
    *_, panels = updates
    assert "Stopped." in panels[-1]
    assert handlers.csv_file(REQUEST) == ""


def test_words_are_taken_apart_as_the_library_does(handlers, small, page) -> None:
    (refused,) = handlers.split(REQUEST)
    assert "Highlight a text first" in refused[-1]
    read(handlers)
    *_, (table, status) = handlers.split(REQUEST)
    assert status == ""
    words = word_effects(small, SETTINGS.text, page.steers.steer("a", "joy"))
    assert re.findall(r"<td>([^<]+)</td>", table) == [str(escape(word.text)) for word in words]
    read(handlers, text="word " * (MAX_WORDS + 1))
    *_, (table, status) = handlers.split(REQUEST)
    assert table == gr.skip()
    assert f"{MAX_WORDS} are the most" in status


def test_a_new_reading_ends_what_words_do(handlers) -> None:
    read(handlers)
    updates = handlers.split(REQUEST)
    next(updates)
    assert read(handlers)[-1].effects == ""
    assert [*updates] == [(gr.skip(), gr.skip())]
