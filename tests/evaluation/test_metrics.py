from __future__ import annotations

import math

import numpy as np
import pytest

from lmsteer_core.evaluation import metrics

NAN = math.nan

TEXTS = [
    [" a b a", " a b c d", ""],
    [" the cat  sat", " the cat sat", " a dog ran far"],
]


def literal_distinct(texts, n):
    """Dist-n, written anew from its published definition: n-grams joined, over words cut at ' '."""
    grams, n_words = set(), 0
    for text in texts:
        words = text.split(" ")
        n_words += len(words)
        for start in range(len(words)):
            if start + n <= len(words):
                grams.add("\u241f".join(words[start : start + n]))
    return len(grams) / n_words


def literal_perplexity(losses, lengths):
    """The published conditional perplexity: exp of a text's mean loss, below 10⁴, averaged."""
    kept = []
    for loss_row, length_row in zip(losses, lengths, strict=True):
        for loss, length in zip(loss_row, length_row, strict=True):
            if length and not math.isnan(loss) and (ppl := math.exp(loss / length)) < 1e4:
                kept.append(ppl)
    return sum(kept) / len(kept)


def test_mean_of_max_by_hand():
    assert metrics.mean_of_max(np.array([[0.1, 0.9], [0.3, 0.2]])).value == pytest.approx(0.6)


def test_a_missing_sample_counts_for_nothing():
    scores = np.array([[0.1, 0.9, NAN], [0.3, NAN, NAN]])
    assert metrics.mean_of_max(scores).value == pytest.approx(0.6)
    assert metrics.share_of_texts(scores, 0.5).value == pytest.approx((0.5 + 0) / 2)
    assert metrics.mean_score(scores).value == pytest.approx((0.5 + 0.3) / 2)


def test_a_prompt_is_toxic_from_the_threshold_on():
    scores = np.array([[0.5, 0.0], [0.49, 0.49], [0.9, 0.9]])
    assert metrics.share_of_prompts(scores, 0.5).value == pytest.approx(2 / 3)
    assert metrics.share_of_texts(scores, 0.5).value == pytest.approx(0.5)


def test_perplexities_by_hand():
    nll = np.array([[math.log(8), 2 * math.log(3)], [0.0, NAN]])
    n_tokens = np.array([[1, 2], [4, 0]])
    assert metrics.conditional_perplexity(nll, n_tokens).value == pytest.approx((8 + 3 + 1) / 3)
    assert metrics.corpus_perplexity(nll, n_tokens).value == pytest.approx((8 * 9) ** (1 / 7))


def test_an_insane_text_is_left_out_of_the_published_mean_but_not_of_the_corpus():
    nll = np.array([[math.log(2), 10.0, 5000.0]])
    n_tokens = np.array([[1, 1, 1]])
    assert metrics.conditional_perplexity(nll, n_tokens).value == pytest.approx(2)
    assert metrics.corpus_perplexity(nll[:, :2], n_tokens[:, :2]).value == pytest.approx(
        math.exp(5) * math.sqrt(2)
    )


def test_perplexity_without_any_token_is_nan():
    nothing = np.array([[NAN]]), np.array([[0]])
    assert math.isnan(metrics.conditional_perplexity(*nothing).value)
    assert math.isnan(metrics.corpus_perplexity(*nothing).value)


def test_distinct_by_hand():
    # words cut at ' ': "", a, b, a | "", a, b, c, d | ""  →  10 words, of which 5 differ
    assert metrics.distinct(TEXTS[:1], 1).value == pytest.approx(5 / 10)
    assert metrics.distinct(TEXTS[:1], 2).value == pytest.approx(5 / 10)  # ␣a ab ba bc cd
    assert metrics.distinct(TEXTS[:1], 3).value == pytest.approx(4 / 10)  # ␣ab aba abc bcd
    # cut at ' ' the second prompt has 5 + 4 + 5 words: "", the, cat, "", sat …
    assert metrics.distinct(TEXTS, 1).value == pytest.approx((5 / 10 + 8 / 14) / 2)


def test_definitions_agree_with_an_independent_derivation():
    random = np.random.default_rng(0)
    words = np.array(["it", "is", "a", "fine", "day", ""])
    texts = [
        [" ".join(random.choice(words, random.integers(1, 9))) for _ in range(4)] for _ in range(30)
    ]
    for n in (1, 2, 3):
        assert metrics.distinct(texts, n).value == pytest.approx(
            sum(literal_distinct(some, n) for some in texts) / 30
        )
    n_tokens = random.integers(0, 20, (30, 4)).astype(float)
    nll = np.where(n_tokens, random.gamma(2, 2, (30, 4)) * n_tokens, NAN)
    nll[0, 0], n_tokens[0, 0] = 400.0, 20
    assert metrics.conditional_perplexity(nll, n_tokens).value == pytest.approx(
        literal_perplexity(nll, n_tokens)
    )
    scores = random.random((30, 4))
    assert metrics.mean_of_max(scores).value == pytest.approx(sum(max(row) for row in scores) / 30)
    assert (
        metrics.share_of_prompts(scores, 0.8).value
        == sum(any(s >= 0.8 for s in row) for row in scores) / 30
    )


def test_an_interval_holds_the_mean_as_often_as_it_says():
    hits = 0
    for seed in range(60):
        sample = np.random.default_rng(seed).normal(1.0, 2.0, (80, 3))
        found = metrics.mean_score(sample).interval()
        assert found.low < found.value < found.high
        hits += found.low <= 1.0 <= found.high
    assert 50 <= hits < 60


def test_an_interval_resamples_prompts_not_texts():
    prompts = np.repeat(np.random.default_rng(0).normal(size=(50, 1)), 100, axis=1)
    found = metrics.mean_score(prompts).interval()
    assert found.high - found.low == pytest.approx(
        4 * prompts[:, 0].std() / math.sqrt(50), rel=0.25
    )


def test_weights_are_copies_of_a_prompt():
    random = np.random.default_rng(0)
    nll, n_tokens = random.random((3, 2)), random.integers(1, 9, (3, 2)).astype(float)
    some = [0, 0, 2]
    for figure in (metrics.conditional_perplexity, metrics.corpus_perplexity):
        expected = figure(nll[some], n_tokens[some]).value
        assert figure(nll, n_tokens).at(np.array([2.0, 0.0, 1.0])) == pytest.approx(expected)


def test_a_line_is_monotone_linear_and_without_a_jump():
    line = [-2.0, -1.0, 0.0, 1.0, 2.0]
    assert metrics.monotonicity(line, line) == pytest.approx(1)
    assert metrics.linearity(line, line) == pytest.approx(1)
    assert metrics.largest_step(line, line) == pytest.approx(1)


def test_a_step_is_monotone_but_neither_linear_nor_continuous():
    strengths, means = [-2.0, -1.0, 0.0, 1.0, 2.0], [-1.0, -0.99, -0.98, 0.99, 1.0]
    assert metrics.monotonicity(strengths, means) == pytest.approx(1)
    assert metrics.linearity(strengths, means) < 0.85
    assert metrics.largest_step(strengths, means) == pytest.approx(1.97 / 0.5)


def test_a_constant_has_no_monotonicity():
    assert math.isnan(metrics.monotonicity([0, 1, 2], [0.5, 0.5, 0.5]))


def test_additivity_falls_with_interaction():
    rows, columns = np.meshgrid([-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0])
    assert metrics.additivity(rows + columns) == pytest.approx(1)
    assert metrics.additivity(rows * columns) == pytest.approx(0)
