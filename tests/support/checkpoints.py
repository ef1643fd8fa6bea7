"""Official checkpoints, made here."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def projectors(d_model: int = 32, rank: int = 50, n_steers: int = 4) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint; large enough for W to matter."""
    noise = torch.Generator().manual_seed(3)
    return {
        key: torch.nn.Parameter(torch.randn(n_steers, d_model, rank, generator=noise))
        for key in ("projector1", "projector2")
    }


def save_checkpoint(
    path: Path, tensors: Mapping[str, Any] | None = None, steps: object = 1000, **settings: Any
) -> Path:
    """Write what the official training script writes."""
    settings = {"model_name": "tiny", "adaptor_class": "multiply", "rank": 50, **settings}
    torch.save(
        [argparse.Namespace(**settings), projectors() if tensors is None else tensors, steps], path
    )
    return path
