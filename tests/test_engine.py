from pathlib import Path

import pytest

from lmsteer_core import InputError, LanguageModel, Row, Sampling, Steer, SteerError
from lmsteer_core.engine import Workbench
from lmsteer_core.steer import WEIGHTS_FILE


def test_the_shipped_steers_are_found_and_small(lm: LanguageModel) -> None:
    workbench = Workbench(lm)
    assert {"sentiment", "detoxification", "shakespeare"} <= set(workbench.steers)
    for weights in Path(__file__).parents[1].glob(f"pretrained_steers/*/*/{WEIGHTS_FILE}"):
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


def test_a_bad_row_raises_before_it_waits_for_a_turn(lm: LanguageModel) -> None:
    workbench = Workbench(lm)
    running = workbench.stream([Row("The garden")], Sampling(max_new_tokens=8))
    next(running)
    with pytest.raises(InputError, match="−10 and 10"):
        next(workbench.stream([Row("The garden", {"sentiment": 99.0})], Sampling()))
    running.close()


def test_closing_a_stream_gives_the_turn_to_the_next_caller(lm: LanguageModel) -> None:
    workbench = Workbench(lm)
    first = workbench.stream([Row("The garden")], Sampling(max_new_tokens=50))
    next(first)
    first.close()
    assert len(list(workbench.stream([Row("The garden")], Sampling(max_new_tokens=3)))) == 3
