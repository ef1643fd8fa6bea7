"""A steer knows its model whatever the length of its vocabulary, and no other model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lmsteer_core.steers.fingerprint import FINGERPRINT_ROWS, fingerprint_rows, is_fingerprint

SIZES = (97, 320, 1_000, 5_003)


def random_embedding(n_rows, d_model=24, seed=0):
    return torch.randn(n_rows, d_model, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n_rows", [16, 97, 4096, 49_152, 49_153, 50_257, 151_936, 262_144])
def test_rows_stand_where_files_of_every_version_have_them(n_rows):
    ids = torch.linspace(0, n_rows - 1, FINGERPRINT_ROWS).long()
    embedding = torch.arange(n_rows, dtype=torch.float32)[:, None] % 2048  # exact in float16
    assert torch.equal(fingerprint_rows(embedding)[:, 0].long(), ids % 2048)


@pytest.mark.parametrize("n_rows", SIZES)
@pytest.mark.parametrize("n_more", [1, 2, 7, 64, 1_000])
def test_tokens_added_to_the_vocabulary_change_nothing(n_rows, n_more):
    original = random_embedding(n_rows)
    longer = torch.cat([original, random_embedding(n_more, seed=1)])
    assert is_fingerprint(fingerprint_rows(original), longer)
    if n_more <= n_rows // 8:  # and what was made for the longer one fits the original
        assert is_fingerprint(fingerprint_rows(longer), original)


@pytest.mark.parametrize("n_rows", SIZES)
def test_a_copy_that_is_longer_requantised_and_tuned_a_little_is_known(n_rows):
    original = random_embedding(n_rows)
    longer = torch.cat([original + 0.1 * random_embedding(n_rows, seed=2), original[:3] * 0.5])
    rounded = ((longer * 8).round() / 8).bfloat16()
    assert is_fingerprint(fingerprint_rows(original), rounded)


@pytest.mark.parametrize("n_rows", SIZES)
def test_another_model_is_not_known_whatever_its_vocabulary(n_rows):
    rows = fingerprint_rows(random_embedding(n_rows))
    for n_others in (n_rows, n_rows + 1, n_rows - 1, 3 * n_rows):
        assert not is_fingerprint(rows, random_embedding(n_others, seed=3))
    assert not is_fingerprint(rows, random_embedding(n_rows, 32))


def test_the_same_rows_in_another_order_are_another_model():
    original = random_embedding(1_000)
    assert not is_fingerprint(fingerprint_rows(original), original.flip(0))


def test_rows_that_all_point_one_way_do_not_make_two_models_one():
    common = 3 * random_embedding(1, seed=4)
    first, second = (random_embedding(1_000, seed=s) + common for s in (5, 6))
    rotated = second @ nn.init.orthogonal_(torch.empty(24, 24), generator=torch.Generator())
    assert is_fingerprint(fingerprint_rows(first), torch.cat([first, common]))
    assert not is_fingerprint(fingerprint_rows(first), rotated)
