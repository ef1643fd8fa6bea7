"""Unsteered texts are written once."""

import copy

import pytest

from lmsteer_core import Sampling
from lmsteer_core.errors import InputError
from lmsteer_core.ui.page.baselines import Baseline, Baselines

SAMPLING = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=6, seed=3)
LONG = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=400, seed=3)


@pytest.fixture
def baselines(small_workbench) -> Baselines:
    return Baselines(small_workbench)


def written(baseline: Baseline) -> list[int]:
    while not baseline.is_over(1.0):
        pass
    return [token.id for token in baseline.tokens]


def test_a_baseline_is_kept_while_prompt_and_sampling_are_the_same(baselines) -> None:
    first = baselines.of("a", "The kitchen", SAMPLING)
    assert baselines.of("a", "The kitchen", SAMPLING) is first
    assert len(written(first)) == 6
    assert baselines.of("a", "The kitchen", SAMPLING) is first
    assert baselines.of("a", "The garden", SAMPLING) is not first


def test_pages_do_not_share_a_baseline_but_an_opening_example_is_everybodys(baselines) -> None:
    first, other = (baselines.of(session, "The kitchen", SAMPLING) for session in "ab")
    assert first is not other
    assert written(first) == written(other)
    example = baselines.of_all("The garden", SAMPLING)
    assert baselines.of("a", "The garden", SAMPLING) is example
    assert baselines.of("b", "The garden", SAMPLING) is example


def test_a_baseline_that_was_cut_is_written_anew(baselines) -> None:
    first = baselines.of("a", "The kitchen", LONG)
    baselines.cut("a")
    assert len(written(first)) < 400
    assert baselines.of("a", "The kitchen", LONG) is not first
    baselines.forget("a")


def test_a_whole_baseline_outlives_stop(baselines) -> None:
    first = baselines.of("a", "The kitchen", SAMPLING)
    assert written(first)
    baselines.cut("a")
    assert baselines.of("a", "The kitchen", SAMPLING) is first


def test_a_prompt_that_cannot_be_used_is_refused_at_once(baselines) -> None:
    with pytest.raises(InputError, match="empty"):
        baselines.of("a", " ", SAMPLING)


def test_another_decoder_writes_the_baseline_anew(small_workbench, monkeypatch) -> None:
    baselines = Baselines(small_workbench)
    first = baselines.of("a", "The kitchen", SAMPLING)
    other = copy.copy(small_workbench.decoder)
    monkeypatch.setattr(type(small_workbench), "decoder", property(lambda _: other))
    assert baselines.of("a", "The kitchen", SAMPLING) is not first
