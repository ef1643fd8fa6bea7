"""One batch, the same dice: rows differ only where steering made them differ."""

from __future__ import annotations

import dataclasses
import math
import threading

import pytest
import torch
from torch import Tensor
from transformers import TopPLogitsWarper

from lmsteer_core import (
    InputError,
    LanguageModel,
    Row,
    Sampling,
    SteerError,
    Token,
    generate,
    stream,
)
from lmsteer_core.generation.draw import draw_rows
from lmsteer_core.generation.generate import MAX_ROWS
from lmsteer_core.generation.live_row import LiveRow
from lmsteer_core.generation.sampling import exponential, nucleus

PROMPT = "The weather today is"
SHORT = Sampling(max_new_tokens=8, seed=3)
GREEDY = Sampling(temperature=0, max_new_tokens=8)


def ids_of(generated):
    return [token.id for token in generated.tokens]


def plain_logits(lm, generated):
    """Return hidden states and logits at every emitted token, from one unsteered pass."""
    prompt = lm.encode(generated.row.prompt)[0]
    ids = torch.tensor([prompt + ids_of(generated)])
    with torch.no_grad():
        hidden = lm.model(ids, output_hidden_states=True).hidden_states[-1][0, len(prompt) - 1 : -1]
    return hidden, hidden @ lm.output_embedding.T


def logprobs_of(logits, generated):
    return logits.log_softmax(-1)[torch.arange(len(generated.tokens)), ids_of(generated)]


@pytest.fixture(scope="module")
def pair(lm, steer):
    """A baseline row and a strongly steered row of one batch."""
    return generate(lm, [Row(PROMPT), Row(PROMPT, {"style": 3.0})], {"style": steer}, SHORT)


def test_same_seed_gives_the_same_tokens_and_logprobs(lm, steer, pair):
    again = generate(lm, [Row(PROMPT), Row(PROMPT, {"style": 3.0})], {"style": steer}, SHORT)
    assert [row.tokens for row in again] == [row.tokens for row in pair]


def test_another_seed_gives_another_text(lm, pair):
    other = generate(lm, [Row(PROMPT)], {}, dataclasses.replace(SHORT, seed=4))
    assert ids_of(other[0]) != ids_of(pair[0])


def test_baseline_row_is_the_same_whether_its_neighbours_are_steered_or_not(lm, steer, pair):
    calm = generate(lm, [Row(PROMPT), Row(PROMPT, {"style": 0.0})], {"style": steer}, SHORT)
    assert ids_of(calm[0]) == ids_of(calm[1]) == ids_of(pair[0])
    assert ids_of(pair[1]) != ids_of(pair[0])
    for a, b in zip(calm[0].tokens, pair[0].tokens, strict=True):
        assert a.logprob == pytest.approx(b.logprob, abs=1e-4)


def test_rows_of_equal_epsilon_and_seed_are_identical(lm, steer):
    rows = [Row(PROMPT, {"style": 2.0}), Row(PROMPT), Row(PROMPT, {"style": 2.0})]
    first, _, third = generate(lm, rows, {"style": steer}, SHORT)
    assert ids_of(first) == ids_of(third)
    # a product's last bit may depend on the row
    for a, b in zip(first.tokens, third.tokens, strict=True):
        assert (a.logprob, a.base_logprob) == pytest.approx((b.logprob, b.base_logprob), abs=1e-4)


def test_seed_offset_rolls_other_dice(lm):
    rows = [Row(PROMPT, seed_offset=offset) for offset in range(3)]
    first, second, third = generate(lm, rows, {}, SHORT)
    assert ids_of(first) != ids_of(second) != ids_of(third) != ids_of(first)


def test_a_row_does_not_depend_on_the_offsets_beside_it(lm, pair):
    rows = [Row(PROMPT, seed_offset=5), Row(PROMPT)]
    assert ids_of(generate(lm, rows, {}, SHORT)[1]) == ids_of(pair[0])


@pytest.mark.parametrize("epsilon", [0.0, 3.0])
def test_logprobs_equal_those_of_a_plain_forward_pass(lm, steer, pair, epsilon):
    row = pair[1] if epsilon else pair[0]
    hidden, base = plain_logits(lm, row)
    w = steer.left @ steer.right
    steered = hidden @ (lm.output_embedding + epsilon * lm.output_embedding @ w.T).T
    expected = logprobs_of(steered, row), logprobs_of(base, row)
    torch.testing.assert_close(
        torch.tensor([t.logprob for t in row.tokens]), expected[0], atol=1e-3, rtol=0
    )
    found = torch.tensor([t.base_logprob for t in row.tokens])
    torch.testing.assert_close(found, expected[1], atol=1e-3, rtol=0)


