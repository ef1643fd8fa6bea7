import dataclasses
import gc
import weakref

import pytest
import torch
from support.models import make_steer, relative_error

from lmsteer_core import InputError, LanguageModel, Steer, SteerError
from lmsteer_core.analysis.dimensions import (
    dimension_steer,
    dimensions,
    mean_logit_shift,
    overlap,
    place,
    word_positions,
    word_scores,
)
from lmsteer_core.analysis.ordinary_text import SENTENCES, expectations
from lmsteer_core.analysis.readings import READINGS, factors
from lmsteer_core.analysis.vocabulary import are_whole, is_word, vocabulary
from lmsteer_core.analysis.word_lists import end_words, rounded, strongest
from lmsteer_core.models.tokens import token_text


def test_plus_is_the_end_that_a_positive_epsilon_makes_likelier(
    lm: LanguageModel, steer: Steer
) -> None:
    hidden = torch.cat(lm.hidden_states([lm.token_ids(s) for s in SENTENCES])).mean(dim=0)
    embedding = lm.output_embedding[vocabulary(lm).token_ids]
    for reading in READINGS:
        part = dimension_steer(lm, steer, 0, reading=reading)
        effect = (embedding - embedding.mean(dim=0)) @ (hidden @ part.matrix())
        scores = word_scores(lm, steer, reading=reading)[:, 0]
        assert torch.corrcoef(torch.stack([effect, scores]))[0, 1] > 0.99


@pytest.mark.parametrize("reading", READINGS)
def test_every_reading_keeps_the_steer_and_shares_it_out(
    lm: LanguageModel, steer: Steer, reading: str
) -> None:
    found = factors(lm, steer, reading)
    assert relative_error(found.reads @ found.writes, steer.matrix()) < 1e-5
    assert found.shares.sum() == pytest.approx(1, abs=1e-5)
    assert (found.shares.diff() <= 0).all()
    # What a text's tokens get by each dimension sums to what they get by the steer.
    ids = lm.encode("The soup was cold and the waiter was kind.")[0]
    hidden, words = lm.hidden_states([ids])[0], lm.output_embedding[ids]
    evidence = (hidden @ found.reads) * (words @ found.writes.T)
    whole = ((hidden @ steer.matrix()) * words).sum(dim=1)
    assert relative_error(evidence.sum(dim=1), whole) < 1e-4


def test_the_size_of_a_dimension_is_the_divergence_it_causes(
    lm: LanguageModel, steer: Steer
) -> None:
    found, epsilon = factors(lm, steer, "divergence"), 0.02
    text = expectations(lm)
    for i in range(2):
        part = dimension_steer(lm, steer, i).matrix().double()
        moved = torch.trace(part.T @ text.hidden_moment @ part @ text.covariance)
        assert found.sizes[i] ** 2 == pytest.approx(moved.item(), rel=1e-3)
    # And by a forward pass: KL(p ‖ p′) ≈ ½ ε² size², to the accuracy of A and B's independence.
    ids = [
        lm.token_ids(s) for s in ("The road will be closed.", "We had soup and bread for lunch.")
    ]
    hidden = torch.cat(lm.hidden_states(ids)).double()
    embedding, w = lm.output_embedding.double(), steer.matrix().double()
    before, after = (
        ((hidden + e * hidden @ w) @ embedding.T).log_softmax(dim=1) for e in (0.0, epsilon)
    )
    divergence = (before.exp() * (before - after)).sum(dim=1).mean() * 2 / epsilon**2
    assert divergence == pytest.approx(found.sizes.square().sum().item(), rel=0.9)


def test_varimax_and_the_sparse_reading_are_simpler_than_what_they_turn(
    lm: LanguageModel, steer: Steer
) -> None:
    def fourth(reading: str) -> float:
        scores = word_scores(lm, steer, reading=reading)
        return float((scores - scores.mean(dim=0)).pow(4).sum())

    assert fourth("sparse") >= fourth("varimax") > fourth("divergence")
    independent = word_scores(lm, steer, reading="ica")
    correlation = torch.corrcoef(independent.T) - torch.eye(independent.shape[1])
    assert correlation.abs().max() < 1e-3


