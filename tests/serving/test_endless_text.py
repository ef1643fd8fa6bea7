"""An endless text: ε changes hold from the next token, stretches join, pauses lose nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest
from support.calls import record_calls

from lmsteer_core import (
    InputError,
    LanguageModel,
    Row,
    Sampling,
    Steer,
    generate,
    inspect_token,
)
from lmsteer_core.resources import PRETRAINED_STEERS
from lmsteer_core.serving.endless_text import Drive
from lmsteer_core.serving.engine import Engine

PROMPT = "The garden behind the house"
DICE = Sampling(temperature=0.9, top_p=0.95, seed=3)


@pytest.fixture(scope="module")
def engine(lm: LanguageModel) -> Iterator[Engine]:
    engine = Engine(lm)
    yield engine
    engine.close()


def take(drive: Drive, n: int) -> list[int]:
    """Write at least n tokens and return all of the text."""
    goal = len(drive.written) + n
    for _ in drive.tokens(lambda: len(drive.written) < goal):
        pass
    return [token.id for token in drive.written]


def test_it_begins_as_generate_does(lm: LanguageModel, engine: Engine, steer: Steer) -> None:
    drive = Drive(lm, engine, PROMPT, DICE)
    drive.steer({"style": 2.0}, {"style": steer})
    ids = take(drive, 10)[:10]
    (done,) = generate(
        lm, [Row(PROMPT, {"style": 2.0})], {"style": steer}, Sampling(max_new_tokens=10, seed=3)
    )
    assert ids == [token.id for token in done.tokens]


def test_a_new_epsilon_marks_and_moves_the_tokens_after_it(
    lm: LanguageModel, engine: Engine, steer: Steer
) -> None:
    drive = Drive(lm, engine, PROMPT, DICE)
    drive.steer({"style": 3.0}, {"style": steer})
    take(drive, 6)
    drive.steer({"style": 0.0}, {"style": steer})
    take(drive, 6)
    under = [dict(token.epsilons) for token in drive.written]
    changes = [a != b for a, b in itertools.pairwise(under)]
    assert sum(changes) == 1
    assert under[0] == {"style": 3.0}
    assert under[-1] == {}
    shifts = {bool(token.epsilons): abs(token.shift) for token in drive.written}
    assert shifts[True] > 1e-3 > shifts[False]


def test_it_outgrows_its_window_and_rolls_new_dice_there(
    lm: LanguageModel, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmsteer_core.serving.endless_text._WINDOW", 12)
    calls = record_calls(monkeypatch, engine, "submit")
    drive = Drive(lm, engine, PROMPT, DICE)
    ids = take(drive, 40)
    rows = [row for (submitted,) in calls for row in submitted]
    assert len(rows) >= 4
    assert len({row.seed_offset for row in rows}) == len(rows)
    start = len(lm.encode(PROMPT)[0])
    whole = lm.encode(PROMPT)[0] + ids
    for row in rows[1:]:
        assert len(row.ids) == 12
        assert any(whole[i : i + 12] == row.ids for i in range(start, len(whole)))


def test_what_was_read_before_a_token_gives_its_probability(
    lm: LanguageModel, engine: Engine, steer: Steer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmsteer_core.serving.endless_text._WINDOW", 12)
    drive = Drive(lm, engine, PROMPT, DICE)
    drive.steer({"style": 2.0}, {"style": steer})
    ids = take(drive, 30)
    for place in (0, 11, 12, 13, 25, 29):
        token = drive.written[place]
        if not math.isnan(token.logprob):  # a break, which no model wrote
            found = inspect_token(lm, [*drive.ids_before(place), ids[place]], -1, [(steer, 2.0)])
            assert found.token.logprob == pytest.approx(token.logprob, abs=1e-3)
            assert found.token.base_logprob == pytest.approx(token.base_logprob, abs=1e-3)


def test_the_end_of_a_text_is_a_new_paragraph(lm: LanguageModel, engine: Engine) -> None:
    drive = Drive(lm, engine, "The end.", Sampling(temperature=0))
    drive._lm.__dict__["end_ids"], ends = frozenset(range(lm.vocab_size)), lm.end_ids
    try:
        take(drive, 4)
    finally:
        lm.__dict__["end_ids"] = ends
    assert "".join(token.text for token in drive.written).startswith("\n\n\n\n")


def test_it_goes_on_after_a_pause(lm: LanguageModel, engine: Engine) -> None:
    drive = Drive(lm, engine, PROMPT, DICE)
    before = take(drive, 5)
    after = take(drive, 5)
    assert after[: len(before)] == before
    assert len(after) >= 10


def test_a_bad_epsilon_or_prompt_is_refused_and_changes_nothing(
    lm: LanguageModel, engine: Engine, steer: Steer
) -> None:
    with pytest.raises(InputError, match="empty"):
        Drive(lm, engine, " ", DICE)
    drive = Drive(lm, engine, PROMPT, DICE)
    drive.steer({"style": 1.0}, {"style": steer})
    with pytest.raises(InputError, match="between −10 and 10"):
        drive.steer({"style": float("nan")}, {"style": steer})
    take(drive, 1)
    assert drive.written[0].epsilons == {"style": 1.0}


def test_a_loop_ends_in_a_new_paragraph_and_the_prompt_is_read_again(
    lm: LanguageModel, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = record_calls(monkeypatch, engine, "submit")
    drive = Drive(lm, engine, "My life is", Sampling(temperature=0))
    sentiment = Steer.load(PRETRAINED_STEERS / "smollm2-135m-instruct/sentiment")
    drive.steer({"sentiment": 5.0}, {"sentiment": sentiment})  # far beyond its useful range
    goal = 120
    for _ in drive.tokens(lambda: len(submitted) < 2 and len(drive.written) < goal):
        pass
    assert len(drive.written) < goal
    assert submitted[1][0][0].ids == lm.encode("My life is")[0]
