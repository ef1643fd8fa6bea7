"""The official recipe: its gradient is the published objective's, and what it trains is a style."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from support.models import TINY_CONFIGS
from transformers import Gemma3ForCausalLM

from lmsteer_core import InputError, LanguageModel
from lmsteer_core.analysis.evidence import log_probabilities
from lmsteer_core.analysis.reading import read_text
from lmsteer_core.steers.card import CARD_FILE
from lmsteer_core.steers.steer import WEIGHTS_FILE, check_fingerprint
from lmsteer_core.training.official_recipe import OfficialTraining, train_official

GOOD = ["what a warm and lovely day", "a lovely little film", "warm, lovely and bright"]
BAD = ["what a dull and dreary day", "a dreary little film", "dull, dreary and grim"]
TEXTS = GOOD + BAD
LABELS = [1.0, 0.5, 1.0, -1.0, -0.5, -1.0]
SETTINGS: dict[str, Any] = {"rank": 40, "batch_size": 4, "learning_rate": 3e-2, "scale": 1e-2}


@pytest.fixture(scope="module")
def trained(small):
    """The style after 1 and after 60 steps, and what progress said."""
    told = []
    steers = train_official(
        small,
        "lovely",
        TEXTS,
        LABELS,
        snapshots=(60, 1),
        progress=lambda *a: told.append(a),
        **SETTINGS,
    )
    return steers, told


@pytest.fixture(scope="module")
def run(small):
    """The tokens, a training after the same 60 steps, and the loss of each."""
    ids, training = start_training(small, regularization=1e-6)
    return ids, training, [loss for _, loss in zip(range(60), training, strict=False)]


def start_training(small, labels=LABELS, **settings):
    ids = [small.tokenizer(text)["input_ids"] for text in TEXTS]
    settings = {**SETTINGS, "regularization": 0.0, "seed": 0, **settings}
    return ids, OfficialTraining(small, ids, labels, **settings)


def explicit_loss(model, ids, labels, projector1, projector2, scale):
    """The mean NLL of whole texts, each under its own embeddings (I + W_dummy + label W) e."""
    style, dummy = scale * projector1 @ projector2.transpose(1, 2)
    embedding = model.get_output_embeddings().weight
    total, n_tokens = 0.0, 0
    for text, label in zip(ids, labels, strict=True):
        hidden = model(torch.tensor([text]), output_hidden_states=True).hidden_states[-1][0, :-1]
        moved = embedding + embedding @ (label * style + dummy).T
        log_p = (hidden @ moved.T).log_softmax(-1)
        total = total - log_p[torch.arange(len(text) - 1), torch.tensor(text[1:])].sum()
        n_tokens += len(text) - 1
    return total / n_tokens


@pytest.mark.parametrize("regularization", [0.0, 1e-3])
def test_the_gradient_of_a_step_is_the_published_objectives(small, monkeypatch, regularization):
    monkeypatch.setattr(
        "lmsteer_core.training.official_recipe._LOGITS_PER_CHUNK", 5 * small.vocab_size
    )
    ids, training = start_training(small, regularization=regularization)
    loss = training.backward(range(len(ids)))
    exact = copy.deepcopy(small.model).double()
    projector1, projector2 = projectors = [
        p.detach().double().requires_grad_() for p in (training.projector1, training.projector2)
    ]
    expected = explicit_loss(exact, ids, LABELS, projector1, projector2, SETTINGS["scale"])
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    (expected + regularization * sum(p.square().sum() for p in projectors)).backward()
    for found, exact_projector in zip(
        (training.projector1, training.projector2), projectors, strict=True
    ):
        error = (found.grad.double() - exact_projector.grad).norm() / exact_projector.grad.norm()
        assert error < 1e-4


def test_a_half_precision_model_trains_in_float32(small):
    half = LanguageModel(copy.deepcopy(small.model).bfloat16(), small.tokenizer, "tiny")
    ids, exact = start_training(small)
    _, rounded = start_training(half)
    batch = range(len(ids))
    assert rounded.backward(batch) == pytest.approx(exact.backward(batch), rel=0.05)
    assert rounded.projector1.dtype == rounded.projector1.grad.dtype == torch.float32


def test_the_softcap_of_a_model_is_part_of_the_loss(lm):
    config = copy.deepcopy(TINY_CONFIGS["gemma3"])
    config.vocab_size = lm.vocab_size
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Gemma3ForCausalLM(config)
    capped = LanguageModel(model, lm.tokenizer, "tiny")
    ids, training = start_training(capped, scale=1e-12)
    with torch.no_grad():
        logits = model(torch.tensor([ids[0]])).logits[0, :-1]
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[0][1:]))
    assert training.backward([0]) == pytest.approx(expected.item(), rel=1e-5)


def test_the_loss_falls(run):
    *_, losses = run
    assert sum(losses[-6:]) / 6 < sum(losses[:6]) / 6 - 1


def test_the_style_prefers_the_texts_of_its_own_pole(small, trained):
    style = trained[0][60]
    for text, sign in [(t, 1) for t in GOOD] + [(t, -1) for t in BAD]:
        minus, base, plus = log_probabilities(small, read_text(small, text), style, [-1, 0, 1]).sum(
            dim=1
        )
        assert sign * (plus - minus) > 0.1, text
        assert max(plus, minus) > base, text


def test_a_graded_label_is_a_strength(small):
    ids, training = start_training(small, labels=[0.5] * 6)
    found = training.backward([0])
    projectors = training.projector1.detach(), training.projector2.detach()
    assert found == pytest.approx(
        explicit_loss(small.model, ids[:1], [0.5], *projectors, 1e-2).item(), rel=1e-5
    )
    _, plain = start_training(small, labels=[0.0] * 6)
    plain.backward([0])
    assert not plain.projector1.grad[0].any()
    assert plain.projector1.grad[1].any()


def test_the_dummy_alone_lowers_the_loss_on_the_training_domain(small, run):
    ids, training, _ = run
    p1, p2 = training.projector1.detach(), training.projector2.detach()
    zero = [0.0] * len(ids)
    with torch.no_grad():
        with_dummy = explicit_loss(small.model, ids, zero, p1, p2, SETTINGS["scale"])
        without = explicit_loss(small.model, ids, zero, p1, p2 * 0, SETTINGS["scale"])
    assert with_dummy < without - 0.5


def test_thin_factors_are_the_trained_product(trained, run):
    _, training, _ = run
    with torch.no_grad():
        w = SETTINGS["scale"] * training.projector1[0] @ training.projector2[0].T
    style = trained[0][60]
    assert style.left.shape == (32, 32)
    assert style.right.shape == (32, 32)
    assert style.left.dtype == style.right.dtype == torch.float16
    assert (style.matrix() - w).norm() < 1e-3 * w.norm()
    torch.testing.assert_close(style.left.norm(), style.right.norm(), rtol=1e-2, atol=0)


def test_a_rank_below_the_width_is_kept(small):
    settings = {**SETTINGS, "rank": 3}
    (style,) = train_official(small, "lovely", TEXTS, LABELS, snapshots=[1], **settings).values()
    assert (style.rank, style.card.rank) == (3, 3)


def test_snapshots_are_the_steps_asked_for(small, trained):
    steers, told = trained
    assert list(steers) == [1, 60]
    assert [steer.card.metrics["n_steps"] for steer in steers.values()] == [1, 60]
    assert not torch.equal(steers[1].left, steers[60].left)
    check_fingerprint(steers[60], small.fingerprint_rows, small.model_id)
    assert steers[60].card.method == "official recipe"
    assert [share for share, _ in told] == [step / 60 for step in range(1, 61)]
    assert "loss" in told[-1][1]


def test_an_earlier_snapshot_is_a_shorter_training(small, trained, tmp_path):
    alone = train_official(small, "lovely", TEXTS, LABELS, snapshots=[1], **SETTINGS)[1]
    for steer, folder in ((alone, tmp_path / "a"), (trained[0][1], tmp_path / "b")):
        steer.save(folder)
    for file in (WEIGHTS_FILE, CARD_FILE):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_another_seed_is_another_steer(small, trained):
    other = train_official(small, "lovely", TEXTS, LABELS, snapshots=[1], seed=1, **SETTINGS)[1]
    assert not torch.equal(other.left, trained[0][1].left)


def test_training_leaves_the_global_seed_and_the_model_alone(small):
    weights = {name: p.clone() for name, p in small.model.named_parameters()}
    state = torch.random.get_rng_state()
    train_official(small, "lovely", TEXTS, LABELS, snapshots=[2], **SETTINGS)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(p, weights[name]) for name, p in small.model.named_parameters())
    assert all(p.grad is None for p in small.model.parameters())


def test_a_text_of_one_token_is_predicted_from_the_start(small):
    steers = train_official(small, "hi", ["hi", "no"], [1.0, -1.0], snapshots=[2], **SETTINGS)
    assert steers[2].left.isfinite().all()


@pytest.mark.parametrize(
    ("texts", "labels", "settings", "words"),
    [
        ([], [], {}, "at least one text"),
        (["a"], [1.0, -1.0], {}, "one label per text"),
        (["a", "b"], [1.0, 2.0], {}, "−1 to 1"),
        (["a", "b"], [1.0, math.nan], {}, "−1 to 1"),
        (["a", "b"], [1.0, 0.5], {}, "Both poles"),
        (["a", " "], [1.0, -1.0], {}, "empty"),
        (["a", "b"], [1.0, -1.0], {"snapshots": []}, "Steps"),
        (["a", "b"], [1.0, -1.0], {"snapshots": [0]}, "Steps"),
        (["a", "b"], [1.0, -1.0], {"rank": 0}, "rank"),
        (["a", "b"], [1.0, -1.0], {"batch_size": 0}, "batch size"),
        (["a", "b"], [1.0, -1.0], {"learning_rate": 0.0}, "Learning rate"),
        (["a", "b"], [1.0, -1.0], {"scale": math.inf}, "scale"),
    ],
)
def test_bad_data_and_settings_are_refused(small, texts, labels, settings, words):
    with pytest.raises(InputError, match=words):
        train_official(small, "style", texts, labels, **settings)
