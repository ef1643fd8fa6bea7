import pytest
import torch
from support.models import relative_error

from lmsteer_core import InputError, LanguageModel, Steer
from lmsteer_core.analysis.dimension_page import dimension_page
from lmsteer_core.analysis.ordinary_text import SENTENCES, ordinary_text
from lmsteer_core.analysis.readings import factors

TEXT = "The soup was cold, and nobody said a word about it."


def test_what_a_dimension_reads_is_that_of_an_independent_forward(
    lm: LanguageModel, steer: Steer
) -> None:
    page = dimension_page(lm, steer, 1, text=TEXT)
    ids = lm.tokenizer(TEXT, return_tensors="pt")["input_ids"]
    states = lm.model(ids, output_hidden_states=True).hidden_states[-1][0].float()
    expected = states[:-1] @ factors(lm, steer).reads[:, 1]
    assert page.text is not None
    assert relative_error(torch.tensor(page.text.values), expected) < 1e-3
    assert "".join(page.text.token_texts) == TEXT
    assert not page.text.cut


def test_shares_of_a_text_sum_to_the_whole_and_are_those_of_the_effect(
    lm: LanguageModel, steer: Steer
) -> None:
    pages = [dimension_page(lm, steer, i, text=TEXT) for i in range(steer.rank)]
    assert sum(page.share for page in pages) == pytest.approx(1, abs=1e-4)
    assert sum(page.text.share for page in pages if page.text) == pytest.approx(1, abs=1e-4)
    # In ordinary text the dimensions of the divergence share it out as they share W.
    assert pages[0].share == pytest.approx(pages[0].dimension.energy, abs=1e-3)


def test_contexts_are_places_of_ordinary_text(lm: LanguageModel, steer: Steer) -> None:
    page = dimension_page(lm, steer, 0)
    assert page.text is None
    assert len(page.usual) == len(ordinary_text(lm).hidden)
    assert page.strongest[0].value == pytest.approx(max(page.usual))
    assert page.weakest[0].value == pytest.approx(min(page.usual))
    for place in page.strongest + page.weakest:
        assert any(sentence.startswith(place.before + place.token) for sentence in SENTENCES)


@pytest.mark.parametrize(
    ("i", "options", "told"),
    [
        (8, {}, "8 dimensions"),
        (-1, {}, "8 dimensions"),
        (0, {"text": "a"}, "single token"),
        (0, {"reading": "nmf"}, "no reading"),
    ],
)
def test_what_is_not_there_is_refused(
    lm: LanguageModel, steer: Steer, i: int, options: dict, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        dimension_page(lm, steer, i, **options)
