"""A few rows of the output embedding, by which a steer knows its model."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

FINGERPRINT_ROWS = 16
"""Rows of the output embedding, evenly spaced over the vocabulary, that identify a model."""

_SAME_MODEL_COSINE = 0.9
"""Median cosine of fingerprint rows.

Re-quantised copies stay above 0.98, unrelated models near 0.
"""

_LONGEST = 1.25
"""How many times a vocabulary may have been longer when the rows were taken: four in five are left
to compare."""

_ROWS_AT_ONCE = 16_384


def fingerprint_rows(output_embedding: Tensor) -> Tensor:
    """Return the rows that identify a model: (FINGERPRINT_ROWS, d_model), float16, on the CPU.

    Args:
        output_embedding: E, (vocab_size, d_model).
    """
    ids = _places(torch.tensor([len(output_embedding)]))[0]
    return output_embedding.detach()[ids.to(output_embedding.device)].cpu().to(torch.float16)


def fingerprint_digest(rows: Tensor) -> str:
    """Return 16 hex digits of the SHA-256 of fingerprint rows."""
    return hashlib.sha256(rows.to(torch.float16).contiguous().numpy().tobytes()).hexdigest()[:16]


def are_parallel(rows: Tensor, others: Tensor) -> bool:
    """Return whether most of some fingerprint rows are nearly parallel to others in their order."""
    cosines = torch.cosine_similarity(rows.float(), others.float(), dim=1)
    return cosines.median().item() >= _SAME_MODEL_COSINE


@torch.no_grad()
def is_fingerprint(rows: Tensor, output_embedding: Tensor) -> bool:
    """Return whether fingerprint rows are those of a model, or of a copy of it.

    A copy may be re-quantised or fine-tuned a little, so its rows need only be nearly parallel; and
    tokens may have been added to its vocabulary or taken from its end. As the rows are evenly
    spaced, their places tell how long the vocabulary was: every length is tried.

    Args:
        rows: (FINGERPRINT_ROWS, d_model).
        output_embedding: E, (vocab_size, d_model).
    """
    if rows.shape != (FINGERPRINT_ROWS, output_embedding.shape[1]):
        return False
    if are_parallel(rows, fingerprint_rows(output_embedding)):
        return True
    directions = nn.functional.normalize(rows.float(), dim=1).to(output_embedding.device)
    parallel = torch.cat(
        [
            directions @ part.float().T >= _SAME_MODEL_COSINE * part.float().norm(dim=1)
            for part in output_embedding.split(_ROWS_AT_ONCE)
        ],
        dim=1,
    ).cpu()
    vocab_size = parallel.shape[1]
    places = _places(torch.arange(FINGERPRINT_ROWS, int(_LONGEST * vocab_size) + 1)).T
    is_there = places < vocab_size
    n_parallel = (parallel.gather(1, places.clamp_max(vocab_size - 1)) & is_there).sum(dim=0)
    return bool((2 * n_parallel > is_there.sum(dim=0)).any())


def _places(vocab_sizes: Tensor) -> Tensor:
    """Return the token ids of fingerprint rows, (n_sizes, FINGERPRINT_ROWS), as torch.linspace."""
    last = (vocab_sizes - 1)[:, None]
    step = last.float() / (FINGERPRINT_ROWS - 1)
    i = torch.arange(FINGERPRINT_ROWS)
    from_end = last.float() - step * (FINGERPRINT_ROWS - 1 - i)
    return torch.where(i < FINGERPRINT_ROWS // 2, step * i, from_end).long()
