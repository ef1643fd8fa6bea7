"""What a class does to a server: bad requests, readers who leave, a worker that dies."""

from __future__ import annotations

import ctypes
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.serving import PROMPT, wait_until

from lmsteer_core.http_api.schemas import Completion
from lmsteer_core.workbench import Workbench

GOOD = {"prompt": PROMPT, "max_tokens": 6, "seed": 3, "steer": {"sentiment": 1.5}}
ODD = st.one_of(
    st.none(), st.booleans(), st.text(max_size=5), st.floats(), st.lists(st.integers(), max_size=3)
)
KNOWN = {*Completion.model_fields}

NAN = st.just(float("nan"))


def others(text: st.SearchStrategy[str], *known: str) -> st.SearchStrategy[str]:
    """Return the texts that are none of the known ones."""
    return text.filter(lambda t: t not in known)


BAD_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "prompt": st.one_of(
        st.integers(),
        st.none(),
        st.just(""),
        st.text(" \n\t", max_size=9),
        st.just("\ud800"),
        st.lists(st.integers(max_value=-1), max_size=3),
    ),
    "model": others(st.text(min_size=1, max_size=20), "embedded", "SmolLM2-135M-Instruct"),
    "max_tokens": st.integers(max_value=-1)
    | st.integers(min_value=8193)
    | st.text("abc", max_size=3),
    "temperature": st.floats(max_value=-1e-9) | st.floats(min_value=10.1) | NAN,
    "top_p": st.floats(max_value=0) | st.floats(min_value=1.001) | NAN,
    "n": st.integers(max_value=0) | st.integers(min_value=257),
    "seed": st.text(min_size=1) | st.sampled_from([0.5, 1e-9, float("inf")]),
    "stop": st.lists(st.text(min_size=1, max_size=3), min_size=5, max_size=9)
    | st.just([""])
    | st.integers(),
    "stream": st.lists(st.none(), max_size=1) | st.text(min_size=9),
    "logprobs": st.integers(min_value=21) | st.integers(max_value=-1) | st.text(min_size=3),
    "steer": st.one_of(
        st.dictionaries(
            others(st.text(max_size=9), "sentiment"), st.floats(-3, 3), min_size=1, max_size=2
        ),
        st.dictionaries(st.just("sentiment"), st.floats(min_value=10.1) | NAN, min_size=1),
        st.lists(ODD, min_size=1, max_size=2),
        st.integers(),
    ),
}


@st.composite
def bad_bodies(draw: st.DrawFn) -> bytes:
    """Return a body that no server could answer: not JSON, not an object, or one field is wrong."""
    kind = draw(st.sampled_from(["bytes", "value", "unknown", *BAD_FIELDS]))
    if kind == "bytes":
        return draw(st.binary(max_size=40))
    if kind == "value":
        return json.dumps(draw(ODD)).encode()
    if kind == "unknown":
        field = draw(st.text(max_size=12).filter(lambda name: name not in KNOWN))
        value = draw(ODD.filter(lambda odd: odd is not None))  # null is a field left out
        return json.dumps({**GOOD, field: value}).encode()
    return json.dumps({**GOOD, kind: draw(BAD_FIELDS[kind])}).encode()


def good(url: str, **more: Any) -> httpx.Response:
    return httpx.post(f"{url}/completions", json={**GOOD, **more}, timeout=120)


def test_a_thousand_bad_requests_among_good_ones(url: str, workbench: Workbench) -> None:
    expected = good(url).json()["choices"][0]["text"]
    thread = workbench._engine._thread
    are_over = threading.Event()
    answers: list[httpx.Response] = []

    def keep_asking() -> None:
        while not are_over.is_set():
            answers.append(good(url))

    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(2) as pool:
        askers = [pool.submit(keep_asking) for _ in range(2)]

        @settings(
            max_examples=1000,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(bad_bodies(), st.sampled_from(["completions", "chat/completions"]))
        def refuse(body: bytes, path: str) -> None:
            answer = client.post(
                f"{url}/{path}", content=body, headers={"Content-Type": "application/json"}
            )
            assert 400 <= answer.status_code < 500, body
            assert answer.json()["error"]["message"].strip(), body

        try:
            refuse()
        finally:
            are_over.set()
        for asker in askers:
            asker.result()
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["choices"][0]["text"] for answer in answers} == {expected}
    assert workbench._engine._thread is thread  # nothing that was sent ended the worker


def test_twenty_readers_who_leave_free_their_rows_and_the_one_who_stays_reads_on(
    url: str, workbench: Workbench
) -> None:
    def leave() -> None:
        body = {**GOOD, "max_tokens": 2000, "stream": True}
        with httpx.stream("POST", f"{url}/completions", json=body, timeout=120) as answer:
            next(answer.iter_lines())

    with ThreadPoolExecutor(21) as pool:
        stays = pool.submit(good, url, max_tokens=40)
        for reader in [pool.submit(leave) for _ in range(20)]:
            reader.result()
        assert stays.result().status_code == 200
    wait_until(lambda: not workbench._engine._running and not workbench._engine._waiting)


def test_a_worker_killed_in_mid_stream_ends_what_it_wrote_with_a_sentence_and_serves_on(
    url: str, workbench: Workbench
) -> None:
    body = {**GOOD, "max_tokens": 2000, "stream": True}
    with httpx.stream("POST", f"{url}/completions", json=body, timeout=120) as answer:
        lines = answer.iter_lines()
        next(lines)
        thread = workbench._engine._thread
        assert thread is not None and thread.ident is not None
        # The nearest to killing a thread: SystemExit raised in it, wherever it is.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
        )
        *_, last, _done = [line for line in lines if line]
    assert "The model failed" in json.loads(last.removeprefix("data: "))["error"]["message"]
    assert good(url).status_code == 200
