"""A growing text: what a stop text may still claim is held back, and tokens make up the text."""

from __future__ import annotations

import pytest

from lmsteer_core.generation.live_row import Token
from lmsteer_core.http_api.answer import Answer


def token(text: str, token_id: int = 0) -> Token:
    return Token(token_id, text, -1.0, -2.0)


def spelled(piece) -> str:
    return "".join(token.text for token in piece.tokens)


@pytest.mark.parametrize(
    ("texts", "stops", "text"),
    [
        (["Good", " mor", "ning", " all"], [], "Good morning all"),
        (["Good", " mor", "ning", " all"], ["ning"], "Good mor"),
        (["Good", " mor", "ning", " all"], ["rni"], "Good mo"),
        (["Good", " mor", "ning", " all"], ["Goo"], ""),
        (["Good", " mor", "ning"], ["ning!"], "Good morning"),
        (["a", "", "é", "b"], ["b"], "aé"),
        (["x\n", "\n", "y"], ["\n\n", "y"], "x"),
    ],
)
def test_text_and_tokens_agree_whole_and_in_pieces(texts, stops, text) -> None:
    answer, pieces = Answer(stops), []
    for each in texts:
        pieces.append(answer.append(token(each)))
    pieces.append(answer.flush())
    assert answer.text == spelled(answer.full()) == text
    assert "".join(piece.text for piece in pieces) == text
    assert all(spelled(piece) == piece.text for piece in pieces)
    sent = [each for piece in pieces for each in piece.tokens]
    assert sent == answer.tokens
    assert [o for piece in pieces for o in piece.offsets] == answer.full().offsets


def test_what_is_written_counts_though_a_stop_text_takes_it() -> None:
    answer = Answer([" mor"])
    for text in ("Good", " mor", "ning"):
        answer.append(token(text))
    assert (answer.text, answer.is_stopped, answer.n_tokens) == ("Good", True, 2)


def test_offsets_begin_behind_an_echoed_prompt() -> None:
    answer = Answer([], n_before=5)
    answer.append(token(" mor"))
    assert answer.append(token("ning")).offsets == [9]
    assert answer.full().offsets == [5, 9]
