"""A token of a page's text is found, explained, and another one put in its place."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator

import gradio as gr
import pytest
from markupsafe import escape

from lmsteer_core import LanguageModel, inspect_token
from lmsteer_core.errors import InputError
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.inspector import explain
from lmsteer_core.ui.page.written import WRITTEN, Place
from lmsteer_core.ui.tabs.steer.handlers import SteerHandlers
from lmsteer_core.ui.tabs.steer.settings import SIDE_BY_SIDE, ContinuumSettings, SliderSettings
from lmsteer_core.workbench import Workbench

REQUEST = gr.Request(session_hash="a", headers={})
STRANGER = gr.Request(session_hash="b", headers={})
SETTINGS = SliderSettings(
    prompt="The <b> kitchen",
    temperature=0.9,
    top_p=0.95,
    n_tokens=8,
    seed=3,
    unlocked=False,
    view=SIDE_BY_SIDE,
    epsilons=(2.0, 0.0, 0.0, 0.0),
)


@pytest.fixture
def handlers(page: Page) -> Iterator[SteerHandlers]:
    handlers = SteerHandlers(page)
    *_, (_, _, status) = handlers.write_columns(REQUEST, SETTINGS)
    assert "joy +2" in status
    yield handlers
    WRITTEN.forget("a")


def message_of(panel: str, place: int, choice: int | None = None, text: int = 0) -> str:
    """Return what the page sends of a token that it shows."""
    token = WRITTEN._of_pages["a"][panel][text].tokens[place]
    word = token.text.lstrip() or token.text
    return json.dumps(
        {"panel": panel, "text": text, "place": place, "word": word}
        | ({} if choice is None else {"choice": choice})
    )


def shown(panel: str) -> list[int]:
    (text,) = WRITTEN._of_pages["a"][panel]
    return [token.id for token in text.tokens]


def last_whole(panel: str) -> int:
    """Return the place of a token that is no part of a character."""
    (text,) = WRITTEN._of_pages["a"][panel]
    return next(i for i in range(len(text.tokens) - 1, 0, -1) if text.tokens[i - 1].text)


def numbers(html: str, row: str) -> list[float]:
    """Return the numbers of a row of the drawer."""
    cells = re.search(rf"<th scope=\"row\"[^>]*>{re.escape(row)}</th>(.*?)</tr>", html)
    assert cells, row
    return [float(x.replace("−", "-")) for x in re.findall(r">([+−]?\d+\.\d+)<", cells[1])]


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("panel", ["baseline", "steered"])
def test_the_drawer_tells_what_the_library_does(
    page: Page, small: LanguageModel, panel: str
) -> None:
    place = last_whole(panel)
    html = explain(REQUEST, message_of(panel, place))
    steer = page.steers.by_name("a")["joy"]
    ids = [*small.encode(SETTINGS.prompt)[0], *shown(panel)[: place + 1]]
    found = inspect_token(small, ids, -1, [(steer, 2.0)])
    assert numbers(html, "log p, nats") == pytest.approx(
        [found.token.base_logprob, found.token.logprob], abs=1e-3
    )
    (share,) = numbers(html, "joy +2")
    (normaliser,), (shift,) = numbers(html, "normaliser"), numbers(html, "shift of log p")
    assert share + normaliser == pytest.approx(shift, abs=2e-4)
    assert ("Written unsteered" in html) == (panel == "baseline")
    assert "&lt;b&gt; kitchen" in html
    assert "<b> kitchen" not in html


@pytest.mark.usefixtures("handlers")
def test_dimensions_are_named_by_their_words_unless_the_steer_is_locked(
    page: Page, small_workbench: Workbench
) -> None:
    joy = page.steers.by_name("a")["joy"]
    (first, *_) = small_workbench.dimensions(joy, n_words=1)
    name = f"1: {first.negative[0]} ↔ {first.positive[0]}"
    html = explain(REQUEST, message_of("steered", 1))
    assert numbers(html, str(escape(name)))
    locked = dataclasses.replace(joy, card=dataclasses.replace(joy.card, notice="It offends."))
    (text,) = WRITTEN._of_pages["a"]["steered"]
    WRITTEN.put("a", {"steered": [dataclasses.replace(text, steers={"joy": locked})]})
    html = explain(REQUEST, message_of("steered", 1))
    assert "↔" not in html
    assert numbers(html, "dimension 1")


@pytest.mark.usefixtures("handlers")
def test_what_the_page_does_not_show_is_one_sentence() -> None:
    known = json.loads(message_of("steered", 1))
    for change, says in (
        ({"panel": "nosuch"}, "no longer held"),
        ({"text": 1}, "no longer held"),
        ({"place": 999}, "replaced meanwhile"),
        ({"word": "something else"}, "replaced meanwhile"),
        ({"place": -1}, "no token of this page"),
        ({"place": 1.5}, "no token of this page"),
        ({"text": None}, "no token of this page"),
        ({"more": 1}, "no token of this page"),
        ({"word": "x" * 5_000}, "no token of this page"),
    ):
        assert says in explain(REQUEST, json.dumps(known | change))
    for text in ("", "{", "[]", "<script>"):
        assert "no token of this page" in explain(REQUEST, text)
    assert "no longer held" in explain(STRANGER, json.dumps(known))


def test_the_same_token_chosen_again_gives_the_same_text(handlers: SteerHandlers) -> None:
    before, baseline = shown("steered"), shown("baseline")
    place = last_whole("steered")
    *_, (_, steered, status) = handlers.write_branch(
        REQUEST, message_of("steered", place, before[place])
    )
    assert "A branch" in status
    assert shown("steered")[: len(before)] == before
    assert shown("baseline")[: place + 1] == before[: place + 1] != baseline[: place + 1]
    assert "chosen" in steered


def test_both_columns_go_on_from_the_token_that_was_chosen(
    handlers: SteerHandlers, small: LanguageModel
) -> None:
    before, place = shown("baseline"), last_whole("baseline")
    choice = small.token_ids(" table")[0]
    *_, status = [
        panels for panels in handlers.write_branch(REQUEST, message_of("baseline", place, choice))
    ][-1]
    assert "“ table”" in status
    for panel in ("baseline", "steered"):
        ids = shown(panel)
        assert ids[: place + 1] == [*before[:place], choice]
        assert place + 1 < len(ids) <= place + 1 + SETTINGS.n_tokens
    # The branch can be looked at, too.
    assert "shift of log p" in explain(REQUEST, message_of("steered", place))


def test_no_text_goes_on_from_its_end_or_a_token_that_is_none(
    handlers: SteerHandlers, small: LanguageModel
) -> None:
    before = shown("steered")
    end = min(small.end_ids)
    for choice, says in (
        (end, "is an end"),
        (small.vocab_size, "must be between"),
        (None, "Choose"),
    ):
        *_, (*_, status) = handlers.write_branch(REQUEST, message_of("steered", 1, choice))
        assert says in status
    assert shown("steered") == before


def test_a_line_of_the_continuum_has_its_own_epsilon(handlers: SteerHandlers) -> None:
    writing = {
        field.name: getattr(SETTINGS, field.name)
        for field in dataclasses.fields(SETTINGS)
        if field.name not in ("view", "epsilons")
    }
    lines = ContinuumSettings(**writing, steer_name="joy", n_lines=5)
    assert [*handlers.write_continuum(REQUEST, lines)]
    assert numbers(explain(REQUEST, message_of("continuum", 0, text=0)), "joy −3")
    assert "Every ε is 0" in explain(REQUEST, message_of("continuum", 0, text=2))
    assert numbers(explain(REQUEST, message_of("continuum", 0, text=4)), "joy +3")


def test_a_page_that_is_closed_is_forgotten(handlers: SteerHandlers) -> None:
    known = message_of("steered", 0)
    handlers.forget(REQUEST)
    with pytest.raises(InputError, match="no longer held"):
        WRITTEN.find("a", Place.parse(known))
