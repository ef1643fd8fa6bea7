import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lmsteer_core.errors import InputError, SteerError
from lmsteer_core.steers.card import SteerCard
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.page.page_steers import N_SLOTS, PageSteers
from lmsteer_core.ui.page.visits import Visits


def named(name: str) -> Steer:
    return Steer(
        torch.ones(4, 1), torch.ones(1, 4), torch.ones(16, 4), SteerCard(name, "−", "+", "tiny")
    )


class Shared:
    """Stands in for the workbench."""

    names = ["sentiment"]

    def steer(self, name: str) -> Steer:
        if name in self.names:
            return named(name)
        raise SteerError("There is none.")


@pytest.fixture
def own() -> PageSteers:
    shared: Any = Shared()
    return PageSteers(shared, Visits())


def test_a_steer_is_its_pages_alone(own) -> None:
    own.add("a", named("mine"))
    assert own.names("a") == ["sentiment", "mine"]
    assert own.names("b") == ["sentiment"]
    assert own.steer("a", "mine").name == "mine"
    with pytest.raises(SteerError):
        own.steer("b", "mine")


def test_a_steer_of_the_same_name_replaces_the_earlier_one_in_its_slot(own) -> None:
    own.add("a", named("one"))
    own.add("a", named("two"))
    again = named("one")
    own.add("a", again)
    assert own.slots("a")[0] is again
    assert len(own.by_name("a")) == 2


def test_a_shared_name_is_refused_in_any_case(own) -> None:
    with pytest.raises(InputError, match="already here"):
        own.add("a", named("Sentiment"))


@pytest.mark.parametrize("name", ["", "a b", "../x", "<script>", "x" * 65])
def test_a_name_that_is_no_name_is_refused(own, name: str) -> None:
    with pytest.raises(InputError, match="name"):
        own.check_addable("a", name)


def test_a_suggested_name_makes_way_for_one_that_is_there(own) -> None:
    assert own.free_name("a", "mine") == "mine"
    assert own.free_name("a", "Sentiment") == "Sentiment-2"
    own.add("a", named("sentiment-2"))
    assert own.free_name("a", "sentiment") == "sentiment-3"


def test_full_slots_say_what_could_go_and_removing_makes_room(own) -> None:
    for i in range(N_SLOTS):
        own.add("a", named(f"s{i}"))
    with pytest.raises(InputError, match="s0, s1, s2, s3"):
        own.add("a", named("another"))
    own.remove("a", "s1")
    own.add("a", named("another"))
    assert [steer.name for steer in own.slots("a")] == ["s0", "another", "s2", "s3"]


def test_choosers_keep_what_was_chosen_while_it_is_there(own) -> None:
    request = SimpleNamespace(session_hash="a")
    own.add("a", named("mine"))
    assert own.update_chooser(request, "mine")["value"] == "mine"
    own.remove("a", "mine")
    update = own.update_chooser(request, "mine")
    assert update["value"] == "sentiment"
    assert "mine" not in str(update["choices"])


def test_no_name_is_one_sentence(own) -> None:
    with pytest.raises(InputError, match="New steer"):
        own.steer("a", None)


def test_a_card_says_where_its_slider_is_shaded() -> None:
    from lmsteer_core.ui.markup.widgets import poles

    card = dataclasses.replace(named("x").card, epsilon_range=(-3, 1.5), collapse_range=(-10, 2.5))
    assert "--useful-high:1.5000;--breaks-low:-10.0000;--breaks-high:2.5000" in poles(
        card, "own-1-box"
    )
    assert "<script>" not in poles(dataclasses.replace(card, positive="<script>"), "'><script>")
