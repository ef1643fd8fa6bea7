"""Everybody writes at once, nobody into another's text, and what breaks breaks alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from support.serving import wait_until

from lmsteer_core import InputError, LanguageModel, LMSteerError, Row, Sampling, generate
from lmsteer_core.generation.batch import Batch
from lmsteer_core.generation.generate import live_rows
from lmsteer_core.generation.live_row import LiveRow
from lmsteer_core.progress import finished
from lmsteer_core.serving import engine as engine_module
from lmsteer_core.serving.engine import Busy, Engine, Job, Lost

PROMPTS = [
    "The old harbour",
    "Every morning she",
    "In the second week of the trial the judge said that",
    "He",
]


def engine_threads() -> set[threading.Thread]:
    """Return the threads of all engines of this process, those of other tests' workbenches too."""
    return {each for each in threading.enumerate() if each.name.startswith("lmsteer-engine")}


@pytest.fixture
def engine(lm: LanguageModel) -> Iterator[Engine]:
    opened = Engine(lm)
    before = engine_threads()
    yield opened
    opened.close()
    assert engine_threads() <= before


def submit(engine, lm, steer, prompt: str, n_tokens: int, epsilon: float) -> Job:
    rows = [Row(prompt), Row(prompt, {"style": epsilon})]
    return engine.submit(
        live_rows(lm, rows, {"style": steer}, Sampling(max_new_tokens=n_tokens, seed=5))
    )


def only_one(_engine: Engine, running: dict[Job, int], *_: object) -> bool:
    """Take the place of `Engine._has_room` where requests are to come one after another."""
    return not any(running.values())


def ids_of(steps: list) -> list[list[int]]:
    return [[token.id for token in column if token] for column in zip(*steps, strict=True)]


@pytest.mark.usefixtures("decoder")
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


@pytest.mark.usefixtures("decoder")
def test_a_cancelled_request_frees_its_rows_and_the_others_go_on(engine, lm, steer):
    long, short = (
        submit(engine, lm, steer, "He", 5000, 1.0),
        submit(engine, lm, steer, "She", 12, 1.0),
    )
    reading = long.steps()
    next(reading)
    reading.close()
    assert len(list(short.steps())) == 12
    wait_until(lambda: not engine._running)


@pytest.mark.usefixtures("decoder")
def test_a_running_row_takes_a_new_epsilon_from_its_next_token(engine, lm, steer):
    job = submit(engine, lm, steer, "He", 5000, 3.0)
    steps = job.steps()

    def shift() -> float:
        token = next(steps)[1]
        assert token is not None
        return abs(token.shift)

    assert shift() > 1e-3
    job.rows[1].epsilons = {"style": 0.0}
    wait_until(lambda: shift() < 1e-4)
    steps.close()


@pytest.mark.parametrize("error", [ZeroDivisionError("broken layer"), SystemExit("killed")])
def test_a_step_that_fails_ends_what_runs_and_nothing_that_waits(
    engine, lm, steer, monkeypatch, error
):
    monkeypatch.setattr(Engine, "_has_room", only_one)
    step, failed = Batch.step, list[bool]()

    def fail_once(batch: Batch):
        if not failed:
            failed.append(True)
            raise error
        return step(batch)

    monkeypatch.setattr(Batch, "step", fail_once)
    first, second = (
        submit(engine, lm, steer, "He", 6, 1.0),
        submit(engine, lm, steer, "She", 6, 1.0),
    )
    with pytest.raises(Lost, match=str(error)):
        list(first.steps())
    assert len(list(second.steps())) == 6


def test_requests_wait_in_line_and_a_full_line_is_said(engine, lm, steer, monkeypatch):
    monkeypatch.setattr(Engine, "_has_room", only_one)
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


def test_a_call_runs_between_steps_in_the_engines_thread_and_its_error_is_the_callers(
    engine, lm, steer
):
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


def test_a_small_request_begins_at_once_beside_large_ones_that_wait_for_room(
    engine, lm, monkeypatch
):
    monkeypatch.setattr(lm.model.config, "max_position_embeddings", 256)  # room for 1,024 tokens
    rows = [Row("He", seed_offset=i) for i in range(64)]
    large = [
        engine.submit(live_rows(lm, rows, {}, Sampling(temperature=0, max_new_tokens=200)))
        for _ in range(2)
    ]
    readers = [job.steps() for job in large]
    for reader in readers:
        next(reader)
    assert all(job.unbegun for job in large)
    n_before = sum(row.n_new for job in large for row in job.rows)
    small = engine.submit(live_rows(lm, [Row("She")], {}, Sampling(max_new_tokens=10)))
    assert len(list(small.steps())) == 10
    n_after = sum(row.n_new for job in large for row in job.rows)
    assert n_after - n_before < 20 * 3  # three quarters of the room are three rows
    for reader in readers:
        reader.close()


def test_a_large_request_comes_whole_in_parts_and_each_row_as_it_is_alone(
    engine, lm, steer, monkeypatch
):
    monkeypatch.setattr(lm.model.config, "max_position_embeddings", 64)  # room for 256 tokens
    sampling = Sampling(max_new_tokens=30, seed=5)
    rows = [Row("He", {"style": i - 3.0}, seed_offset=i) for i in range(7)]
    found = ids_of(list(engine.submit(live_rows(lm, rows, {"style": steer}, sampling)).steps()))
    for row, ids in zip(rows, found, strict=True):
        (alone,) = generate(lm, [row], {"style": steer}, sampling)
        assert ids == [token.id for token in alone.tokens]


def test_large_requests_take_turns(engine, lm, monkeypatch):
    monkeypatch.setattr(lm.model.config, "max_position_embeddings", 64)
    sampling = Sampling(temperature=0, max_new_tokens=40)
    rows = [Row("He", seed_offset=i) for i in range(12)]
    first = engine.submit(live_rows(lm, rows, {}, sampling))
    reader = first.steps()
    next(reader)
    second = engine.submit(live_rows(lm, rows[:6], {}, sampling))
    list(second.steps())
    assert first.unbegun or any(row.n_new < 40 for row in first.rows)
    reader.close()


def test_a_request_that_cannot_be_read_ends_alone(engine, lm, steer):
    good = submit(engine, lm, steer, "He", 12, 1.0)
    bad = engine.submit([LiveRow([10**9], {}, {}, Sampling())])
    with pytest.raises(InputError, match="Token ids"):
        list(bad.steps())
    assert len(list(good.steps())) == 12


def test_a_row_that_fails_ends_its_request_and_no_other(engine, lm, steer):
    list(submit(engine, lm, steer, "He", 1, 1.0).steps())
    thread = engine._thread
    jobs = [submit(engine, lm, steer, prompt, 12, 1.0) for prompt in PROMPTS]
    readers = [job.steps() for job in jobs]
    next(readers[1])
    jobs[1].rows[1].epsilons = {"nobody": 1.0}
    with pytest.raises(LMSteerError, match="cannot be written"):
        list(readers[1])
    for reader in (readers[0], *readers[2:]):
        assert len(list(reader)) == 12
    assert engine._thread is thread


def test_a_hundred_requests_leave_no_row_and_no_thread_behind(engine, lm, steer):
    before = engine_threads()
    for i in range(25):
        jobs = [submit(engine, lm, steer, "He", 1 + i % 3, 1.0) for _ in range(4)]
        assert all(len(list(job.steps())) == 1 + i % 3 for job in jobs)
    wait_until(lambda: not engine._running and not engine._waiting)
    assert len(engine_threads() - before) == 1
