"""The whole words of a model's vocabulary, and what it predicts on neutral sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from lmsteer_core.errors import InputError, ModelError
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.models.tokens import token_text

_NEUTRAL_SENTENCES = (
    "The train to the coast leaves at nine and arrives before lunch.",
    "She put the letter back in the drawer and went out to the garden.",
    "In the second half of the year the company opened three new offices.",
    "Water boils at a lower temperature when the air pressure falls.",
    "We talked for an hour about the house, the weather and the children.",
    "It is not clear who will lead the committee after the vote in May.",
    "My brother said that he would call us as soon as he could.",
    "The old map shows a river where the main street runs today.",
    "If you want to learn a language, read a little of it every day.",
    "They found the keys under the seat and drove home without a word.",
    "A good teacher knows when to speak and when to be quiet.",
    "The results were published last week and discussed in the news.",
    "At night the town is quiet, and you can hear the sea from the hill.",
    "He has worked as a cook, a driver and, for a short time, a singer.",
    "This recipe needs two eggs, some flour and a glass of milk.",
    "What I remember best about that summer is the smell of the grass.",
)

_LEAST_PROBABILITY = 2e-7
"""Mean probability on the sentences above below which a token is not a word of the model's."""

_LEAST_WORDS = 50


# Weak, so that a model that nobody uses any more is freed.
_NEUTRAL: WeakKeyDictionary[LanguageModel, _Neutral] = WeakKeyDictionary()
_VOCABULARIES: WeakKeyDictionary[LanguageModel, dict[bool, Vocabulary]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Vocabulary:
    """The words of a model: their token ids, (n_words,) and rising, and spellings."""

    token_ids: Tensor
    words: list[str]


@dataclass(frozen=True)
class _Neutral:
    mean_hidden: Tensor
    mean_probability: Tensor


def find_word(lm: LanguageModel, word: str, *, raw: bool = False) -> int:
    """Return a word's index in the `vocabulary`; arguments and error as for `place`."""
    index = word_index(vocabulary(lm, raw=raw).words, word, raw=raw)
    if index is None:
        kind = "token" if raw else "whole word"
        raise InputError(f"'{word}' is no {kind} that {lm.model_id} uses; try another spelling.")
    return index


def word_index(words: Sequence[str], word: str, *, raw: bool = False) -> int | None:
    """Return where a word is among the words of a `vocabulary`, in another case if need be."""
    key = word if raw else word.strip()
    folded = (i for i, listed in enumerate(words) if listed.casefold() == key.casefold())
    return words.index(key) if key in words else next(folded, None)


def vocabulary(lm: LanguageModel, *, raw: bool = False) -> Vocabulary:
    """Return the model's whole words by its tokenizer's own word-start convention.

    Fragments, punctuation and tokens that the model hardly ever expects are left out. With `raw`
    only the last are, and spellings are `token_text`.
    """
    cached = _VOCABULARIES.setdefault(lm, {})
    if raw not in cached:
        cached[raw] = _read_vocabulary(lm, raw)
    return cached[raw]


def _read_vocabulary(lm: LanguageModel, raw: bool) -> Vocabulary:
    ids, words = [], []
    for token_id in (
        (neutral_statistics(lm).mean_probability >= _LEAST_PROBABILITY).nonzero()[:, 0].tolist()
    ):
        text = lm.token_texts[token_id]
        if raw and lm.tokenizer.convert_ids_to_tokens(token_id):
            ids.append(token_id)
            words.append(token_text(lm, token_id))
        elif not raw and text.startswith(" ") and len(text.strip()) > 1 and text.strip().isalpha():
            ids.append(token_id)
            words.append(text.strip())
    if len(words) < _LEAST_WORDS:
        raise ModelError(f"The tokenizer of {lm.model_id} has no whole words to list.")
    return Vocabulary(torch.tensor(ids, dtype=torch.long), words)


def neutral_statistics(lm: LanguageModel) -> _Neutral:
    """Return the mean hidden state and next-word distribution of neutral text, kept by model."""
    statistics = _NEUTRAL.get(lm)
    if statistics is None:
        ids = [lm.encode(sentence)[0] for sentence in _NEUTRAL_SENTENCES]
        hidden = torch.cat(lm.hidden_states(ids))
        p = lm.finish(lm.unembed(hidden)).softmax(dim=-1).mean(dim=0)
        statistics = _NEUTRAL[lm] = _Neutral(hidden.mean(dim=0).cpu(), p.cpu())
    return statistics
