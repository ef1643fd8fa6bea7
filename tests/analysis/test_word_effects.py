import pytest
from support.models import make_steer

from lmsteer_core import InputError, LanguageModel, Steer, read_text
from lmsteer_core.analysis.style_reading import read_styles
from lmsteer_core.analysis.word_effects import MAX_WORDS, word_effects


@pytest.fixture(scope="module")
def style(small: LanguageModel) -> Steer:
    return make_steer(small.output_embedding, rank=3, norm=0.4)


def total(lm: LanguageModel, steer: Steer, text: str) -> float:
    return read_styles(lm, read_text(lm, text), [steer])[0].total


def test_both_parts_are_what_the_text_loses_without_the_word(
    small: LanguageModel, style: Steer
) -> None:
    effects = word_effects(small, "We did not love the view", style)
    assert [effect.text for effect in effects] == ["We", "did", "not", "love", "the", "view"]
    lost = total(small, style, "We did not love the view") - total(
        small, style, "We did love the view"
    )
    assert effects[2].own + effects[2].on_later == pytest.approx(lost, abs=1e-4)


def test_the_last_word_changes_no_other(small: LanguageModel, style: Steer) -> None:
    *_, last = word_effects(small, "We did not love the view", style)
    assert last.on_later == pytest.approx(0, abs=1e-4)


def test_a_word_alone_is_all_its_own(small: LanguageModel, style: Steer) -> None:
    (effect,) = word_effects(small, "view", style)
    assert effect.own == pytest.approx(total(small, style, "view"))
    assert effect.on_later == pytest.approx(0, abs=1e-6)


def test_a_script_without_spaces_gets_none(small: LanguageModel, style: Steer) -> None:
    effects = word_effects(small, "我们好", style)
    assert len(effects) == 3
    lost = total(small, style, "我们好") - total(small, style, "我好")
    assert effects[1].own + effects[1].on_later == pytest.approx(lost, abs=1e-4)


def test_a_long_text_is_refused(small: LanguageModel, style: Steer) -> None:
    with pytest.raises(InputError, match="are the most"):
        word_effects(small, "a " * (MAX_WORDS + 1), style)
