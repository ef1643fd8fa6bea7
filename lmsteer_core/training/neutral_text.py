"""Neutral text: what every steer of a model is measured against, sampled from the model itself.

Its hidden states and the Fisher information's factors belong to the model, not to a steer, so they
are computed once and kept in the cache folder.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lmsteer_core.files import cache_folder
from lmsteer_core.generation.generate import Row, generate
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.batched import (
    expected_embedding,
    hidden_states,
    next_word,
    tokens_per_chunk,
)
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress
from lmsteer_core.training.projection import Curvature, CurvatureSums

_OPENERS = (
    "The",
    "In the",
    "It was",
    "There is",
    "When the",
    "I",
    "We",
    "She said",
    "He was",
    "They have",
    "This is",
    "At first",
    "After the",
    "My",
    "Our",
    "Some people",
    "If you",
    "On Monday",
    "Most of",
    "One of the",
    "For the",
    "You can",
    "The old",
    "The new",
    "A small",
    "During the",
    "Then the",
    "What I",
    "Before we",
    "Because the",
    "Last night",
    "Every",
    "As a",
    "From the",
    "But the",
    "Near",
)


_ROWS_PER_BATCH = 96
_VERSION = 3


@dataclass(frozen=True)
class PlainText:
    """Neutral contexts of one model with what every source shares.

    Attributes:
        token_ids: The texts.
        hidden: Their hidden states, one (n_tokens, d_model) per text.
        curvature: A and B over these contexts.
    """

    token_ids: list[list[int]]
    hidden: list[Tensor]
    curvature: Curvature


def neutral_text(
    lm: LanguageModel, *, n_texts: int = 120, n_tokens: int = 22, progress: Progress | None = None
) -> PlainText:
    """Return short texts sampled from the model and their statistics, from the cache if there.

    Args:
        lm: The language model.
        n_texts: How many texts.
        n_tokens: Sampled tokens in each, after one of a few dozen ordinary openings.
        progress: Told how far it is.
    """
    file = (
        cache_folder() / "neutral" / f"{_digest(lm)}-{n_texts}x{n_tokens}-v{_VERSION}.safetensors"
    )
    plain = _load(file, lm)
    if plain is None:
        plain = _sample(lm, n_texts, n_tokens, progress or (lambda _share, _what: None))
        _save(file, plain)
    return plain


def curvature_of(lm: LanguageModel, hidden: Tensor) -> Curvature:
    """Return A and B over hidden states (n_tokens, d_model), in float64."""
    sums = CurvatureSums(lm)
    for h in hidden.split(tokens_per_chunk(lm)):
        p = next_word(lm, h)
        sums.add(h, p, expected_embedding(lm, p))
    return sums.mean()


def _sample(lm: LanguageModel, n_texts: int, n_tokens: int, progress: Progress) -> PlainText:
    rows = [
        Row(_OPENERS[i % len(_OPENERS)], seed_offset=i // len(_OPENERS)) for i in range(n_texts)
    ]
    sampling = Sampling(temperature=1.0, top_p=0.9, max_new_tokens=n_tokens, seed=1)
    texts: list[list[int]] = []
    for start in range(0, n_texts, _ROWS_PER_BATCH):
        some = rows[start : start + _ROWS_PER_BATCH]

        def report(n_done: int, start: int = start, n_rows: int = len(some)) -> None:
            share = (start + n_rows * n_done / n_tokens) / n_texts
            progress(0.8 * share, "sampling neutral text from the model")

        for done in generate(lm, some, {}, sampling, logprobs=False, on_step=report):
            texts.append(
                lm.encode(done.row.prompt)[0][len(lm.prefix_ids) :] + [t.id for t in done.tokens]
            )
    progress(0.8, "measuring the model's curvature")
    hidden = hidden_states(lm, texts, lm.prefix_ids)
    return PlainText(texts, hidden, curvature_of(lm, torch.cat(hidden)))


def _digest(lm: LanguageModel) -> str:
    """Name a model by a sample of all its weights: twins that share an embedding are told apart."""
    digest = hashlib.sha256(f"{lm.model_id} {lm.output_embedding.dtype}".encode())
    for parameter in lm.model.parameters():
        flat = parameter.flatten()
        digest.update(flat[:: max(1, len(flat) // 64)].double().cpu().numpy().tobytes())
    return digest.hexdigest()[:20]


def _save(file: Path, plain: PlainText) -> None:
    tensors = {
        "token_ids": torch.tensor([i for text in plain.token_ids for i in text]),
        "lengths": torch.tensor([len(text) for text in plain.token_ids]),
        "hidden": torch.cat(plain.hidden).cpu(),
        "curvature_embedding": plain.curvature.embedding.cpu(),
        "curvature_hidden": plain.curvature.hidden.cpu(),
        "curvature_ends": plain.curvature.ends.cpu(),
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=file.parent) as scratch:
            save_file(tensors, Path(scratch) / file.name)
            os.replace(Path(scratch) / file.name, file)
    except (OSError, SafetensorError):
        pass  # only a cache: a read-only home costs half a minute per steer


def _load(file: Path, lm: LanguageModel) -> PlainText | None:
    try:
        tensors = load_file(file, device=str(lm.device))
        lengths = tensors["lengths"].tolist()
        token_ids = [ids.tolist() for ids in tensors["token_ids"].split(lengths)]
        curvature = Curvature(
            *(tensors[f"curvature_{part}"] for part in ("embedding", "hidden", "ends"))
        )
        return PlainText(token_ids, list(tensors["hidden"].split(lengths)), curvature)
    # absent, or a damaged cache: make it again
    except (OSError, SafetensorError, KeyError, RuntimeError):
        return None
