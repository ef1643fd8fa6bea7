import gc
import weakref

import pytest
import torch
from support.models import make_steer, relative_error

from lmsteer_core import InputError, LanguageModel, Steer, SteerError
from lmsteer_core.analysis import dimensions as dimensions_module
from lmsteer_core.analysis.dimensions import (
    _rounded,
    dimension_steer,
    dimensions,
    displacement_dimensions,
    displacement_pca,
    displacement_scores,
    mean_logit_shift,
    overlap,
    place,
    word_moves,
    word_scores,
)
from lmsteer_core.analysis.vocabulary import vocabulary
from lmsteer_core.models.tokens import token_text


def test_plus_is_the_end_that_a_positive_epsilon_makes_likelier(
    lm: LanguageModel, steer: Steer
) -> None:
    u, sigma, vt = steer.svd()
    scores = word_scores(lm, steer)
    sentences = ["The weather in the north was mild.", "We went to the market before noon."]
    hidden = torch.cat(lm.hidden_states([lm.encode(s)[0] for s in sentences]))
    embedding = lm.output_embedding[vocabulary(lm).token_ids]
    embedding = embedding - embedding.mean(dim=0)
    own_effect = embedding @ ((hidden.mean(dim=0) @ u[:, 0]) * sigma[0] * vt[0])
    assert torch.corrcoef(torch.stack([own_effect, scores[:, 0]]))[0, 1] > 0.99


def test_mean_logit_shift_foretells_the_shift_in_another_text(
    lm: LanguageModel, steer: Steer
) -> None:
    sentences = ["The weather in the north was mild."]
    hidden = lm.hidden_states([lm.encode(s)[0] for s in sentences])[0]
    embedding = lm.output_embedding[vocabulary(lm).token_ids]
    direct = (hidden @ steer.matrix() @ (embedding - embedding.mean(dim=0)).T).mean(dim=0)
    shift = mean_logit_shift(lm, steer)
    assert torch.corrcoef(torch.stack([direct, shift]))[0, 1] > 0.7


def test_the_listed_words_are_whole_words_without_case_twins(
    lm: LanguageModel, steer: Steer
) -> None:
    for dimension in dimensions(lm, steer, n_dims=4, n_words=20):
        for words in (dimension.positive, dimension.negative):
            assert len(words) == 20
            assert len({word.casefold() for word in words}) == 20
            assert all(word.isalpha() and len(word) > 1 for word in words)


def test_singular_values_fall_and_energy_is_their_share(lm: LanguageModel, steer: Steer) -> None:
    found = dimensions(lm, steer, n_dims=steer.rank)
    values = [d.singular_value for d in found]
    assert values == sorted(values, reverse=True)
    assert abs(sum(d.energy for d in found) - 1) < 1e-4


def test_the_vocabulary_holds_no_fragments(lm: LanguageModel) -> None:
    words = vocabulary(lm).words
    assert "house" in words
    assert len(words) > 10_000
    assert "ing" not in words[:200]


def test_displacement_pca_is_centred_and_ordered_by_variance(
    lm: LanguageModel, steer: Steer
) -> None:
    coordinates = displacement_pca(lm, steer, n_components=3)
    variance = coordinates.var(dim=0)
    assert coordinates.mean(dim=0).abs().max() < 1e-3
    assert variance[0] >= variance[1] >= variance[2]


def test_svd_through_the_factors_equals_the_dense_one(lm: LanguageModel) -> None:
    noise = torch.Generator().manual_seed(3)
    left, right = (
        torch.randn(lm.d_model, 6, generator=noise),
        torch.randn(6, lm.d_model, generator=noise),
    )
    steer = make_steer(lm.output_embedding, rank=6)
    steer = Steer(left, right, steer.fingerprint_rows, steer.card)
    u, sigma, vt = steer.svd()
    dense_u, dense_sigma, dense_vt = torch.linalg.svd(left.double() @ right.double())
    assert relative_error(sigma, dense_sigma[:6]) < 1e-6
    for i in range(6):
        sign = (dense_u[:, i] @ u[:, i].double()).sign()
        assert relative_error(u[:, i] * sign, dense_u[:, i]) < 1e-5
        assert relative_error(vt[i] * sign, dense_vt[i]) < 1e-5


def test_dimension_steers_sum_to_the_steer(lm: LanguageModel, steer: Steer) -> None:
    parts = [dimension_steer(lm, steer, i) for i in range(steer.rank)]
    matrices = torch.stack([part.matrix() for part in parts])
    assert relative_error(matrices.sum(dim=0), steer.matrix()) < 1e-5
    assert all(part.rank == part.card.rank == 1 for part in parts)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert relative_error(total.matrix(), steer.matrix()) < 1e-5


