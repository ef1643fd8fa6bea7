"""Everybody writes at once, nobody into another's text, and what breaks breaks alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from conftest import wait_until

from lmsteer_core import InputError, LanguageModel, Row, Sampling, generate
from lmsteer_core import engine as engine_module
from lmsteer_core.decoding import Batch
from lmsteer_core.engine import Busy, Engine, Job, Lost
from lmsteer_core.generation import live_rows
from lmsteer_core.steps import finished

PROMPTS = [
    "The old harbour",
    "Every morning she",
    "In the second week of the trial the judge said that",
    "He",
]


@pytest.fixture
def engine(lm: LanguageModel) -> Iterator[Engine]:
    opened = Engine(lm)
    yield opened
    opened.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lmsteer-engine")]


def submit(engine, lm, steer, prompt: str, n_tokens: int, epsilon: float) -> Job:
    rows = [Row(prompt), Row(prompt, {"style": epsilon})]
    return engine.submit(live_rows(lm, rows, {"style": steer}, Sampling(max_new_tokens=n_tokens, seed=5)))


def ids_of(steps: list) -> list[list[int]]:
    return [[token.id for token in column if token] for column in zip(*steps, strict=True)]


def test_many_requests_at_once_write_what_each_would_write_alone(engine, lm, steer):
    settings = [(p, 6 + 2 * i, (-3.0, -1.0, 1.0, 3.0)[i]) for i, p in enumerate(PROMPTS)]
    jobs = [submit(engine, lm, steer, *each) for each in settings]
    found = [list(job.steps()) for job in jobs]
    for (prompt, n_tokens, epsilon), steps in zip(settings, found, strict=True):
        rows = [Row(prompt), Row(prompt, {"style": epsilon})]
        alone = generate(lm, rows, {"style": steer}, Sampling(max_new_tokens=n_tokens, seed=5))
        assert ids_of(steps) == [[token.id for token in row.tokens] for row in alone]
        again = [[t.logprob for t in c if t] for c in zip(*steps, strict=True)]
        for mine, its in zip(again, alone, strict=True):
            assert mine == pytest.approx([t.logprob for t in its.tokens], abs=1e-3)


def test_a_cancelled_request_frees_its_rows_and_the_others_go_on(engine, lm, steer):
    long, short = submit(engine, lm, steer, "He", 5000, 1.0), submit(engine, lm, steer, "She", 12, 1.0)
    reading = long.steps()
    next(reading)
    reading.close()
    assert len(list(short.steps())) == 12
    wait_until(lambda: not engine._running)


def test_a_running_row_takes_a_new_epsilon_from_its_next_token(engine, lm, steer):
    job = submit(engine, lm, steer, "He", 5000, 3.0)
    steps = job.steps()
    assert abs(next(steps)[1].shift) > 1e-3
    job.rows[1].epsilons["style"] = 0.0
    wait_until(lambda: abs(next(steps)[1].shift) < 1e-4)
    steps.close()


@pytest.mark.parametrize("error", [ZeroDivisionError("broken layer"), SystemExit("killed")])
def test_a_step_that_fails_ends_what_runs_and_nothing_that_waits(engine, lm, steer, monkeypatch, error):
    monkeypatch.setattr(Engine, "_has_room", lambda *_: False)
    step, failed = Batch.step, []

    def fail_once(batch: Batch):
        if not failed:
            failed.append(True)
            raise error
        return step(batch)

    monkeypatch.setattr(Batch, "step", fail_once)
    first, second = submit(engine, lm, steer, "He", 6, 1.0), submit(engine, lm, steer, "She", 6, 1.0)
    with pytest.raises(Lost, match=str(error)):
        list(first.steps())
    assert len(list(second.steps())) == 6


def test_requests_wait_in_line_and_a_full_line_is_said(engine, lm, steer, monkeypatch):
    monkeypatch.setattr(Engine, "_has_room", lambda *_: False)
    monkeypatch.setattr(engine_module, "MAX_WAITING", 2)
    running = submit(engine, lm, steer, "He", 5000, 1.0)
    steps = running.steps()
    next(steps)
    first, second = (submit(engine, lm, steer, "She", 3, 1.0) for _ in range(2))
    assert (running.position, first.position, second.position) == (0, 1, 2)
    with pytest.raises(Busy, match="2 requests are waiting"):
        submit(engine, lm, steer, "She", 3, 1.0)
    steps.close()
    assert len(list(second.steps())) == 3


def test_a_request_that_takes_too_long_is_ended_with_a_sentence(engine, lm, steer):
    job = submit(engine, lm, steer, "He", 5000, 1.0)
    steps = job.steps()
    next(steps)
    job.expires = 0.0
    with pytest.raises(InputError, match="longer than 15 minutes"):
        list(steps)


def test_a_call_runs_between_steps_in_the_engines_thread_and_its_error_is_the_callers(engine, lm, steer):
    job = submit(engine, lm, steer, "He", 6, 1.0)
    assert engine.call(lambda: threading.current_thread().name).startswith("lmsteer-engine")
    with pytest.raises(ZeroDivisionError):
        engine.call(lambda: 1 / 0)
    assert len(list(job.steps())) == 6


def test_work_takes_turns_with_a_text_and_returns_what_its_steps_return(engine, lm, steer):
    def counting():
        for i in range(4):
            names.append(threading.current_thread().name)
            yield i / 4
        return "done"

    names: list[str] = []
    written: list[int] = []
    job = submit(engine, lm, steer, "He", 400, 1.0)
    steps = job.steps()
    next(steps)
    shares = []
    for share in engine.work(counting()):
        shares.append(share)
        written.append(job.rows[0].n_new)
    assert shares == [0, 0.25, 0.5, 0.75]
    assert len(set(names)) == 1
    assert names[0].startswith("lmsteer-engine")
    assert written == sorted(set(written))  # the text grew between any two steps of the work
    assert finished(engine.work(counting())) == "done"
    job.cancel()


def test_closing_tells_whoever_waits_for_a_call(engine):
    began, go_on = threading.Event(), threading.Event()
    told_so: list[BaseException] = []

    def wait() -> None:
        began.set()
        go_on.wait()

    def late() -> None:
        try:
            engine.call(lambda: None)
        except Lost as error:
            told_so.append(error)

    threads = [threading.Thread(target=engine.call, args=(wait,))]
    threads[0].start()
    began.wait()
    threads += [threading.Thread(target=late), threading.Thread(target=engine.close)]
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: engine._calls and engine._is_closed)
    go_on.set()
    for thread in threads:
        thread.join()
    assert "shutting down" in str(told_so[0])


def test_room_is_counted_in_padded_tokens(engine, lm, steer, monkeypatch):
    monkeypatch.setattr(lm.model.config, "max_position_embeddings", 64)  # room for 256 tokens
    batch = Batch(lm)
    batch.join(live_rows(lm, [Row("He")] * 2, {}, Sampling(max_new_tokens=51)))
    small = submit(engine, lm, steer, "He", 40, 1.0)
    assert engine._has_room(batch, small)
    batch.join(live_rows(lm, [Row("He")], {}, Sampling(max_new_tokens=51)))
    assert not engine._has_room(batch, small)
    small.cancel()


def test_a_hundred_requests_leave_no_row_and_no_thread_behind(engine, lm, steer):
    for i in range(25):
        jobs = [submit(engine, lm, steer, "He", 1 + i % 3, 1.0) for _ in range(4)]
        assert all(len(list(job.steps())) == 1 + i % 3 for job in jobs)
    wait_until(lambda: not engine._running and not engine._waiting)
    assert sum(thread.name.startswith("lmsteer-engine") for thread in threading.enumerate()) == 1
