from typing import Any

import pytest

from lmsteer_core.steers.card import shortened
from lmsteer_core.training.labelled_file import Labelled
from lmsteer_core.training.sources.examples import Examples
from lmsteer_core.training.sources.labelled_text import LabelledText
from lmsteer_core.ui.tabs.train.form_input import (
    DESCRIPTIONS,
    EXAMPLES,
    FILE,
    MAX_TEXTS,
    FormInput,
    sampled,
)


def form(mode: str = DESCRIPTIONS, **fields: str | bool) -> FormInput:
    empty = dict.fromkeys(("name", "positive", "negative", "more", "less"), "")
    values: dict[str, Any] = {**empty, "path": None, **fields}
    return FormInput(mode=mode, **values)


def test_nothing_is_said_of_empty_fields() -> None:
    assert [form(mode).preview() for mode in (DESCRIPTIONS, EXAMPLES, FILE)] == ["", "", ""]


def test_descriptions_name_the_poles_and_escape_them() -> None:
    told = form(positive="a <b>bold</b> claim", negative="the doubt of a critic").preview()
    assert "− doubt of a critic ↔ &lt;b&gt;bold&lt;/b&gt; claim +" in told


def test_one_word_is_allowed_and_advised_against() -> None:
    told = form(positive="pirate", negative="a calm clerk").preview()
    assert "a phrase works better" in told
    assert "error" not in told


@pytest.mark.parametrize(
    "fields",
    [
        {"positive": "same words", "negative": "Same words "},
        {"positive": "word " * 5000, "negative": "a clerk"},
        {"mode": EXAMPLES, "more": "one\ntwo", "less": "one\ntwo\nthree"},
    ],
)
def test_a_mistake_is_one_sentence(fields: dict[str, str]) -> None:
    assert form(**fields).preview().count("note error") == 1


def test_examples_are_lines_or_paragraphs() -> None:
    lines = form(EXAMPLES, more="a b\nc d\n e f\n\n", less="g\nh\ni\nj")
    assert "3 texts to be more like, 4" in lines.preview()
    paragraphs = form(EXAMPLES, more="a\nb\n\nc\n \nd", less="e\n\nf\n\ng")
    source = paragraphs.source()
    assert isinstance(source, Examples)
    assert list(source.positive) == ["a\nb", "c", "d"]


def test_a_name_is_made_of_the_first_telling_words() -> None:
    assert form(positive="a warm, cosy story told by the fireside").suggested_name() == "warm-cosy"
    assert form(positive="a sailor's rough tale").suggested_name() == "sailor-rough"
    assert form(positive="…").suggested_name() == "my-steer"
    assert form(FILE, path="/some/where/Film Reviews.csv").suggested_name() == "film-reviews"


def test_a_file_is_counted_sampled_and_drawn(tmp_path) -> None:
    path = tmp_path / "rows.csv"
    rows = "".join(f"text number {i},{1 if i % 4 else -0.5}\n" for i in range(4000))
    path.write_text(f"text,label\n{rows}text number 3,1\n")
    told = form(FILE, path=str(path)).preview()
    assert "4,000 texts, after 1 repeated" in told
    assert f"{MAX_TEXTS:,} of them" in told
    assert told.count('class="plus"') == told.count('class="minus"') == 4


def test_sampling_keeps_both_sides_whole_where_one_is_small() -> None:
    labels = [1.0] * 5000 + [-1.0] * 30
    used = sampled(Labelled([str(i) for i in range(5030)], labels, 0))
    assert len(used.texts) == MAX_TEXTS
    assert used.labels.count(-1.0) == 30


def test_sampling_takes_a_rare_pole_before_texts_of_no_pole() -> None:
    labels = [1.0] * 4000 + [0.0] * 3000 + [-1.0] * 5
    used = sampled(Labelled([str(i) for i in range(7005)], labels, 0))
    assert used.labels.count(-1.0) == 5


def test_a_pole_is_cut_between_words_and_not_after_a_link() -> None:
    assert shortened("A warm, cosy story told by the fireside") == "warm, cosy story told …"
    assert shortened("the sea.") == "sea"
    assert len(shortened("x" * 500)) < 40
    assert shortened(" ") == ""


def test_the_preview_says_how_a_file_was_read(tmp_path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text;label\ngood;1\nbad;0\n")
    refused = form(FILE, path=str(path)).preview()
    assert "note error" in refused and "write −1" in refused
    shown = form(FILE, path=str(path), zero_is_negative=True)
    assert "separated by semicolons. Its label 0 is read as −1" in shown.preview()
    source = shown.source()
    assert isinstance(source, LabelledText)
    assert list(source.labels) == [1.0, -1.0]
