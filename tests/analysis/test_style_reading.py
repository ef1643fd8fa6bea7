import math

import pytest
import torch
from support.models import NEUTRAL, make_steer

from lmsteer_core import LanguageModel, Steer, SteerError
from lmsteer_core.analysis.evidence import evidence
from lmsteer_core.analysis.logits import moved_logits
from lmsteer_core.analysis.ordinary_text import SENTENCES, expectations, ordinary_text
from lmsteer_core.analysis.reading import read_text
from lmsteer_core.analysis.spans import UnitKind, units
from lmsteer_core.analysis.style_reading import StyleReading, base_rate, read_styles, token_weights

TEXT = "The soup was cold 🍲, but we loved the view. We stayed!"


@pytest.fixture(scope="module")
def style(small: LanguageModel) -> Steer:
    return make_steer(small.output_embedding, rank=3, norm=0.4)


def score(lm: LanguageModel, steer: Steer, text: str) -> StyleReading:
    (reading,) = read_styles(lm, read_text(lm, text), [steer])
    return reading


def test_a_score_is_the_move_of_the_tokens_own_logit_against_ordinary_text(
    small: LanguageModel, style: Steer
) -> None:
    read = read_text(small, "We loved the view")
    moved = moved_logits(small, style, read.hidden)
    own = moved.gather(1, torch.tensor(read.token_ids[1:])[:, None])[:, 0]
    ordinary = ordinary_text(small)
    mean_move = read.hidden @ style.matrix() @ ordinary.mean_embedding
    expected = own - mean_move - base_rate(small, style).mean
    expected *= token_weights(small)[read.token_ids[1:]]
    (reading,) = read_styles(small, read, [style])
    assert reading.scores[1:] == pytest.approx(expected.tolist(), abs=1e-4)


def test_words_weigh_less_the_oftener_they_are_expected(lm: LanguageModel) -> None:
    the, wonderful, comma = (lm.token_ids(text)[0] for text in (" the", " wonderful", ","))
    weights = token_weights(lm)
    assert weights[comma] == 0
    assert weights[the] < 0.05
    assert weights[wonderful] > 0.9
    assert float(expectations(lm).probability.sum()) == pytest.approx(1, abs=1e-3)


def test_ordinary_text_totals_zero(small: LanguageModel, style: Steer) -> None:
    # All but each first token, which no state predicts, as the base rate counts them.
    totals = [sum(score(small, style, sentence).scores[1:]) for sentence in SENTENCES]
    spread = math.sqrt(sum(total**2 for total in totals))
    assert abs(sum(totals)) < 1e-3 * spread


def test_neutral_text_that_set_no_base_rate_totals_zero_within_error(small: LanguageModel) -> None:
    strengths = [
        score(small, make_steer(small.output_embedding, rank=3, norm=0.4, seed=seed), text).strength
        for seed in range(4)
        for text in NEUTRAL
    ]
    mean = sum(strengths) / len(strengths)
    assert abs(mean) < 0.5
    assert sum(abs(s) < 3 for s in strengths) >= 0.95 * len(strengths)


def test_strength_does_not_grow_with_the_steers_scale(small: LanguageModel, style: Steer) -> None:
    weak, strong = (score(small, style.scaled(factor), TEXT) for factor in (1.0, 5.0))
    assert strong.total == pytest.approx(5 * weak.total, rel=1e-3)
    assert strong.strength == pytest.approx(weak.strength, rel=1e-3)


def test_ordinary_texts_of_any_length_are_spread_by_one(small: LanguageModel, style: Steer) -> None:
    strengths = [score(small, style, sentence).strength for sentence in SENTENCES]
    assert math.sqrt(sum(s**2 for s in strengths) / len(strengths)) == pytest.approx(1, abs=0.25)


def test_the_opposite_steer_reads_the_opposite(small: LanguageModel, style: Steer) -> None:
    plus, minus = (score(small, style.scaled(sign), TEXT) for sign in (1, -1))
    assert minus.scores == pytest.approx([-s for s in plus.scores], abs=1e-5)
    assert minus.share_weaker == pytest.approx(plus.share_weaker)


@pytest.mark.parametrize("kind", ["tokens", "words", "sentences"])
def test_units_keep_the_total(small: LanguageModel, style: Steer, kind: UnitKind) -> None:
    read = read_text(small, TEXT)
    (reading,) = read_styles(small, read, [style])
    parts = units(read.token_texts, reading.scores, kind)
    assert sum(part.evidence for part in parts) == pytest.approx(reading.total, abs=1e-5)


def test_punctuation_scores_nothing_and_an_emoji_is_a_word(
    small: LanguageModel, style: Steer
) -> None:
    read = read_text(small, "Well , 🍲 !")
    (reading,) = read_styles(small, read, [style])
    silent = [
        text.strip() for text, s in zip(read.token_texts, reading.scores, strict=True) if not s
    ]
    assert silent == [",", "!"]
    assert reading.n_words == len(reading.scores) - 2


@pytest.mark.parametrize("text", ["view", "湯は冷たいが、眺めは良い。", "سوپ سرد بود", "?"])
def test_one_token_and_other_scripts_are_read(
    small: LanguageModel, style: Steer, text: str
) -> None:
    read = read_text(small, text)
    (reading,) = read_styles(small, read, [style])
    assert len(reading.scores) == len(read.token_ids)
    assert math.isfinite(reading.strength)
    assert 0 <= reading.share_weaker <= 1
    assert (reading.total == 0) == (text == "?")


def test_the_papers_formula_is_not_touched(small: LanguageModel, style: Steer) -> None:
    read = read_text(small, TEXT)
    before = evidence(small, read, style)
    read_styles(small, read, [style])
    assert evidence(small, read, style) == before


def test_a_steer_of_another_model_is_refused(small: LanguageModel) -> None:
    foreign = make_steer(torch.randn(97, 32, generator=torch.Generator().manual_seed(3)))
    with pytest.raises(SteerError, match="cannot steer"):
        read_styles(small, read_text(small, TEXT), [foreign])


@pytest.mark.parametrize(
    ("text", "name", "sign"),
    [
        ("What a lovely morning, and the coffee was wonderful.", "sentiment", 1),
        ("The parcel arrived broken and the support team is useless.", "sentiment", -1),
        ("Hey dude, gonna grab some pizza later, wanna come?", "formality", -1),
        ("We hereby inform the applicant that the form must be submitted.", "formality", 1),
        ("The captain and his crew sailed for the island and its gold.", "pirate", 1),
    ],
)
def test_the_sign_is_what_a_reader_would_say(
    workbench, lm: LanguageModel, text: str, name: str, sign: int
) -> None:
    assert score(lm, workbench.steers[name], text).total * sign > 0
