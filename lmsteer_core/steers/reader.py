"""A second pair of factors of a steer, which reads its style and never writes.

W is made to write: what moves the next word towards a style in fluent text. Which words a reader
takes for the style is another question, and where labelled text answers it, its answer is kept
beside W.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lmsteer_core.errors import SteerError

READER_FILE = "reader.safetensors"


@dataclass(frozen=True, eq=False)
class Reader:
    """Factors that score a token's embedding e behind a hidden state h: h · left · right · e.

    Attributes:
        left: (d_model, rank).
        right: (rank, d_model).
    """

    left: Tensor
    right: Tensor

    def __post_init__(self) -> None:
        """Refuse factors that are not one finite square matrix."""
        shapes = tuple(self.left.shape), tuple(self.right.shape)
        if self.left.ndim != 2 or self.right.ndim != 2 or shapes[0] != shapes[1][::-1]:
            raise SteerError(f"A reader's factors {shapes[0]} and {shapes[1]} do not multiply.")
        if not (torch.isfinite(self.left).all() and torch.isfinite(self.right).all()):
            raise SteerError("A reader's factors hold NaN or infinity.")

    def save(self, folder: Path) -> None:
        """Write `READER_FILE` into a folder."""
        tensors = {"left": self.left.contiguous(), "right": self.right.contiguous()}
        save_file(tensors, folder / READER_FILE)

    @classmethod
    def load(cls, folder: Path) -> Reader | None:
        """Read a folder's reader, if it has one.

        Raises:
            SteerError: If the file is damaged.
        """
        file = folder / READER_FILE
        if not file.is_file():
            return None
        try:
            with safe_open(file, framework="pt") as opened:
                tensors = {key: opened.get_tensor(key) for key in ("left", "right")}
            return cls(tensors["left"], tensors["right"])
        except (SafetensorError, OSError) as error:
            raise SteerError(f"{file} cannot be read; fetch it again.") from error