def test_a_dimension_steer_names_the_words_of_its_ends(lm: LanguageModel, steer: Steer) -> None:
    part = dimension_steer(lm, steer, 1)
    found = dimensions(lm, steer, n_dims=2, n_words=3)[1]
    assert part.card.positive == ", ".join(found.positive)
    assert part.card.negative == ", ".join(found.negative)
    assert part.name == "style-dimension-2"
    alone = dimensions(lm, part, n_words=3)
    assert len(alone) == 1
    assert alone[0].positive == found.positive
    # Its factors carry the signs: + along `left` is where ordinary hidden states point.
    hidden = torch.cat(lm.hidden_states([lm.encode("We went to the market before noon.")[0]]))
    assert (hidden.mean(dim=0) @ part.left[:, 0]) > 0


@pytest.mark.parametrize("i", [-1, 8, 100])
def test_a_dimension_that_is_not_there_is_refused(lm: LanguageModel, steer: Steer, i: int) -> None:
    with pytest.raises(InputError, match="8 dimensions"):
        dimension_steer(lm, steer, i)


def test_overlap_is_the_cosine_of_the_matrices(lm: LanguageModel, steer: Steer) -> None:
    other = make_steer(lm.output_embedding, rank=3, seed=4, model_id=lm.model_id)
    steers = [steer, other, steer.scaled(-2.5), steer + other, steer.scaled(0)]
    found = overlap(steers)
    flat = torch.stack([s.matrix().flatten().double() for s in steers[:4]])
    flat = flat / flat.norm(dim=1, keepdim=True)
    assert torch.allclose(found[:4, :4].double(), flat @ flat.T, atol=1e-6)
    assert found[0, 2] == pytest.approx(-1)
    assert found[0, 4] == 0
    assert torch.equal(found, found.T)
    assert overlap([]).shape == (0, 0)


def test_overlap_needs_one_model(small: LanguageModel, steer: Steer) -> None:
    with pytest.raises(SteerError, match="cannot steer"):
        overlap([steer, make_steer(small.output_embedding)])


def test_raw_tokens_stand_beside_whole_words(lm: LanguageModel, steer: Steer) -> None:
    raw, whole = vocabulary(lm, raw=True), vocabulary(lm)
    assert set(whole.token_ids.tolist()) < set(raw.token_ids.tolist())
    assert {" the", ",", "ing"} <= set(raw.words)
    found = dimensions(lm, steer, n_dims=1, n_words=30, raw=True)[0]
    assert set(found.positive) <= set(raw.words)
    assert found.singular_value == dimensions(lm, steer, n_dims=1)[0].singular_value
    for scores in (word_scores, displacement_pca, mean_logit_shift):
        assert len(scores(lm, steer, raw=True)) == len(raw.words)


def test_token_text_is_what_the_token_adds_to_a_text(lm: LanguageModel) -> None:
    for text in (" the", "The", ",", "\n", " 好"):
        ids = lm.tokenizer("x" + text, add_special_tokens=False)["input_ids"][1:]
        if len(ids) == 1:
            assert token_text(lm, ids[0]) == text
    part = lm.tokenizer("🍲", add_special_tokens=False)["input_ids"][-1]
    assert "\ufffd" not in token_text(lm, part)


def test_displacement_pca_equals_the_dense_one(lm: LanguageModel, steer: Steer) -> None:
    embedding = lm.output_embedding[vocabulary(lm).token_ids].double()
    moved = embedding @ steer.matrix().double().T
    moved = moved - moved.mean(dim=0)
    variance, axes = torch.linalg.eigh(moved.T @ moved / (len(moved) - 1))
    coordinates = displacement_pca(lm, steer, n_components=3)
    found = displacement_dimensions(lm, steer, n_dims=steer.rank)
    for i in range(3):
        dense = moved @ axes[:, -1 - i]
        sign = (dense @ coordinates[:, i].double()).sign()
        assert relative_error(coordinates[:, i] * sign, dense) < 1e-3
        assert found[i].singular_value ** 2 == pytest.approx(variance[-1 - i].item(), rel=1e-4)
        assert found[i].energy == pytest.approx(
            (variance[-1 - i] / variance.sum()).item(), rel=1e-4
        )
    assert sum(d.energy for d in found) == pytest.approx(1, abs=1e-4)


