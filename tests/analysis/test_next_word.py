import numpy as np
import pytest
import torch
from support.models import make_steer, make_tiny

from lmsteer_core import (
    InputError,
    LanguageModel,
    Row,
    Sampling,
    Steer,
    SteerError,
    Steering,
    generate,
)
from lmsteer_core.analysis.next_word import EPSILON_GRID, _largest, next_words
from lmsteer_core.generation.sampling import exponential

PROMPT = "My life is"


def steered_probabilities(
    lm: LanguageModel, steers: list[Steer], epsilons: list[float], prompt: str = PROMPT
) -> torch.Tensor:
    """Return the next position's distribution from one whole forward pass."""
    ids = torch.tensor([lm.encode(prompt)[0]])
    with Steering(lm.model, steers, [epsilons]), torch.inference_mode():
        return lm.model(ids).logits[0, -1].softmax(-1)


@pytest.fixture(scope="module")
def other(lm: LanguageModel) -> Steer:
    return make_steer(lm.output_embedding, norm=0.2, seed=5, name="other", model_id=lm.model_id)


def test_curves_equal_steered_forward_passes(lm: LanguageModel, steer: Steer, other: Steer) -> None:
    found = next_words(lm, PROMPT, steer, held=[(other, -1.5)], epsilons=[-3.0, 0.0, 2.0], top=8)
    for i, epsilon in enumerate(found.epsilons):
        p = steered_probabilities(lm, [steer, other], [epsilon, -1.5])
        for word in found.words:
            assert word.probability[i] == pytest.approx(float(p[word.token_id]), rel=1e-3, abs=1e-6)


def test_the_top_words_are_those_of_the_highest_peaks(lm: LanguageModel, steer: Steer) -> None:
    grid = [-2.0, 0.0, 2.0]
    found = next_words(lm, PROMPT, steer, epsilons=grid, top=6)
    peaks = torch.stack([steered_probabilities(lm, [steer], [e]) for e in grid]).amax(dim=0)
    assert [w.token_id for w in found.words] == peaks.topk(6).indices.tolist()
    assert [w.text for w in found.words] == [lm.tokenizer.decode([w.token_id]) for w in found.words]
    assert any(w.text.startswith(" ") for w in found.words)


def test_rankings_stand_at_minus_zero_and_plus(lm: LanguageModel, steer: Steer) -> None:
    found = next_words(lm, PROMPT, steer, at=1.0, top=5)
    assert [r.epsilon for r in found.rankings] == [-1.0, 0.0, 1.0]
    for ranking in found.rankings:
        best = steered_probabilities(lm, [steer], [ranking.epsilon]).topk(5)
        assert ranking.texts == [lm.tokenizer.decode([i]) for i in best.indices.tolist()]
        assert ranking.probability == pytest.approx(best.values.tolist(), rel=1e-3)


def test_every_epsilon_of_the_grid_can_be_ranked(lm: LanguageModel, steer: Steer) -> None:
    grid = [-2.0, 0.5]
    found = next_words(lm, PROMPT, steer, epsilons=grid, ranked=[*grid, 1.0], top=2, n_ranked=4)
    assert [r.epsilon for r in found.rankings] == [*grid, 1.0]
    assert len(found.words) == 2
    for ranking in found.rankings:
        best = steered_probabilities(lm, [steer], [ranking.epsilon]).topk(4)
        assert ranking.texts == [lm.tokenizer.decode([i]) for i in best.indices.tolist()]
        assert ranking.probability == pytest.approx(best.values.tolist(), rel=1e-3)


def test_the_curves_of_the_whole_vocabulary_sum_to_one(small: LanguageModel) -> None:
    found = next_words(
        small,
        PROMPT,
        make_steer(small.output_embedding),
        epsilons=[-2.0, 3.0],
        top=small.vocab_size,
    )
    assert len(found.words) == small.vocab_size
    assert np.sum([w.probability for w in found.words], axis=0) == pytest.approx([1, 1], abs=1e-4)


def test_softcapped_logits_are_capped_after_the_move(lm: LanguageModel) -> None:
    model = make_tiny("gemma3", vocab_size=lm.vocab_size, final_logit_softcapping=3.0)
    small = LanguageModel(model, lm.tokenizer, "capped")
    steer = make_steer(small.output_embedding, norm=2.0)
    found = next_words(small, PROMPT, steer, epsilons=[2.0], top=3)
    h = small.hidden_states([small.encode(PROMPT)[0]])[0][-1]
    p = (3 * (small.output_embedding @ (h + 2.0 * steer.matrix().T @ h) / 3).tanh()).softmax(0)
    assert [w.probability[0] for w in found.words] == pytest.approx(
        p.topk(3).values.tolist(), rel=1e-3
    )


