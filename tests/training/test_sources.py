"""Every source's shift equals its definition, written out.

Every source refuses what has no two poles.
"""

from __future__ import annotations

import copy
import math
import random
import zlib

import pytest
import torch
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from support.models import make_plain, relative_error

from lmsteer_core import Cancelled, Combined, Descriptions, Examples, InputError, LabelledText
from lmsteer_core.models import batched
from lmsteer_core.training.projection import natural_length
from lmsteer_core.training.sources.descriptions import _CHAT_REQUEST, _TEMPLATES, _word_token_ids
from lmsteer_core.training.sources.source import Shift, Source

WARM = ["the soup was warm and good", "they sang all night long", "what a bright and lovely room"]
COLD = ["nobody came back", "it broke again", "a dull and empty room, then rain"]
TEXTS = [
    *WARM,
    *COLD,
    "grey, mostly",
    "she waved at us",
    "the door was locked",
    "we danced",
    "no",
    "yes!",
]
SPECIAL_IDS = range(17)
"""Of SmolLM2's tokenizer, which the tiny model borrows."""

LABELS = [1.0, 0.75, 1.0, -1.0, -0.5, -1.0, -0.25, 0.5, -0.75, 1.0, -1.0, 0.0]

DESCRIPTIONS = Descriptions("warm and kind", "cold and cruel")
EXAMPLES = Examples(WARM + ["it went so well"], COLD)
LABELLED = LabelledText(TEXTS, LABELS)
SOURCES: dict[str, Source] = {
    "descriptions": DESCRIPTIONS,
    "examples": EXAMPLES,
    "labelled text": LABELLED,
    "combined": Combined(((DESCRIPTIONS, 0.7), (LABELLED, 0.3))),
}


def quiet(_share, _what):
    pass


@pytest.fixture(scope="module")
def exact(small):
    return copy.deepcopy(small.model).double()


def states(exact, prefix, ids):
    """The states of a text behind a prefix, read alone and whole, in float64."""
    with torch.no_grad():
        read = exact(torch.tensor([[*prefix, *ids]]), output_hidden_states=True)
    return read.hidden_states[-1][0, len(prefix) :]


def taught(small, exact, plain, pairs, silent=()):
    """mean(h Δμᵀ) of two halves: pair i reads texts i, i + n, …, which go to the halves in turn.

    Special tokens are silent always.
    """
    silent = {*silent, *small.end_ids, *SPECIAL_IDS}
    embedding = small.output_embedding.double()
    halves = torch.zeros(2, small.d_model, small.d_model, dtype=torch.float64)
    n_tokens = [0, 0]
    for i, pair in enumerate(pairs):
        for k, ids in enumerate(plain.token_ids[i :: len(pairs)]):
            p_plus, p_minus = (
                (states(exact, prefix, ids) @ embedding.T).softmax(-1) for prefix in pair
            )
            difference = (p_plus - p_minus) / 2
            difference[:, list(silent)] = 0
            halves[k % 2] += states(exact, [], ids).T @ difference @ embedding
            n_tokens[k % 2] += len(ids)
    return halves / torch.tensor(n_tokens)[:, None, None]


def description_pairs(small, positive, negative):
    chat = [{"role": "user", "content": _CHAT_REQUEST}]
    request = small.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return [
        [small.tokenizer(template.format(pole))["input_ids"] for pole in (positive, negative)]
        for template in (*_TEMPLATES, request)
    ]


def test_shift_of_descriptions_is_the_mean_difference_behind_them(small, small_plain, exact):
    pairs = description_pairs(small, "warm and kind", "cold and cruel")
    spelled = [small.tokenizer.decode([i]).strip().lower() for i in range(small.vocab_size)]
    own = ("warm", "kind", "cold", "cruel")
    own_words = {i for i, s in enumerate(spelled) if s.startswith(own) or s == "crue"}
    assert len(own_words) >= 8
    for form in [form for word in own for form in (word, word.title(), word.upper())]:
        pieces = {*small.token_ids(form), *small.token_ids(f" {form}")}
        own_words |= {i for i in pieces if spelled[i] not in ENGLISH_STOP_WORDS}
    expected = taught(small, exact, small_plain, pairs, own_words)
    found = Descriptions(" warm and kind", "cold and cruel\n").shift(small, small_plain, quiet)
    assert relative_error(found.halves, expected) < 1e-4
    assert found.held_out is None


