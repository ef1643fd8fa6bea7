"""What a link's fragment says: restored where it holds, told in a sentence where it does not."""

from __future__ import annotations

import dataclasses
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models import make_steer

from lmsteer_core import LanguageModel
from lmsteer_core.ui.page.link import (
    MAX_CHARACTERS,
    MAX_TEXT,
    Choice,
    Epsilon,
    Kind,
    Number,
    Reading,
    SteerName,
    Text,
    Words,
    read_link,
)

RANGE = Number(-5, 5, 0.1)
KINDS: dict[str, Kind] = {
    "prompt": Text(),
    "pins": Words(2),
    "seed": Number(0, 99, 1),
    "raw": Choice({"1": True, "0": False}),
    "axis": SteerName(),
    "third": SteerName("none"),
    "e": Epsilon(RANGE, chosen_by="axis"),
    "steer.joy": Epsilon(RANGE, "joy"),
}
OPENINGS = {"prompt": "My life is", "axis": "joy", "e": 1.0, "seed": 3}


@pytest.fixture(scope="module")
def steers(small: LanguageModel) -> dict:
    joy = make_steer(small.output_embedding, name="joy")
    rude = dataclasses.replace(joy, card=dataclasses.replace(joy.card, name="rude", notice="No."))
    return {"joy": joy, "rude": rude}


@pytest.fixture
def read(steers):
    def read_fragment(fragment: str) -> Reading:
        return read_link(fragment, KINDS, OPENINGS, steers, "tiny/model")

    return read_fragment


@pytest.mark.parametrize(
    ("fragment", "values"),
    [
        ("", {}),
        ("#prompt=My+life+is&seed=7", {"prompt": "My life is", "seed": 7}),
        ("prompt=caf%C3%A9%20%26%20%3D", {"prompt": "café & ="}),
        ("prompt=", {"prompt": ""}),
        (
            "steer.joy=-1.5&axis=rude&third=none",
            {"steer.joy": -1.5, "axis": "rude", "third": "none"},
        ),
        ("pins=ship&pins=rum, gin", {"pins": ["ship", "rum, gin"]}),
        ("pins=", {"pins": []}),
        ("raw=1&seed=3.0&steer.joy=1.23", {"raw": True, "seed": 3, "steer.joy": 1.2}),
        ("v=1&seed=4&model=tiny%2Fmodel", {"seed": 4}),
    ],
)
def test_a_link_is_restored_whole(read, fragment: str, values: dict) -> None:
    found = read(fragment)
    assert found.values == values
    assert found.problems == []


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("steer.joy=NaN", "“steer.joy” must be a number from -5 to 5, not “NaN”."),
        ("steer.joy=inf", "number from -5 to 5"),
        ("steer.joy=5.1", "number from -5 to 5"),
        ("seed=1.5", "“seed” must be a whole number from 0 to 99, not “1.5”."),
        ("seed=", "whole number"),
        ("raw=yes", "“raw” must be one of 1, 0, not “yes”."),
        ("pins=a&pins=b&pins=c", "at most 2"),
        ("nothing=1&more=2", "Nothing here is called “nothing”, “more”."),
        ("prompt=%s" % ("x" * (MAX_TEXT + 1)), "at most 20,000 characters"),
    ],
)
def test_what_cannot_be_restored_is_a_sentence_and_the_rest_stands(
    read, part: str, sentence: str
) -> None:
    found = read(f"axis=rude&{part}&third=joy")
    assert found.values == {"axis": "rude", "third": "joy"}
    assert sentence in " ".join(found.problems)
    assert len(found.problems) == 1
    assert found.kept == ["axis=rude", "third=joy"]


def test_a_missing_steer_is_named_once_and_waits_in_the_address(read) -> None:
    found = read("steer.mine=2&axis=mine&seed=5")
    assert found.values == {"seed": 5}
    (problem,) = found.problems
    assert problem.startswith("This page has no steer “mine”: if you have its file, upload it")
    assert found.kept == ["steer.mine=2", "axis=mine", "seed=5"]


def test_a_link_does_not_unlock_a_pole(read) -> None:
    for fragment in ("axis=rude&e=-1", "e=-1&axis=rude"):
        found = read(fragment)
        assert found.values == {"axis": "rude"}
        assert "− pole of rude is locked" in found.problems[0]
    assert read("axis=rude&e=2").values["e"] == 2
    assert read("e=-1").values["e"] == -1  # of joy, which opens there


@pytest.mark.parametrize(
    ("fragment", "sentence"),
    [
        ("v=1&seed=4", "cut off"),
        ("v=1&seed=4&model=tiny%2Fmo", "cut off"),
        ("v=1&seed=4&model=other", "made with the model other; this is tiny/model"),
        ("v=2&seed=4&model=tiny%2Fmodel", "another version"),
    ],
)
def test_where_a_link_comes_from_is_told(read, fragment: str, sentence: str) -> None:
    found = read(fragment)
    assert found.values == {"seed": 4}
    assert sentence in found.problems[0]


def test_half_a_character_leaves_the_rest_of_the_text(read) -> None:
    found = read("prompt=caf%C3&seed=4")
    assert found.values["prompt"].startswith("caf")
    assert found.values["seed"] == 4
    assert "“prompt” is damaged" in found.problems[0]


def test_a_long_link_is_read_up_to_a_limit_and_complained_of_briefly(read) -> None:
    found = read("seed=4&" + "".join(f"junk{i}=1&" for i in range(20_000)))
    assert found.values == {"seed": 4}
    assert str(f"{MAX_CHARACTERS:,}") in found.problems[0]
    assert len(" ".join(found.problems)) < 400


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "v", "model", "tab", "nothing", "steer.", "steer.who", *KINDS]),
            st.text(max_size=30)
            | st.floats().map(str)
            | st.sampled_from(["joy", "rude", "%", "%F"]),
        ),
        max_size=30,
    ),
    st.booleans(),
)
def test_no_link_fails_and_every_restored_value_is_one_its_widget_can_hold(
    steers, parts, is_encoded: bool
) -> None:
    encode = quote_plus if is_encoded else str
    fragment = "&".join(f"{key}={encode(value)}" for key, value in parts)
    found = read_link(fragment, KINDS, OPENINGS, steers, "tiny/model")
    again = read_link("&".join(found.kept), KINDS, OPENINGS, steers, "tiny/model")
    assert again.values == found.values
    assert len(" ".join(found.problems)) < 3000
    for key, value in found.values.items():
        match KINDS[key]:
            case Number() | Epsilon():
                assert -5 <= value <= 99
            case SteerName():
                assert value in {*steers, "none"}
            case Choice():
                assert value in (True, False)