def test_unsteered_rows_have_no_shift_and_steered_rows_do(pair):
    assert all(abs(token.shift) < 1e-4 for token in pair[0].tokens)
    assert any(abs(token.shift) > 0.01 for token in pair[1].tokens)


def test_shift_is_steered_minus_base():
    assert Token(0, "x", -1.0, -3.5).shift == 2.5


def test_logprobs_are_nan_when_not_asked_for_and_the_text_is_the_same(lm, steer, pair):
    rows = [Row(PROMPT), Row(PROMPT, {"style": 3.0})]
    bare = generate(lm, rows, {"style": steer}, SHORT, logprobs=False)
    assert [ids_of(row) for row in bare] == [ids_of(row) for row in pair]
    assert all(
        math.isnan(t.logprob) and math.isnan(t.base_logprob) for row in bare for t in row.tokens
    )


def test_greedy_takes_the_most_likely_token_every_time(lm, steer):
    row = generate(lm, [Row(PROMPT, {"style": 2.0})], {"style": steer}, GREEDY)[0]
    hidden, _ = plain_logits(lm, row)
    e = lm.output_embedding
    assert (hidden @ (e + 2.0 * e @ (steer.left @ steer.right).T).T).argmax(-1).tolist() == ids_of(
        row
    )


def test_several_steers_in_one_row_add(lm, steer):
    steers = {"style": steer, "again": steer}
    rows = [Row(PROMPT, {"style": 1.0, "again": 2.0}), Row(PROMPT, {"style": 3.0})]
    both, one = generate(lm, rows, steers, GREEDY)
    assert ids_of(both) == ids_of(one)


def test_left_padding_changes_no_greedy_text(lm, steer):
    rows = [
        Row("Hi"),
        Row("Once upon a time, in a small village by the sea, there lived", {"style": 1.0}),
        Row("The capital of France is"),
    ]
    together = generate(lm, rows, {"style": steer}, GREEDY)
    for row, among_others in zip(rows, together, strict=True):
        alone = generate(lm, [row], {"style": steer}, GREEDY)[0]
        assert ids_of(alone) == ids_of(among_others)
        for a, b in zip(alone.tokens, among_others.tokens, strict=True):
            assert a.logprob == pytest.approx(b.logprob, abs=1e-3)


def test_left_padding_changes_no_dice(lm):
    rows = [Row(PROMPT), Row("Once upon a time, in a small village by the sea, there lived")]
    together = generate(lm, rows, {}, SHORT)
    alone = [generate(lm, [row], {}, SHORT)[0] for row in rows]
    assert [ids_of(row) for row in together] == [ids_of(row) for row in alone]


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.95, 0.999])
def test_nucleus_equals_the_warper_of_transformers(top_p):
    logits = 3 * torch.randn(6, 500, generator=torch.Generator().manual_seed(int(top_p * 1000)))
    logits[5] = -torch.inf
    logits[5, 7] = 0.0
    for row, warped in zip(logits, TopPLogitsWarper(top_p)(None, logits), strict=True):
        kept = nucleus(row, top_p)
        assert len(kept)
        assert kept.sort().values.tolist() == warped.isfinite().nonzero()[:, 0].tolist()


def drawn(p, dice):
    """Return the token that each of the dice draws from the distribution p."""
    return torch.stack([(p.log() - exponential(key, len(p)).log()).argmax() for key in dice])


def test_dice_draw_tokens_as_often_as_their_probabilities():
    from scipy.stats import chisquare  # which takes a second to import

    p = torch.tensor([0.5, 0.25, 0.15, 0.07, 0.03])
    counts = torch.bincount(drawn(p, [(11, offset, 4) for offset in range(4000)]), minlength=5)
    assert chisquare(counts.numpy(), (p * 4000).numpy().astype(float)).pvalue > 1e-3


def test_dice_of_successive_steps_and_seeds_are_independent():
    from scipy.stats import chisquare  # which takes a second to import

    p = torch.tensor([0.4, 0.3, 0.2, 0.1])
    draws = drawn(p, [(seed, 0, 4 + step) for seed in range(60) for step in range(60)])
    pairs = torch.bincount(draws[0::2] * 4 + draws[1::2], minlength=16)
    expected = torch.outer(p, p).flatten() * len(draws) / 2
    expected = expected.double() * pairs.sum() / expected.double().sum()
    assert chisquare(pairs.numpy(), expected.numpy()).pvalue > 1e-3