def test_the_family_of_a_descriptions_words_is_its_own_too(lm):
    own = {lm.token_texts[i] for i in _word_token_ids(lm, "a tale told by the fireside")}
    assert {" fire", " Fire", " fires", " tale", " told"} <= own
    assert not own & {" fir", " flames", " the", " side", " a", " tall"}


def test_what_spells_a_descriptions_words_is_its_own_too(lm):
    own = {lm.token_texts[i] for i in _word_token_ids(lm, "a grumpy curmudgeon of the town")}
    first = {lm.token_texts[lm.token_ids(word)[0]] for word in (" grumpy", "Grumpy", " curmudgeon")}
    assert first <= own
    assert not own & {" grim", " of", " the", " a", "of"}


def test_descriptions_may_keep_their_own_words(small, small_plain, exact):
    pairs = description_pairs(small, "warm and kind", "cold and cruel")
    source = Descriptions("warm and kind", "cold and cruel", keep_own_words=True)
    expected = taught(small, exact, small_plain, pairs)
    assert relative_error(source.shift(small, small_plain, quiet).halves, expected) < 1e-4
    assert relative_error(DESCRIPTIONS.shift(small, small_plain, quiet).halves, expected) > 5e-4


def test_shift_of_examples_is_the_mean_difference_behind_random_subsets(small, small_plain, exact):
    draw = random.Random(0)

    def prefix(side):
        pieces = [piece for text in draw.sample(side, 3) for piece in (text, "\n\n")]
        return [i for piece in pieces for i in small.tokenizer(piece)["input_ids"]]

    sides = [*WARM, "it went so well"], COLD
    pairs = [[prefix(side) for side in sides] for _ in range(10)]
    found = EXAMPLES.shift(small, small_plain, quiet)
    assert relative_error(found.halves, taught(small, exact, small_plain, pairs)) < 1e-4


def test_swapped_descriptions_give_the_opposite_shift(small, small_plain):
    swapped = Descriptions("cold and cruel", "warm and kind").shift(small, small_plain, quiet)
    assert (
        relative_error(-swapped.halves, DESCRIPTIONS.shift(small, small_plain, quiet).halves) < 1e-5
    )


def by_content(texts):
    return sorted(range(len(texts)), key=lambda j: zlib.crc32(texts[j].encode()))


def labelled_tokens(small, exact, order):
    """(hidden, next tokens, label) of texts read one at a time, in float64."""
    for j in order:
        ids = [*small.start_ids, *small.tokenizer(TEXTS[j])["input_ids"]]
        yield states(exact, [], ids)[:-1], torch.tensor(ids[1:]), LABELS[j]


def test_shift_of_labelled_text_is_the_gradient_of_its_likelihood_at_zero(
    small, small_plain, exact
):
    kept = by_content(TEXTS)[1:]  # a tenth of 12 texts is held out
    tokens = list(labelled_tokens(small, exact, kept))
    mean_label = sum(label * len(x) for _, x, label in tokens) / sum(len(x) for _, x, _ in tokens)
    embedding = small.output_embedding.double()
    found = LABELLED.shift(small, small_plain, quiet)
    for half in (0, 1):
        w = torch.zeros(small.d_model, small.d_model, dtype=torch.float64, requires_grad=True)
        moved = embedding + embedding @ w.T
        mine = tokens[half::2]
        likelihood = sum(
            (label - mean_label) * (hidden @ moved.T).log_softmax(-1)[torch.arange(len(x)), x].sum()
            for hidden, x, label in mine
        )
        (gradient,) = torch.autograd.grad(likelihood / sum(len(x) for _, x, _ in mine), w)
        assert relative_error(found.halves[half], gradient) < 1e-4


def test_a_tenth_of_labelled_text_is_held_out_with_its_own_labels(small, small_plain, exact):
    ((hidden, next_ids, label),) = labelled_tokens(small, exact, by_content(TEXTS)[:1])
    held_out = LABELLED.shift(small, small_plain, quiet).held_out
    assert held_out is not None
    assert relative_error(held_out.hidden, hidden) < 1e-4
    assert torch.equal(held_out.next_ids, next_ids)
    assert held_out.labels.tolist() == [label] * len(next_ids)
    assert LabelledText(TEXTS[:9], LABELS[:9]).shift(small, small_plain, quiet).held_out is None


def test_order_of_labelled_texts_does_not_matter(small, small_plain):
    backward = LabelledText(TEXTS[::-1], LABELS[::-1]).shift(small, small_plain, quiet)
    assert relative_error(backward.halves, LABELLED.shift(small, small_plain, quiet).halves) < 1e-5


