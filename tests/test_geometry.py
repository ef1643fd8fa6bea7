import torch

from lmsteer_core import LanguageModel, Steer
from lmsteer_core.geometry import dimensions, displacement_pca, mean_logit_shift, vocabulary, word_scores


def test_plus_is_the_end_that_a_positive_epsilon_makes_likelier(lm: LanguageModel, steer: Steer) -> None:
    u, sigma, vt = steer.svd()
    scores = word_scores(lm, steer)
    sentences = ["The weather in the north was mild.", "We went to the market before noon."]
    hidden = torch.cat(lm.hidden_states([lm.encode(s)[0] for s in sentences]))
    embedding = lm.output_embedding[vocabulary(lm).token_ids]
    embedding = embedding - embedding.mean(dim=0)
    own_effect = embedding @ ((hidden.mean(dim=0) @ u[:, 0]) * sigma[0] * vt[0])
    assert torch.corrcoef(torch.stack([own_effect, scores[:, 0]]))[0, 1] > 0.99


def test_mean_logit_shift_foretells_the_shift_in_another_text(lm: LanguageModel, steer: Steer) -> None:
    sentences = ["The weather in the north was mild."]
    hidden = lm.hidden_states([lm.encode(s)[0] for s in sentences])[0]
    embedding = lm.output_embedding[vocabulary(lm).token_ids]
    direct = (hidden @ steer.matrix() @ (embedding - embedding.mean(dim=0)).T).mean(dim=0)
    shift = mean_logit_shift(lm, steer)
    assert torch.corrcoef(torch.stack([direct, shift]))[0, 1] > 0.7


def test_the_listed_words_are_whole_words_without_case_twins(lm: LanguageModel, steer: Steer) -> None:
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


def test_displacement_pca_is_centred_and_ordered_by_variance(lm: LanguageModel, steer: Steer) -> None:
    coordinates = displacement_pca(lm, steer, n_components=3)
    variance = coordinates.var(dim=0)
    assert coordinates.mean(dim=0).abs().max() < 1e-3
    assert variance[0] >= variance[1] >= variance[2]
