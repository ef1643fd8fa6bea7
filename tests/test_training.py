"""Training is the gradient at W = 0, the Fisher information's factors, and nothing left to chance."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from conftest import TINY_CONFIGS
from transformers import LlamaForCausalLM

from lmsteer_core import InputError, LanguageModel, Steering, train_from_descriptions, train_from_labels
from lmsteer_core.calibration import FULL_EPSILON, TARGET_KL, mean_kl
from lmsteer_core.steer import CARD_FILE, WEIGHTS_FILE, check_fingerprint, fingerprint_digest
from lmsteer_core.training import curvature_of, neutral_text, shift_from_labels

TEXTS = [
    "the soup was warm and good",
    "nobody came back",
    "a plain grey morning, then rain",
    "they sang all night long",
    "it broke again",
]
LABELS = [1.0, -1.0, -0.25, 0.75, -0.5]


@pytest.fixture(scope="module")
def small(lm):
    """A tiny random llama that reads the embedded model's tokens."""
    config = copy.deepcopy(TINY_CONFIGS["llama"])
    config.vocab_size, config.max_position_embeddings = lm.vocab_size, 512
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
    return LanguageModel(model, lm.tokenizer, "tiny")


@pytest.fixture(scope="module")
def small_plain(small):
    return neutral_text(small, n_texts=24, n_tokens=8)


@pytest.fixture(scope="module")
def plain(lm):
    return neutral_text(lm, n_texts=32, n_tokens=8)


@pytest.fixture(scope="module")
def happy(lm, plain):
    return train_from_descriptions(
        lm, "happy", "happy, joyful and glad", "sad, gloomy and unhappy", plain=plain
    )


def labelled_tokens(small):
    """Yield (hidden, next tokens, label) of every text in float64, read one at a time."""
    exact = copy.deepcopy(small.model).double()
    for text, label in zip(TEXTS, LABELS, strict=True):
        ids = torch.tensor([[*small.start_ids, *small.tokenizer(text)["input_ids"]]])
        with torch.no_grad():
            hidden = exact(ids, output_hidden_states=True).hidden_states[-1][0, :-1]
        yield hidden, ids[0, 1:], label


def relative_error(found, expected):
    return ((found.double() - expected).norm() / expected.norm()).item()


def test_shift_from_labels_is_the_gradient_of_the_labelled_likelihood_at_zero(small):
    tokens = list(labelled_tokens(small))
    n_tokens = sum(len(x) for _, x, _ in tokens)
    mean_label = sum(label * len(x) for _, x, label in tokens) / n_tokens
    embedding = small.output_embedding.double()
    w = torch.zeros(small.d_model, small.d_model, dtype=torch.float64, requires_grad=True)
    moved = embedding + embedding @ w.T
    likelihood = sum(
        (label - mean_label) * (hidden @ moved.T).log_softmax(-1)[torch.arange(len(x)), x].sum()
        for hidden, x, label in tokens
    )
    (gradient,) = torch.autograd.grad(likelihood / n_tokens, w)
    shift, _ = shift_from_labels(small, TEXTS, LABELS)
    assert relative_error(shift, gradient) < 1e-4


def test_curvature_equals_the_mean_covariance_and_second_moment(small):
    hidden = torch.cat([h for h, _, _ in labelled_tokens(small)])
    embedding = small.output_embedding.double()
    p = (hidden @ embedding.T).softmax(-1)
    covariances = []
    for row in p:
        centred = embedding - row @ embedding
        covariances.append((centred * row[:, None]).T @ centred)
    expected = torch.stack(covariances).mean(0), hidden.T @ hidden / len(hidden)
    for curvature in (shift_from_labels(small, TEXTS, LABELS)[1], curvature_of(small, hidden.float())):
        assert relative_error(curvature.embedding, expected[0]) < 1e-4
        assert relative_error(curvature.hidden, expected[1]) < 1e-4


def test_order_of_the_texts_does_not_matter(small):
    forward, _ = shift_from_labels(small, TEXTS, LABELS)
    backward, _ = shift_from_labels(small, TEXTS[::-1], LABELS[::-1])
    assert relative_error(backward, forward) < 1e-5


def test_opposite_labels_give_the_opposite_shift(small):
    shift, _ = shift_from_labels(small, TEXTS, LABELS)
    opposite, _ = shift_from_labels(small, TEXTS, [-label for label in LABELS])
    assert relative_error(-opposite, shift) < 1e-6


def test_neutral_text_is_the_same_every_time(small, small_plain):
    again = neutral_text(small, n_texts=24, n_tokens=8)
    assert again.token_ids == small_plain.token_ids
    assert torch.equal(again.curvature.embedding, small_plain.curvature.embedding)


def saved_bytes(steer, folder):
    steer.save(folder)
    return [(folder / name).read_bytes() for name in (WEIGHTS_FILE, CARD_FILE)]


@pytest.mark.parametrize("source", ["descriptions", "labels"])
def test_training_twice_gives_the_same_bytes(small, small_plain, tmp_path, source):
    files = []
    for attempt in ("first", "second"):
        if source == "labels":
            steer = train_from_labels(small, "twice", TEXTS, LABELS, plain=small_plain, rank=4)
        else:
            steer = train_from_descriptions(small, "twice", "warm", "cold", plain=small_plain, rank=4)
        files.append(saved_bytes(steer, tmp_path / attempt))
    assert files[0] == files[1]