def test_opposite_labels_give_the_opposite_shift(small, small_plain):
    opposite = LabelledText(TEXTS, [-label for label in LABELS]).shift(small, small_plain, quiet)
    assert relative_error(-opposite.halves, LABELLED.shift(small, small_plain, quiet).halves) < 1e-5


def test_labelled_text_beyond_the_budget_is_a_sample(small, small_plain, monkeypatch):
    monkeypatch.setattr("lmsteer_core.training.sources.labelled_text._MAX_READ_TOKENS", 40)
    read = []
    LABELLED.shift(small, small_plain, lambda _share, what: read.append(what))
    assert 0 < int(read[-1].split(" of ")[1].rstrip(")")) < len(TEXTS) - 1


def test_a_combination_is_the_weighted_sum_of_shifts_of_one_natural_length(small, small_plain):
    expected = torch.zeros(())
    for source, weight in ((DESCRIPTIONS, 0.7), (LABELLED, 0.3)):
        halves = source.shift(small, small_plain, quiet).halves
        expected = expected + weight * halves / natural_length(
            halves.mean(0), small_plain.curvature
        )
    found = SOURCES["combined"].shift(small, small_plain, quiet)
    assert relative_error(found.halves, expected) < 1e-6
    assert found.held_out is not None


@pytest.mark.parametrize("name", SOURCES)
def test_a_shift_does_not_depend_on_chunks_and_batches(small, small_plain, monkeypatch, name):
    found = []
    for tokens, logits in ((1, 1), (10**6, 10**12)):
        monkeypatch.setattr(batched, "_TOKENS_PER_BATCH", tokens)
        monkeypatch.setattr(batched, "_LOGITS_PER_CHUNK", logits)
        found.append(SOURCES[name].shift(small, small_plain, quiet).halves)
    assert relative_error(found[0], found[1]) < 1e-4


def test_fewer_texts_than_prefixes_still_give_a_finite_shift(small):
    plain = make_plain(small, ["It was raining", "Then we left"])
    for source in (DESCRIPTIONS, EXAMPLES):
        shift = source.shift(small, plain, quiet)
        assert shift.halves.isfinite().all()
        assert shift.halves[0].any()


@pytest.mark.parametrize("name", SOURCES)
def test_progress_of_a_source_rises_within_one_and_may_stop_it(small, small_plain, name):
    shares = []
    SOURCES[name].shift(small, small_plain, lambda share, _what: shares.append(share))
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1
    hooks = len(small.model.get_output_embeddings()._forward_pre_hooks)

    def stop(_share, _what):
        raise Cancelled

    with pytest.raises(Cancelled):
        SOURCES[name].shift(small, small_plain, stop)
    assert len(small.model.get_output_embeddings()._forward_pre_hooks) == hooks


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_names_its_poles_and_where_it_is_from(name):
    assert isinstance(SOURCES[name], Source)
    assert all(SOURCES[name].poles)
    assert SOURCES[name].summary


def test_cards_tell_what_a_steer_was_made_from():
    assert DESCRIPTIONS.poles == ("cold and cruel", "warm and kind")
    assert EXAMPLES.summary == "4 + 3 examples"
    assert LABELLED.summary == "12 labelled texts"
    assert SOURCES["combined"].summary.startswith(
        "two descriptions, “warm and kind” against “cold and cruel”"
    )
    assert SOURCES["combined"].summary.endswith("(weight 0.7), 12 labelled texts (weight 0.3)")


def test_poles_that_begin_alike_are_told_from_where_they_part():
    start = "a letter to an old friend about a very"
    assert Descriptions(f"{start} happy day", f"{start} sad day").poles == ("sad day", "happy day")


def test_the_models_own_judge_is_its_log_odds_a_token(small, exact):
    texts = ["we had a warm day", "x", "", "the rain fell on an empty road"]
    found = DESCRIPTIONS.style_score(small)(texts)
    for text, score in zip(texts, found, strict=True):
        ids = small.tokenizer(text)["input_ids"]
        if len(ids) < 2:
            assert score == 0
            continue
        means = []
        for prefix in description_pairs(small, "warm and kind", "cold and cruel")[0]:
            log_p = (
                states(exact, prefix, ids)[:-1] @ small.output_embedding.double().T
            ).log_softmax(-1)
            means.append(log_p.gather(1, torch.tensor(ids[1:])[:, None]).mean().item())
        assert score == pytest.approx(means[0] - means[1], abs=1e-4)


