from concurrent.futures import Future

import gradio as gr
from markupsafe import Markup

from lmsteer_core.ui.markup.tokens import Continuation
from lmsteer_core.ui.page.live_view import LivePanel, LiveView
from lmsteer_core.ui.page.runs import Runs


def test_a_newer_run_supersedes_only_its_own_session() -> None:
    runs = Runs()
    first, other = runs.start("a"), runs.start("b")
    second = runs.start("a")
    assert not runs.is_current("a", first)
    assert runs.is_current("a", second)
    assert runs.is_current("b", other)


def test_a_forgotten_session_has_no_current_run() -> None:
    runs = Runs()
    number = runs.start("a")
    runs.forget("a")
    assert not runs.is_current("a", number)


def test_a_run_asked_for_earlier_but_begun_later_does_not_supersede() -> None:
    runs = Runs()
    newer = runs.start("a", requested=2.0)
    older = runs.start("a", requested=1.0)
    assert runs.is_current("a", newer)
    assert not runs.is_current("a", older)


def test_stop_ends_a_run_that_was_asked_for_before_it_and_begins_after() -> None:
    runs = Runs()
    runs.stop("a", requested=2.0)
    assert not runs.is_current("a", runs.start("a", requested=1.0))
    assert runs.is_stopped("a")
    assert runs.is_current("a", runs.start("a", requested=3.0))


def test_an_opening_example_that_comes_late_leaves_what_the_visitor_wrote_or_stopped() -> None:
    runs, example = Runs(), Future[LiveView]()
    text = Continuation("text")
    example.set_result(
        LiveView([LivePanel("steered", [text], Markup().join)], "status", Markup("status"))
    )
    panels = (text.html(), "status")
    page, other = (gr.Request(session_hash=session, headers={}) for session in "ab")
    assert runs.unless_begun(page, example) == panels
    runs.start("a")
    assert runs.unless_begun(page, example) == (gr.skip(), gr.skip())
    runs.stop("a")
    assert runs.unless_begun(page, example) == (gr.skip(), gr.skip())
    assert runs.unless_begun(other, example) == panels
