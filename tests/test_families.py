"""The paper's families walk the whole path: describe, train, write, look, read, carry, export."""

from __future__ import annotations

import copy

import pytest
import torch
from support.checkpoints import save_checkpoint
from support.exports import load_peft
from support.models import make_plain, make_tiny, relative_error
from torch import nn

from lmsteer_core import Descriptions, Row, Sampling, Steering, generate, load_model, train
from lmsteer_core.analysis.dimensions import dimensions
from lmsteer_core.analysis.evidence import evidence
from lmsteer_core.analysis.next_word import next_words
from lmsteer_core.analysis.reading import read_text
from lmsteer_core.exchange.checkpoint import read_official
from lmsteer_core.exchange.export import export_merged, export_peft
from lmsteer_core.steers.steer import Steer, check_fingerprint
from lmsteer_core.transfer import transfer

FAMILIES = {"GPT-2": "gpt2", "Pythia": "gpt_neox", "GPT-J": "gptj", "Llama": "llama"}
PROMPT = "The evening was quiet, and the"
TEXT = "We sat down by the window and talked about the sea."
EPSILON = 2.0


@pytest.fixture(params=FAMILIES)
def family(request, lm, tmp_path):
    """A tiny random model of a family, saved and loaded as a user's own would be."""
    model = make_tiny(
        FAMILIES[request.param], vocab_size=lm.vocab_size, max_position_embeddings=512
    )
    model.save_pretrained(tmp_path / "family")
    lm.tokenizer.save_pretrained(tmp_path / "family")
    return load_model(str(tmp_path / "family"), dtype="float32")


def moved_by(lm, steer, epsilon):
    """Return a copy of the model whose every output embedding e is (I + ε W) e."""
    moved = copy.deepcopy(lm.model)
    head = moved.get_output_embeddings()
    operator = torch.eye(lm.d_model) + epsilon * steer.matrix()
    head.weight = nn.Parameter(head.weight @ operator.T, requires_grad=False)
    return moved


@torch.no_grad()
def log_p(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0].log_softmax(dim=-1)


@pytest.mark.usefixtures("brief")
def test_a_family_walks_the_whole_path(family, small, tmp_path, monkeypatch):
    source = Descriptions("a warm and kind evening by the fire", "a cold and cruel report")
    for module in ("lmsteer_core.transfer.transfer", "lmsteer_core.training.train"):
        monkeypatch.setattr(f"{module}.neutral_text", lambda lm, **_: make_plain(lm))
    steer = train(family, "cosy", source, plain=make_plain(family), n_prompts=1)
    steer = Steer.load(steer.save(tmp_path / "steers/cosy"))
    check_fingerprint(steer, family.output_embedding, "family")
    moved = {epsilon: moved_by(family, steer, epsilon) for epsilon in (EPSILON, 1.0, -1.0)}
    writes_as_it_would_with_moved_embeddings(family, steer, moved[EPSILON])
    shows_the_next_word_and_the_words(family, steer, moved[EPSILON])
    reads_the_evidence(family, steer, moved)
    carried = transfer.transfer_steer(family, steer, small)
    check_fingerprint(carried, small.output_embedding, "tiny")
    exports_what_it_writes(family, steer, moved[EPSILON], tmp_path)
    imports_an_official_checkpoint(family, tmp_path)


def writes_as_it_would_with_moved_embeddings(family, steer, moved):
    rows = [Row(PROMPT), Row(PROMPT, {"cosy": EPSILON}), Row("It", {"cosy": EPSILON})]
    for done in generate(family, rows, {"cosy": steer}, Sampling(max_new_tokens=8, seed=1)):
        prompt = family.encode(done.row.prompt)[0]
        ids = prompt + [token.id for token in done.tokens]
        base, steered = log_p(family.model, ids), log_p(moved, ids)
        for at, token in enumerate(done.tokens, start=len(prompt) - 1):
            expected = steered if done.row.epsilons else base
            assert token.logprob == pytest.approx(expected[at, token.id].item(), abs=1e-3)
            assert token.base_logprob == pytest.approx(base[at, token.id].item(), abs=1e-3)
        assert done.row.prompt + done.text == family.tokenizer.decode(ids)


def shows_the_next_word_and_the_words(family, steer, moved):
    found = next_words(family, PROMPT, steer, epsilons=[0.0, EPSILON], follow=["sea"])
    ids = family.encode(PROMPT)[0]
    for model, at in ((family.model, 0), (moved, 1)):
        p = log_p(model, ids)[-1].exp()
        for curve in found.words + found.followed:
            assert curve.probability[at] == pytest.approx(p[curve.token_id].item(), rel=1e-3)
    (first, *_) = dimensions(family, steer, n_dims=2, n_words=5)
    assert len({*first.positive, *first.negative}) == 10


def reads_the_evidence(family, steer, moved):
    read = read_text(family, TEXT)
    plus, minus = (log_p(moved[epsilon], read.token_ids) for epsilon in (1.0, -1.0))
    found = evidence(family, read, steer, 1.0)
    for at, token_id in enumerate(read.token_ids[1:]):
        expected = (plus - minus)[at, token_id].item()
        assert found[at + 1] == pytest.approx(expected, abs=1e-3)


def exports_what_it_writes(family, steer, moved, tmp_path):
    ids = family.encode(PROMPT)[0]
    expected = log_p(moved, ids)
    folder = export_merged(family, [(steer, EPSILON)], tmp_path / "merged")
    merged = load_model(str(folder), dtype="float32")
    assert relative_error(log_p(merged.model, ids), expected) < 1e-4
    adapter = export_peft(family, [(steer, EPSILON)], tmp_path / "adapter")
    base = load_model(str(tmp_path / "family"), dtype="float32").model
    assert relative_error(log_p(load_peft(base, adapter), ids), expected) < 1e-4


def imports_an_official_checkpoint(family, tmp_path):
    path = save_checkpoint(tmp_path / "checkpoint.pt", model_name=family.model_id)
    (steer,) = read_official(path, family, {1: "published"})
    ids = family.encode(PROMPT)[0]
    with torch.no_grad(), Steering(family.model, [steer], [[EPSILON]]):
        found = log_p(family.model, ids)
    assert relative_error(found, log_p(moved_by(family, steer, EPSILON), ids)) < 1e-3
