"""A replica on Ray Serve writes what the engine here would, takes new ε, and stops when told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import psutil
import pytest
from support.coroutines import run_apart

from lmsteer_core import InputError, LanguageModel, Row, Sampling, Steer, generate
from lmsteer_core.generation.generate import live_rows
from lmsteer_core.serving.engine import Lost

if TYPE_CHECKING:
    from lmsteer_core.serving.replicas import Replicas

ROWS = [Row("The old harbour"), Row("The old harbour", {"style": 2.0})]


@pytest.fixture(scope="module")
def replicas():
    pytest.importorskip("ray")
    from lmsteer_core.serving.replicas import replicas

    return replicas


@pytest.fixture(scope="module")
def engine(lm: LanguageModel, replicas) -> Iterator[Replicas]:
    with replicas(lm, "embedded", 1) as engine:
        yield engine


def submit(engine, lm, steer, n_tokens: int):
    sampling = Sampling(max_new_tokens=n_tokens, seed=5)
    return engine.submit(live_rows(lm, ROWS, {"style": steer, "other": steer}, sampling))


def test_it_writes_the_tokens_of_the_engine_here(engine, lm: LanguageModel, steer: Steer) -> None:
    steps = list(submit(engine, lm, steer, 8).steps())
    alone = generate(lm, ROWS, {"style": steer}, Sampling(max_new_tokens=8, seed=5))
    for mine, its in zip(zip(*steps, strict=True), alone, strict=True):
        assert [token.id for token in mine] == [token.id for token in its.tokens]
        assert [token.logprob for token in mine] == pytest.approx(
            [t.logprob for t in its.tokens], abs=1e-3
        )


def test_a_new_epsilon_reaches_the_text_that_is_being_written(engine, lm, steer) -> None:
    job = submit(engine, lm, steer, 2000)
    steps = job.steps()
    assert next(steps)[1].epsilons == {"style": 2.0}
    job.rows[1].epsilons = {"other": -1.0}  # a steer that the replica was not sent before
    under = [dict(step[1].epsilons) for step, _ in zip(steps, range(30), strict=False)]
    assert under[-1] == {"other": -1.0}
    steps.close()


def test_leaving_frees_the_replica(engine, lm, steer) -> None:
    job = submit(engine, lm, steer, 2000)
    steps = job.steps()
    next(steps)
    steps.close()

    async def is_written() -> bool:
        broadcast = engine._handle.broadcast("steer", job.name, [{}, {}], {})
        (has_it,) = await broadcast.results_async()
        return has_it

    for _ in range(300):
        if not run_apart(is_written()):
            return
        time.sleep(0.1)
    raise AssertionError("the replica still writes after 30 s")


def test_a_text_whose_replica_dies_ends_with_a_sentence(engine, lm, steer) -> None:
    steps = submit(engine, lm, steer, 2000).steps()
    next(steps)
    (replica,) = [
        p for p in psutil.Process().children(recursive=True) if "ServeReplica" in p.cmdline()[0]
    ]
    replica.kill()
    with pytest.raises(Lost, match="ask for it again"):
        list(steps)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere"])
def test_a_cluster_that_is_not_there_is_said_at_once(lm, replicas, address: str) -> None:
    with (
        pytest.raises(InputError, match=f"No Ray cluster answers at '{address}'"),
        replicas(lm, "embedded", 1, address=address),
    ):
        pass
