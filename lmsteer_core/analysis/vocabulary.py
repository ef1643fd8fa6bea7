"""The whole words of a model's vocabulary."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from lmsteer_core.analysis.code_words import code_words
from lmsteer_core.analysis.ordinary_text import expectations
from lmsteer_core.errors import InputError, ModelError
from lmsteer_core.models.batched import next_word
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.models.tokens import token_text
from lmsteer_core.text import is_unspaced

_LEAST_PROBABILITY = 2e-7
"""Mean probability in ordinary text below which a token is not a word of the model's."""

_LEAST_WORDS = 50

_ROWS_AT_ONCE = 128

_LONGEST_QUOTED = 40

_CONTEXT = "I saw the"
_NOT = {"'t", "’t", "n't", "n’t"}
_GOES_ON = 0.9
"""Probability that letters follow, above which a token is the beginning of a word: of *murd* it is
1, of *house* 0.01."""

_CONTRACTS = 0.07
"""Probability that ’t follows, above which a token is half a contraction: of *weren* it is 0.4, of
*today*, which ’s follows as often, 0."""


# Weak, so that a model that nobody uses any more is freed.
_VOCABULARIES: WeakKeyDictionary[LanguageModel, dict[bool, Vocabulary]] = WeakKeyDictionary()
_WHOLE: WeakKeyDictionary[LanguageModel, dict[int, bool]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Vocabulary:
    """The words of a model: their token ids, (n_words,) and rising, and spellings."""

    token_ids: Tensor
    words: list[str]


def find_word(lm: LanguageModel, word: str, *, raw: bool = False) -> int:
    """Return a word's index in the `vocabulary`, in another case if need be.

    Args:
        lm: The language model.
        word: Its spelling.
        raw: Look among all tokens that the model uses, spelled as they are listed.

    Raises:
        InputError: If there is none.
    """
    index = word_index(vocabulary(lm, raw=raw).words, word, raw=raw)
    if index is None:
        kind = "token" if raw else "whole word"
        quoted = word if len(word) <= _LONGEST_QUOTED else word[:_LONGEST_QUOTED] + "…"
        raise InputError(f"'{quoted}' is no {kind} that {lm.model_id} uses; try another spelling.")
    return index


def word_index(words: Sequence[str], word: str, *, raw: bool = False) -> int | None:
    """Return where a word is among the words of a `vocabulary`, in another case if need be."""
    key = word if raw else word.strip()
    folded = (i for i, listed in enumerate(words) if listed.casefold() == key.casefold())
    return words.index(key) if key in words else next(folded, None)


def vocabulary(lm: LanguageModel, *, raw: bool = False) -> Vocabulary:
    """Return the model's whole words by its tokenizer's own word-start convention.

    Fragments, punctuation, code (see `code_words`) and tokens that the model hardly ever expects
    are left out. With `raw` only the last are, and spellings are `token_text`. Tokens that no text
    is made of, such as those that end one, and padding rows of the embedding are never words.
    """
    cached = _VOCABULARIES.setdefault(lm, {})
    if raw not in cached:
        cached[raw] = _read_vocabulary(lm, raw)
    return cached[raw]


def are_whole(lm: LanguageModel, token_ids: Sequence[int]) -> list[bool]:
    """Return whether the model, having read each token behind a few words, ends the word there.

    It is a row of the model for each token, so each is asked for once, and only what is listed.
    """
    known = _WHOLE.setdefault(lm, {})
    if new := sorted({i for i in token_ids if i not in known}):
        prefix = [*lm.prefix_ids, *lm.token_ids(_CONTEXT)]
        goes_on = torch.tensor([_continues(text) for text in lm.token_texts], device=lm.device)
        contracts = torch.tensor([text in _NOT for text in lm.token_texts], device=lm.device)
        for start in range(0, len(new), _ROWS_AT_ONCE):
            some = new[start : start + _ROWS_AT_ONCE]
            hidden = torch.cat([h[-1:] for h in lm.hidden_states([[i] for i in some], prefix)])
            follows = next_word(lm, hidden).float()
            whole = (follows @ goes_on.float() < _GOES_ON) & (
                follows @ contracts.float() < _CONTRACTS
            )
            known.update(zip(some, whole.tolist(), strict=True))
    return [known[i] for i in token_ids]


def _continues(text: str) -> bool:
    """Return whether a token goes on with the word that it follows, as “er” does."""
    return text[:1] == "_" or unicodedata.category(text[:1] or " ")[0] in "LM"


def is_word(text: str) -> bool:
    """Return whether a token is a word of any script, as it would continue a text.

    A word has two letters or more, with what combines with them, and follows a space where its
    script has spaces.
    """
    word = text.strip()
    return (
        len(word) > 1
        and (text.startswith(" ") or is_unspaced(word[0]))
        and word[0].isalpha()
        and all(unicodedata.category(character)[0] in "LM" for character in word)
    )


def _read_vocabulary(lm: LanguageModel, raw: bool) -> Vocabulary:
    ids, words = [], []
    used = expectations(lm).probability >= _LEAST_PROBABILITY
    for token_id in used.nonzero()[:, 0].tolist():
        text = lm.token_texts[token_id]
        if token_id in lm.special_ids or not lm.tokenizer.convert_ids_to_tokens(token_id):
            continue
        if raw or is_word(text):
            ids.append(token_id)
            words.append(token_text(lm, token_id) if raw else text.strip())
    if len(words) < _LEAST_WORDS:
        raise ModelError(f"The tokenizer of {lm.model_id} has no whole words to list.")
    token_ids = torch.tensor(ids, dtype=torch.long)
    if raw:
        return Vocabulary(token_ids, words)
    said = (~code_words(lm, token_ids)).nonzero()[:, 0]
    return Vocabulary(token_ids[said], [words[i] for i in said.tolist()])
