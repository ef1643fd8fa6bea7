"""A steer keeps its direction on another model: exactly where that is known, else by behaviour."""

from __future__ import annotations

import copy

import pytest
import torch
from support.models import NEUTRAL, TINY_CONFIGS, cosine, make_plain, make_steer, relative_error
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from lmsteer_core import InputError, LanguageModel, SteerError
from lmsteer_core.steers.steer import check_fingerprint
from lmsteer_core.training.projection import whitened
from lmsteer_core.training.train import steer_from_shift
from lmsteer_core.transfer.behaviour import Behaviour, _word_ends
from lmsteer_core.transfer.embedding_map import carried, fit_map, shared_words
from lmsteer_core.transfer.transfer import fit_report, transfer_steer

OTHER_TEXTS = [
    *NEUTRAL,
    "The bus to the farm leaves the village before noon and comes back in the rain.",
    "There are two shelves in the kitchen, and the other letters are on the table.",
]


def silent(_share, _what):
    return None


@pytest.fixture(scope="module")
def small_steer(small):
    return make_steer(small.output_embedding, rank=2, norm=0.3, model_id="tiny")


@pytest.fixture(scope="module")
def other():
    """A tiny model of another width whose SentencePiece-like tokenizer learned a few words."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "</s>"], show_progress=False
    )
    tokenizer.train_from_iterator(OTHER_TEXTS, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>")
    config = copy.deepcopy(TINY_CONFIGS["llama"])
    config.vocab_size, config.max_position_embeddings, config.hidden_size = len(fast), 512, 24
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = LlamaForCausalLM(config)
        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
    return LanguageModel(model, fast, "other")


@pytest.fixture
def few_words(monkeypatch):
    monkeypatch.setattr("lmsteer_core.transfer.embedding_map.LEAST_SHARED_WORDS", 20)


def mapped_twin(small, h):
    """Return a model whose output embedding is e_source = H e for every word e of `small`'s."""
    config = copy.deepcopy(small.model.config)
    config.tie_word_embeddings = False
    model = LlamaForCausalLM(config)
    model.get_output_embeddings().weight.data = small.output_embedding @ h.T
    return LanguageModel(model, small.tokenizer, "twin")


def test_a_steer_comes_back_from_its_own_behaviour(small, small_plain, small_steer):
    shift = Behaviour(small, small_steer).shift(small, small_plain, silent)
    made = steer_from_shift(small, small_steer.card, shift, small_plain, rank=2)
    found, known = (whitened_w(steer, small_plain) for steer in (made, small_steer))
    assert cosine(found, known) > 0.8


def whitened_w(steer, plain):
    """Return W where divergence is length², up to its damping."""
    w = (steer.left.double() @ steer.right.double()).float()
    return whitened(
        plain.curvature.hidden @ w.double() @ plain.curvature.embedding, plain.curvature
    )


def test_a_rotation_between_the_spaces_is_found_and_w_follows_it_exactly(small, small_plain):
    h = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(3))).Q
    twin = mapped_twin(small, h)
    steer = make_steer(twin.output_embedding, model_id="twin")
    found = fit_map(twin, small, small_plain, method="procrustes")
    assert torch.allclose(found.forward, h, atol=1e-4)
    assert found.r2 > 0.9999
    made = carried(steer, found, small, "style")
    # W′ e = H⁻¹ W H e: the same words move the same way, seen from the other space.
    assert torch.allclose(made.left @ made.right, h.T @ steer.left @ steer.right @ h, atol=1e-4)
    check_fingerprint(made, small.fingerprint_rows, "tiny")


