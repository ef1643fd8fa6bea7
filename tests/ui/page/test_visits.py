"""A page is found again by its token, and nobody else is taken for it."""

import pytest

from lmsteer_core.ui.page.visits import HOLD_SECONDS, MAX_ABSENT, Hold, Visits

TOKEN, OTHER = "0123456789abcdef" * 2, "f" * 32


@pytest.fixture
def visits(clock) -> Visits:
    return Visits(clock)


@pytest.fixture
def notes(visits) -> Hold[str]:
    return visits.hold()


def test_a_page_in_a_new_session_finds_what_was_held(visits, notes, clock) -> None:
    visits.arrive("before", TOKEN)
    notes.put("before", "mine")
    visits.leave("before")
    clock.seconds += 20
    visits.arrive("after", TOKEN)
    assert notes.get("after") == "mine"


def test_a_session_that_goes_on_without_its_stream_keeps_what_was_held(
    visits, notes, clock
) -> None:
    visits.arrive("a", TOKEN)
    notes.put("a", "mine")
    visits.leave("a")
    clock.seconds += HOLD_SECONDS - 1
    assert notes.get("a") == "mine"  # it was heard from: the time begins anew
    clock.seconds += HOLD_SECONDS - 1
    visits.arrive("another", OTHER)
    assert notes.get("a") == "mine"


@pytest.mark.parametrize(
    "token", [OTHER, "", "0", TOKEN[:-1], TOKEN.upper(), TOKEN + "\n", "before"]
)
def test_another_token_or_none_finds_nothing(visits, notes, token: str) -> None:
    visits.arrive("before", TOKEN)
    notes.put("before", "mine")
    visits.leave("before")
    visits.arrive("stranger", token)
    assert notes.get("stranger") is None


def test_pages_without_a_token_share_nothing(visits, notes) -> None:
    visits.arrive("a", "")
    visits.arrive("b", "")
    notes.put("a", "mine")
    assert notes.get("b") is None


def test_a_page_that_stays_away_is_dropped_and_one_that_is_here_is_not(
    visits, notes, clock
) -> None:
    visits.arrive("away", TOKEN)
    visits.arrive("here", OTHER)
    notes.put("away", "gone")
    notes.put("here", "kept")
    visits.leave("away")
    clock.seconds += HOLD_SECONDS + 1
    visits.arrive("back", TOKEN)
    assert notes.get("back") is None
    assert notes.values == {OTHER: "kept"}


def test_a_page_open_twice_stays_while_one_of_them_does(visits, notes, clock) -> None:
    visits.arrive("first", TOKEN)
    visits.arrive("copy", TOKEN)
    notes.put("first", "mine")
    visits.leave("first")
    clock.seconds += 2 * HOLD_SECONDS
    visits.arrive("other", OTHER)
    assert notes.get("copy") == "mine"


def test_of_too_many_absent_pages_the_longest_absent_are_dropped(visits, notes, clock) -> None:
    for i in range(MAX_ABSENT + 2):
        clock.seconds += 1
        session = str(i)
        visits.arrive(session)
        notes.put(session, session)
        visits.leave(session)
    clock.seconds += 1
    visits.arrive("last", TOKEN)
    assert sorted(map(int, notes.values)) == list(range(2, MAX_ABSENT + 2))
