"""Jobs in the background, without a browser: one at a time, ended, abandoned and come back to."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from support.coroutines import run_apart

from lmsteer_core.errors import Cancelled, InputError
from lmsteer_core.ui.page.jobs import Job, Jobs
from lmsteer_core.ui.page.visits import JOB_SECONDS, Visits

WORDS = {"cancelled": "It was cancelled.", "failed": "The log says why."}


def request(session: str = "a", sent: float = 0.0) -> Any:
    return SimpleNamespace(session_hash=session, headers={"x-asked-at": str(sent)})


def wait(job) -> None:
    """Wait without asking for the result, which may be an error."""
    job._future.exception(timeout=10)


def started(work) -> Job:
    return Job(work, ThreadPoolExecutor(1), lambda: False)


@pytest.fixture
def visits(clock) -> Visits:
    visits = Visits(clock)
    visits.arrive("a")
    return visits


@pytest.fixture
def jobs(visits) -> Jobs:
    return Jobs(visits, ThreadPoolExecutor(1))


def followed(jobs: Jobs, job: Job, session: str = "a") -> list[dict]:
    async def collect() -> list[dict]:
        show = lambda made: {"status": f"made {made}"}  # noqa: E731
        return [each async for each in jobs.follow(request(session), job, show, **WORDS)]

    return run_apart(asyncio.wait_for(collect(), 10))


def holding(go: threading.Event, reported: threading.Event):
    """Return work that reports, then waits for `go`, then reports again."""

    def work(progress) -> str:
        progress(0.2, "reading")
        reported.set()
        go.wait(10)
        progress(0.3, "reading")
        return "steer"

    return work


def test_a_second_job_waits_for_the_first_and_says_so(visits) -> None:
    queue, go = ThreadPoolExecutor(1), threading.Event()
    first: Job[bool] = Jobs[bool](visits, queue).start(request(), lambda _: go.wait(10))
    second: Job[str] = Jobs[str](visits, queue).start(request(), lambda _: "steer")
    assert "Waiting" in second.bar()
    assert not second.is_done
    go.set()
    wait(second)
    assert first.is_done
    assert second.result() == "steer"


def test_a_result_is_shown_once(jobs) -> None:
    job = jobs.start(request(), lambda _: "steer")
    assert jobs.unfinished(request()) is job
    assert followed(jobs, job)[-1] == {"status": "made steer"}
    assert jobs.unfinished(request()) is None


def test_a_cancelled_job_ends_at_its_next_report(jobs) -> None:
    go, reported = threading.Event(), threading.Event()
    job = jobs.start(request(), holding(go, reported))
    assert reported.wait(10)
    jobs.cancel(request())
    assert "Cancelling" in job.bar()
    go.set()
    assert "It was cancelled." in followed(jobs, job)[-1]["status"]
    assert not job.has_result
    with pytest.raises(Cancelled):
        job.result()


def test_a_job_cancelled_in_the_queue_never_starts(jobs) -> None:
    go = threading.Event()
    jobs.start(request("b"), lambda _: go.wait(10))
    second = jobs.start(request(), lambda _: pytest.fail("started"))
    jobs.cancel(request())
    assert second.is_done
    assert "It was cancelled." in followed(jobs, second)[-1]["status"]
    go.set()


def test_a_newer_job_of_the_page_ends_the_older_in_silence(jobs) -> None:
    go, reported = threading.Event(), threading.Event()
    first = jobs.start(request(), holding(go, reported))
    other = jobs.start(request("b"), lambda _: "another page's")
    assert reported.wait(10)
    second = jobs.start(request(), lambda _: "newer")
    go.set()
    statuses = [each["status"] for each in followed(jobs, first)]
    assert not any("made" in status or "cancelled" in status for status in statuses)
    assert followed(jobs, second)[-1] == {"status": "made newer"}
    assert followed(jobs, other, "b")[-1] == {"status": "made another page's"}


@pytest.mark.parametrize("word", ["cancel", "start"])
def test_what_was_sent_later_wins_though_it_came_first(jobs, word: str) -> None:
    go = threading.Event()
    jobs.start(request("b"), lambda _: go.wait(10))
    if word == "cancel":
        jobs.cancel(request(sent=2.0))
    else:
        newer = jobs.start(request(sent=2.0), lambda _: "newer")
    older = jobs.start(request(sent=1.0), lambda _: "older")
    go.set()
    wait(older) if not older.is_done else None
    assert not older.has_result
    if word == "start":
        assert followed(jobs, newer)[-1] == {"status": "made newer"}


def test_a_job_goes_on_without_its_page_for_a_while(jobs, visits, clock) -> None:
    go, reported = threading.Event(), threading.Event()
    job = jobs.start(request(), holding(go, reported))
    assert reported.wait(10)
    visits.leave("a")
    clock.seconds += JOB_SECONDS - 1
    go.set()
    wait(job)
    assert job.result() == "steer"


def test_a_job_whose_page_stays_away_is_abandoned(jobs, visits, clock) -> None:
    go, reported = threading.Event(), threading.Event()
    job = jobs.start(request(), holding(go, reported))
    assert reported.wait(10)
    visits.leave("a")
    clock.seconds += JOB_SECONDS + 1
    go.set()
    wait(job)
    with pytest.raises(Cancelled):
        job.result()


def test_a_page_that_comes_back_in_a_new_session_finds_its_job_and_nobody_else_does(
    visits, clock
) -> None:
    token = "0123456789abcdef" * 2
    visits.arrive("before", token)
    jobs = Jobs[str](visits, ThreadPoolExecutor(1))
    go, reported = threading.Event(), threading.Event()
    job = jobs.start(request("before", sent=900.0), holding(go, reported))
    assert reported.wait(10)
    visits.leave("before")
    clock.seconds += 20
    visits.arrive("after", token)
    visits.arrive("stranger", "f" * 32)
    assert jobs.unfinished(request("after")) is job
    assert jobs.unfinished(request("stranger")) is None
    clock.seconds += JOB_SECONDS + 1  # it is here: it may take as long as it needs
    go.set()
    assert followed(jobs, job, "after")[-1] == {"status": "made steer"}
    newer = jobs.start(request("after", sent=5.0), lambda _: "newer")  # its clock began anew
    assert followed(jobs, newer, "after")[-1] == {"status": "made newer"}


def test_the_bar_tells_the_share_and_escapes_what_is_done() -> None:
    go, reported = threading.Event(), threading.Event()

    def work(progress) -> None:
        progress(0.25, "<b>reading")
        reported.set()
        go.wait(10)

    job = started(work)
    assert reported.wait(10)
    assert 'aria-valuenow="25"' in job.bar()
    assert "&lt;b&gt;reading … 25%" in job.bar()
    go.set()


def test_the_time_left_is_told_by_the_speed_after_what_was_cached() -> None:
    job = started(lambda _: None)
    wait(job)
    now = job._reports[0][0]
    job._reports = [(now - 20, 0.0), (now - 19, 0.4), (now - 10, 0.5), (now, 0.75)]
    assert "about 10 s left" in job.bar()
    job._reports = job._reports[:2]
    assert "left" not in job.bar()


@pytest.mark.parametrize(
    ("error", "sentence"), [(InputError("No."), "No."), (ValueError("x"), WORDS["failed"])]
)
def test_a_mistake_in_the_work_is_one_sentence(jobs, error, sentence: str, caplog) -> None:
    def work(_) -> None:
        raise error

    job = jobs.start(request(), work)
    last = followed(jobs, job)[-1]["status"]
    assert sentence in last
    assert "note error" in last
    assert ("ValueError" in caplog.text) == isinstance(error, ValueError)
