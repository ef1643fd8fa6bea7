"""The words at an end of a dimension: which stand for it."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lmsteer_core.analysis.ordinary_text import expectations
from lmsteer_core.analysis.vocabulary import are_whole, vocabulary
from lmsteer_core.models.language_model import LanguageModel

RESOLUTION = 1e-5
"""Scores nearer than this share of the largest are ties, whatever
a machine's rounding makes of them."""

_N_CANDIDATES = 200
_N_NEIGHBOURS = 8
_N_THEME = 30
_SPARE = 1.5
"""Times as many are checked for being whole."""

_EMBEDDINGS: WeakKeyDictionary[LanguageModel, tuple[Tensor, Tensor]] = WeakKeyDictionary()


def end_words(lm: LanguageModel, scores: Tensor, n_words: int) -> list[int]:
    """Return the indices of the words that stand for one end of a dimension, the best first.

    A score grows with an embedding's length, and rare words are long; so the score is taken per
    length, and a word counts with its nearest neighbours: what is alone in rising is chance. Of the
    strongest 30 whole words, or n_words if these are more, those lead that have most in common with
    the others: theirs is the first eigenvector of the similarities, weighted by the scores.

    Args:
        lm: The language model.
        scores: Of every word of the `vocabulary`, (n_words,); the end is where they are largest.
        n_words: Most words to return; a word in two cases counts once, and fragments do not.
    """
    words = vocabulary(lm).words
    units, lengths = word_directions(lm)
    per_length = scores / lengths
    n_candidates = min(len(words), max(_N_CANDIDATES, 4 * n_words))
    candidates = _falling(per_length)[:n_candidates]
    nearest = (units[candidates] @ units.T).topk(min(_N_NEIGHBOURS + 1, len(words)), dim=1).indices
    together = per_length[candidates] + per_length[nearest[:, 1:]].mean(dim=1)
    order = _falling(together)
    n_theme = max(_N_THEME, n_words)
    theme = distinct(words, candidates[order].tolist(), int(_SPARE * n_theme))
    ids = vocabulary(lm).token_ids[theme].tolist()
    theme = [i for i, whole in zip(theme, are_whole(lm, ids), strict=True) if whole][:n_theme]
    strength = {int(candidates[i]): float(together[i]) for i in order}
    weight = torch.tensor([max(strength[i], 0.0) for i in theme]).sqrt()
    alike = (units[theme] @ units[theme].T).clamp_min(0)
    shared = torch.linalg.eigh((weight[:, None] * alike * weight).double())[1][:, -1].abs()
    return [theme[i] for i in _falling(shared)[:n_words].tolist()]


def strongest(scores: Tensor, n: int) -> list[int]:
    """Return the indices of the n largest scores; equals in the order of their token ids."""
    return _falling(scores)[:n].tolist()


def word_directions(lm: LanguageModel) -> tuple[Tensor, Tensor]:
    """Return the words' embeddings less the expected one: directions and lengths.

    Returns:
        (n_words, d_model), each of length 1, and the lengths, (n_words,), on the CPU.
    """
    found = _EMBEDDINGS.get(lm)
    if found is None:
        rows = lm.output_embedding[vocabulary(lm).token_ids.to(lm.device)].float().cpu()
        rows = rows - expectations(lm).embedding
        found = _EMBEDDINGS[lm] = normalize(rows), rows.norm(dim=1).clamp_min(1e-30)
    return found


def rounded(scores: Tensor) -> Tensor:
    """Return whole multiples of the resolution of each column."""
    return (scores / (RESOLUTION * scores.abs().amax(dim=0).clamp_min(1e-30))).round()


def distinct(words: list[str], order: list[int], n_words: int) -> list[int]:
    """Return the first indices in `order`, one of each word whatever its case."""
    chosen: dict[str, int] = {}
    for i in order:
        chosen.setdefault(words[i].casefold(), i)
        if len(chosen) == n_words:
            break
    return list(chosen.values())


def _falling(scores: Tensor) -> Tensor:
    return torch.argsort(-rounded(scores), stable=True)