@pytest.mark.parametrize("rank", [1, 5, 1000])
def test_rank_is_as_asked_or_the_width_of_the_model(small, small_plain, rank):
    steer = train_from_labels(small, "r", TEXTS, LABELS, plain=small_plain, rank=rank)
    assert steer.rank == steer.card.rank == min(rank, small.d_model)


def test_trained_steer_belongs_to_its_model(lm, small, small_plain):
    steer = train_from_labels(small, "mine", TEXTS, LABELS, plain=small_plain, rank=4)
    check_fingerprint(steer, small.fingerprint_rows, "tiny")
    assert steer.card.fingerprint == fingerprint_digest(small.fingerprint_rows)
    assert steer.card.model_id == "tiny"
    with Steering(small.model, [steer], [[1.0]]):
        assert small.model(torch.tensor([[5, 6]])).logits.isfinite().all()
    assert lm.d_model != steer.d_model


def test_labelled_steer_raises_the_likelihood_of_its_own_poles(small, small_plain):
    steer = train_from_labels(small, "poles", TEXTS, LABELS, plain=small_plain)
    embedding, w = small.output_embedding.double(), steer.matrix().double()
    for hidden, x, label in labelled_tokens(small):
        if abs(label) < 0.5:
            continue
        at = {
            epsilon: ((hidden + epsilon * hidden @ w) @ embedding.T)
            .log_softmax(-1)[torch.arange(len(x)), x]
            .sum()
            for epsilon in (-math.copysign(0.5, label), 0.0, math.copysign(0.5, label))
        }
        wrong, base, right = at.values()
        assert wrong < base < right


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [
        ("", "sad", "both poles"),
        ("happy", "  ", "both poles"),
        ("Happy ", "happy", "the same"),
        ("happy " * 600, "sad", "too long"),
        ("sad", "happy " * 100_000, "too long"),
    ],
)
def test_descriptions_that_describe_no_two_poles_are_refused(
    small, small_plain, positive, negative, expected
):
    with pytest.raises(InputError, match=expected):
        train_from_descriptions(small, "x", positive, negative, plain=small_plain)


@pytest.mark.parametrize(
    ("texts", "labels", "expected"),
    [
        ([], [], "at least one text"),
        (["a"], [1.0, -1.0], "one label per text"),
        (["a", "b"], [1.0, 2.0], "from −1 to 1"),
        (["a", "b"], [1.0, math.nan], "from −1 to 1"),
        (["a", "b"], [1.0, 0.5], "Both poles"),
        (["a", "b"], [0.0, -0.5], "Both poles"),
    ],
)
def test_labels_that_hold_no_two_poles_are_refused(small, texts, labels, expected):
    with pytest.raises(InputError, match=expected):
        shift_from_labels(small, texts, labels)


@pytest.mark.parametrize("name", ["../x", "", "a" * 65])
def test_bad_names_are_refused_before_any_work(small, name):
    with pytest.raises(InputError, match="1–64 letters"):
        train_from_descriptions(small, name, "warm", "cold")
    with pytest.raises(InputError, match="1–64 letters"):
        train_from_labels(small, name, TEXTS, LABELS)


def test_progress_never_goes_back_and_stays_within_one(small, small_plain):
    shares = []
    train_from_descriptions(
        small, "p", "warm", "cold", plain=small_plain, progress=lambda share, _what: shares.append(share)
    )
    assert shares == sorted(shares)
    assert shares
    assert 0 <= shares[0] <= shares[-1] <= 1


def test_description_steer_is_calibrated(lm, happy, plain):
    hidden = torch.cat(plain.hidden)
    both = mean_kl(lm, happy, hidden, FULL_EPSILON) + mean_kl(lm, happy, hidden, -FULL_EPSILON)
    assert both / 2 == pytest.approx(TARGET_KL, rel=0.05)


def test_happy_words_rise_and_sad_words_fall_with_epsilon(lm, happy):
    prompts = ["When I saw the news this morning, I felt", "The whole evening was", "Today I am feeling very"]
    words = {
        sign: [lm.tokenizer(f" {word}")["input_ids"][0] for word in spelled.split()]
        for sign, spelled in ((1, "wonderful delighted excited great"), (-1, "terrible lonely awful bad"))
    }
    hidden = torch.cat([states[-1:] for states in lm.hidden_states([lm.encode(p)[0] for p in prompts])])
    w = happy.matrix()
    probabilities = {1: [], -1: []}
    for epsilon in (-3.0, -1.5, 0.0, 1.5, 3.0):
        p = ((hidden + epsilon * hidden @ w) @ lm.output_embedding.T).softmax(-1)
        for sign, ids in words.items():
            probabilities[sign].append(p[:, ids].sum().item())
    assert probabilities[1] == sorted(probabilities[1])
    assert probabilities[-1] == sorted(probabilities[-1], reverse=True)
    assert probabilities[1][-1] > 1.5 * probabilities[1][0]
    assert probabilities[-1][0] > 1.5 * probabilities[-1][-1]
