"""A row of a pace waits for its turn, and keeps nobody else waiting."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lmsteer_core import LanguageModel, Sampling
from lmsteer_core.generation import batch as batch_module
from lmsteer_core.generation.batch import Batch
from lmsteer_core.generation.live_row import LiveRow, Token


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The batch's clock, which stands still."""
    now = [100.0]
    monkeypatch.setattr(batch_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def live(lm: LanguageModel, prompt: str, pace: float | None, n_tokens: int = 6) -> LiveRow:
    sampling = Sampling(max_new_tokens=n_tokens, seed=3)
    return LiveRow(lm.encode(prompt)[0], {}, {}, sampling, pace=pace)


def advance(batch: Batch, n_steps: int, texts: dict[LiveRow, list[int]]) -> None:
    for _ in range(n_steps):
        for row, token in batch.step().items():
            assert isinstance(token, Token)
            texts.setdefault(row, []).append(token.id)


@pytest.mark.usefixtures("decoder")
def test_it_gets_a_token_when_it_is_due_while_others_write_on(
    lm: LanguageModel, clock: list[float]
) -> None:
    slow, also_slow, fast = (live(lm, "Every morning", pace) for pace in (10.0, 10.0, None))
    alone: dict[LiveRow, list[int]] = {}
    batch = Batch(lm)
    batch.join([twin := live(lm, "Every morning", None)])
    advance(batch, 6, alone)
    texts: dict[LiveRow, list[int]] = {}
    batch = Batch(lm)
    batch.join([slow, fast])
    batch.join([also_slow])
    advance(batch, 4, texts)
    assert {row: len(ids) for row, ids in texts.items()} == {slow: 1, also_slow: 1, fast: 4}
    assert batch.pause == 0
    advance(batch, 2, texts)
    assert batch.rows == [slow, also_slow] or batch.rows == [also_slow, slow]
    for n_tokens in range(1, 6):
        assert batch.step() == {}
        assert batch.pause == pytest.approx(0.1)
        clock[0] += batch.pause
        advance(batch, 1, texts)
        assert len(texts[slow]) == len(texts[also_slow]) == n_tokens + 1
    assert set(map(tuple, texts.values())) == {tuple(alone[twin])}
    assert not batch.rows


def test_rows_of_one_pace_are_advanced_together(lm: LanguageModel, clock: list[float]) -> None:
    batch = Batch(lm)
    batch.join([live(lm, "Every morning", 10.0)])
    batch.step()
    clock[0] += 0.04
    batch.join([live(lm, "She said that", 10.0)])
    batch.step()
    clock[0] += 0.1
    assert len(batch.step()) == 2
    assert len(batch._groups) == 1
