"""Neutral text is sampled once per model, kept in the cache, and never trusted when damaged."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.calls import record_calls
from support.models import relative_error

from lmsteer_core import Cancelled, LanguageModel
from lmsteer_core.models import batched
from lmsteer_core.models.batched import batches, tokens_per_chunk
from lmsteer_core.progress import part
from lmsteer_core.training import neutral_text as neutral_text_module
from lmsteer_core.training.neutral_text import curvature_of, neutral_text

SIZE: dict[str, Any] = {"n_texts": 40, "n_tokens": 3}


@pytest.fixture(autouse=True)
def cache(tmp_path, small, monkeypatch):
    assert small  # first of all: the embedded model's tokenizer comes from the real cache
    monkeypatch.setenv("LMSTEER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "neutral"


def sampled(monkeypatch):
    """Return a list that grows by one whenever text is sampled."""
    return record_calls(monkeypatch, neutral_text_module, "_sample")


def assert_same(a, b):
    assert a.token_ids == b.token_ids
    assert all(torch.equal(x, y) for x, y in zip(a.hidden, b.hidden, strict=True))
    assert torch.equal(a.curvature.embedding, b.curvature.embedding)
    assert torch.equal(a.curvature.hidden, b.curvature.hidden)


def test_neutral_text_is_sampled_once_and_then_read(small, cache, monkeypatch):
    calls = sampled(monkeypatch)
    first, second = neutral_text(small, **SIZE), neutral_text(small, **SIZE)
    assert len(calls) == 1
    assert_same(first, second)
    assert [file.suffix for file in cache.iterdir()] == [".safetensors"]


def test_neutral_text_starts_as_ordinary_text_does(small):
    plain = neutral_text(small, **SIZE)
    assert len(plain.token_ids) == len(plain.hidden) == 40
    assert small.tokenizer.decode(plain.token_ids[1]).startswith("In the")
    assert [len(h) for h in plain.hidden] == [len(ids) for ids in plain.token_ids]
    assert plain.token_ids[0] != plain.token_ids[36]  # one opening, other dice
    assert (
        relative_error(torch.cat(plain.hidden[:1]), small.hidden_states(plain.token_ids[:1])[0])
        < 1e-4
    )


def test_neutral_text_is_the_same_every_time(small, tmp_path, monkeypatch):
    first = neutral_text(small, **SIZE)
    monkeypatch.setenv("LMSTEER_CACHE", str(tmp_path / "other"))
    assert_same(first, neutral_text(small, **SIZE))


@pytest.mark.parametrize(
    "damage", ["truncated", "empty", "not safetensors", "a tensor lacks", "lengths lie"]
)
def test_a_damaged_cache_is_made_again(small, cache, monkeypatch, damage):
    first = neutral_text(small, **SIZE)
    (file,) = cache.iterdir()
    content = file.read_bytes()
    if damage in ("a tensor lacks", "lengths lie"):
        tensors = load_file(file)
        lengths = tensors.pop("lengths")
        save_file(
            tensors if damage == "a tensor lacks" else {**tensors, "lengths": lengths + 1}, file
        )
    else:
        cut = {
            "truncated": content[: len(content) // 2],
            "empty": b"",
            "not safetensors": b"x" * 500,
        }
        file.write_bytes(cut[damage])
    calls = sampled(monkeypatch)
    assert_same(first, neutral_text(small, **SIZE))
    assert len(calls) == 1
    assert file.read_bytes() == content


def test_another_model_of_the_same_id_has_a_file_of_its_own(small, cache):
    twin = copy.deepcopy(small.model)
    twin.model.layers[0].mlp.up_proj.weight.data *= 1.5
    assert torch.equal(twin.get_output_embeddings().weight, small.output_embedding)
    first = neutral_text(small, **SIZE)
    second = neutral_text(LanguageModel(twin, small.tokenizer, small.model_id), **SIZE)
    assert len(list(cache.iterdir())) == 2
    assert first.token_ids != second.token_ids or not torch.equal(first.hidden[0], second.hidden[0])


def test_each_size_has_a_file_of_its_own(small, cache):
    assert len(neutral_text(small, n_texts=2, n_tokens=2).token_ids) == 2
    assert len(neutral_text(small, n_texts=3, n_tokens=2).token_ids) == 3
    assert len(list(cache.iterdir())) == 2


def test_a_cache_that_cannot_be_written_only_costs_time(small, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("LMSTEER_CACHE", str(tmp_path / "taken"))
    assert len(neutral_text(small, n_texts=2, n_tokens=2).token_ids) == 2


def test_sampling_that_is_stopped_leaves_nothing_behind(small, cache):
    def stop(share, _what):
        if share >= 0.8:
            raise Cancelled

    with pytest.raises(Cancelled):
        neutral_text(small, **SIZE, progress=stop)
    assert not cache.exists()


def test_curvature_does_not_depend_on_chunks(small, small_plain, monkeypatch):
    hidden = torch.cat(small_plain.hidden)
    monkeypatch.setattr(batched, "_LOGITS_PER_CHUNK", 1)
    assert tokens_per_chunk(small) == 16
    many = curvature_of(small, hidden)
    monkeypatch.setattr(batched, "_LOGITS_PER_CHUNK", 10**12)
    one = curvature_of(small, hidden)
    assert relative_error(many.embedding, one.embedding) < 1e-5
    assert relative_error(many.hidden, one.hidden) < 1e-5


@pytest.mark.parametrize("tokens", [1, 7, 10**6])
def test_hidden_states_do_not_depend_on_batches(small, small_plain, monkeypatch, tokens):
    monkeypatch.setattr(batched, "_TOKENS_PER_BATCH", tokens)
    together = batched.hidden_states(small, small_plain.token_ids, [5, 6, 7])
    for states, ids in zip(together, small_plain.token_ids, strict=True):
        assert relative_error(states, small.hidden_states([[5, 6, 7, *ids]])[0][3:]) < 1e-4


def test_batches_hold_every_text_once_within_the_budget():
    lengths = [400, 3, 90, 600, 3, 200, 90, 1, 512]
    texts = [[0] * n for n in lengths]
    groups = list(batches(texts))
    assert sorted(j for group in groups for j in group) == list(range(len(texts)))
    assert all(len(g) == 1 or len(g) * max(lengths[j] for j in g) <= 512 for g in groups)
    assert list(batches([])) == []


def test_part_maps_a_share_into_its_own():
    told = []
    part(lambda share, what: told.append((share, what)), 0.4, 0.8)(0.5, "half")
    ((share, what),) = told
    assert share == pytest.approx(0.6)
    assert what == "half"