def test_the_plus_end_of_a_component_gains_with_epsilon(lm: LanguageModel, steer: Steer) -> None:
    coordinates = displacement_pca(lm, steer, n_components=steer.rank)
    # The mean shift is the sum over components of (h · axis) times the coordinate, all of them ≥ 0.
    weights = torch.linalg.lstsq(coordinates, mean_logit_shift(lm, steer)[:, None]).solution
    assert weights.min() > 0


def test_word_moves_are_where_the_moved_words_land(lm: LanguageModel, steer: Steer) -> None:
    embedding = lm.output_embedding[vocabulary(lm).token_ids]
    embedding = embedding - embedding.mean(dim=0)
    _, _, vt = steer.svd()
    sign = (word_scores(lm, steer) * (embedding @ vt.T)).sum(dim=0).sign()
    landed = (embedding + 2.0 * embedding @ steer.matrix().T) @ (vt * sign[:, None]).T
    assert relative_error(word_scores(lm, steer) + 2.0 * word_moves(lm, steer), landed) < 1e-4


def test_a_word_is_placed_where_the_lists_have_it(lm: LanguageModel, steer: Steer) -> None:
    first = dimensions(lm, steer, n_dims=1)[0]
    best, last = place(lm, steer, first.positive[0]), place(lm, steer, first.negative[0])
    assert best.ranks[0] == 1
    assert last.ranks[0] == last.n_words == len(vocabulary(lm).words)
    assert best.scores[0] > 0 > last.scores[0]
    assert place(lm, steer, " HOUSE ").word.casefold() == "house"
    with pytest.raises(InputError, match="no whole word"):
        place(lm, steer, "sesquipedalian")


def test_displacements_start_where_the_words_are(lm: LanguageModel, steer: Steer) -> None:
    embedding = lm.output_embedding[vocabulary(lm).token_ids]
    embedding = embedding - embedding.mean(dim=0)
    found = displacement_scores(lm, steer, n_components=steer.rank)
    # As many axes as W has, so together they span what W writes to.
    basis, _ = torch.linalg.qr(steer.left)
    assert relative_error(found.norm(dim=1), (embedding @ basis).norm(dim=1)) < 1e-4
    # Moving a word by its displacement moves it as far along these axes.
    landed = displacement_pca(lm, steer, n_components=steer.rank)
    axes = torch.linalg.lstsq(embedding @ steer.matrix().T @ basis, landed).solution
    assert relative_error(found, embedding @ basis @ axes) < 1e-3


def test_the_lists_are_the_official_ones_up_to_the_ends(lm: LanguageModel, steer: Steer) -> None:
    n_words = 30
    used = set(vocabulary(lm, raw=True).token_ids.tolist())
    _, _, v = torch.linalg.svd(steer.left.double() @ steer.right.double())
    for i, found in enumerate(dimensions(lm, steer, n_dims=4, n_words=n_words, raw=True)):
        falling = (lm.output_embedding.double() @ v[i]).argsort(descending=True).tolist()
        falling = [token_id for token_id in falling if token_id in used]
        official = [
            {token_text(lm, token_id) for token_id in ids}
            for ids in (falling[:n_words], falling[-n_words:])
        ]
        # Its signs are arbitrary, and it lists a dimension's ends without saying which +ε favours.
        assert [set(found.positive), set(found.negative)] in (official, official[::-1])


def test_equals_are_listed_by_token_id_at_both_ends(
    lm: LanguageModel, steer: Steer, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_words = len(vocabulary(lm).words)
    # Two levels, and below the resolution a noise that another machine would round otherwise.
    levels = (torch.arange(n_words) % 2 * 2 - 1.0) + 1e-7 * torch.randn(n_words)
    monkeypatch.setattr(
        dimensions_module, "word_scores", lambda *_, **__: levels[:, None].repeat(1, steer.rank)
    )
    found = dimensions(lm, steer, n_dims=1, n_words=3, raw=False)[0]
    folded = [word.casefold() for word in vocabulary(lm).words]
    assert [w.casefold() for w in found.positive] == list(dict.fromkeys(folded[1::2]))[:3]
    assert [w.casefold() for w in found.negative] == list(dict.fromkeys(folded[0::2]))[:3]


def test_rounding_keeps_zero_columns_finite() -> None:
    assert torch.equal(_rounded(torch.zeros(4, 2)), torch.zeros(4, 2))


def test_the_caches_let_a_model_go(lm: LanguageModel) -> None:
    copy = LanguageModel(lm.model, lm.tokenizer, "copy")
    assert vocabulary(copy) is vocabulary(copy)
    gone = weakref.ref(copy)
    del copy
    gc.collect()
    assert gone() is None