def test_the_judge_of_labels_leans_as_the_labels_do(small):
    scores = LABELLED.style_score(small)([*WARM, *COLD])
    assert min(scores[:3]) > 0 > max(scores[3:])


LONG = "word " * 5_000
REFUSED = {
    "no + description": (lambda: Descriptions("", "cold"), "“more like” description is empty"),
    "no − description": (lambda: Descriptions("warm", " \n"), "“less like” description is empty"),
    "one description": (lambda: Descriptions("warm", "warm"), "are the same"),
    "other case": (lambda: Descriptions("Warm ", "warm"), "are the same"),
    "other punctuation": (lambda: Descriptions("warm, kind!", "Warm kind."), "are the same"),
    "5,000 words": (lambda: Descriptions(LONG, "cold"), "“more like” description is too long"),
    "5,000 words of −": (lambda: Descriptions("warm", LONG), "“less like” description is too long"),
    "half a character": (lambda: Descriptions("warm \ud83d", "cold"), "half of a character"),
    "2 examples": (
        lambda: Examples(WARM[:2], COLD),
        "2 different “more like” examples; give 3 to 50",
    ),
    "51 examples": (
        lambda: Examples(WARM, [f"{i} days" for i in range(51)]),
        "51 different “less like”",
    ),
    "one example thrice": (lambda: Examples(["a b"] * 3, COLD), "1 different “more like” examples"),
    "thrice with spaces": (
        lambda: Examples(["a b", "a b ", " a b"], COLD),
        "1 different “more like”",
    ),
    "blank examples": (
        lambda: Examples(["a", "b", " ", ""], COLD),
        "2 different “more like” examples",
    ),
    "half a character in one": (lambda: Examples([*WARM, "\ud83d"], COLD), "half of a character"),
    "on both sides": (lambda: Examples([*WARM, f" {COLD[0]}"], COLD), "stands on both sides"),
    "no labelled text": (lambda: LabelledText([], []), "at least one text"),
    "a label too few": (lambda: LabelledText(["a", "b"], [1.0]), "one label per text"),
    "label out of range": (lambda: LabelledText(["a", "b"], [1.0, -2.0]), "from −1 to 1"),
    "label NaN": (lambda: LabelledText(["a", "b"], [1.0, math.nan]), "from −1 to 1"),
    "one class": (lambda: LabelledText(["a", "b"], [1.0, 0.5]), "Both poles"),
    "one class and neutral": (lambda: LabelledText(["a", "b"], [0.0, -0.5]), "Both poles"),
    "no sources": (lambda: Combined(()), "weights above 0"),
    "weight 0": (lambda: Combined(((DESCRIPTIONS, 1.0), (LABELLED, 0.0))), "weights above 0"),
    "weight below 0": (
        lambda: Combined(((DESCRIPTIONS, -1.0), (LABELLED, 2.0))),
        "weights above 0",
    ),
    "weight NaN": (lambda: Combined(((DESCRIPTIONS, math.nan),)), "weights above 0"),
    "weight infinite": (lambda: Combined(((DESCRIPTIONS, math.inf),)), "weights above 0"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_shows_no_two_poles_is_refused_in_one_clear_sentence(fault):
    make, expected = REFUSED[fault]
    with pytest.raises(InputError, match=expected) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_fifty_examples_and_2000_characters_are_accepted():
    assert len(Examples([f"{i} nights" for i in range(50)], COLD).positive) == 50
    assert Descriptions("w" * 2000, "cold")


def test_a_description_longer_than_a_quarter_of_the_context_is_refused(small, small_plain):
    with pytest.raises(InputError, match="too long; a sentence"):
        Descriptions("very " * 200, "cold").shift(small, small_plain, quiet)


def test_an_empty_labelled_text_is_refused_when_it_is_read(small, small_plain):
    with pytest.raises(InputError, match="is empty"):
        LabelledText(["fine", " "], [1.0, -1.0]).shift(small, small_plain, quiet)


def test_a_long_labelled_text_and_a_long_example_are_cut(small, small_plain):
    long = " ".join(f"number {i}" for i in range(2_500))
    LabelledText([long, "short"], [1.0, -1.0]).shift(small, small_plain, quiet)
    shift = Examples([long, *WARM], COLD).shift(small, small_plain, quiet)
    assert isinstance(shift, Shift)
    assert shift.halves.isfinite().all()
