import threading

import pytest

from lmsteer_core.errors import Cancelled, InputError
from lmsteer_core.ui.page.jobs import Trainings


def wait(training) -> None:
    """Wait without asking for the result, which may be an error."""
    training._future.exception(timeout=10)


def test_a_second_training_waits_for_the_first_and_says_so() -> None:
    trainings, go = Trainings(), threading.Event()
    first = trainings.start(lambda _: go.wait(10), lambda: True)
    second = trainings.start(lambda _: "steer", lambda: True)
    assert "Waiting" in second.bar()
    assert not second.is_done
    go.set()
    wait(second)
    assert first.is_done
    assert second.result() == "steer"


def test_an_unwanted_training_ends_at_its_next_report() -> None:
    wanted, reported = True, threading.Event()

    def work(progress) -> None:
        nonlocal wanted
        progress(0.2, "reading")
        wanted = False
        reported.set()
        progress(0.3, "reading")
        pytest.fail("went on after it was cancelled")

    training = Trainings().start(work, lambda: wanted)
    assert reported.wait(10)
    wait(training)
    with pytest.raises(Cancelled):
        training.result()


def test_a_withdrawn_training_never_starts() -> None:
    trainings, go = Trainings(), threading.Event()
    trainings.start(lambda _: go.wait(10), lambda: True)
    second = trainings.start(lambda _: pytest.fail("started"), lambda: False)
    second.withdraw()
    assert second.is_done
    go.set()


def test_the_bar_tells_the_share_and_escapes_what_is_done() -> None:
    trainings, go, reported = Trainings(), threading.Event(), threading.Event()

    def work(progress) -> None:
        progress(0.25, "<b>reading")
        reported.set()
        go.wait(10)

    training = trainings.start(work, lambda: True)
    assert reported.wait(10)
    assert 'aria-valuenow="25"' in training.bar()
    assert "&lt;b&gt;reading … 25%" in training.bar()
    go.set()


def test_the_time_left_is_told_by_the_speed_after_what_was_cached() -> None:
    training = Trainings().start(lambda _: None, lambda: True)
    wait(training)
    now = training._reports[0][0]
    training._reports = [(now - 20, 0.0), (now - 19, 0.4), (now - 10, 0.5), (now, 0.75)]
    assert "about 10 s left" in training.bar()
    training._reports = training._reports[:2]
    assert "left" not in training.bar()


def test_a_mistake_in_the_work_is_the_callers() -> None:
    def work(_) -> None:
        raise InputError("No.")

    training = Trainings().start(work, lambda: True)
    wait(training)
    with pytest.raises(InputError, match="No"):
        training.result()
