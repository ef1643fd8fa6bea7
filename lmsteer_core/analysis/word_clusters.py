"""Clusters of a model's words: which output embeddings point the same way."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lmsteer_core.analysis.vocabulary import are_whole, vocabulary
from lmsteer_core.analysis.word_lists import distinct, word_directions
from lmsteer_core.analysis.word_space import frequency_direction
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Steps

_N_CLUSTERS = 24
_N_NAMES = 3
_SPARE = 4
"""Words are checked for being whole this many at a time for each name wanted."""

_CLUSTERS: WeakKeyDictionary[LanguageModel, WordClusters] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class WordClusters:
    """The words of a `vocabulary` in n_clusters groups, the largest first.

    Attributes:
        labels: Each word's cluster, (n_words,).
        names: The whole words nearest to each cluster's centre, with commas between them.
    """

    labels: Tensor
    names: list[str]


def frequency_free(lm: LanguageModel) -> Tensor:
    """Return the words' directions without the one that tells how frequent they are.

    Returns:
        (n_words, d_model), each of length 1.
    """
    units, _ = word_directions(lm)
    frequency = frequency_direction(lm)
    return normalize(units - (units @ frequency)[:, None] * frequency)


def clustering(lm: LanguageModel) -> Steps[WordClusters]:
    """Return the words' k-means clusters by their `frequency_free` directions, once for each model.

    k-means parts what may hang together: a cluster is a way to find one's way about, not a fact.
    """
    from sklearn.cluster import KMeans

    found = _CLUSTERS.get(lm)
    if found is not None:
        return found
    units = frequency_free(lm)
    n_clusters = min(_N_CLUSTERS, len(units) // 2)
    yield 0.1
    means = KMeans(n_clusters, n_init=1, random_state=0).fit(units.numpy())
    labels = torch.from_numpy(means.labels_).long()
    order = torch.bincount(labels, minlength=n_clusters).argsort(descending=True, stable=True)
    labels = order.argsort()[labels]
    centres = torch.from_numpy(means.cluster_centers_).to(units)[order]
    names = []
    for i, centre in enumerate(centres):
        yield 0.5 + 0.5 * i / n_clusters
        names.append(_name(lm, units @ centre, labels == i))
    _CLUSTERS[lm] = WordClusters(labels, names)
    return _CLUSTERS[lm]


def _name(lm: LanguageModel, nearness: Tensor, members: Tensor) -> str:
    """Return the names of a cluster: members that are whole words, nearest to its centre first."""
    words, token_ids = vocabulary(lm).words, vocabulary(lm).token_ids
    order = nearness.masked_fill(~members, -torch.inf).argsort(descending=True, stable=True)
    order = order[: int(members.sum())]
    whole: list[int] = []
    for some in order.split(_SPARE * _N_NAMES):
        checked = are_whole(lm, token_ids[some].tolist())
        whole += [i for i, is_whole in zip(some.tolist(), checked, strict=True) if is_whole]
        if len(distinct(words, whole, _N_NAMES)) == _N_NAMES:
            break
    named = distinct(words, whole or order.tolist(), _N_NAMES)
    return ", ".join(words[i] for i in named)