def test_a_reading_that_is_not_there_is_refused(lm: LanguageModel, steer: Steer) -> None:
    with pytest.raises(InputError, match="no reading 'nmf'; use divergence"):
        dimensions(lm, steer, reading="nmf")


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
    found = dimensions(lm, steer, n_dims=steer.rank, reading="svd")
    values = [d.singular_value for d in found]
    assert values == sorted(values, reverse=True)
    assert abs(sum(d.energy for d in found) - 1) < 1e-4


def test_the_vocabulary_holds_no_fragments(lm: LanguageModel) -> None:
    words = vocabulary(lm).words
    assert "house" in words
    assert len(words) > 10_000
    assert "ing" not in words[:200]


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
    assert found.name == f"{', '.join(found.negative[:2])} ↔ {', '.join(found.positive[:2])}"
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
    for scores in (word_scores, word_positions, mean_logit_shift):
        assert len(scores(lm, steer, raw=True)) == len(raw.words)


def test_token_text_is_what_the_token_adds_to_a_text(lm: LanguageModel) -> None:
    for text in (" the", "The", ",", "\n", " 好"):
        ids = lm.tokenizer("x" + text, add_special_tokens=False)["input_ids"][1:]
        if len(ids) == 1:
            assert token_text(lm, ids[0]) == text
    part = lm.tokenizer("🍲", add_special_tokens=False)["input_ids"][-1]
    assert "\ufffd" not in token_text(lm, part)


def test_pca_equals_the_dense_one(lm: LanguageModel, steer: Steer) -> None:
    embedding = lm.output_embedding[vocabulary(lm).token_ids].double()
    moved = embedding @ steer.matrix().double().T
    moved = moved - moved.mean(dim=0)
    variance, axes = torch.linalg.eigh(moved.T @ moved / (len(moved) - 1))
    coordinates = word_scores(lm, steer, reading="pca")
    coordinates = coordinates - coordinates.mean(dim=0)
    found = factors(lm, steer, "pca")
    for i in range(3):
        dense = moved @ axes[:, -1 - i]
        sign = (dense @ coordinates[:, i].double()).sign()
        assert relative_error(coordinates[:, i] * sign, dense) < 1e-3
        assert found.sizes[i] ** 2 == pytest.approx(variance[-1 - i].item(), rel=1e-4)
        assert found.shares[i] == pytest.approx(
            (variance[-1 - i] / variance.sum()).item(), rel=1e-4
        )


@pytest.mark.parametrize("reading", READINGS)
def test_words_land_where_their_moves_take_them(
    lm: LanguageModel, steer: Steer, reading: str
) -> None:
    embedding = lm.output_embedding[vocabulary(lm).token_ids] - expectations(lm).embedding
    axes = torch.linalg.pinv(factors(lm, steer, reading).reads)
    landed = (embedding + 2.0 * embedding @ steer.matrix().T) @ axes.T
    start, moves = (each(lm, steer, reading=reading) for each in (word_positions, word_scores))
    assert relative_error(start + 2.0 * moves, landed) < 1e-3


def test_a_word_is_placed_by_its_score(lm: LanguageModel, steer: Steer) -> None:
    words, scores = vocabulary(lm).words, word_scores(lm, steer)[:, 0]
    best, last = (words[strongest(sign * scores, 1)[0]] for sign in (1, -1))
    assert place(lm, steer, best).ranks[0] == 1
    assert place(lm, steer, last).ranks[0] == place(lm, steer, last).n_words == len(words)
    assert place(lm, steer, " HOUSE ").word.casefold() == "house"
    with pytest.raises(InputError, match="no whole word"):
        place(lm, steer, "sesquipedalian")
    with pytest.raises(InputError, match="'w{40}…' is no whole word"):
        place(lm, steer, "w" * 20_000)


