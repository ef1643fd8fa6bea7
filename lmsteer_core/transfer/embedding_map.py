"""A linear map between the output embeddings of two models, fitted on shared words."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lmsteer_core.errors import InputError
from lmsteer_core.models.batched import next_word, tokens_per_chunk
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.fingerprint import fingerprint_digest
from lmsteer_core.steers.steer import Steer
from lmsteer_core.training.neutral_text import PlainText

Method = Literal["behaviour", "ridge", "procrustes", "transpose"]

LEAST_SHARED_WORDS = 500
"""Fewer say too little about a space of some hundred dimensions."""

_RIDGE = 0.1

_N_WEIGHED_TOKENS = 350
"""Neutral tokens that give the words of a map their weights,
under a square root: few are enough."""


@dataclass(frozen=True)
class SharedWords:
    """Tokens of two models with one spelling, word starts told apart from the middles of words.

    Attributes:
        source_ids: Their ids in the source's vocabulary, (n_shared,).
        target_ids: Their ids in the target's, (n_shared,).
        texts: Their spellings; those that begin a word have a leading space.
    """

    source_ids: Tensor
    target_ids: Tensor
    texts: list[str]


@dataclass(frozen=True)
class EmbeddingMap:
    """A linear map between two models' output embeddings, e_source ≈ H e_target.

    Attributes:
        forward: H, (d_source, d_target).
        back: Its way back, (d_target, d_source): a fit of its own, or Hᵀ.
        n_words: Shared words that it was fitted on.
        r2: Share of the source embeddings' variance that it explains, words weighted as in the fit.
    """

    forward: Tensor
    back: Tensor
    n_words: int
    r2: float


def shared_words(source: LanguageModel, target: LanguageModel) -> SharedWords:
    """Return the tokens that both vocabularies have, whatever their tokenizers.

    Raises:
        InputError: If there are fewer than `LEAST_SHARED_WORDS`.
    """
    source_ids, target_ids = _spellings(source), _spellings(target)
    texts = sorted(source_ids.keys() & target_ids.keys(), key=target_ids.__getitem__)
    if len(texts) < LEAST_SHARED_WORDS:
        raise InputError(
            f"{source.model_id} and {target.model_id} share {len(texts)} words; "
            f"a transfer needs at least {LEAST_SHARED_WORDS}."
        )
    return SharedWords(
        torch.tensor([source_ids[text] for text in texts]),
        torch.tensor([target_ids[text] for text in texts]),
        texts,
    )


def fit_map(
    source: LanguageModel, target: LanguageModel, plain: PlainText, *, method: Method = "ridge"
) -> EmbeddingMap:
    """Return the map between two models' output embeddings that fits their shared words.

    Weighted least squares, each word by the square root of its mean probability in the target's
    neutral text, with a ridge of a tenth of the mean eigenvalue; means are taken off first, because
    no softmax notices them.

    Args:
        source: The model to map to.
        target: The model to map from.
        plain: Neutral text of `target.for_batches`.
        method: "ridge", "transpose" or "procrustes", see `transfer`.
    """
    shared = shared_words(source, target)
    weight = _mean_probability(target.for_batches, plain)[shared.target_ids].sqrt()
    weight = (weight / weight.sum()).clamp_min(1e-9).float()[:, None]
    e_source, e_target = shared_embeddings(source, target, shared)
    e_source, e_target = (e - (weight * e).sum(dim=0) for e in (e_source, e_target))
    if method == "procrustes":
        u, _, vt = torch.linalg.svd(
            (e_source.T @ (weight * e_target)).double(), full_matrices=False
        )
        forward = (u @ vt).float()
    else:
        forward = _ridge(e_target, e_source, weight)
    back = _ridge(e_source, e_target, weight) if method == "ridge" else forward.T
    fitted = e_target @ forward.T
    # A rotation keeps lengths, which two models do not share: the best scale is not its mistake.
    scale = (weight * fitted * e_source).sum() / (weight * fitted.square()).sum()
    left_over = (weight * (e_source - scale * fitted).square()).sum()
    r2 = 1 - float(left_over / (weight * e_source.square()).sum())
    return EmbeddingMap(forward, back, len(shared.texts), r2)


def carried(steer: Steer, embedding_map: EmbeddingMap, target: LanguageModel, name: str) -> Steer:
    """Return W′ = H⁻ W H on the target, not yet calibrated."""
    card = dataclasses.replace(
        steer.card,
        name=name,
        model_id=target.model_id,
        fingerprint=fingerprint_digest(target.fingerprint_rows),
        calibration={},
        metrics={"shared_words": embedding_map.n_words, "map_r2": round(embedding_map.r2, 4)},
    )
    left = embedding_map.back @ steer.left.float().cpu()
    right = steer.right.float().cpu() @ embedding_map.forward
    return Steer(left, right, target.fingerprint_rows, card)


def shared_embeddings(
    source: LanguageModel, target: LanguageModel, shared: SharedWords
) -> tuple[Tensor, Tensor]:
    """Return either model's output embeddings of the shared words, (n_shared, d_model), float32."""
    return (
        source.output_embedding[shared.source_ids.to(source.device)].float().cpu(),
        target.output_embedding[shared.target_ids.to(target.device)].float().cpu(),
    )


def _ridge(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return H, (d_y, d_x), with y ≈ H x over rows."""
    weighted = weight * x
    moment, cross = (weighted.T @ x).double(), (weighted.T @ y).double()
    ridge = _RIDGE * moment.trace() / len(moment)
    h: Tensor = torch.linalg.solve(
        moment + ridge * torch.eye(len(moment), dtype=moment.dtype), cross
    )
    return h.T.float()


def _spellings(lm: LanguageModel) -> dict[str, int]:
    """Return every token's id by its spelling, a word start's with a leading space."""
    by_spelling: dict[str, int] = {}
    for i, text in enumerate(lm.token_texts):
        if text.strip() and "\ufffd" not in text:
            by_spelling.setdefault(f" {text.strip()}" if text.startswith(" ") else text, i)
    return by_spelling


def _mean_probability(lm: LanguageModel, plain: PlainText) -> Tensor:
    """Return the mean next-word probability over some neutral text, (vocab_size,), float64."""
    hidden = torch.cat(plain.hidden)
    hidden = hidden[:: max(1, len(hidden) // _N_WEIGHED_TOKENS)]
    total = torch.zeros(lm.vocab_size, dtype=torch.float64, device=lm.device)
    for h in hidden.split(tokens_per_chunk(lm)):
        total += next_word(lm, h).sum(dim=0, dtype=torch.float64)
    return (total / len(hidden)).cpu()
