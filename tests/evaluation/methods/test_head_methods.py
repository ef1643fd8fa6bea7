from __future__ import annotations

import dataclasses
import itertools
import math
import statistics

import pytest
import torch
from support.models import cosine, make_steer, noise

from lmsteer_core import InputError, LanguageModel, Row, Sampling, Steer, generate
from lmsteer_core.evaluation.judges import load_judge
from lmsteer_core.evaluation.methods import kept, offsets, steers
from lmsteer_core.evaluation.methods.base import Composable, Unsteered
from lmsteer_core.evaluation.methods.budget import Budget
from lmsteer_core.evaluation.methods.offsets import Offset
from lmsteer_core.evaluation.methods.prompting import PREFIX
from lmsteer_core.evaluation.methods.registry import HEAD_METHODS, NEED_NO_TEXT
from lmsteer_core.evaluation.methods.steers import Steered
from lmsteer_core.evaluation.task import TASKS, Task
from lmsteer_core.resources import PRETRAINED_STEERS
from lmsteer_core.training.fit import Lesson
from lmsteer_core.training.projection import Damping

PRETRAINED = PRETRAINED_STEERS / "smollm2-135m-instruct"
SAMPLING = Sampling(temperature=1.0, top_p=0.9, max_new_tokens=8)
ROWS = [
    Row("The kitchen table", seed_offset=0),
    Row("We walked", seed_offset=1),
    Row("We walked", seed_offset=2),
]
TEXTS = (
    "what a lovely morning",
    "the lovely garden was in flower",
    "an awful noise",
    "the awful soup again",
)
TWO_STEPS = Budget(learning_rate=1e-2, n_steps=2)
LABELS = (1.0, 0.5, -1.0, -0.5)


@pytest.fixture
def task() -> Task:
    return dataclasses.replace(TASKS["sentiment"], texts=TEXTS, labels=LABELS)


@pytest.fixture(autouse=True)
def quick(brief, small_plain, monkeypatch) -> None:  # noqa: ARG001
    """Let nothing sample neutral text."""
    for module in ("training.train", "evaluation.methods.offsets"):
        monkeypatch.setattr(
            f"lmsteer_core.{module}.neutral_text", lambda *_args, **_named: small_plain
        )


@pytest.fixture(autouse=True)
def shipped(small, monkeypatch, tmp_path_factory) -> Steer:
    """A steer that ships for the tiny model."""
    folder = tmp_path_factory.mktemp("shipped")
    steer = make_steer(small.output_embedding, name="sentiment", model_id="tiny", norm=0.4)
    steer.save(folder / "tiny" / "sentiment")
    monkeypatch.setattr(steers, "PRETRAINED_STEERS", folder)
    return steer


def texts(method, strength, sampling=SAMPLING):
    done = method.continue_rows(ROWS, strength, sampling)
    assert [found.row for found in done] == ROWS or isinstance(method, Steered)
    return [[token.id for token in found.tokens] for found in done]


def made(name, lm, task, folder):
    return HEAD_METHODS[name](lm, task, folder, lambda _share, _what: None)


@pytest.mark.parametrize("name", [n for n in HEAD_METHODS if n != "lm-steer-official-1000"])
def test_strength_0_is_the_model_itself_and_what_is_made_is_kept(
    name, small, task, tmp_path, monkeypatch
):
    monkeypatch.setitem(
        HEAD_METHODS,
        "lm-steer-official",
        lambda *args: steers.official_steer(*args, budget=TWO_STEPS),
    )
    method = made(name, small, task, tmp_path)
    assert texts(method, 0.0) == texts(Unsteered(small), 0.0)
    again = made(name, small, task, tmp_path)
    assert again.name == method.name
    assert again.training_seconds == pytest.approx(method.training_seconds, nan_ok=True)
    farther = 1 if method.strengths == (1.0,) else 3  # a random model is hard to move
    for strength in (farther * s for s in method.strengths[-1:]):
        assert texts(again, strength) == texts(method, strength)
        assert texts(method, strength) != texts(method, 0.0)


@pytest.mark.parametrize("name", sorted(set(HEAD_METHODS) - NEED_NO_TEXT))
def test_a_method_that_learns_from_labels_asks_for_them(name, small, tmp_path):
    with pytest.raises(InputError, match="give --data"):
        made(name, small, TASKS["sentiment"], tmp_path)


