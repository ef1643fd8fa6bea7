"""Rows join, leave and change ε between steps, and each text is what it would have been alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from support.models import make_steer, make_tiny

from lmsteer_core import InputError, LanguageModel, Row, Sampling, Steer, Steering, generate
from lmsteer_core.generation.batch import Batch
from lmsteer_core.generation.live_row import LiveRow, Token

Texts = dict[LiveRow, list[Token]]
"""Each row's tokens."""

LONG, SHORT = "The old harbour was full of boats, and in the evening", "Every morning"


def live(lm, prompt, epsilon=0.0, *, n_tokens=12, steer=None, **settings):
    sampling = Sampling(max_new_tokens=n_tokens, seed=3)
    steers, epsilons = ({"style": steer}, {"style": epsilon}) if steer else ({}, {})
    return LiveRow(lm.encode(prompt)[0], epsilons, steers, sampling, **settings)


def write(batch, texts, n_steps=10**6):
    """Advance a batch and add every row's tokens to its list; stops when no row is left."""
    for _ in range(n_steps):
        if not batch.rows:
            return
        for row, token in batch.step().items():
            if token:
                texts.setdefault(row, []).append(token)


def ids_of(tokens):
    return [token.id for token in tokens]


def alone(lm, row):
    """Return what the row's prompt becomes in a batch of its own."""
    twin = LiveRow(
        row.ids, dict(row.epsilons), row.steers, row.sampling, row.seed_offset, row.logprobs
    )
    texts = Texts()
    batch = Batch(lm)
    batch.join([twin])
    write(batch, texts)
    return texts[twin]


@pytest.fixture
def rows(lm, steer):
    return [
        live(lm, LONG, steer=steer, epsilon=2.0),
        live(lm, SHORT),
        live(lm, "She said", steer=steer, epsilon=-3.0, n_tokens=20),
        live(lm, "In the second week of the trial the judge asked whether", n_tokens=6),
    ]


@pytest.mark.usefixtures("decoder")
def test_rows_that_join_one_after_another_write_what_they_would_write_alone(lm, rows):
    texts = Texts()
    batch = Batch(lm)
    for row in rows:
        batch.join([row])
        write(batch, texts, 3)
    write(batch, texts)
    for row in rows:
        expected = alone(lm, row)
        assert ids_of(texts[row]) == ids_of(expected)
        for a, b in zip(texts[row], expected, strict=True):
            assert a.logprob == pytest.approx(b.logprob, abs=1e-3)
            assert a.base_logprob == pytest.approx(b.base_logprob, abs=1e-3)


@pytest.mark.usefixtures("decoder")
def test_rows_that_leave_change_nothing_for_the_others(lm, rows):
    texts = Texts()
    batch = Batch(lm)
    batch.join(rows)
    write(batch, texts, 4)
    batch.leave([rows[0], rows[3]])
    assert batch.rows == rows[1:3]
    write(batch, texts)
    assert len(texts[rows[0]]) == 4
    for row in rows[1:3]:
        assert ids_of(texts[row]) == ids_of(alone(lm, row))


def test_merged_rows_share_one_group_and_lose_padding_that_nobody_needs(lm, rows):
    batch = Batch(lm)
    for row in rows[:3]:
        batch.join([row])
    write(batch, {}, 3)
    (group,) = batch._groups
    assert len(group.rows) == 3
    width = group.ids.shape[1]
    batch.leave([rows[0]])
    assert group.ids.shape[1] < width
    assert group.mask[:, 0].any()
    cache: Any = group.cache
    assert cache.cache.layers[0].keys.shape[-2] == group.ids.shape[1] - 1


