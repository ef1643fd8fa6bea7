import pytest
from support.calls import record_calls
from support.models import make_steer

from lmsteer_core import InputError, LanguageModel
from lmsteer_core.analysis.evidence import weigh
from lmsteer_core.analysis.reading import read_text
from lmsteer_core.analysis.style_reading import read_styles
from lmsteer_core.progress import map_shares
from lmsteer_core.ui.tabs.highlight.analysis import Analyst
from lmsteer_core.workbench import Workbench

TEXT = "The soup was cold 🍲, but we loved the view."


def finished(steps):
    """Return the shares that steps yield, and what they make."""
    shares: list[float] = []
    made = yield_all(steps, shares)
    return shares, made


def yield_all(steps, shares):
    try:
        while True:
            shares.append(next(steps))
    except StopIteration as end:
        return end.value


@pytest.fixture
def steers(small: LanguageModel):
    return [
        make_steer(small.output_embedding, norm=0.5, seed=seed, name=name)
        for seed, name in enumerate(("a", "b"))
    ]


def test_an_analysis_is_the_librarys(small: LanguageModel, steers) -> None:
    analyst = Analyst(Workbench(small))
    shares, analysis = finished(analyst.weigh(TEXT, steers[0]))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    read = read_text(small, TEXT)
    assert analysis.token_texts == read.token_texts
    assert analysis.weighed == weigh(small, read, steers[0])
    assert analysis.style == read_styles(small, read, steers[:1])[0]
    assert analysis.profile == ()
    _, analysis = finished(analyst.weigh(TEXT, steers[0], steers))
    assert list(analysis.profile) == read_styles(small, read, steers)


def test_what_is_known_is_not_computed_again(
    small: LanguageModel, steers, monkeypatch: pytest.MonkeyPatch
) -> None:
    workbench = Workbench(small)
    analyst = Analyst(workbench)
    _, first = finished(analyst.weigh(TEXT, steers[0]))
    calls = record_calls(monkeypatch, workbench, "profile")
    monkeypatch.setattr(workbench, "read", None)
    shares, again = finished(analyst.weigh(TEXT, steers[0], steers))
    assert calls == shares == []
    assert again.weighed is first.weighed
    finished(analyst.weigh(TEXT, steers[1], steers))
    assert [some for _, some in calls] == [steers[1:]]


def test_only_the_latest_texts_are_kept(
    small: LanguageModel, steers, monkeypatch: pytest.MonkeyPatch
) -> None:
    workbench = Workbench(small)
    analyst = Analyst(workbench)
    for i in range(6):
        finished(analyst.weigh(f"Text {i}", steers[0]))
    calls = record_calls(monkeypatch, workbench, "read")
    for i in (5, 0):
        finished(analyst.weigh(f"Text {i}", steers[0]))
    assert calls == [("Text 0",)]


def test_an_empty_text_is_refused(small: LanguageModel, steers) -> None:
    with pytest.raises(InputError, match="empty"):
        finished(Analyst(Workbench(small)).weigh(" ", steers[0]))


def test_steps_are_told_in_other_words() -> None:
    def steps():
        yield 0.5
        return "made"

    shares, made = finished(map_shares(steps(), lambda share: f"{share:.0%}"))
    assert (shares, made) == (["50%"], "made")
