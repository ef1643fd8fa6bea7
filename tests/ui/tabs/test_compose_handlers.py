"""What the Compose tab does, without a browser, on a tiny random model."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from support.models import make_steer

from lmsteer_core.ui.tabs.compose.handlers import ComposeHandlers
from lmsteer_core.ui.tabs.compose.setting import NOBODY, NOTHING, STYLE, WORD, Controls

REQUEST = SimpleNamespace(session_hash="a", headers={})
CONTROLS = Controls(
    prompt="The food was",
    across="joy",
    up="awe",
    third=NOBODY,
    third_epsilon=0.0,
    is_unlocked=False,
    at_across=1.0,
    at_up=-0.5,
    seed=3,
    kind=WORD,
    word="good",
    judge="across",
)


@pytest.fixture
def handlers(page, small) -> ComposeHandlers:
    page.steers.add("a", make_steer(small.output_embedding, name="awe", seed=1))
    steer = make_steer(small.output_embedding, name="rude", seed=2)
    page.steers.add("a", replace(steer, card=replace(steer.card, notice="It may offend.")))
    return ComposeHandlers(page)


def last(updates) -> dict:
    *_, final = updates
    return final


def test_both_texts_are_written_at_the_point(handlers) -> None:
    written = last(handlers.write_text(REQUEST, CONTROLS))
    assert "joy +1, awe −0.5" in written["status"]
    assert "The food was" in written["baseline"]
    assert written["steered"] != written["baseline"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"up": "joy"}, "different steers"),
        ({"seed": None}, "seed is empty"),
        ({"up": "rude"}, "locked"),
        ({"third": "rude", "third_epsilon": -1.0}, "locked"),
        ({"up": "unknown"}, "no steer named"),
        ({"prompt": " "}, "empty"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_the_texts(handlers, change, sentence: str) -> None:
    written = last(handlers.write_text(REQUEST, replace(CONTROLS, **change)))
    assert sentence in written["status"]
    assert "note error" in written["status"]
    assert written["baseline"] == written["steered"] == {"__type__": "update"}


def test_a_word_map_holds_every_cell_but_the_locked(handlers) -> None:
    drawn = handlers.draw(REQUEST, CONTROLS)
    assert drawn["pad"].count("<rect") == 625
    assert "comes next" in drawn["key"]
    assert drawn["table"].count("<tr>") == 14
    locked = handlers.draw(REQUEST, replace(CONTROLS, up="rude"))
    assert locked["pad"].count("<rect") == 13 * 25
    unlocked = handlers.draw(REQUEST, replace(CONTROLS, up="rude", is_unlocked=True))
    assert unlocked["pad"].count("<rect") == 625


def test_a_style_map_is_drawn_again_for_its_setting_alone(handlers) -> None:
    controls = replace(CONTROLS, kind=STYLE)
    before = handlers.draw(REQUEST, controls)
    assert "Press the button" in before["map_status"]
    written = last(handlers.write_map(REQUEST, controls))
    assert written["pad"].count("<rect") == 25
    assert handlers.draw(REQUEST, controls)["pad"] == written["pad"]
    other_judge = handlers.draw(REQUEST, replace(controls, judge="up"))
    assert "awe: nats per token" in other_judge["key"]
    changed = handlers.draw(REQUEST, replace(controls, prompt="The bus was"))
    assert "Press the button" in changed["map_status"]
    assert "<rect" not in changed["pad"]
    stranger = SimpleNamespace(session_hash="b", headers={})
    assert "no steer named" in handlers.draw(stranger, controls)["map_status"]


def test_a_style_map_that_was_ended_leaves_the_note_of_what_ended_it(handlers) -> None:
    controls = replace(CONTROLS, kind=STYLE)
    writing = handlers.write_map(REQUEST, controls)
    next(writing)
    assert "Writing" in next(writing)["map_status"]
    drawn = handlers.draw(REQUEST, replace(controls, prompt="The bus was"))
    assert last(writing)["map_status"] == drawn["map_status"]
    writing = handlers.write_map(REQUEST, controls)
    next(writing)
    newer = handlers.write_map(REQUEST, controls)
    next(newer)
    assert last(writing)["map_status"] == {"__type__": "update"}
    assert "not an outside judge" in last(newer)["map_status"]


def test_sliders_fit_the_chosen_steers(handlers) -> None:
    fitted = handlers.fit(REQUEST, replace(CONTROLS, up="rude"))
    assert fitted["at_across"]["label"] == "ε of joy"
    assert (fitted["at_up"]["minimum"], fitted["at_up"]["value"]) == (0.0, 0.0)
    assert fitted["unlock"]["visible"]
    assert "It may offend." in fitted["notice"]
    assert not fitted["third_epsilon"]["visible"]
    assert 'class="locked up"' in fitted["pad"]
    assert "Overlap of joy and rude" in fitted["about"]
    assert "pad" not in handlers.fit(REQUEST, replace(CONTROLS, up="joy"))


def test_choosers_keep_what_is_there(handlers, page) -> None:
    page.steers.remove("a", "joy")
    offered = handlers.offer(REQUEST, replace(CONTROLS, third="joy"))
    assert (offered["across"]["value"], offered["up"]["value"]) == ("awe", "rude")
    assert offered["third"]["value"] == NOBODY
    assert offered["third"]["choices"] == [NOBODY, "awe", "rude"]


@pytest.mark.parametrize(
    ("kind", "shown"), [(WORD, ["word"]), (STYLE, ["score", "judge"]), (NOTHING, [])]
)
def test_a_kind_of_map_shows_what_it_needs(handlers, kind: str, shown: list[str]) -> None:
    updates = handlers.show_kind(REQUEST, replace(CONTROLS, kind=kind))
    assert [name for name, update in updates.items() if update["visible"]] == shown