@pytest.mark.usefixtures("decoder")
def test_a_new_epsilon_holds_from_the_next_token(lm, steer):
    row = live(lm, LONG, steer=steer, epsilon=3.0)
    texts = Texts()
    batch = Batch(lm)
    batch.join([row])
    write(batch, texts, 5)
    row.epsilons = {"style": 0.0}
    write(batch, texts)
    shifts = [abs(token.shift) for token in texts[row]]
    assert min(shifts[:5]) > 1e-3
    assert max(shifts[5:]) < 1e-3
    assert ids_of(texts[row])[:5] == ids_of(alone(lm, live(lm, LONG, steer=steer, epsilon=3.0)))[:5]


@pytest.mark.usefixtures("decoder")
def test_a_long_prompt_is_read_in_pieces_while_others_write_on(lm, monkeypatch):
    monkeypatch.setattr("lmsteer_core.generation.batch._PROMPT_TOKENS_PER_STEP", 7)
    writing, reading = live(lm, SHORT, n_tokens=10), live(lm, LONG * 3, n_tokens=4)
    batch, texts = Batch(lm), Texts()
    batch.join([writing])
    write(batch, texts, 2)
    batch.join([reading])
    write(batch, texts, 3)
    assert len(texts[writing]) == 5
    assert reading not in texts
    write(batch, texts)
    monkeypatch.undo()
    assert ids_of(texts[reading]) == ids_of(alone(lm, reading))
    assert ids_of(texts[writing]) == ids_of(alone(lm, writing))


@pytest.mark.usefixtures("decoder")
def test_rows_of_one_prompt_read_it_once_and_write_what_each_would_alone(lm, steer, monkeypatch):
    monkeypatch.setattr("lmsteer_core.generation.batch._PROMPT_TOKENS_PER_STEP", 16)
    rows = [
        live(lm, LONG * 3, steer=steer, epsilon=e, seed_offset=i)
        for i, e in enumerate((-2.0, 0.0, 2.0))
    ]
    rows += [live(lm, SHORT), live(lm, LONG * 3)]
    batch, texts, n_read = Batch(lm), Texts(), []
    hook = lm.model.register_forward_pre_hook(lambda _, args: n_read.append(args[0].numel()))
    batch.join(rows)
    write(batch, texts, 2)
    batch.leave([rows[4]])
    write(batch, texts)
    hook.remove()
    assert sum(n_read) < 3 * len(rows[0].ids) + 4 * 13
    assert rows[4] not in texts
    for row in rows[:4]:
        assert ids_of(texts[row]) == ids_of(alone(lm, row))


def test_short_prompts_that_come_together_are_read_in_one_pass(lm, rows, monkeypatch):
    monkeypatch.setattr(
        "lmsteer_core.generation.batch._PROMPT_TOKENS_PER_STEP", 3 * max(len(r.ids) for r in rows)
    )
    batch, texts, n_rows = Batch(lm), Texts(), []
    for row in rows:
        batch.join([row])
    hook = lm.model.register_forward_pre_hook(lambda _, args: n_rows.append(len(args[0])))
    write(batch, texts, 2)
    hook.remove()
    assert sorted(n_rows[:2]) == [1, 3]  # the fourth did not fit
    write(batch, texts)
    for row in rows:
        assert ids_of(texts[row]) == ids_of(alone(lm, row))


@pytest.mark.usefixtures("decoder")
def test_two_steers_of_one_name_keep_to_their_own_rows(lm):
    one, other = (
        make_steer(lm.output_embedding, seed=s, norm=0.4, model_id=lm.model_id) for s in (1, 2)
    )
    rows = [live(lm, LONG, steer=s, epsilon=2.0) for s in (one, other)]
    batch, texts = Batch(lm), Texts()
    batch.join(rows)
    write(batch, texts)
    for row, steer in zip(rows, (one, other), strict=True):
        (expected,) = generate(lm, [Row(LONG, {"style": 2.0})], {"style": steer}, row.sampling)
        assert ids_of(texts[row]) == ids_of(expected.tokens)


