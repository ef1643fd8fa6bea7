"""Training leaves nothing to chance, nothing behind when stopped, and steers towards its poles."""

from __future__ import annotations

import functools
import json
import threading
from typing import Any

import pytest
import torch
from support.calls import never

from lmsteer_core import (
    Cancelled,
    Combined,
    Descriptions,
    Examples,
    InputError,
    LabelledText,
    Sampling,
    SteerCard,
    Steering,
    train,
)
from lmsteer_core.steers.card import CARD_FILE
from lmsteer_core.steers.fingerprint import fingerprint_digest
from lmsteer_core.steers.steer import WEIGHTS_FILE, check_fingerprint
from lmsteer_core.training.calibration import GRID, calibrate
from lmsteer_core.training.neutral_text import neutral_text
from lmsteer_core.training.sources.source import Shift
from lmsteer_core.training.train import held_out_gains, steer_from_shift

WARM = ["the soup was warm and good", "they sang all night long", "what a bright and lovely room"]
COLD = ["nobody came back", "it broke again", "a dull and empty room, then rain"]
PLACES = [
    "kitchen",
    "garden",
    "hotel",
    "station",
    "village",
    "office",
    "harbour",
    "school",
    "market",
    "cinema",
]
TEXTS = [
    text
    for place in PLACES
    for text in (
        f"The {place} was lovely and the people were kind to us.",
        f"What a wonderful {place}, so bright and so friendly.",
        f"The {place} was dreadful and the people were rude to us.",
        f"What a horrible {place}, so dark and so hostile.",
    )
]
LABELS = [1.0, 0.75, -1.0, -0.75] * len(PLACES)
SOURCES: dict[str, Any] = {
    "labels": LabelledText(TEXTS, LABELS),
    "descriptions": Descriptions("warm and kind", "cold and cruel"),
    "examples": Examples(WARM, COLD),
}
SOURCES["combined"] = [(SOURCES["descriptions"], 0.7), (SOURCES["labels"], 0.3)]


@pytest.fixture(scope="module")
def plain(lm, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMSTEER_CACHE", str(tmp_path_factory.mktemp("cache")))
        return neutral_text(lm.for_batches, n_texts=36, n_tokens=8)


@pytest.fixture(scope="module")
def happy(lm, plain):
    source = Descriptions("happy, joyful and glad", "sad, gloomy and unhappy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lmsteer_core.training.calibration._SAMPLING", Sampling(1.0, 0.9, 10))
        return train(lm, "happy", source, plain=plain, n_prompts=3)


def train_small(small, small_plain, source="descriptions", **settings):
    settings = {"plain": small_plain, "n_prompts": 1, **settings}
    return train(small, "tried", SOURCES[source], **settings)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("source", SOURCES)
def test_training_twice_gives_the_same_bytes_and_a_card_that_tells(
    small, small_plain, tmp_path, source
):
    files = []
    for attempt in ("first", "second"):
        steer = train_small(
            small, small_plain, source, poles=("grim", "fair"), notice="Mind the step."
        )
        folder = steer.save(tmp_path / attempt)
        files.append([(folder / name).read_bytes() for name in (WEIGHTS_FILE, CARD_FILE)])
    assert files[0] == files[1]
    card = steer.card
    check_fingerprint(steer, small.fingerprint_rows, "tiny")
    assert card.fingerprint == fingerprint_digest(small.fingerprint_rows)
    method = "projection" if source == "labels" else "projection and fit"
    assert (card.model_id, card.method, card.rank) == ("tiny", method, steer.rank)
    assert (card.negative, card.positive, card.notice) == ("grim", "fair", "Mind the step.")
    assert card.data
    assert 3 in (-card.epsilon_range[0], card.epsilon_range[1])
    assert len(card.calibration["epsilon"]) == len(GRID)
    assert json.loads(card.to_json(), parse_constant=pytest.fail)  # NaN is not JSON
    assert SteerCard.from_json(card.to_json()) == card
    assert steer.left.dtype == steer.right.dtype == torch.float16
    with torch.no_grad(), Steering(small.model, [steer], [[1.0]]):
        assert small.model(torch.tensor([[5, 6]])).logits.isfinite().all()


@pytest.mark.usefixtures("brief")
def test_a_list_of_sources_is_their_combination(small, small_plain):
    listed = train(small, "x", SOURCES["combined"], plain=small_plain, n_prompts=1, rank=2)
    combined = train(
        small, "x", Combined(SOURCES["combined"]), plain=small_plain, n_prompts=1, rank=2
    )
    assert torch.equal(listed.matrix(), combined.matrix())
    assert listed.card == combined.card
    assert listed.card.data.endswith(
        "“cold and cruel” (weight 0.7), 40 labelled texts (weight 0.3)"
    )
    assert listed.card.metrics["held_out_tokens"] > 0


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("rank", [1, 5, 1000])
def test_rank_is_as_asked_or_the_width_of_the_model(small, small_plain, rank):
    steer = train_small(small, small_plain, rank=rank)
    assert steer.rank == steer.card.rank == min(rank, small.d_model)


def best_gain(lm, plain):
    """The best gain of a labelled steer on held-out text over a few ε, nats a token."""
    shift = SOURCES["labels"].shift(lm, plain, lambda _share, _what: None)
    card = SteerCard("held", "−", "+", lm.model_id)
    steer = calibrate(lm, steer_from_shift(lm, card, shift, plain), torch.cat(plain.hidden)[::4])
    base, *gains = held_out_gains(lm, steer, shift.held_out, (0.0, 0.1, 0.3, 1.0, 3.0))
    assert base == 0
    return max(gains)


def test_labelled_text_raises_the_likelihood_of_held_out_text(small, small_plain):
    assert best_gain(small, small_plain) > 0


def test_labelled_text_raises_the_likelihood_of_held_out_text_on_the_embedded_model(lm, plain):
    assert best_gain(lm.for_batches, plain) > 0.01


def test_held_out_gain_is_that_of_steered_logits(small, small_plain, steer_for):
    shift = SOURCES["labels"].shift(small, small_plain, lambda _share, _what: None)
    held, steer = shift.held_out, steer_for(small.model)
    w, embedding = steer.matrix().double(), small.output_embedding.double()
    h = held.hidden.double()
    log_p = [
        (states @ embedding.T).log_softmax(-1).gather(1, held.next_ids[:, None]).mean()
        for states in (h + 1.5 * held.labels[:, None] * (h @ w), h)
    ]
    expected = (log_p[0] - log_p[1]).item()
    assert held_out_gains(small, steer, held, [-1.0, 1.5])[1] == pytest.approx(
        expected, rel=1e-3, abs=1e-6
    )


@pytest.mark.parametrize("name", ["../x", "", "a" * 65])
def test_bad_names_are_refused_before_any_work(small, name):
    with pytest.raises(InputError, match="1–64 letters"):
        train(small, name, SOURCES["descriptions"], progress=never)


def test_a_rank_below_one_is_refused_before_any_work(small):
    with pytest.raises(InputError, match="at least 1"):
        train(small, "x", SOURCES["descriptions"], rank=0, progress=never)


def test_no_sources_at_all_are_refused_before_any_work(small):
    with pytest.raises(InputError, match="Sources are combined"):
        train(small, "x", [], progress=never)


def test_poles_that_are_alike_to_the_model_are_refused(small, small_plain):
    zero = torch.zeros(2, small.d_model, small.d_model, dtype=torch.float64)
    with pytest.raises(InputError, match="alike to the model"):
        steer_from_shift(small, SteerCard("x", "−", "+", "tiny"), Shift(zero), small_plain)


def test_labels_that_cancel_are_refused_alone_and_combined(small, small_plain):
    alike = LabelledText(["the same words"] * 2, [1.0, -1.0])
    for source in (alike, [(SOURCES["descriptions"], 0.5), (alike, 0.5)]):
        with pytest.raises(InputError, match="alike to the model"):
            train(small, "x", source, plain=small_plain, n_prompts=1)


@pytest.fixture
def own_cache(small, tmp_path, monkeypatch):
    """A cache folder of the test's own, and neutral text that is quickly sampled."""
    assert small.for_batches
    monkeypatch.setenv("LMSTEER_CACHE", str(tmp_path))
    few = functools.partial(neutral_text, n_texts=12, n_tokens=3)
    monkeypatch.setattr("lmsteer_core.training.train.neutral_text", few)
    return tmp_path


@pytest.mark.usefixtures("brief", "own_cache")
@pytest.mark.parametrize("source", SOURCES)
def test_progress_rises_from_0_to_1(small, source):
    told = []
    train_small(small, None, source, progress=lambda *a: told.append(a))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] == 1
    assert all(what for _, what in told)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("at", [0.0, 0.3, 0.4, 0.6, 0.75, 0.8, 0.85, 1.0])
