"""What the full map is sent, without a browser: on a tiny random model."""

from __future__ import annotations

import base64
import dataclasses
import json
from concurrent.futures import Future

import gradio as gr
import numpy as np
import pytest
import torch
from support.models import make_steer

from lmsteer_core.analysis.word_plane import WordPlane
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.tabs.words.full_map_handlers import (
    DIMENSIONS,
    NEIGHBOURHOODS,
    NO_SECOND,
    PRINCIPAL,
    FullMapHandlers,
    FullMapSettings,
)
from lmsteer_core.ui.tabs.words.full_map_message import packed
from lmsteer_core.ui.tabs.words.lens import DEFAULT_LABEL

REQUEST = gr.Request(session_hash="a", headers={})
SETTINGS = FullMapSettings(True, "joy", DEFAULT_LABEL, 1, 2, False, DIMENSIONS, PRINCIPAL)


@pytest.fixture
def handlers(page: Page) -> FullMapHandlers:
    return FullMapHandlers(page)


def show(handlers: FullMapHandlers, **changes) -> tuple:
    return handlers.show(REQUEST, dataclasses.replace(SETTINGS, **changes))


def numbers(column: dict) -> np.ndarray:
    """A packed column, as the page reads it."""
    codes = np.frombuffer(base64.b64decode(column["codes"]), "<u2").astype(float)
    values = column["low"] + (column["high"] - column["low"]) * codes / (0xFFFF - 1)
    return np.where(codes == 0xFFFF, np.nan, values)


def test_a_packed_column_is_exact_to_a_step() -> None:
    column = torch.tensor([-1.5, torch.nan, 0.25, 3.0])
    np.testing.assert_allclose(numbers(packed(column)), column.numpy(), atol=4.5 / 0xFFFF)
    assert np.isnan(numbers(packed(torch.tensor([torch.nan])))).all()
    assert numbers(packed(torch.full((2,), 7.0))).tolist() == [7, 7]


def test_a_closed_map_is_sent_nothing(handlers) -> None:
    panel, note, timer, *messages = show(handlers, is_open=False)
    assert not panel["visible"]
    assert not timer["active"]
    assert note == ""
    assert messages == [gr.skip()] * 3


def test_the_page_gets_every_whole_word_where_the_workbench_puts_it(handlers, page) -> None:
    panel, note, timer, *messages = show(handlers, across=2, up=1)
    assert panel["visible"]
    assert not timer["active"]
    assert note == ""
    words, left, right = map(json.loads, messages)
    steer = page.steers.steer("a", "joy")
    mapped = page.workbench.word_map(steer)
    assert words["words"] == mapped.words
    assert len(base64.b64decode(words["cluster"])) == len(mapped.words)
    expected = torch.cat([mapped.positions[:, [1, 0]], mapped.moves[:, [1, 0]]], dim=1)
    for column, values in zip(left["columns"], expected.T, strict=True):
        np.testing.assert_allclose(numbers(column), values, atol=float(values.abs().max()) / 1e4)
    assert left["titles"][0].startswith("dimension 2 (−")
    plane = page.workbench.principal_plane(steer)
    np.testing.assert_allclose(numbers(right["columns"][0]), plane.positions[:, 0], atol=1e-3)
    assert max(map(len, messages)) < 1_000_000
    assert show(handlers, across=2, up=1)[3:] == tuple(messages)


def test_a_locked_pole_s_words_are_not_sent_a_place(handlers, page, small) -> None:
    steer = make_steer(small.output_embedding, name="rude")
    card = dataclasses.replace(steer.card, notice="It offends.")
    page.steers.add("a", dataclasses.replace(steer, card=card))
    hidden = (page.workbench.word_shifts(page.steers.steer("a", "rude"), unlock=True) < 0).numpy()
    assert hidden.any()
    for unlocked in (False, True):
        for message in show(handlers, steer_name="rude", unlocked=unlocked)[4:]:
            plane = json.loads(message)
            for column in [*plane["columns"], plane["style"]]:
                assert (np.isnan(numbers(column)) == (hidden & (not unlocked))).all()


def test_one_map_is_enough(handlers) -> None:
    *_, right = show(handlers, beside=NO_SECOND)
    assert right == ""


def test_an_unknown_steer_is_one_sentence(handlers) -> None:
    panel, note, _, *messages = show(handlers, steer_name="nobody")
    assert panel["visible"]
    assert "nobody" in note
    assert note.count("<p") == 1
    assert messages == [gr.skip()] * 3


def test_without_any_steer_the_words_are_there_and_none_moves(page) -> None:
    page.steers.remove("a", "joy")
    _, note, _, words, left, right = show(FullMapHandlers(page), steer_name=None)
    assert "No steer" in note
    assert json.loads(words)["words"]
    assert left == right
    plane = json.loads(left)
    assert plane["steer"] == ""
    assert not any(numbers(column).any() for column in [*plane["columns"][2:], plane["style"]])


def test_neighbourhoods_appear_when_they_are_computed(handlers, page, monkeypatch) -> None:
    job: Future[WordPlane] = Future()
    monkeypatch.setattr(page.job_queue, "submit", lambda _work: job)
    _, note, timer, _, left, right = show(handlers, beside=NEIGHBOURHOODS)
    assert "computed" in note
    assert timer["active"]
    assert left
    assert right == gr.skip()
    n_words = len(page.workbench.whole_words()[0])
    job.set_result(WordPlane(("t", "t"), torch.rand(n_words, 2), torch.zeros(n_words, 2)))
    _, note, timer, *_, right = show(handlers, beside=NEIGHBOURHOODS)
    assert note == ""
    assert not timer["active"]
    assert json.loads(right)["titles"] == ["t", "t"]
