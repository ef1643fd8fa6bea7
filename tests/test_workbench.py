import ast
import dataclasses
import threading
from pathlib import Path

import pytest
from support.models import make_steer

from lmsteer_core import InputError, LanguageModel, Row, Sampling, Steer, SteerError
from lmsteer_core.progress import finished
from lmsteer_core.resources import PRETRAINED_STEERS
from lmsteer_core.steers.steer import WEIGHTS_FILE
from lmsteer_core.workbench import Workbench

ROOT = Path(__file__).parents[1]


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
    workbench.close()


def test_who_is_not_wanted_any_more_ends_without_an_error(lm: LanguageModel) -> None:
    workbench = Workbench(lm)
    wanted = [True]
    steps = workbench.stream(
        [Row("The garden")], Sampling(max_new_tokens=5000), is_wanted=lambda: wanted[0]
    )
    next(steps)
    wanted[0] = False
    assert list(steps) == []
    workbench.close()


def test_looking_a_steer_up_changes_nothing(
    lm: LanguageModel, steer: Steer, tmp_path: Path
) -> None:
    workbench = Workbench(lm)
    names = list(workbench.steers)
    with pytest.raises(SteerError, match="no steer named"):
        workbench.steer(str(steer.save(tmp_path / "style")))  # a visitor cannot make it read files
    workbench.checked(steer)
    assert list(workbench.steers) == names
    with pytest.raises(TypeError):
        workbench.steers["style"] = steer  # type: ignore[index]


def test_whatever_computes_on_the_model_is_a_step_of_the_engine(
    small: LanguageModel,
) -> None:
    workbench, threads = Workbench(small), set()
    a, b = (
        make_steer(small.output_embedding, name=name, rank=2, norm=0.3, model_id=small.model_id)
        for name in ("a", "b")
    )
    head = small.model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda *_: threads.add(threading.current_thread()))
    done = workbench.generate(
        [Row("The garden", {"a": 1.0})], Sampling(max_new_tokens=3), extra={"a": a}
    )
    workbench.next_words("The garden", a)
    workbench.plane("The garden", a, b, " is")
    workbench.styles("The garden", [row.tokens for row in done], [a, b])
    finished(workbench.profile(finished(workbench.read("It is a kind house.")), [a]))
    workbench.dimensions(a, n_dims=1)
    workbench.word_map(b)
    workbench.dimension_steer(a, 0)
    hook.remove()
    assert threads == {workbench._engine._thread}
    workbench.close()


def test_nothing_but_the_workbench_reaches_its_model_or_engine() -> None:
    files = [
        *(
            path
            for folder in ("lmsteer_core", "benchmarks")
            for path in (ROOT / folder).rglob("*.py")
        ),
        ROOT / "app.py",
    ]
    assert len(files) > 100
    for path in files:
        if path == ROOT / "lmsteer_core/workbench.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("_lm", "_engine"):
                assert isinstance(node.value, ast.Name) and node.value.id == "self", (
                    f"{path}, line {node.lineno}: use a method of the workbench"
                )


@pytest.fixture
def locked(small: LanguageModel) -> Steer:
    """A steer whose − pole its notice locks."""
    steer = make_steer(small.output_embedding, name="calm", rank=2, norm=0.3, model_id="tiny")
    card = dataclasses.replace(steer.card, notice="It may offend.")
    return dataclasses.replace(steer, card=card)


def test_a_locked_pole_is_refused_at_every_door_until_it_is_unlocked(
    small: LanguageModel, locked: Steer, tmp_path: Path
) -> None:
    workbench = Workbench(small)
    down, up = Row("The garden", {"calm": -1.0}), Row("The garden", {"calm": 1.0})
    tame = make_steer(small.output_embedding, name="tame", rank=2, norm=0.3, model_id="tiny")
    short, extra = Sampling(max_new_tokens=2), {"calm": locked}
    drive = workbench.endless_text("The garden", short)
    doors = [
        lambda **unlock: workbench.generate([up, down], short, extra=extra, **unlock),
        lambda **unlock: drive.steer({"calm": -1.0}, extra, **unlock),
        lambda **unlock: workbench.next_words("It is", locked, epsilons=[-1.0, 1.0], **unlock),
        lambda **unlock: workbench.next_words("It is", locked, ranked=[-1.0], **unlock),
        lambda **unlock: workbench.next_words("It is", tame, held=[(locked, -1.0)], **unlock),
        lambda **unlock: workbench.dimension_steer(locked, 0, **unlock),
        lambda **unlock: workbench.neighbours("on", steer=locked, epsilon=-1.0, **unlock),
        lambda **unlock: workbench.axis(["on"], ["off"], steer=locked, epsilon=-1.0, **unlock),
        lambda **unlock: workbench.analogy("on", "off", "in", steer=locked, epsilon=-1.0, **unlock),
    ]
    for door in doors:
        with pytest.raises(InputError, match=r"'calm' is locked\. It may offend\. Unlock it with"):
            door()
        door(unlock=True)
    with pytest.raises(InputError, match="locked"):
        workbench.export([(locked, -1.0)], tmp_path / "out", peft=True)
    assert len(workbench.generate([up], short, extra=extra)) == 1
    workbench.close()


def test_a_locked_pole_hides_its_own_words_and_nothing_else(
    small: LanguageModel, locked: Steer
) -> None:
    workbench = Workbench(small)
    shown, everything = workbench.word_map(locked), workbench.word_map(locked, unlock=True)
    assert (shown.shifts >= 0).all()
    assert len(shown.words) == int((everything.shifts >= 0).sum()) > 0
    assert shown.sizes == everything.sizes
    falling = {
        word for word, shift in zip(everything.words, everything.shifts, strict=True) if shift < 0
    }
    for some, all_of_them in zip(
        workbench.dimensions(locked), workbench.dimensions(locked, unlock=True), strict=True
    ):
        for side in ("positive", "negative"):
            listed = getattr(all_of_them, side)
            assert getattr(some, side) == [word for word in listed if word not in falling]
    page = workbench.dimension_page(locked, 0)
    assert not falling & {*page.dimension.positive, *page.dimension.negative}


def test_next_words_end_at_a_locked_pole(small: LanguageModel, locked: Steer) -> None:
    workbench = Workbench(small)
    found = workbench.next_words("It is", locked, at=-2.0)
    assert (found.epsilons[0], found.epsilons[-1]) == (0, 3)
    assert [ranking.epsilon for ranking in found.rankings] == [0, 2]
    found = workbench.next_words("It is", locked, unlock=True)
    assert (found.epsilons[0], found.epsilons[-1]) == (-3, 3)
    assert [ranking.epsilon for ranking in found.rankings] == [-2, 0, 2]
    workbench.close()
