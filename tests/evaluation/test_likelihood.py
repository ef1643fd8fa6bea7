from __future__ import annotations

import math

import pytest
import torch

from lmsteer_core import InputError, LanguageModel
from lmsteer_core.evaluation.likelihood import continuation_nll

PAIRS = [
    ("The kitchen", " table was set before noon."),
    ("We walked along the", " canal"),
    ("We walked along the", ""),
    (
        "It rains, and",
        " everybody says that it will rain on, until the days are long again and longer",
    ),
    ("I don’", "t know"),
]
PROMPTS, TEXTS = zip(*PAIRS, strict=True)


def published_loss(lm: LanguageModel, prompt: str, text: str) -> tuple[float, int]:
    """What the published script computes: mean loss times length, the whole's less the prompt's."""

    def total(written: str) -> tuple[float, int]:
        ids = torch.tensor([lm.tokenizer(written)["input_ids"]])
        with torch.inference_mode():
            return float(lm.model(ids, labels=ids).loss) * (ids.shape[1] - 1), ids.shape[1]

    whole, n_whole = total(prompt + text)
    alone, n_alone = total(prompt)
    return whole - alone, n_whole - n_alone


def test_it_is_the_published_conditional_loss(small: LanguageModel) -> None:
    nll, n_tokens = continuation_nll(small, PROMPTS, TEXTS)
    for (prompt, text), found, n in zip(PAIRS, nll, n_tokens, strict=True):
        expected, n_expected = published_loss(small, prompt, text)
        assert n == n_expected
        assert math.isnan(found) if not n else found == pytest.approx(expected, rel=1e-4)


def test_the_real_model_finds_english_likelier_than_noise(lm: LanguageModel) -> None:
    prompts = ["The capital of France is"] * 2
    (known, noise), n_tokens = continuation_nll(lm, prompts, [" Paris.", " herring lamp of of"])
    assert known / n_tokens[0] < 2.5 < noise / n_tokens[1]
    assert known == pytest.approx(published_loss(lm, prompts[0], " Paris.")[0], rel=1e-3)


def test_a_chunked_head_gives_the_same(
    small: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = continuation_nll(small, PROMPTS, TEXTS)
    monkeypatch.setattr("lmsteer_core.evaluation.likelihood.tokens_per_chunk", lambda _lm: 3)
    chunked, _ = continuation_nll(small, PROMPTS, TEXTS)
    assert chunked == pytest.approx(whole, rel=1e-5, nan_ok=True)


def test_a_text_longer_than_the_context_is_read_from_its_end(small: LanguageModel) -> None:
    (nll,), (n_tokens,) = continuation_nll(small, ["a word " * 600], [" and the end"])
    assert n_tokens == 3
    assert math.isfinite(nll)


def test_an_empty_prompt_is_refused(small: LanguageModel) -> None:
    with pytest.raises(InputError, match="prompt is empty"):
        continuation_nll(small, [" "], ["text"])
