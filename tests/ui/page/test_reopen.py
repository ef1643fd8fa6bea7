"""A run that a page kept is written again as it was."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr
import pytest

from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.written import WRITTEN
from lmsteer_core.ui.tabs.steer.handlers import SteerHandlers

REQUEST = gr.Request(session_hash="a", headers={})
RUN: dict[str, Any] = {
    "prompt": "The kitchen was",
    "epsilons": {"joy": 8.0},
    "sampling": {"temperature": 0.9, "top_p": 0.95, "max_new_tokens": 6, "seed": 3},
    "begin": [],
}


@pytest.fixture
def handlers(page: Page) -> SteerHandlers:
    return SteerHandlers(page)


def reopened(handlers: SteerHandlers, run: object) -> str:
    """Write a run again and return the status line."""
    *_, (_, _, status) = handlers.reopen(REQUEST, json.dumps(run), False)
    return str(status)


def shown(panel: str) -> list[int]:
    (text,) = WRITTEN._of_pages["a"][panel]
    return [token.id for token in text.tokens]


def test_a_run_and_its_branch_are_written_as_they_were(handlers: SteerHandlers) -> None:
    assert "joy +8" in reopened(handlers, RUN)
    steered, baseline = shown("steered"), shown("baseline")
    assert len(steered) == 6
    assert steered != baseline
    status = reopened(handlers, RUN | {"begin": steered[:3]})
    assert "A branch" in status
    assert shown("steered")[:6] == steered
    assert shown("baseline")[:3] == steered[:3]
    assert reopened(handlers, RUN)
    assert (shown("steered"), shown("baseline")) == (steered, baseline)


def test_what_cannot_be_written_again_is_one_sentence(handlers: SteerHandlers) -> None:
    for change, says in (
        ({"prompt": None}, "no run that was kept"),
        ({"more": 1}, "no run that was kept"),
        ({"epsilons": {"joy": "2"}}, "no run that was kept"),
        ({"epsilons": {"sorrow": 1.0}}, "no steer named"),
        ({"epsilons": {"joy": 99.0}}, "−10 and 10"),
        ({"prompt": " "}, "empty"),
        ({"sampling": RUN["sampling"] | {"top_p": 7.0}}, "op-p"),
        ({"sampling": RUN["sampling"] | {"max_new_tokens": 99_999}}, "fewer"),
        ({"begin": [10**9]}, "must be between"),
        ({"begin": [1] * 2_000}, "maximum context length"),
    ):
        status = reopened(handlers, RUN | change)
        assert 'role="alert"' in status
        assert says in status
    assert "no run that was kept" in reopened(handlers, [])