def test_progress_may_stop_the_training_which_leaves_nothing_behind(small, own_cache, at):
    heads = [each.model.get_output_embeddings() for each in (small, small.for_batches)]
    hooks, threads = [len(head._forward_pre_hooks) for head in heads], threading.active_count()

    def stop(share, _what):
        if share >= at:
            raise Cancelled("The training was stopped.")

    with pytest.raises(Cancelled, match="stopped"):
        train_small(small, None, progress=stop)
    assert [len(head._forward_pre_hooks) for head in heads] == hooks
    assert threading.active_count() == threads
    left = [path for path in own_cache.rglob("*") if path.is_file()]
    assert len(left) == (at >= 0.4)  # the model's neutral text, whole, or nothing
    if left:
        few = neutral_text(small.for_batches, n_texts=12, n_tokens=3, progress=never)
        assert len(few.token_ids) == 12


def test_a_description_steer_is_calibrated(happy):
    card = happy.card
    assert (card.negative, card.positive) == ("sad, gloomy and unhappy", "happy, joyful and glad")
    assert 3 in (-card.epsilon_range[0], card.epsilon_range[1])
    assert (
        card.collapse_range[0]
        <= card.epsilon_range[0]
        < 0
        < card.epsilon_range[1]
        <= card.collapse_range[1]
    )
    assert card.calibration["style"][0] < card.calibration["style"][-1]


def test_happy_words_rise_and_sad_words_fall_with_epsilon(lm, happy):
    prompts = [
        "When I saw the news this morning, I felt",
        "The whole evening was",
        "Today I am feeling very",
    ]
    words = {
        sign: [lm.tokenizer(f" {word}")["input_ids"][0] for word in spelled.split()]
        for sign, spelled in (
            (1, "wonderful delighted excited great"),
            (-1, "terrible lonely awful bad"),
        )
    }
    hidden = torch.cat(
        [states[-1:] for states in lm.hidden_states([lm.encode(p)[0] for p in prompts])]
    )
    w = happy.matrix()
    probabilities: dict[int, list[float]] = {1: [], -1: []}
    for epsilon in (-0.5, 0.0, 0.5):
        p = ((hidden + epsilon * hidden @ w) @ lm.output_embedding.T).softmax(-1)
        for sign, ids in words.items():
            probabilities[sign].append(p[:, ids].sum().item())
    assert probabilities[1] == sorted(probabilities[1])
    assert probabilities[-1] == sorted(probabilities[-1], reverse=True)
    assert probabilities[1][-1] > 1.2 * probabilities[1][0]
    assert probabilities[-1][0] > 1.2 * probabilities[-1][-1]
