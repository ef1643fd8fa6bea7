from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from support.models import make_steer, make_tiny

from lmsteer_core import (
    InputError,
    InspectedToken,
    LanguageModel,
    Steer,
    SteerError,
    Steering,
    inspect_token,
)
from lmsteer_core.analysis.dimensions import dimension_steer
from lmsteer_core.analysis.readings import factors
from lmsteer_core.errors import ContextError
from lmsteer_core.models.tokens import token_text

TEXT = "My life is a long road"

Parts = list[tuple[Steer, float]]


def of_architecture(lm: LanguageModel, architecture: str, **settings: Any) -> LanguageModel:
    """Return a tiny random model that reads the embedded model's tokens."""
    model = make_tiny(architecture, vocab_size=lm.vocab_size, **settings)
    return LanguageModel(model, lm.tokenizer, architecture)


def two_steers(lm: LanguageModel) -> Parts:
    first, second = (
        make_steer(lm.output_embedding, rank=rank, norm=0.6, seed=rank, name=f"rank-{rank}")
        for rank in (3, 5)
    )
    return [(first, 2.0), (second, -1.5)]


def plain_logprobs(lm: LanguageModel, ids: list[int], parts: Parts) -> torch.Tensor:
    """Return what one forward pass of transformers gives after some tokens, (vocab_size,)."""
    steers, epsilons = [steer for steer, _ in parts], [epsilon for _, epsilon in parts]
    with Steering(lm.model, steers, [epsilons]), torch.inference_mode():
        return lm.model(torch.tensor([ids])).logits[0, -1].double().log_softmax(0)


def total(found: InspectedToken) -> float:
    return sum(share.nats for share in found.shares) + found.softcap + found.normaliser


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("gpt2", {}),
        ("llama", {}),
        ("opt_projected", {}),
        ("qwen2", {}),
        ("gemma3", {}),
        ("gemma3", {"final_logit_softcapping": 0.5}),
    ],
)
def test_the_parts_sum_to_the_shift_of_a_plain_forward_pass(
    lm: LanguageModel, architecture: str, settings: dict[str, float]
) -> None:
    model = of_architecture(lm, architecture, **settings)
    parts = two_steers(model)
    ids = model.encode(TEXT)[0]
    for position in (1, len(ids) - 1):
        found = inspect_token(model, ids, position, parts)
        before = plain_logprobs(model, ids[:position], [(parts[0][0], 0.0)])[ids[position]]
        after = plain_logprobs(model, ids[:position], parts)[ids[position]]
        assert abs(after - before) > 1e-3
        assert found.token.base_logprob == pytest.approx(float(before), abs=1e-4)
        assert found.token.logprob == pytest.approx(float(after), abs=1e-4)
        assert total(found) == pytest.approx(float(after - before), abs=1e-4)
        assert (found.softcap != 0) == (architecture == "gemma3")


def test_a_softcap_changes_no_share(lm: LanguageModel) -> None:
    capped = of_architecture(lm, "gemma3", final_logit_softcapping=0.5)
    free = of_architecture(lm, "gemma3", final_logit_softcapping=None)
    ids, parts = free.encode(TEXT)[0], two_steers(free)
    bent, straight = (inspect_token(model, ids, 3, parts) for model in (capped, free))
    for a, b in zip(bent.shares, straight.shares, strict=True):
        assert a.nats == pytest.approx(b.nats, abs=1e-5)
    assert abs(bent.softcap) > 1e-3
    assert straight.softcap == 0


def test_the_parts_sum_to_the_shift_on_the_embedded_model(lm: LanguageModel, steer: Steer) -> None:
    other = make_steer(lm.output_embedding, seed=3, name="other", model_id=lm.model_id)
    parts = [(steer, 2.0), (other, -1.0)]
    ids = lm.encode(TEXT)[0]
    for position in range(1, len(ids)):
        found = inspect_token(lm, ids, position, parts)
        before = plain_logprobs(lm, ids[:position], [(steer, 0.0)])[ids[position]]
        after = plain_logprobs(lm, ids[:position], parts)[ids[position]]
        assert total(found) == pytest.approx(float(after - before), abs=1e-4)


