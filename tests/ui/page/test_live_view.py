"""What a page is told of a growing text."""

import math
from typing import Any

from markupsafe import Markup

from lmsteer_core.generation.live_row import Token
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.tokens import Continuation
from lmsteer_core.ui.page.live_view import LivePanel, LiveView, RedrawnPanel


def token(text: str) -> Token:
    return Token(0, text, math.log(0.2), math.log(0.1))


Sent = dict[str, Any]


def news_of(view: LiveView, sent: Sent) -> dict[str, Any]:
    news = view.news(sent)
    assert news is not None
    return news


def view_of(text: Continuation) -> LiveView:
    return LiveView([LivePanel("steered", [text], Markup().join)], "status")


def test_a_page_gets_the_beginning_once_and_then_only_what_is_new() -> None:
    text = Continuation("<b>")
    sent: Sent = {}
    view = view_of(text)
    (panel,) = news_of(view, sent)["panels"]
    assert panel["html"] == text.html()
    assert "&lt;b&gt;" in panel["html"]
    for word in (" one", " two"):
        text.add(token(word))
        (panel,) = news_of(view, sent)["panels"]
        assert "html" not in panel
        assert [piece.word for piece in panel["texts"][0]["pieces"]] == [word.strip()]
    assert view.news(sent) is None


def test_what_is_sent_does_not_grow_with_the_text() -> None:
    text = Continuation("p")
    sent: Sent = {}
    view = view_of(text)
    sizes = []
    for _ in range(300):
        text.add(token(" word"))
        sizes.append(len(repr(news_of(view, sent)["panels"])))
    assert max(sizes[1:]) <= min(sizes[1:]) + len("299")


def test_a_page_that_connects_anew_gets_everything() -> None:
    text = Continuation("p")
    view = view_of(text)
    text.add(token(" one"))
    view.news({})
    (panel,) = news_of(view, {})["panels"]
    assert "html" in panel
    assert len(panel["texts"][0]["pieces"]) == 1


def test_of_a_text_with_a_limit_the_end_is_sent() -> None:
    text = Continuation("p")
    text.limit = 2
    for word in "abcd":
        text.add(token(word))
    (panel,) = news_of(view_of(text), {})["panels"]
    assert [piece.word for piece in panel["texts"][0]["pieces"]] == ["c", "d"]


def test_the_first_change_is_told_when_it_is_known() -> None:
    text = Continuation("p")
    sent: Sent = {}
    view = view_of(text)
    text.add(token(" one"))
    view.news(sent)
    text.first_change = 0
    (panel,) = news_of(view, sent)["panels"]
    assert panel["texts"] == [{"text": 0, "pieces": [], "limit": None, "firstChange": 0}]
    assert "first-change" in text.html()


def test_a_view_that_is_over_says_its_last_line() -> None:
    view = view_of(Continuation("p"))
    status = news_of(view.progress("1 token …"), {})["status"]
    assert status["html"] == widgets.progress("1 token …")
    view.finish(widgets.note("Done."))
    view.is_over = True
    news = news_of(view, {})
    assert news["isOver"]
    assert news["status"] == {"id": "status", "html": widgets.note("Done.")}


def test_a_redrawn_panel_is_sent_when_it_changes() -> None:
    drawn = [Markup("a")]
    view = LiveView([RedrawnPanel("ribbons", lambda: drawn[0])], "status")
    sent: Sent = {}
    assert [panel["html"] for panel in news_of(view, sent)["panels"]] == ["a"]
    assert view.news(sent) is None
    drawn[0] = Markup("b")
    assert [panel["html"] for panel in news_of(view, sent)["panels"]] == ["b"]


def test_a_later_run_has_a_greater_number() -> None:
    assert view_of(Continuation("p")).number < view_of(Continuation("p")).number
