from typing import Literal

import pytest
import torch
from torch.nn.functional import cosine_similarity

from lmsteer_core import InputError, LanguageModel, Steer
from lmsteer_core.analysis.ordinary_text import expectations
from lmsteer_core.analysis.vocabulary import are_whole, vocabulary
from lmsteer_core.analysis.word_space import (
    analogy,
    axis,
    axis_direction,
    frequency_direction,
    hubs,
    neighbours,
)


def moved(lm: LanguageModel, steer: Steer, epsilon: float) -> torch.Tensor:
    """Every word's moved embedding, centred, made densely."""
    rows = lm.output_embedding[vocabulary(lm).token_ids] - expectations(lm).embedding
    return rows + epsilon * rows @ steer.matrix().T


@pytest.mark.parametrize("measure", ["cosine", "dot"])
@pytest.mark.parametrize("epsilon", [0.0, 2.0])
def test_neighbours_are_those_of_brute_force(
    lm: LanguageModel, steer: Steer, measure: Literal["cosine", "dot"], epsilon: float
) -> None:
    words, token_ids = vocabulary(lm).words, vocabulary(lm).token_ids
    frequency = frequency_direction(lm)
    rows = moved(lm, steer, epsilon)
    rows = rows - (rows @ frequency)[:, None] * frequency
    at = words.index("house")
    scores = cosine_similarity(rows, rows[at][None]) if measure == "cosine" else rows @ rows[at]
    expected: list[str] = []
    for i in scores.argsort(descending=True).tolist():
        twin = words[i].casefold() in {w.casefold() for w in [*expected, "house"]}
        if not twin and are_whole(lm, [int(token_ids[i])]) == [True]:
            expected.append(words[i])
        if len(expected) == 10:
            break
    found = neighbours(lm, " house ", steer=steer, epsilon=epsilon, n=10, measure=measure)
    assert [each.word for each in found.after] == expected
    for each in found.after:
        assert each.after == pytest.approx(float(scores[words.index(each.word)]), rel=1e-3)
    before, after = ({each.word for each in side} for side in (found.before, found.after))
    assert set(found.closer) == after - before
    assert set(found.leaving) == before - after


def test_neighbours_mean_something_and_hubs_are_few(lm: LanguageModel) -> None:
    found = neighbours(lm, "Monday", n=8)
    assert {"Tuesday", "Thursday"} <= {each.word for each in found.before}
    assert found.before == found.after
    assert found.closer == found.leaving == []
    assert 0 < hubs(lm).sum() < len(hubs(lm)) / 20


def test_similarities_are_free_of_frequency(lm: LanguageModel) -> None:
    logs = expectations(lm).probability[vocabulary(lm).token_ids].log()
    rows = lm.output_embedding[vocabulary(lm).token_ids] - expectations(lm).embedding
    along = rows @ frequency_direction(lm)
    assert torch.corrcoef(torch.stack([logs, along]))[0, 1] > 0.5


def test_an_axis_parts_its_words_and_moves_as_the_embeddings_do(
    lm: LanguageModel, steer: Steer
) -> None:
    plus, minus = ["good", "Great"], ["bad", "awful"]
    direction = axis_direction(lm, plus, minus)
    assert torch.allclose(direction, -axis_direction(lm, minus, plus), atol=1e-6)
    found = axis(lm, plus, minus, steer=steer, epsilon=2.0, n=10)
    assert found.plus == ["good", "Great"]
    rows, after = moved(lm, steer, 0.0), moved(lm, steer, 2.0)
    cosines = cosine_similarity(rows, direction[None])
    gains = cosine_similarity(after, direction[None]) - cosines
    words = vocabulary(lm).words
    for listed, scores in (
        (found.positive, cosines),
        (found.negative, cosines),
        (found.towards_plus, gains),
        (found.towards_minus, gains),
    ):
        assert [value for _, value in listed] == pytest.approx(
            [float(scores[words.index(word)]) for word, _ in listed], abs=1e-4
        )
    assert found.positive[0][1] > 0 > found.negative[0][1]
    assert not {"good", "awful"} & {word for word, _ in found.positive + found.negative}
    assert axis(lm, plus, minus).towards_plus == []


@pytest.mark.parametrize(
    ("plus", "minus", "told"),
    [
        ([], ["bad"], "\\+ end of the axis has no word"),
        (["good"], [], "− end of the axis has no word"),
        (["good"], ["good"], "same words"),
        (["good"], ["xqzzy"], "'xqzzy' is no whole word"),
        (["good"], ["हिन्दी"], "'हिन्दी' is no whole word"),
        (["word"] * 200, ["bad"], "200 words"),
    ],
)
def test_an_axis_that_is_none_is_refused(
    lm: LanguageModel, plus: list[str], minus: list[str], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        axis(lm, plus, minus)


def test_an_analogy_is_answered_and_its_answer_ranked(lm: LanguageModel, steer: Steer) -> None:
    found = analogy(lm, "man", "woman", "king", answer="queen", steer=steer, epsilon=1.0, n=10)
    assert found.words == ("man", "woman", "king")
    assert not {"man", "woman", "king"} & {word.casefold() for word, _ in found.before}
    assert found.rank_before is not None
    assert found.rank_before <= 20
    rows, words = moved(lm, steer, 1.0), vocabulary(lm).words
    units = rows / rows.norm(dim=1, keepdim=True)
    a, b, c, answer = (words.index(w) for w in ("man", "woman", "king", "queen"))
    cosines = units @ (units[b] - units[a] + units[c])
    others = [i for i in range(len(words)) if i not in (a, b, c)]
    assert found.rank_after == 1 + sum(float(cosines[i]) > float(cosines[answer]) for i in others)
    with pytest.raises(InputError, match="one of the three"):
        analogy(lm, "man", "woman", "king", answer="king")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"n": 0}, "number of neighbours"),
        ({"epsilon": 99}, "between"),
        ({"measure": "l2"}, "no measure 'l2'"),
    ],
)
def test_values_out_of_range_are_refused(lm: LanguageModel, options: dict, told: str) -> None:
    with pytest.raises(InputError, match=told):
        neighbours(lm, "house", **options)