@pytest.mark.parametrize("architecture", ["gpt2", "gptj", "opt", "gemma3", "mistral", "llama"])
def test_every_architecture_lets_rows_join_and_leave(lm, architecture):
    small = LanguageModel(make_tiny(architecture), lm.tokenizer, "tiny")
    small.__dict__["end_ids"] = frozenset()

    def row(n_ids, n_tokens):
        return LiveRow(
            list(range(3, 3 + n_ids)), {}, {}, Sampling(temperature=0, max_new_tokens=n_tokens)
        )

    rows = [row(9, 10), row(3, 6), row(5, 12)]
    batch, texts = Batch(small), Texts()
    for each in rows:
        batch.join([each])
        write(batch, texts, 2)
    write(batch, texts)
    for each in rows:
        assert ids_of(texts[each]) == ids_of(alone(small, each))
    together = [row(40, 8) for _ in range(3)]
    batch.join(together)
    write(batch, texts)
    for each in together:
        assert ids_of(texts[each]) == ids_of(alone(small, each))


@pytest.mark.parametrize("rank", [2, 40])
@pytest.mark.parametrize("architecture", ["gemma3", "opt_projected", "gpt2", "llama"])
def test_log_probabilities_are_those_of_the_model_under_the_hook(lm, architecture, rank):
    small = LanguageModel(make_tiny(architecture), lm.tokenizer, "tiny")
    small.__dict__["end_ids"] = frozenset()
    steer = make_steer(small.output_embedding, rank=rank, norm=3.0)
    sampling = Sampling(max_new_tokens=3, seed=3)
    row = LiveRow([5, 9, 4], {"style": 2.0}, {"style": steer}, sampling)
    texts = Texts()
    batch = Batch(small)
    batch.join([row])
    write(batch, texts)
    ids = torch.tensor([[*row.ids, *ids_of(texts[row])]])
    with torch.no_grad(), Steering(small.model, [steer], [[2.0]], keep_base=True) as steering:
        steered, unsteered = small.model(ids).logits, steering.base_logits
    assert unsteered is not None
    moved, base = (
        each[0, 2:-1].log_softmax(-1).gather(1, ids[0, 3:, None]) for each in (steered, unsteered)
    )
    assert [token.logprob for token in texts[row]] == pytest.approx(moved[:, 0].tolist(), abs=1e-4)
    assert [t.base_logprob for t in texts[row]] == pytest.approx(base[:, 0].tolist(), abs=1e-4)
    assert max(abs(token.shift) for token in texts[row]) > 0.01


FAULTS = {
    "a steer that is not there": lambda row, _: setattr(row, "epsilons", {"nobody": 1.0}),
    "an epsilon that is text": lambda row, _: setattr(row, "epsilons", {"style": "2"}),
    "a steer of another width": lambda row, _: setattr(row, "steers", {"style": make_narrow()}),
    "a steer that is broken": lambda row, _: setattr(row, "steers", {"style": object()}),
    "scores that are no numbers": lambda row, lm: setattr(row, "steers", {"style": make_huge(lm)}),
    "its draw": lambda row, _: setattr(row, "seed_offset", "three"),
    "its sampling": lambda row, _: setattr(row, "sampling", None),
    "its decoder": lambda row, _: setattr(row, "decoder", None),
}


def make_narrow() -> Steer:
    return make_steer(torch.randn(40, 8), seed=1, model_id="narrow")


def make_huge(lm) -> Steer:
    steer = make_steer(lm.output_embedding, seed=1, norm=0.4, model_id=lm.model_id)
    return dataclasses.replace(steer, left=steer.left * 3e38)