def live(ids, **settings):
    return LiveRow(ids, {}, {}, Sampling(**settings))


def test_dice_depend_on_the_absolute_position_only():
    longer, shorter = live([5] * 10), live([7] * 8)
    assert longer.noise_key != shorter.noise_key
    shorter.n_new = 2
    assert longer.noise_key == shorter.noise_key


def test_dice_never_revive_a_token_that_top_p_removed():
    logits = torch.full((200, 6), -torch.inf)
    logits[:, 2] = 0.0
    drawn = draw_rows(logits, [live([1], seed=seed) for seed in range(200)])
    assert {int(token) for token in drawn if isinstance(token, Tensor)} == {2}
    assert len(drawn) == 200


def test_text_changes_gradually_with_epsilon(lm, steer):
    rows = [Row(PROMPT), Row(PROMPT, {"style": 0.02}), Row(PROMPT, seed_offset=1)]
    base, nudged, redrawn = generate(
        lm, rows, {"style": steer}, dataclasses.replace(SHORT, max_new_tokens=16)
    )

    def agreement(other):
        return sum(a == b for a, b in zip(ids_of(base), ids_of(other), strict=False))

    assert agreement(nudged) > agreement(redrawn)


def test_between_steps_and_after_closing_the_model_is_unsteered(lm, steer):
    hooks = [(len(m._forward_pre_hooks), len(m._forward_hooks)) for m in lm.model.modules()]
    long = Sampling(max_new_tokens=4000)
    steps = stream(lm, [Row(PROMPT, {"style": 1.0})], {"style": steer}, long)
    next(steps)
    assert [(len(m._forward_pre_hooks), len(m._forward_hooks)) for m in lm.model.modules()] == hooks
    steps.close()
    assert [(len(m._forward_pre_hooks), len(m._forward_hooks)) for m in lm.model.modules()] == hooks


def test_an_error_inside_the_model_reaches_the_caller(lm):
    def fail(*_):
        raise ZeroDivisionError("broken layer")

    with (
        lm.model.model.layers[3].register_forward_pre_hook(fail),
        pytest.raises(ZeroDivisionError, match="broken layer"),
    ):
        generate(lm, [Row(PROMPT)], {}, SHORT)
    assert generate(lm, [Row(PROMPT)], {}, GREEDY)[0].tokens