def test_the_parts_sum_where_the_model_scales_its_logits(lm: LanguageModel) -> None:
    from transformers import CohereConfig, CohereForCausalLM

    config = CohereConfig(
        vocab_size=lm.vocab_size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        logit_scale=0.25,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CohereForCausalLM(config).eval()
        model.get_output_embeddings().weight.data.normal_()
    scaled = LanguageModel(model, lm.tokenizer, "cohere")
    assert scaled.probed.logit_map.scale == pytest.approx(0.25)
    parts = two_steers(scaled)
    ids = scaled.encode(TEXT)[0]
    found = inspect_token(scaled, ids, -1, parts)
    assert abs(found.shift) > 1e-3
    assert total(found) == pytest.approx(found.shift, abs=1e-4)


def test_a_dimension_alone_moves_a_logit_by_its_share(small: LanguageModel) -> None:
    steer = make_steer(small.output_embedding, rank=3)
    ids = small.encode(TEXT)[0]
    whole = inspect_token(small, ids, 3, [(steer, 1.5)])
    (share,) = whole.shares
    assert share.nats == pytest.approx(sum(share.dimensions))
    found = factors(small, steer)
    for i, nats in enumerate(share.dimensions):
        reads, writes = found.reads[:, i : i + 1], found.writes[i : i + 1]
        alone = Steer(reads, writes, steer.fingerprint_rows, steer.card)
        assert inspect_token(small, ids, 3, [(alone, 1.5)]).shares[0].nats == pytest.approx(
            nats, abs=1e-5
        )


def test_alternatives_are_the_likeliest_before_and_after(small: LanguageModel) -> None:
    steer = make_steer(small.output_embedding, norm=1.0)
    ids = small.encode(TEXT)[0]
    found = inspect_token(small, ids, 2, [(steer, 2.0)], top=4)
    before = plain_logprobs(small, ids[:2], [(steer, 0.0)])
    after = plain_logprobs(small, ids[:2], [(steer, 2.0)])
    for listed, ranked in ((found.before, before), (found.after, after)):
        assert [each.token_id for each in listed] == ranked.topk(4).indices.tolist()
        for each in listed:
            assert each.text == token_text(small, each.token_id)
            assert each.base_logprob == pytest.approx(float(before[each.token_id]), abs=1e-4)
            assert each.logprob == pytest.approx(float(after[each.token_id]), abs=1e-4)
    first = found.after[0].token_id
    again = inspect_token(small, [*ids[:2], first], -1, [(steer, 2.0)])
    assert (again.rank, again.token) == (1, found.after[0])
    assert again.base_rank == 1 + int((before > before[first]).sum())


def test_without_steering_nothing_moves(small: LanguageModel) -> None:
    steer = make_steer(small.output_embedding)
    for parts in ([], [(steer, 0.0)]):
        found = inspect_token(small, small.encode(TEXT)[0], -1, parts)
        assert (found.shift, found.normaliser, found.shares) == (0.0, 0.0, [])
        assert found.before == found.after
        assert math.fsum(math.exp(each.logprob) for each in found.before) < 1


def test_what_cannot_be_inspected_is_one_sentence(
    small: LanguageModel, steer: Steer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, own = small.encode(TEXT)[0], make_steer(small.output_embedding)
    n_ids = small.vocab_size
    for token_ids, position, says in (
        ([], 0, "needs two tokens"),
        (ids[:1], 0, "needs two tokens"),
        (ids, 0, "Nothing stands before"),
        (ids, -len(ids), "Nothing stands before"),
        (ids, len(ids), "place must be between"),
        (ids, 1.5, "whole number"),
        (ids, "last", "whole number"),
        ([*ids, n_ids], 1, "token id must be between"),
        ([*ids, -1], 1, "token id must be between"),
        ([*ids, "a"], 1, "token id must be a whole number"),
    ):
        with pytest.raises(InputError, match=says):
            inspect_token(small, token_ids, position, [(own, 1.0)])  # type: ignore[arg-type]
    for top in (0, n_ids + 1, True):
        with pytest.raises(InputError, match="number of alternatives"):
            inspect_token(small, ids, 1, top=top)
    with pytest.raises(InputError, match="−10 and 10"):
        inspect_token(small, ids, 1, [(own, math.nan)])
    with pytest.raises(SteerError, match="cannot steer"):
        inspect_token(small, ids, 1, [(steer, 1.0)])
    with pytest.raises(InputError, match="not finite"):
        inspect_token(small, ids, 1, [(own.scaled(1e38), 10.0)])
    monkeypatch.setattr(LanguageModel, "context_length", 3)
    with pytest.raises(ContextError, match="reads 3 at most"):
        inspect_token(small, ids, 4, [(own, 1.0)])


def test_shares_are_numbered_as_the_dimensions_are(lm: LanguageModel, steer: Steer) -> None:
    ids = lm.encode(TEXT)[0]
    (whole,) = inspect_token(lm, ids, 2, [(steer, 2.0)]).shares
    (second,) = inspect_token(lm, ids, 2, [(dimension_steer(lm, steer, 1), 2.0)]).shares
    assert second.nats == pytest.approx(whole.dimensions[1], abs=1e-4)