@pytest.mark.parametrize("when", [1, 4])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_row_that_fails_fails_alone_and_seven_neighbours_write_what_they_would(
    lm, steer, fault, when
):
    rows = [
        live(lm, (LONG, SHORT)[i % 2], steer=steer, epsilon=i - 3.5, n_tokens=8) for i in range(8)
    ]
    twins = [
        live(lm, (LONG, SHORT)[i % 2], steer=steer, epsilon=i - 3.5, n_tokens=8) for i in range(8)
    ]
    expected = Texts()
    calm = Batch(lm)
    calm.join(twins)
    write(calm, expected)
    batch, texts, errors = Batch(lm), Texts(), {}
    batch.join(rows)
    for n_steps in range(1, 20):
        if n_steps == when:
            FAULTS[fault](rows[5], lm)
        for row, token in batch.step().items():
            if isinstance(token, Exception):
                errors[row] = token
            elif token:
                texts.setdefault(row, []).append(token)
    assert list(errors) == [rows[5]]
    assert not batch.rows
    for row, twin in zip(rows, twins, strict=True):
        if row is not rows[5]:
            assert ids_of(texts[row]) == ids_of(expected[twin])


@pytest.mark.parametrize("ids", [[], [-1], [10**9], [3, "4"], [True]], ids=str)
def test_token_ids_that_the_model_does_not_have_never_join(lm, ids):
    batch = Batch(lm)
    batch.join([live(lm, SHORT)])
    with pytest.raises(InputError, match=r"Token ids must be|prompt is empty"):
        batch.join([live(lm, LONG), LiveRow(ids, {}, {}, Sampling())])
    assert len(batch.rows) == 1


def test_a_pass_that_one_row_breaks_is_made_again_without_it(lm, rows, monkeypatch):
    forward, broken = lm.model.forward, rows[2]
    marker = broken.ids[-1]

    def fail(ids, *args, **options):
        if marker in ids:
            raise ZeroDivisionError("this row breaks the model")
        return forward(ids, *args, **options)

    others = [row for row in rows if row is not broken]
    assert not any(marker in row.ids for row in others)
    expected = {row: alone(lm, row) for row in others}
    monkeypatch.setattr(lm.model, "forward", fail)
    batch, texts, errors = Batch(lm), Texts(), {}
    batch.join(rows)
    while batch.rows:
        for row, token in batch.step().items():
            if isinstance(token, Exception):
                errors[row] = token
            elif token:
                texts.setdefault(row, []).append(token)
    assert list(errors) == [broken]
    assert "breaks the model" in str(errors[broken])
    for row in others:
        assert ids_of(texts[row]) == ids_of(expected[row])


def test_short_rows_are_not_padded_to_a_long_one(lm, monkeypatch):
    monkeypatch.setattr("lmsteer_core.generation.row_group._MAX_PADDING", 64)
    rows = [
        live(lm, LONG * 20, n_tokens=4),
        *(live(lm, SHORT, n_tokens=4, seed_offset=i) for i in range(8)),
    ]
    batch, texts = Batch(lm), Texts()
    batch.join(rows)
    while batch.rows:
        write(batch, texts, 1)
        n_padding = sum(int((group.mask == 0).sum()) for group in batch._groups)
        assert n_padding <= max(64, sum(len(row.ids) + row.n_new for row in batch.rows) // 2)
    for row in (rows[0], rows[1]):
        assert ids_of(texts[row]) == ids_of(alone(lm, row))


def test_a_short_prompt_is_read_before_a_long_one_that_came_first(lm, monkeypatch):
    monkeypatch.setattr("lmsteer_core.generation.batch._PROMPT_TOKENS_PER_STEP", 24)
    long, short = live(lm, LONG * 20, n_tokens=2), live(lm, SHORT, n_tokens=2)
    batch, texts = Batch(lm), Texts()
    batch.join([long])
    write(batch, texts, 2)
    batch.join([short])
    write(batch, texts, 2)
    assert short in texts
    assert long not in texts
    write(batch, texts)
    assert ids_of(texts[long]) == ids_of(alone(lm, long))


def test_a_batch_of_bad_memory_is_one_sentence(lm, monkeypatch):
    def fail(*_args, **_options):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(lm.model, "forward", fail)
    with pytest.raises(InputError, match="Memory ran out"):
        generate(lm, [Row(SHORT)], {}, Sampling())
    assert torch.is_grad_enabled()