def test_two_threads_generate_on_one_model_without_seeing_each_other(lm, steer, pair):
    results = {}

    def work(epsilon):
        results[epsilon] = generate(lm, [Row(PROMPT, {"style": epsilon})], {"style": steer}, SHORT)[
            0
        ]

    threads = [threading.Thread(target=work, args=(epsilon,)) for epsilon in (0.0, 3.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [ids_of(results[0.0]), ids_of(results[3.0])] == [ids_of(row) for row in pair]


@pytest.fixture
def speaks(lm):
    """Return a copy of the embedded model whose head says the given tokens, one a step."""

    def make(token_ids):
        said = iter(token_ids)

        def dictate(_head, _args, logits):
            logits = torch.full_like(logits, -50.0)
            logits[..., next(said)] = 50.0
            return logits

        return lm.model.get_output_embeddings().register_forward_hook(dictate)

    return make


@pytest.mark.parametrize(
    "text", ["I 💜 you 👩‍👩‍👧 naïve 日本", " two  spaces\n\nand lines", "don 't , stop !"]
)
def test_characters_of_several_tokens_come_out_whole(lm, speaks, text):
    token_ids = lm.tokenizer(text)["input_ids"]
    sampling = Sampling(temperature=0, max_new_tokens=len(token_ids))
    with speaks(token_ids):
        generated = generate(lm, [Row(PROMPT)], {}, sampling)[0]
    assert ids_of(generated) == token_ids
    assert generated.text == lm.tokenizer.decode(token_ids) == text
    assert not any("\N{REPLACEMENT CHARACTER}" in token.text for token in generated.tokens)
    if "💜" in text:
        assert any(token.text == "" for token in generated.tokens)


def test_sampled_text_equals_the_tokenizers_decoding(lm, pair):
    for row in pair:
        assert row.text == lm.tokenizer.decode(ids_of(row))


def test_a_row_that_ends_is_none_from_then_on(lm, speaks):
    end = lm.model.generation_config.eos_token_id
    words = lm.tokenizer(" good day")["input_ids"]
    with speaks([*words, end, *words]):
        generated = generate(lm, [Row(PROMPT)], {}, GREEDY)[0]
    assert ids_of(generated) == words
    assert generated.text == " good day"


def test_one_row_may_end_before_another(lm):
    end = lm.model.generation_config.eos_token_id

    def end_first_row(_head, _args, logits):
        if len(logits) == 2:  # the row that ended has left the batch from then on
            logits[0, -1, end] = 1e4
        return logits

    with lm.model.get_output_embeddings().register_forward_hook(end_first_row):
        steps = list(stream(lm, [Row(PROMPT), Row(PROMPT)], {}, GREEDY))
    assert [step[0] for step in steps] == [None] * 8
    assert all(step[1] is not None for step in steps)


def test_a_prompt_of_a_hundred_thousand_characters_is_cut_and_continued(lm, monkeypatch):
    monkeypatch.setattr(lm.model.config, "max_position_embeddings", 256)
    prompt = "word " * 20_000 + "The capital of France is"
    ids, cut = lm.encode(prompt, reserve=8)
    assert cut
    assert len(ids) == 248
    assert lm.tokenizer.decode(ids).endswith(" word The capital of France is")
    assert len(generate(lm, [Row(prompt)], {}, GREEDY)[0].tokens) == 8


def test_a_prompt_that_fits_is_not_cut(lm):
    ids, cut = lm.encode(PROMPT, reserve=8)
    assert not cut
    assert lm.tokenizer.decode(ids) == PROMPT


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t"])
def test_an_empty_prompt_is_refused(lm, prompt):
    with pytest.raises(InputError, match="The prompt is empty"):
        generate(lm, [Row("fine"), Row(prompt)], {}, SHORT)


def test_half_a_character_is_refused(lm):
    with pytest.raises(InputError, match="half of a character"):
        generate(lm, [Row("fine \ud83d")], {}, SHORT)


def test_more_new_tokens_than_the_context_are_refused(lm):
    with pytest.raises(InputError, match="do not fit a context of 8192"):
        generate(lm, [Row(PROMPT)], {}, Sampling(max_new_tokens=9000))


def test_an_unknown_steer_is_refused_with_the_known_ones(lm, steer):
    with pytest.raises(SteerError, match="no steer named 'stile' for this model; available: style"):
        generate(lm, [Row(PROMPT, {"stile": 1.0})], {"style": steer}, SHORT)


@pytest.mark.parametrize("epsilon", [math.nan, math.inf, 1e9])
def test_an_impossible_epsilon_is_refused_before_the_model_runs(lm, steer, epsilon):
    with pytest.raises(InputError, match="ε for 'style' must be a number between −10 and 10"):
        stream(lm, [Row(PROMPT, {"style": epsilon})], {"style": steer}, SHORT)


@pytest.mark.parametrize("n_rows", [0, MAX_ROWS + 1])
def test_a_batch_of_no_or_too_many_rows_is_refused(lm, n_rows):
    with pytest.raises(InputError, match=f"Between 1 and {MAX_ROWS} texts"):
        generate(lm, [Row(PROMPT)] * n_rows, {}, SHORT)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"temperature": -0.1}, "temperature must be between 0 and 10"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": math.inf}, "temperature"),
        ({"top_p": 0}, "top-p must be above 0"),
        ({"top_p": 1.01}, "top-p"),
        ({"top_p": math.nan}, "top-p"),
        ({"max_new_tokens": 0}, "max new tokens must be between 1"),
        ({"max_new_tokens": 10**6}, "max new tokens"),
        ({"seed": -1}, "seed must be between 0"),
        ({"seed": 2**32}, "seed"),
    ],
)
def test_settings_no_sampler_could_follow_are_refused(settings, expected):
    with pytest.raises(InputError, match=expected):
        Sampling(**settings)


def test_tiny_models_of_every_architecture_stream(tiny, lm, steer_for, monkeypatch):
    small = LanguageModel(tiny, lm.tokenizer, "tiny")
    monkeypatch.setattr(
        small, "encode", lambda _prompt, *, reserve=0, **_: ([*range(3, 13 - reserve)], False)
    )
    rows = [Row("x"), Row("x", {"style": 3.0}), Row("x", {"style": -3.0})]
    sampling = Sampling(max_new_tokens=4)
    for row in generate(small, rows, {"style": steer_for(tiny)}, sampling):
        assert all(math.isfinite(token.logprob) and token.logprob <= 1e-5 for token in row.tokens)
        if not row.row.epsilons:
            assert all(abs(token.shift) < 1e-4 for token in row.tokens)
