from pathlib import Path

import pytest

from lmsteer_core import InputError, LanguageModel, Row, Sampling, Steer, SteerError
from lmsteer_core.resources import PRETRAINED_STEERS
from lmsteer_core.steers.steer import WEIGHTS_FILE
from lmsteer_core.workbench import Workbench


def test_the_shipped_steers_are_found_and_small(lm: LanguageModel) -> None:
    workbench = Workbench(lm)
    assert {"sentiment", "detoxification", "shakespeare"} <= set(workbench.steers)
    for weights in PRETRAINED_STEERS.glob(f"*/*/{WEIGHTS_FILE}"):
        assert weights.stat().st_size <= 1_500_000


def test_a_broken_steer_is_reported_and_hides_no_other(
    lm: LanguageModel, steer: Steer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMSTEER_HOME", str(tmp_path))
    steer.save(tmp_path / "steers/here/style")
    steer.save(tmp_path / "steers/here/broken")
    (tmp_path / "steers/here/broken" / WEIGHTS_FILE).write_bytes(b"short")
    workbench = Workbench(lm)
    assert "style" in workbench.steers
    assert len(workbench.problems) == 1
    assert "truncated" in workbench.problems[0]


def test_an_unknown_steer_is_refused_with_the_names_there_are(lm: LanguageModel) -> None:
    with pytest.raises(SteerError, match=r"nosuch.*sentiment"):
        Workbench(lm).steer("nosuch")


def test_a_bad_row_raises_at_once_while_others_write(lm: LanguageModel) -> None:
    workbench = Workbench(lm)
    running = workbench.stream([Row("The garden")], Sampling(max_new_tokens=8))
    next(running)
    with pytest.raises(InputError, match="−10 and 10"):
        workbench.stream([Row("The garden", {"sentiment": 99.0})], Sampling())
    assert len(list(running)) == 7
    workbench.engine.close()


def test_who_is_not_wanted_any_more_ends_without_an_error(lm: LanguageModel) -> None:
    workbench = Workbench(lm)
    wanted = [True]
    steps = workbench.stream(
        [Row("The garden")], Sampling(max_new_tokens=5000), is_wanted=lambda: wanted[0]
    )
    next(steps)
    wanted[0] = False
    assert list(steps) == []
    workbench.engine.close()
