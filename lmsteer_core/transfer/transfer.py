"""Carry a steer to another model: by what it does, or by a linear map between embedding spaces.

    by behaviour    Δμ_t = Σ_v ½ (p₊ε(v) − p₋ε(v)) e_v    p over words both know, e of the target
    by a map H      W′ = H⁻ W H                            e_source ≈ H e_target, H⁻ its way back

The first is a source like a description (see training/sources): both models read the same neutral
text, and where a word ends for both, the source model's steered probabilities tell the target where
to move. The second is the paper's (Han et al., ACL 2024, section on transfer); it needs no text.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from torch import nn

from lmsteer_core.analysis.dimensions import dimensions
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress, part
from lmsteer_core.steers.steer import Steer
from lmsteer_core.training.neutral_text import neutral_text
from lmsteer_core.training.train import calibrated, train
from lmsteer_core.transfer.behaviour import Behaviour
from lmsteer_core.transfer.embedding_map import (
    Method,
    carried,
    fit_map,
    shared_embeddings,
    shared_words,
)


@dataclass(frozen=True)
class FitReport:
    """How alike two models' words are.

    Attributes:
        n_shared: Words that both vocabularies have.
        r2: Share of the source embeddings' variance that the ridge map explains.
        neighbours: Some of the steer's words on the source, each with the target's words that lie
            nearest to it once it is mapped.
    """

    n_shared: int
    r2: float
    neighbours: list[tuple[str, list[str]]]


def transfer_steer(
    source: LanguageModel,
    steer: Steer,
    target: LanguageModel,
    *,
    method: Method = "behaviour",
    name: str | None = None,
    progress: Progress | None = None,
) -> Steer:
    """Return the steer for another model, its ε calibrated anew there.

    Args:
        source: The steer's model.
        steer: One of its steers.
        target: The model to carry it to.
        method: "behaviour"; or by a map: "ridge" fits both ways, "transpose" is the paper's W′ = Hᵀ
            W H, "procrustes" allows H only to rotate.
        name: The new steer's name; the old one if None.
        progress: Told how far it is; whatever it raises stops the work.

    Raises:
        InputError: If the two vocabularies share too few words.
        SteerError: If the steer is not the source model's.
    """
    behaviour = Behaviour(source, steer)
    shared_words(source, target)  # too few are refused before the long part
    name = name or steer.name
    if method == "behaviour":
        new_steer = train(target, name, behaviour, notice=steer.card.notice, progress=progress)
    else:
        report = progress or (lambda _share, _what: None)
        plain = neutral_text(target.for_batches, progress=part(report, 0.0, 0.5))
        mapped = carried(steer, fit_map(source, target, plain, method=method), target, name)
        new_steer = calibrated(target, mapped, behaviour, plain, progress=progress)
    origin = f"'{steer.name}' of {source.model_id} ({steer.card.data or steer.card.method})"
    return dataclasses.replace(
        new_steer,
        card=dataclasses.replace(new_steer.card, method=f"transferred by {method}", data=origin),
    )


def fit_report(
    source: LanguageModel,
    steer: Steer,
    target: LanguageModel,
    *,
    n_words: int = 4,
    n_nearest: int = 4,
) -> FitReport:
    """Return how well the two models' embeddings fit, seen on the steer's own words.

    Args:
        source: The steer's model.
        steer: One of its steers.
        target: The other model.
        n_words: Words from either end of the steer's first dimension.
        n_nearest: Neighbours of each.

    Raises:
        InputError: If the two vocabularies share too few words.
    """
    shared = shared_words(source, target)
    embedding_map = fit_map(source, target, neutral_text(target.for_batches))
    e_source, e_target = shared_embeddings(source, target, shared)
    e_source, e_target = (e - e.mean(dim=0) for e in (e_source, e_target))
    place = {text: i for i, text in enumerate(shared.texts)}
    (first,) = dimensions(source, steer, n_dims=1, n_words=4 * n_words)
    words = [
        word
        for side in (first.positive, first.negative)
        for word in [f" {w}" for w in side if f" {w}" in place][:n_words]
    ]
    mapped = e_source[[place[word] for word in words]] @ embedding_map.back.T
    nearest = (mapped @ nn.functional.normalize(e_target).T).topk(n_nearest, dim=1).indices.tolist()
    neighbours = [
        (w, [shared.texts[i] for i in row]) for w, row in zip(words, nearest, strict=True)
    ]
    return FitReport(embedding_map.n_words, embedding_map.r2, neighbours)
