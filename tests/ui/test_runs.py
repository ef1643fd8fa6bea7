from lmsteer_core.ui.runs import Runs


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