def test_any_invertible_map_is_found_without_a_ridge(small, small_plain, monkeypatch):
    monkeypatch.setattr("lmsteer_core.transfer.embedding_map._RIDGE", 1e-9)
    h = torch.eye(32) + 0.3 * torch.randn(32, 32, generator=torch.Generator().manual_seed(4))
    twin = mapped_twin(small, h)
    steer = make_steer(twin.output_embedding, model_id="twin")
    both, paper = (
        fit_map(twin, small, small_plain, method=method) for method in ("ridge", "transpose")
    )
    w = steer.left @ steer.right
    made = carried(steer, both, small, "style")
    assert relative_error(made.left @ made.right, torch.linalg.inv(h) @ w @ h) < 1e-3
    made = carried(steer, paper, small, "style")
    assert relative_error(made.left @ made.right, h.T @ w @ h) < 1e-3


def test_the_same_vocabulary_is_shared_but_for_spellings_that_stand_for_several_tokens(small):
    shared = shared_words(small, small)
    assert torch.equal(shared.source_ids, shared.target_ids)
    assert len(shared.texts) > 40_000
    assert " the" in shared.texts
    assert "the" in shared.texts


@pytest.mark.usefixtures("few_words")
def test_word_starts_meet_across_two_conventions(small, other):
    shared = shared_words(small, other)
    at = shared.texts.index(" the")
    assert small.tokenizer.convert_ids_to_tokens(int(shared.source_ids[at])) == "Ġthe"
    assert other.tokenizer.convert_ids_to_tokens(int(shared.target_ids[at])) == "▁the"


def test_words_end_at_one_place_of_the_text_for_both_models(small, other):
    token_ids = [other.encode(text)[0] for text in OTHER_TEXTS]
    places = _word_ends(small, other, token_ids)
    assert len(places) == len(OTHER_TEXTS)
    for index, source_ids, ends in places:
        assert len(ends) >= OTHER_TEXTS[index].count(" ") - 1
        for k_target, k_source in ends:
            before = other.tokenizer.decode(token_ids[index][: k_target + 1])
            assert before == small.tokenizer.decode(source_ids[: k_source + 1])
            assert OTHER_TEXTS[index].startswith(before + " ")


@pytest.mark.usefixtures("few_words", "brief")
@pytest.mark.parametrize("method", ["behaviour", "ridge", "transpose", "procrustes"])
def test_a_steer_travels_to_a_model_with_another_tokenizer_and_width(
    small, other, small_steer, monkeypatch, method
):
    plain = make_plain(other, OTHER_TEXTS)
    monkeypatch.setattr("lmsteer_core.transfer.transfer.neutral_text", lambda *_a, **_k: plain)
    monkeypatch.setattr("lmsteer_core.training.train.neutral_text", lambda *_a, **_k: plain)
    made = transfer_steer(small, small_steer, other, method=method, name="style-there")
    check_fingerprint(made, other.fingerprint_rows, "other")
    assert made.d_model == 24
    assert (made.card.negative, made.card.positive) == ("cold", "warm")
    assert made.card.method == f"transferred by {method}"
    assert "'style' of tiny" in made.card.data
    assert made.card.calibration["epsilon"]


def test_the_fit_report_finds_each_word_again_on_a_twin(
    small, small_plain, small_steer, monkeypatch
):
    monkeypatch.setattr(
        "lmsteer_core.transfer.transfer.neutral_text", lambda *_a, **_k: small_plain
    )
    report = fit_report(small, small_steer, small, n_words=2, n_nearest=3)
    assert report.n_shared > 40_000
    assert report.r2 > 0.9
    assert len(report.neighbours) == 4
    assert all(word == nearest[0] and len(nearest) == 3 for word, nearest in report.neighbours)


def test_another_models_steer_is_refused(small, lm, steer):
    with pytest.raises(SteerError):
        transfer_steer(small, steer, lm)


def test_too_few_shared_words_are_refused_with_their_number(small, other, small_steer, monkeypatch):
    monkeypatch.setattr("lmsteer_core.transfer.embedding_map.LEAST_SHARED_WORDS", 10**6)
    with pytest.raises(InputError, match=r"share \d+ words; a transfer needs at least 1000000"):
        transfer_steer(small, small_steer, other, method="ridge")