def test_an_interrupted_making_is_begun_anew(small, task, tmp_path, monkeypatch):
    def interrupted(*_args, **_named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kept, "save_file", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made("word-offsets", small, task, tmp_path)
    assert made("word-offsets", small, task, tmp_path).offset.any()


def test_word_offsets_are_log_ratios_of_smoothed_counts(small, task, tmp_path, monkeypatch):
    monkeypatch.setattr(offsets, "_scale", lambda _lm, _offset: 1.0)
    offset = made("word-offsets", small, task, tmp_path).offset
    counts: dict[int, dict[int, float]] = {1: {}, -1: {}}
    for text, label in zip(TEXTS, LABELS, strict=True):
        for i in small.tokenizer(text)["input_ids"]:
            side = counts[1 if label > 0 else -1]
            side[i] = side.get(i, 0) + abs(label)
    totals = {sign: sum(side.values()) for sign, side in counts.items()}
    mean = sum(totals.values()) / 2
    for i in {*counts[1], *counts[-1], 7}:
        plus, minus = (counts[sign].get(i, 0) * mean / totals[sign] + 1 for sign in (1, -1))
        assert float(offset[i]) == pytest.approx(math.log(plus / minus) / 2, abs=1e-6)
    lovely, awful = (small.tokenizer(word)["input_ids"][0] for word in (" lovely", " awful"))
    assert offset[lovely] > 0 > offset[awful]


def test_the_additive_vector_is_the_damped_projection_of_the_mean_shift(
    small, small_plain, task, tmp_path, monkeypatch
):
    monkeypatch.setattr(offsets, "_scale", lambda _lm, _offset: 1.0)
    offset = made("additive", small, task, tmp_path).offset
    embedding = small.output_embedding.double()
    shifts, labels = [], []
    for text, label in zip(TEXTS, LABELS, strict=True):
        ids = small.start_ids + small.tokenizer(text)["input_ids"]
        with torch.inference_mode():
            p = small.model(torch.tensor([ids])).logits[0].double().softmax(dim=1)
        for t in range(len(ids) - 1):
            shifts.append(embedding[ids[t + 1]] - p[t] @ embedding)
            labels.append(label)
    strengths = torch.tensor(labels, dtype=torch.float64)
    shift = ((strengths - strengths.mean())[:, None] * torch.stack(shifts)).mean(dim=0)
    a = small_plain.curvature.embedding.double()
    ridge = Damping().embedding * a.trace() / small.d_model
    u = torch.linalg.solve(a + ridge * torch.eye(small.d_model, dtype=torch.float64), shift)
    assert torch.allclose(
        offset.double(), embedding @ u, rtol=1e-3, atol=1e-4 * float((embedding @ u).abs().max())
    )


def test_an_offset_is_scaled_to_the_divergence_of_a_steer(small, task, tmp_path, small_plain):
    offset = made("word-offsets", small, task, tmp_path).offset
    hidden = torch.cat(small_plain.hidden)
    log_p, plus, minus = (
        (small.unembed(hidden) + s * offset).log_softmax(dim=1) for s in (0.0, 3.0, -3.0)
    )
    kl = [float((q.exp() * (q - log_p)).sum(dim=1).mean()) for q in (plus, minus)]
    assert sum(kl) / 2 == pytest.approx(0.25, rel=0.05)


def test_an_offset_adds_its_strength_to_the_logits_and_leaves_no_trace(
    small: LanguageModel,
) -> None:
    wanted = torch.zeros(small.vocab_size)
    wanted[123] = 1000.0
    method = Offset(small, "one word", wanted, 1, 0.0)
    before = texts(Unsteered(small), 0.0)
    assert texts(method, 1.0) == [[123] * 8] * 3
    assert all(123 not in row for row in texts(method, -1.0))
    assert texts(Unsteered(small), 0.0) == before


def test_two_offsets_add_up(small: LanguageModel) -> None:
    drawn = torch.randn(2, small.vocab_size, generator=torch.Generator().manual_seed(0))
    one, other = (Offset(small, "b", offset, 1, 0.0) for offset in drawn)
    both = Offset(small, "b", one.offset - 2 * other.offset, 1, 0.0)
    assert isinstance(one, Composable)
    assert texts(one.beside(other, -2.0), 1.0) == texts(both, 1.0)


def test_two_steers_act_at_once(small: LanguageModel) -> None:
    first, second = (
        make_steer(small.output_embedding, seed=s, norm=2.0, model_id="tiny") for s in (0, 1)
    )
    found = texts(
        Steered(small, "a", first, 0.0).beside(Steered(small, "b", second, 0.0), -1.5), 2.0
    )
    rows = [Row(row.prompt, {"x": 2.0, "y": -1.5}, row.seed_offset) for row in ROWS]
    expected = generate(small, rows, {"x": first, "y": second}, SAMPLING)
    assert found == [[token.id for token in row.tokens] for row in expected]


def test_a_steers_parameters_are_the_numbers_in_its_factors(small: LanguageModel) -> None:
    steer = make_steer(small.output_embedding, rank=4, model_id="tiny")
    assert Steered(small, "a", steer, 0.0).n_parameters == 2 * 4 * small.d_model


@pytest.mark.parametrize("name", ["prompt-prefix", "chat-prompt"])
def test_words_before_the_prompt_change_what_is_read_and_keep_the_dice(name, small, task, tmp_path):
    method = made(name, small, task, tmp_path)
    assert texts(method, 1.0) != texts(method, -1.0)
    hot = Sampling(temperature=10.0, top_p=1.0, max_new_tokens=8)  # the dice decide nearly alone
    bare = [*itertools.chain(*texts(method, 0.0, hot))]
    for strength in (1.0, -1.0):
        behind = [*itertools.chain(*texts(method, strength, hot))]
        assert sum(a == b for a, b in zip(bare, behind, strict=True)) >= 12
    behind_all = Row("", seed_offset=1, prompt_ids=tuple(method.behind("We walked", 1)))
    alone = generate(small, [behind_all], {}, SAMPLING)
    with_bare_dice = method.continue_rows(ROWS[1:2], 1.0, SAMPLING)
    assert alone[0].tokens != with_bare_dice[0].tokens


def test_a_chat_prompt_asks_for_the_pole_and_begins_the_answer(lm, task, tmp_path):
    method = made("chat-prompt", lm, task, tmp_path)
    for sign, pole in ((1, task.positive), (-1, task.negative)):
        ids = method.behind("The kitchen table", sign)
        assert ids[-3:] == lm.token_ids("The kitchen table")
        read = lm.tokenizer.decode(ids)
        assert f"Write {pole}." in read
        assert read.endswith("assistant\nThe kitchen table")


def test_a_chat_prompt_needs_a_chat_template(small, task, tmp_path, monkeypatch):
    monkeypatch.setattr(small.tokenizer, "chat_template", None)
    with pytest.raises(InputError, match="has no chat template"):
        made("chat-prompt", small, task, tmp_path)


def test_a_prefix_and_a_steer_are_both_at_once_and_the_steer_is_the_neighbour_s(
    small, task, tmp_path
):
    ours = made("lm-steer-descriptions", small, task, tmp_path / "lm-steer-descriptions")
    both = made("prompt-and-steer", small, task, tmp_path / "prompt-and-steer")
    assert both.training_seconds == ours.training_seconds
    cold = dataclasses.replace(SAMPLING, temperature=0.0)  # no random numbers, which differ
    rows = [Row(PREFIX.format(task.positive) + row.prompt) for row in ROWS]
    behind = ours.continue_rows(rows, 9.0, cold)
    assert texts(both, 9.0, cold) == [[token.id for token in row.tokens] for row in behind]
    assert texts(both, 9.0, cold) != texts(ours, 9.0, cold)


def test_a_shipped_steer_is_found_by_the_task_and_a_missing_one_named(
    small, task, tmp_path, shipped
):
    found = made("lm-steer-shipped", small, task, tmp_path)
    assert torch.equal(found.steer.left, shipped.left)
    with pytest.raises(InputError, match="No steer 'other' ships for tiny"):
        made("lm-steer-shipped", small, dataclasses.replace(task, name="other"), tmp_path)


def test_a_vector_that_the_teacher_adds_everywhere_is_found(small, small_plain):
    hidden = torch.cat(small_plain.hidden)
    planted = 0.3 * noise(small.d_model).float()
    lesson = Lesson(hidden, planted.expand_as(hidden), torch.ones(small.vocab_size), frozenset())
    found = offsets.fit_vector(small, lesson, small_plain.curvature)
    moved, expected = (small.output_embedding.float() @ u for u in (found, planted))
    assert cosine(moved - moved.mean(), expected - expected.mean()) > 0.95


@pytest.mark.parametrize(("method", "strength"), [("unsteered", 1.0), ("prompt-prefix", 0.5)])
def test_a_strength_that_a_method_lacks_is_refused(method, strength, small, task, tmp_path):
    with pytest.raises(InputError, match="no strength but"):
        made(method, small, task, tmp_path).continue_rows(ROWS, strength, SAMPLING)


def test_a_shipped_steer_moves_the_judge_at_both_signs(lm: LanguageModel) -> None:
    pytest.importorskip("vaderSentiment")
    steer = Steer.load(PRETRAINED / "sentiment")
    method = Steered(lm, "LM-Steer", steer, 0.0)
    rows = [Row(prompt, seed_offset=i) for i, prompt in enumerate(TASKS["sentiment"].prompts[:8])]
    score = load_judge("vader").score
    low, high = (
        statistics.mean(score([row.text for row in method.continue_rows(rows, s, SAMPLING)]))
        for s in (-3, 3)
    )
    assert high - low > 0.3