def test_listed_words_are_among_those_that_a_dimension_moves_most(
    lm: LanguageModel, steer: Steer
) -> None:
    scores = word_scores(lm, steer)[:, 0]
    for sign in (1, -1):
        listed = end_words(lm, sign * scores, 20)
        ranks = [place(lm, steer, vocabulary(lm).words[i]).ranks[0] for i in listed]
        ranks = ranks if sign > 0 else [len(scores) + 1 - rank for rank in ranks]
        assert max(ranks) < len(scores) / 5
        assert sorted(ranks)[10] < len(scores) / 50


def test_the_lists_are_the_official_ones_up_to_the_ends(lm: LanguageModel, steer: Steer) -> None:
    n_words = 30
    sizes = torch.arange(steer.rank, 0, -1.0)  # no two alike, or no dimension would be singled out
    steer = dataclasses.replace(steer, left=steer.left * sizes)
    used = set(vocabulary(lm, raw=True).token_ids.tolist())
    _, _, v = torch.linalg.svd(steer.left.double() @ steer.right.double())
    for i, found in enumerate(
        dimensions(lm, steer, n_dims=4, n_words=n_words, raw=True, reading="svd")
    ):
        falling = (lm.output_embedding.double() @ v[i]).argsort(descending=True).tolist()
        falling = [token_id for token_id in falling if token_id in used]
        official = [
            {token_text(lm, token_id) for token_id in ids}
            for ids in (falling[:n_words], falling[-n_words:])
        ]
        # Its signs are arbitrary, and it lists a dimension's ends without saying which +ε favours.
        listed = [set(found.positive), set(found.negative)]
        # The last word of a list may tie with the next.
        assert any(
            len(listed[0] ^ ends[0]) + len(listed[1] ^ ends[1]) <= 2
            for ends in (official, official[::-1])
        )


def test_equals_are_listed_by_token_id() -> None:
    # Two levels, and below the resolution a noise that another machine would round otherwise.
    levels = (torch.arange(100) % 2 * 2 - 1.0) + 1e-7 * torch.randn(100)
    assert strongest(levels, 3) == [1, 3, 5]
    assert strongest(-levels, 3) == [0, 2, 4]


def test_rounding_keeps_zero_columns_finite() -> None:
    assert torch.equal(rounded(torch.zeros(4, 2)), torch.zeros(4, 2))


@pytest.mark.parametrize("text", [" house", " हिन्दी", "ภาษา", " العربيّة", "漂亮"])
def test_words_of_every_script_are_words(text: str) -> None:
    assert is_word(text)


@pytest.mark.parametrize("text", ["house", " a", " x1", " don't", " ूा", "", " ", "<|im_end|>"])
def test_what_is_no_word_is_none(text: str) -> None:
    assert not is_word(text)


def test_beginnings_of_words_are_told_from_words(lm: LanguageModel) -> None:
    whole = ["house", "kind", "today", "yesterday"]
    parts = ["murd", "horr", "hadn", "weren", "couldn"]
    words = vocabulary(lm)
    ids = [int(words.token_ids[words.words.index(word)]) for word in whole + parts]
    assert are_whole(lm, ids) == [True] * len(whole) + [False] * len(parts)


def test_code_is_no_word_unless_raw_tokens_are_asked_for(lm: LanguageModel) -> None:
    words, raw = set(vocabulary(lm).words), set(vocabulary(lm, raw=True).words)
    code = {"kwargs", "ctypes", "hashlib", "cfg", "numpy", "argparse", "json"}
    assert not code & words
    assert {f" {word}" for word in code} <= raw
    assert {"node", "freeze", "merge", "file", "Kabul", "return", "class"} <= words


def test_special_tokens_and_padding_are_no_tokens_to_list(lm: LanguageModel) -> None:
    special = {i for i, token in lm.tokenizer.added_tokens_decoder.items() if token.special}
    listed = set(vocabulary(lm, raw=True).token_ids.tolist())
    assert special
    assert not listed & special
    assert max(listed) < len(lm.tokenizer)


def test_the_caches_let_a_model_go(lm: LanguageModel) -> None:
    copy = LanguageModel(lm.model, lm.tokenizer, "copy")
    assert vocabulary(copy) is vocabulary(copy)
    gone = weakref.ref(copy)
    del copy
    gc.collect()
    assert gone() is None
