"""What a model does between hidden state and logits is learned from its own pass, or refused."""

from __future__ import annotations

import pytest
import torch
from support.models import make_tiny
from torch import nn

from benchmarks.architectures import examine
from benchmarks.tiny_models import tiny_model
from lmsteer_core import ModelError
from lmsteer_core.models.probe import LogitMap, probe

MAPS = {
    "llama": (1.0, None),
    "cohere": (0.0625, None),
    "falcon_h1": (0.3, None),
    "gemma2": (1.0, 2.0),
    "granite": (0.25, None),
    "hyperclovax": (0.3, None),
    "minicpm3": (1.0, None),
    "recurrent_gemma": (1.0, 2.0),
    "nanochat": (1.0, 15.0),
}


@pytest.mark.parametrize("model_type", MAPS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scale_and_cap_are_learned_whatever_their_names(model_type, dtype):
    scale, cap = MAPS[model_type]
    model = tiny_model(model_type).to(dtype)
    found = probe(model, "tiny").logit_map
    assert found.n_logits == len(model.get_output_embeddings().weight)
    assert found.scale == pytest.approx(scale, rel=1e-6)
    assert found.cap == (None if cap is None else pytest.approx(cap, rel=1e-6))


def test_a_scale_of_one_is_exact(tiny):
    found = probe(tiny, "tiny")
    assert found.logit_map.scale == 1.0
    assert found.shares_batches


def test_the_embedded_model_is_what_it_was(lm):
    assert lm.probed.logit_map == LogitMap(1.0, None, 49_152)
    assert lm.probed.shares_batches
    assert lm.context_length == 8_192


@pytest.mark.parametrize(
    "model_type",
    [
        *("cohere", "falcon_h1", "gemma2", "granite", "hyperclovax", "inkling_text", "mamba"),
        *("minicpm3", "nemotron_h", "opt", "qwen3_next", "recurrent_gemma", "rwkv", "whisper"),
    ],
)
def test_every_figure_is_the_models_own(model_type):
    row = examine(model_type)
    assert row.outcome == "works", row.detail


@pytest.mark.parametrize("model_type", ["bert", "electra", "roberta", "xlm", "xlnet"])
def test_a_model_that_reads_in_both_directions_is_refused(model_type):
    with pytest.raises(ModelError, match="'tiny' reads a text in both directions"):
        probe(tiny_model(model_type), "tiny")


def test_an_encoder_that_is_made_a_decoder_works():
    assert examine("roberta", is_decoder=True).outcome == "works"


OTHER_MAPS = {
    "another curve": lambda logits: logits + 0.01 * logits**3,
    "a bias of each token's own": lambda logits: logits + torch.arange(logits.shape[-1]),
    "normalised over the vocabulary": lambda logits: logits.log_softmax(dim=-1),
    "the last word never": lambda logits: torch.cat(
        [logits[..., :-1], torch.full_like(logits[..., -1:], -torch.inf)], dim=-1
    ),
    "no numbers": lambda logits: logits * torch.nan,
    "nothing of the head": torch.zeros_like,
}


@pytest.mark.parametrize("change", OTHER_MAPS)
def test_logits_made_in_an_unknown_way_are_refused(llama, change):
    def after(_model, _args, output):
        output.logits = OTHER_MAPS[change](output.logits)
        return output

    llama.register_forward_hook(after)
    with pytest.raises(ModelError, match="'tiny' makes its logits .* not known here"):
        probe(llama, "tiny")


def test_a_head_that_is_no_plain_product_is_refused(llama):
    head = llama.get_output_embeddings()
    head.register_forward_pre_hook(lambda _, args: (args[0].relu(),))
    head.register_forward_hook(lambda _m, _args, product: product + 1)
    with pytest.raises(ModelError, match="not known here"):
        probe(llama, "tiny")


def test_a_quantised_head_is_refused(llama):
    head = llama.get_output_embeddings()
    head.weight = nn.Parameter(head.weight.to(torch.int8), requires_grad=False)
    with pytest.raises(ModelError, match="'tiny' has a quantised output embedding"):
        probe(llama, "tiny")


def test_a_model_that_fails_is_refused_with_its_reason(llama, monkeypatch):
    def fail(*_args, **_options):
        raise ZeroDivisionError("it reads pictures only")

    monkeypatch.setattr(llama, "forward", fail)
    with pytest.raises(ModelError, match=r"cannot read a short text \(it reads pictures only\)"):
        probe(llama, "tiny")


def test_probing_changes_nothing(tiny):
    ids = torch.tensor([[5, 6, 7]])
    before = tiny(ids).logits
    n_hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in tiny.modules()]
    probe(tiny, "tiny")
    after = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in tiny.modules()]
    assert n_hooks == after
    assert torch.equal(tiny(ids).logits, before)


def test_rows_of_a_model_that_ignores_padding_are_read_one_by_one():
    assert not probe(tiny_model("rwkv"), "tiny").shares_batches
    assert probe(make_tiny("gpt2"), "tiny").shares_batches
