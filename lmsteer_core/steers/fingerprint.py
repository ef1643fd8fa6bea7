"""A few rows of the output embedding, by which a steer knows its model."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

FINGERPRINT_ROWS = 16
"""Rows of the output embedding, evenly spaced over the vocabulary, that identify a model."""


def fingerprint_rows(output_embedding: Tensor) -> Tensor:
    """Return the rows that identify a model: (FINGERPRINT_ROWS, d_model), float16, on the CPU.

    Args:
        output_embedding: E, (vocab_size, d_model).
    """
    ids = torch.linspace(0, output_embedding.shape[0] - 1, FINGERPRINT_ROWS).long()
    return output_embedding.detach()[ids.to(output_embedding.device)].cpu().to(torch.float16)


def fingerprint_digest(rows: Tensor) -> str:
    """Return 16 hex digits of the SHA-256 of fingerprint rows."""
    return hashlib.sha256(rows.to(torch.float16).contiguous().numpy().tobytes()).hexdigest()[:16]