@pytest.mark.parametrize("epsilon", [-3.0, 0.0, 2.0])
def test_two_thousand_seeded_draws_follow_the_curves(
    lm: LanguageModel, steer: Steer, epsilon: float
) -> None:
    from scipy.stats import chisquare  # which takes a second to import

    ids = lm.encode(PROMPT)[0]
    with Steering(lm.model, [steer], [[epsilon]]), torch.inference_mode():
        logits = lm.model(torch.tensor([ids])).logits[:, -1]
    noise = (-exponential((7, i, len(ids)), lm.vocab_size).log() for i in range(2000))
    drawn = [int((logits[0] + each).argmax()) for each in noise]
    # These are generation's own draws:
    rows = [Row(PROMPT, {"style": epsilon}, seed_offset=i) for i in range(24)]
    sampling = Sampling(temperature=1.0, top_p=1.0, max_new_tokens=1, seed=7)
    done = generate(lm, rows, {"style": steer}, sampling, logprobs=False)
    assert [row.tokens[0].id for row in done] == drawn[:24]

    found = next_words(lm, PROMPT, steer, epsilons=[epsilon], top=400)
    expected = {w.token_id: 2000 * w.probability[0] for w in found.words}
    common = [i for i, n in expected.items() if n >= 5]
    assert len(common) > 20
    seen = [drawn.count(i) for i in common]
    means = [expected[i] for i in common]
    result = chisquare([*seen, 2000 - sum(seen)], [*means, 2000 - sum(means)])
    assert result.pvalue > 0.001


@pytest.mark.parametrize(
    ("prompt", "word", "text", "is_whole"),
    [
        (PROMPT, "great", " great", True),
        (PROMPT, " great", " great", True),
        (PROMPT + " ", "great", "great", True),
        (PROMPT, ",", ",", True),
        (PROMPT, "sesquipedalian", " s", False),
        (PROMPT, "great time", " great", False),
        ("中", "人", "人", True),
    ],
)
def test_any_word_is_followed_by_its_first_token(
    lm: LanguageModel, steer: Steer, prompt: str, word: str, text: str, is_whole: bool
) -> None:
    (followed,) = next_words(lm, prompt, steer, epsilons=[0.0, 1.0], top=0, follow=[word]).followed
    assert (followed.word, followed.text, followed.is_whole) == (word, text, is_whole)
    p = steered_probabilities(lm, [steer], [1.0], prompt)[followed.token_id]
    assert followed.probability[1] == pytest.approx(float(p), rel=1e-3)


def test_equals_are_ordered_by_token_id() -> None:
    p = torch.tensor([0.1, 0.2, 0.1, 0.2, 0.1, 0.3])
    assert _largest(p, 4) == [5, 1, 3, 0]
    assert _largest(p, 6) == [5, 1, 3, 0, 2, 4]
    assert _largest(torch.full((5000,), 0.5), 3) == [0, 1, 2]


def test_the_grid_covers_the_useful_range_with_61_values() -> None:
    assert len(EPSILON_GRID) == 61
    assert (EPSILON_GRID[0], EPSILON_GRID[30], EPSILON_GRID[-1]) == (-3.0, 0.0, 3.0)


def test_a_prompt_beyond_the_context_is_cut_and_says_so(small: LanguageModel) -> None:
    steer = make_steer(small.output_embedding)
    assert next_words(small, "word " * 600, steer, top=1).cut
    assert not next_words(small, "word", steer, top=1).cut


def test_what_cannot_be_asked_is_refused(small: LanguageModel, steer: Steer) -> None:
    own = make_steer(small.output_embedding)
    with pytest.raises(InputError, match="prompt is empty"):
        next_words(small, " ", own)
    with pytest.raises(InputError, match="word is empty"):
        next_words(small, "Hi", own, follow=[""])
    with pytest.raises(InputError, match="−10 and 10"):
        next_words(small, "Hi", own, epsilons=[11.0])
    with pytest.raises(InputError, match="−10 and 10"):
        next_words(small, "Hi", own, held=[(own, float("nan"))])
    with pytest.raises(InputError, match="values of ε"):
        next_words(small, "Hi", own, epsilons=[])
    with pytest.raises(SteerError, match="cannot steer"):
        next_words(small, "Hi", steer)
    with pytest.raises(SteerError, match="cannot steer"):
        next_words(small, "Hi", own, held=[(steer, 1.0)])
