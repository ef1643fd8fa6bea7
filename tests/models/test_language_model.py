"""A prefix read once changes nothing, and the twin for batches is the same model, unsteered."""

from __future__ import annotations

import copy

import pytest
import torch
from support.calls import never
from support.models import make_tiny
from transformers import MambaConfig
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from lmsteer_core import LanguageModel, Steering
from lmsteer_core.progress import finished, map_shares

TEXTS = [[5, 6, 7, 8, 9], [10, 11], [40, 41, 42, 43, 44, 45, 46, 47, 48]]
PREFIXES = [[3], [50, 51, 52], list(range(20, 41))]
"""The last is longer than the sliding window of 16."""


def assert_prefix_is_concatenation(small, prefix):
    found = small.hidden_states(TEXTS, prefix)
    for states, text in zip(found, TEXTS, strict=True):
        (whole,) = small.hidden_states([[*prefix, *text]])
        assert states.shape == (len(text), small.d_model)
        torch.testing.assert_close(states, whole[len(prefix) :], atol=1e-4, rtol=1e-4)
    (alone,) = small.hidden_states(TEXTS[:1], prefix)
    torch.testing.assert_close(alone, found[0], atol=1e-4, rtol=1e-4)


def assert_steps_read_the_same(small, monkeypatch, n_steps):
    monkeypatch.setattr("lmsteer_core.models.language_model._TOKENS_PER_STEP", 12)
    text = list(range(5, 50))
    shares: list[float] = []

    def keep(share: float) -> float:
        shares.append(share)
        return share

    found = finished(map_shares(small.reading(text), keep))
    torch.testing.assert_close(found, small.hidden_states([text])[0], atol=1e-4, rtol=1e-4)
    assert len(shares) == n_steps
    assert shares == sorted(shares)
    assert torch.equal(finished(small.next_state(text)), found[-1:])
    assert finished(map_shares(small.next_state(text), never)).shape == (1, small.d_model)


@pytest.mark.parametrize("prefix", PREFIXES, ids=len)
def test_a_cached_prefix_equals_concatenation_on_every_architecture(tiny, lm, prefix, monkeypatch):
    small = LanguageModel(tiny, lm.tokenizer, "tiny")
    assert_prefix_is_concatenation(small, prefix)
    assert_steps_read_the_same(small, monkeypatch, n_steps=4)


@pytest.mark.parametrize("prefix", PREFIXES, ids=len)
def test_a_model_without_a_key_value_cache_reads_texts_whole(lm, prefix, monkeypatch):
    config = MambaConfig(
        vocab_size=97,
        hidden_size=32,
        state_size=4,
        num_hidden_layers=2,
        time_step_rank=4,
        eos_token_id=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        small = LanguageModel(AutoModelForCausalLM.from_config(config), lm.tokenizer, "tiny")
    assert_prefix_is_concatenation(small, prefix)
    assert_steps_read_the_same(small, monkeypatch, n_steps=0)


def test_hidden_states_behind_a_prefix_leave_no_hook(llama, lm):
    small = LanguageModel(llama, lm.tokenizer, "tiny")
    hooks = len(llama.get_output_embeddings()._forward_pre_hooks)
    small.hidden_states(TEXTS, [3, 4])
    assert len(llama.get_output_embeddings()._forward_pre_hooks) == hooks


@pytest.fixture
def bf16_hardware(monkeypatch):
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"amx_bf16": False, "avx512_bf16": True}
    )


@pytest.mark.parametrize("known", [{}, {"amx_bf16": False, "avx512_bf16": False, "avx2": True}])
def test_without_bf16_hardware_batches_run_on_the_model_itself(llama, lm, monkeypatch, known):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    small = LanguageModel(llama, lm.tokenizer, "tiny")
    assert small.for_batches is small


@pytest.mark.usefixtures("bf16_hardware")
def test_a_half_precision_model_is_its_own_twin(llama, lm):
    small = LanguageModel(llama.bfloat16(), lm.tokenizer, "tiny")
    assert small.for_batches is small


@pytest.mark.usefixtures("bf16_hardware")
def test_the_twin_is_the_model_in_bf16_made_once(tiny, lm):
    small = LanguageModel(tiny, lm.tokenizer, "tiny")
    before = copy.deepcopy(tiny.state_dict())
    twin = small.for_batches
    assert twin is small.for_batches is not small
    assert all(p.dtype == torch.bfloat16 and not p.requires_grad for p in twin.model.parameters())
    # tied weights stay tied
    assert len(list(twin.model.parameters())) == len(list(tiny.parameters()))
    assert all(torch.equal(value, before[key]) for key, value in tiny.state_dict().items())
    assert torch.equal(twin.output_embedding, tiny.get_output_embeddings().weight.bfloat16())
    exact, rounded = small.hidden_states(TEXTS)[0], twin.hidden_states(TEXTS)[0]
    assert ((exact - rounded).norm() / exact.norm()).item() < 0.05


@pytest.mark.usefixtures("bf16_hardware")
def test_the_twin_is_not_steered_with_its_original(lm, steer_for):
    small = LanguageModel(make_tiny("llama"), lm.tokenizer, "tiny")
    plain = LanguageModel(make_tiny("llama"), lm.tokenizer, "tiny").for_batches
    ids = torch.tensor(TEXTS[:1])
    with (
        torch.no_grad(),
        Steering(small.model, [steer_for(small.model)], [[3.0]], keep_base=True) as steering,
    ):
        twin = small.for_batches
        unsteered = plain.model(ids).logits
        assert torch.equal(twin.model(ids).logits, unsteered)
        assert torch.equal(twin.hidden_states(TEXTS, [3])[1], plain.hidden_states(TEXTS, [3])[1])
        assert steering.base_logits is None
        assert not torch.allclose(small.model(ids).logits, unsteered.float(), atol=0.1)
    with torch.no_grad():
        assert torch.equal(twin.model(ids).logits, unsteered)
