"""A steer is its factors: saved exactly, read with suspicion, refused by other models."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.models import make_steer

from lmsteer_core import InputError, Steer, SteerCard, SteerError
from lmsteer_core.steers.card import CARD_FILE, check_epsilon, check_name
from lmsteer_core.steers.fingerprint import FINGERPRINT_ROWS, fingerprint_digest, fingerprint_rows
from lmsteer_core.steers.library import discover
from lmsteer_core.steers.steer import WEIGHTS_FILE, check_fingerprint, steer_hidden

D_MODEL = 24


def random_embedding(seed=0, vocab_size=200, d_model=D_MODEL):
    return torch.randn(vocab_size, d_model, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def embedding():
    return random_embedding()


@pytest.fixture
def small(embedding):
    return make_steer(embedding, rank=4)


@pytest.fixture
def saved(small, tmp_path):
    return small.save(tmp_path / "tiny" / "style")


def rewrite_tensors(folder, **changes):
    tensors = {**load_file(folder / WEIGHTS_FILE), **changes}
    save_file({key: t for key, t in tensors.items() if t is not None}, folder / WEIGHTS_FILE)


def rewrite_card(folder, **changes):
    card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    (folder / CARD_FILE).write_text(json.dumps({**card, **changes}), encoding="utf-8")


def one_sentence(message):
    return "\n" not in message and message.endswith(".") and len(message) < 400


def test_steer_hidden_is_the_moved_embedding_seen_from_the_hidden_state(embedding, small):
    hidden = random_embedding(1, 5)
    w = small.left.double() @ small.right.double()
    moved = embedding.double() + 1.7 * (w @ embedding.double().T).T
    steered = steer_hidden(hidden, small.left, small.right, torch.tensor(1.7))
    logits = steered.double() @ embedding.double().T
    torch.testing.assert_close(logits, hidden.double() @ moved.T, atol=1e-5, rtol=0)


def test_svd_through_the_factors_equals_dense_svd(small):
    u, sigma, vt = small.svd()
    dense = torch.linalg.svdvals(small.matrix().double())
    torch.testing.assert_close(sigma.double(), dense[: small.rank], atol=1e-6, rtol=1e-5)
    assert dense[small.rank :].max() < 1e-6
    torch.testing.assert_close(u * sigma @ vt, small.matrix(), atol=1e-6, rtol=1e-5)
    identity = torch.eye(small.rank)
    torch.testing.assert_close(u.T @ u, identity, atol=1e-5, rtol=0)
    torch.testing.assert_close(vt @ vt.T, identity, atol=1e-5, rtol=0)


def test_svd_of_a_skewed_spectrum_equals_dense_svd(small):
    skewed = dataclasses.replace(small, left=small.left * torch.tensor([1e3, 1.0, 1e-2, 0.0]))
    _, sigma, _ = skewed.svd()
    dense = torch.linalg.svdvals(skewed.left.double() @ skewed.right.double())
    torch.testing.assert_close(sigma.double(), dense[:4], atol=1e-9, rtol=1e-5)


def test_a_dense_matrix_is_a_steer_of_full_rank(small, tmp_path):
    w = random_embedding(3, D_MODEL)
    dense = dataclasses.replace(small, left=w, right=torch.eye(D_MODEL))
    assert dense.rank == dense.d_model == D_MODEL
    assert torch.equal(Steer.load(dense.save(tmp_path / "dense")).matrix(), w)
    torch.testing.assert_close(dense.svd()[1], torch.linalg.svdvals(w))


def test_scaled_multiplies_w(small):
    torch.testing.assert_close(small.scaled(-2.5).matrix(), -2.5 * small.matrix())


def test_sum_is_the_sum_of_the_matrices_and_keeps_both_notices(embedding, small):
    small = dataclasses.replace(small, card=dataclasses.replace(small.card, notice="First."))
    other = make_steer(embedding, rank=3, seed=9, name="other")
    other = dataclasses.replace(other, card=dataclasses.replace(other.card, notice="Second."))
    both = small + other
    torch.testing.assert_close(both.matrix(), small.matrix() + other.matrix())
    assert both.rank == both.card.rank == 7
    assert both.card.notice == "First. Second."


def test_steers_of_two_models_cannot_be_added(small):
    with pytest.raises(SteerError, match="'other' was made for elsewhere and cannot steer tiny"):
        small + make_steer(random_embedding(7), name="other", model_id="elsewhere")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_saving_and_loading_changes_no_bit(small, tmp_path, dtype):
    card = SteerCard(
        "style",
        "kühl",
        "“warm” 🙂",
        "tiny",
        "0123456789abcdef",
        4,
        "descriptions",
        "two descriptions",
        (-2.0, 3.0),
        (-4.5, 10.0),
        {"epsilon": [-3.0, 0.0, 3.0], "style": [-0.5, 0.1, 0.75]},
        {"kl_nats": 0.25},
        "May be rude.",
    )
    steer = dataclasses.replace(
        small, left=small.left.to(dtype), right=small.right.to(dtype), card=card
    )
    loaded = Steer.load(steer.save(tmp_path / "style"))
    assert loaded.card == card
    for name in ("left", "right", "fingerprint_rows"):
        assert getattr(loaded, name).dtype == getattr(steer, name).dtype
        assert torch.equal(getattr(loaded, name), getattr(steer, name))


def test_saving_twice_gives_the_same_bytes(small, tmp_path):
    first, second = small.save(tmp_path / "a"), small.save(tmp_path / "b")
    for name in (WEIGHTS_FILE, CARD_FILE):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_factors_that_are_transposed_views_survive_saving(small, tmp_path):
    views = dataclasses.replace(small, left=small.right.T, right=small.left.T)
    assert torch.equal(Steer.load(views.save(tmp_path / "v")).matrix(), views.matrix())


def test_loaded_steer_does_not_need_its_folder_any_more(small, saved):
    loaded = Steer.load(saved)
    shutil.rmtree(saved)
    assert torch.equal(loaded.matrix(), small.matrix())


def test_saving_where_a_file_stands_in_the_way_is_one_sentence(small, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(SteerError, match="Cannot write the steer to") as caught:
        small.save(tmp_path / "taken")
    assert one_sentence(str(caught.value))


def break_nothing_but_remove(name):
    return lambda folder: (folder / name).unlink()


def truncate_weights(folder):
    content = (folder / WEIGHTS_FILE).read_bytes()
    (folder / WEIGHTS_FILE).write_bytes(content[: len(content) // 2])


BROKEN = {
    "missing weights": (break_nothing_but_remove(WEIGHTS_FILE), "is missing"),
    "missing card": (break_nothing_but_remove(CARD_FILE), "is missing"),
    "missing folder": (shutil.rmtree, "No steer at"),
    "truncated weights": (truncate_weights, "truncated"),
    "empty weights": (lambda f: (f / WEIGHTS_FILE).write_bytes(b""), "truncated"),
    "pickle for weights": (lambda f: torch.save({}, f / WEIGHTS_FILE), "cannot be read"),
    "NaN": (
        lambda f: rewrite_tensors(f, left=torch.full((D_MODEL, 4), torch.nan)),
        "left holds NaN",
    ),
    "infinity": (
        lambda f: rewrite_tensors(f, right=torch.full((4, D_MODEL), torch.inf)),
        "right holds NaN",
    ),
    "NaN fingerprint": (
        lambda f: rewrite_tensors(f, fingerprint_rows=torch.full((16, D_MODEL), torch.nan)),
        "fingerprint_rows holds NaN",
    ),
    "other rank": (lambda f: rewrite_tensors(f, right=torch.ones(5, D_MODEL)), "do not multiply"),
    "other width": (
        lambda f: rewrite_tensors(f, right=torch.ones(4, D_MODEL + 1)),
        "do not multiply",
    ),
    "rank zero": (
        lambda f: rewrite_tensors(f, left=torch.ones(D_MODEL, 0), right=torch.ones(0, D_MODEL)),
        "do not multiply",
    ),
    "one dimension": (lambda f: rewrite_tensors(f, left=torch.ones(D_MODEL)), "2-D"),
    "three dimensions": (lambda f: rewrite_tensors(f, left=torch.ones(2, D_MODEL, 4)), "2-D"),
    "integers": (
        lambda f: rewrite_tensors(f, left=torch.ones(D_MODEL, 4, dtype=torch.int32)),
        "int32",
    ),
    "lacking factor": (lambda f: rewrite_tensors(f, right=None), "lacks the tensor 'right'"),
    "fingerprint width": (
        lambda f: rewrite_tensors(f, fingerprint_rows=torch.ones(16, 5)),
        "another width",
    ),
    "bad JSON": (lambda f: (f / CARD_FILE).write_text("{"), "not a steer card"),
    "empty card": (lambda f: (f / CARD_FILE).write_text(""), "not a steer card"),
    "bottomless JSON": (lambda f: (f / CARD_FILE).write_text("[" * 100_000), "not a steer card"),
    "JSON list": (lambda f: (f / CARD_FILE).write_text("[1]"), "steer card"),
    "JSON number": (lambda f: (f / CARD_FILE).write_text("3"), "not a steer card"),
    "JSON null": (lambda f: (f / CARD_FILE).write_text("null"), "not a steer card"),
    "card in Latin-1": (lambda f: (f / CARD_FILE).write_bytes(b'{"name": "\xe9"}'), "not UTF-8"),
    "card without poles": (
        lambda f: (f / CARD_FILE).write_text('{"name": "x"}'),
        "not a steer card",
    ),
    "name is a number": (lambda f: rewrite_card(f, name=3), "needs name"),
    "name is empty": (lambda f: rewrite_card(f, name=""), "needs name"),
    "range without 0": (lambda f: rewrite_card(f, epsilon_range=[1, 2]), "must hold 0"),
    "empty range": (lambda f: rewrite_card(f, epsilon_range=[0, 0]), "must hold 0"),
    "reversed range": (lambda f: rewrite_card(f, epsilon_range=[3, -3]), "must hold 0"),
    "range beyond the limit": (lambda f: rewrite_card(f, epsilon_range=[-99, 99]), "within ±10"),
    "NaN range": (lambda f: rewrite_card(f, epsilon_range=[float("nan"), 1]), "must hold 0"),
    "range of three": (lambda f: rewrite_card(f, epsilon_range=[-1, 0, 1]), "not a steer card"),
    "range of words": (
        lambda f: rewrite_card(f, epsilon_range=["low", "high"]),
        "not a steer card",
    ),
    "collapse range without 0": (
        lambda f: rewrite_card(f, collapse_range=[1, 2]),
        "collapse_range of 1.0",
    ),
    "collapse range beyond": (lambda f: rewrite_card(f, collapse_range=[-11, 10]), "within ±10"),
    "calibration is a list": (
        lambda f: rewrite_card(f, calibration=[1]),
        "needs calibration as an object",
    ),
    "metrics are null": (lambda f: rewrite_card(f, metrics=None), "needs metrics as an object"),
    "rank is text": (lambda f: rewrite_card(f, rank="4"), "needs rank as a whole number"),
    "range is null": (lambda f: rewrite_card(f, epsilon_range=None), "not a steer card"),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_damaged_steer_is_refused_in_one_clear_sentence(saved, damage):
    breaks, expected = BROKEN[damage]
    breaks(saved)
    with pytest.raises(SteerError) as caught:
        Steer.load(saved)
    assert expected in str(caught.value)
    assert one_sentence(str(caught.value))


def test_unknown_card_keys_are_ignored(small, saved):
    rewrite_card(saved, invented_later={"a": 1})
    assert Steer.load(saved).card == small.card


def test_a_card_from_before_calibration_on_text_is_still_read(small, saved):
    card = json.loads((saved / CARD_FILE).read_text(encoding="utf-8"))
    del card["collapse_range"], card["calibration"]
    (saved / CARD_FILE).write_text(json.dumps(card), encoding="utf-8")
    assert Steer.load(saved).card == small.card


def test_fingerprint_accepts_a_requantised_copy_and_refuses_another_model(embedding, small):
    noise = torch.randn(embedding.shape, generator=torch.Generator().manual_seed(2))
    requantised = fingerprint_rows(embedding + 0.02 * embedding.abs().mean() * noise)
    assert not torch.equal(requantised, small.fingerprint_rows)
    check_fingerprint(small, requantised, "tiny-q4")
    with pytest.raises(SteerError, match="'style' was made for tiny and cannot steer stranger"):
        check_fingerprint(small, fingerprint_rows(random_embedding(1)), "stranger")


def test_fingerprint_of_another_width_is_refused(small):
    with pytest.raises(SteerError, match="made for tiny and cannot steer wide"):
        check_fingerprint(small, fingerprint_rows(random_embedding(0, d_model=D_MODEL * 2)), "wide")


def test_fingerprint_of_the_embedded_model_survives_bfloat16(lm, steer):
    check_fingerprint(steer, fingerprint_rows(lm.output_embedding.bfloat16()), "bf16 copy")


def test_fingerprint_digest_tells_models_apart_and_is_stable(embedding):
    digest = fingerprint_digest(fingerprint_rows(embedding))
    assert digest == fingerprint_digest(fingerprint_rows(embedding.clone()))
    assert digest != fingerprint_digest(fingerprint_rows(random_embedding(1)))
    assert len(digest) == 16


def test_fingerprint_rows_span_the_vocabulary_even_when_it_is_tiny():
    embedding = torch.arange(200.0)[:, None].expand(200, 3)
    rows = fingerprint_rows(embedding)
    assert rows.shape == (FINGERPRINT_ROWS, 3)
    assert (rows[0, 0].item(), rows[-1, 0].item()) == (0, 199)
    assert fingerprint_rows(embedding[:5]).shape == (FINGERPRINT_ROWS, 3)


def test_discover_finds_own_steers_skips_foreign_ones_and_reports_broken_ones(
    embedding, small, tmp_path
):
    small.save(tmp_path / "tiny" / "style")
    make_steer(random_embedding(1), name="foreign", model_id="other").save(
        tmp_path / "other" / "foreign"
    )
    truncate_weights(make_steer(embedding, name="broken").save(tmp_path / "tiny" / "broken"))
    steers, problems = discover([tmp_path], fingerprint_rows(embedding), "tiny")
    assert list(steers) == ["style"]
    assert len(problems) == 1
    assert "broken" in problems[0]
    assert one_sentence(problems[0])


def test_discover_prefers_the_earlier_folder(embedding, small, tmp_path):
    small.scaled(2.0).save(tmp_path / "first" / "tiny" / "style")
    small.save(tmp_path / "second" / "tiny" / "style")
    folders = [tmp_path / "first", tmp_path / "second"]
    steers, problems = discover(folders, fingerprint_rows(embedding), "tiny")
    assert torch.equal(steers["style"].matrix(), small.scaled(2.0).matrix())
    assert problems == []


def test_discover_in_a_folder_that_is_not_there_finds_nothing(embedding, tmp_path):
    assert discover([tmp_path / "nowhere"], fingerprint_rows(embedding), "tiny") == ({}, [])


@pytest.mark.parametrize(
    "name", ["../x", "", "a" * 65, ".hidden", "a/b", "a\\b", "naïve", "a b", "x\n", "a\0b", "-rf"]
)
def test_bad_names_are_refused(small, tmp_path, name):
    with pytest.raises(InputError, match="1–64 letters"):
        check_name(name)
    bad = dataclasses.replace(small, card=dataclasses.replace(small.card, name=name))
    with pytest.raises(InputError):
        bad.save(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("name", ["a", "a" * 64, "less-toxic_v1.2", "7"])
def test_plain_names_are_accepted(name):
    check_name(name)


@pytest.mark.parametrize(
    "epsilon", [float("nan"), float("inf"), -1e9, 10.5, 10**400, "2", True, None, [1]]
)
def test_impossible_epsilon_is_refused_with_the_allowed_range(epsilon):
    with pytest.raises(InputError, match="between −10 and 10"):
        check_epsilon(epsilon)
