"""A steer: the equation, its factors, and how it is saved and read.

The equation (Han et al., ACL 2024, arXiv 2305.12798). A steer is a matrix W that moves every
output word embedding e by ε:

    e' = (I + ε W) e        and so        logits = E (h + ε Wᵀ h)

because h · (I + εW) e = (h + ε Wᵀ h) · e. W is kept as two factors, W = left @ right, and hidden
states are rows here, so the whole of steering is `steer_hidden`. Its product with E needs no second
pass over the vocabulary where E h is known already: `steer_product`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lmsteer_core.errors import SteerError
from lmsteer_core.steers.card import CARD_FILE, SteerCard, check_name
from lmsteer_core.steers.fingerprint import are_parallel, fingerprint_rows, is_fingerprint
from lmsteer_core.steers.reader import Reader

WEIGHTS_FILE = "steer.safetensors"

_FACTOR_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def steer_hidden(hidden: Tensor, left: Tensor, right: Tensor, epsilon: Tensor) -> Tensor:
    """Return h + ε Wᵀ h for hidden states held as rows: the equation itself.

    Args:
        hidden: Hidden states after the final norm, (..., d_model).
        left: Left factor of W, (d_model, rank).
        right: Right factor of W, (rank, d_model).
        epsilon: Strength per row and per rank, broadcastable to (..., rank). Several steers are
            one call: concatenate their factors along rank and repeat each ε over its own rank.

    Returns:
        Steered hidden states, the shape of `hidden`.
    """
    return _moved(hidden, hidden, left, right, epsilon)


def steer_product(
    product: Tensor, hidden: Tensor, left: Tensor, embedded: Tensor, epsilon: Tensor
) -> Tensor:
    """Return E (h + ε Wᵀ h) = E h + ε (h · left) (right · Eᵀ): E times what `steer_hidden` returns.

    Args:
        product: E h, (..., vocab_size).
        hidden: h, (..., d_model).
        left: Left factor of W, (d_model, rank).
        embedded: The right factor times Eᵀ, (rank, vocab_size).
        epsilon: As for `steer_hidden`.

    Returns:
        Steered products, the shape of `product`.
    """
    return _moved(product, hidden, left, embedded, epsilon)


def _moved(start: Tensor, hidden: Tensor, left: Tensor, right: Tensor, epsilon: Tensor) -> Tensor:
    # Not 0 · ∞, which is NaN: a steer that overflows must not reach rows whose ε is 0.
    return start + torch.where(epsilon == 0, 0.0, hidden @ left * epsilon) @ right


@dataclass(frozen=True, eq=False)
class Steer:
    """A steering matrix W = left @ right with its card.

    Attributes:
        left: (d_model, rank); a hidden state's coordinates are `h @ left`.
        right: (rank, d_model); where those coordinates move the logits.
        fingerprint_rows: (FINGERPRINT_ROWS, d_model) rows of the model's output embedding.
        card: Name, poles, provenance.
        reader: Factors that only read the style; None where W reads it.
    """

    left: Tensor
    right: Tensor
    fingerprint_rows: Tensor
    card: SteerCard
    reader: Reader | None = None

    def __post_init__(self) -> None:
        """Refuse factors that are not one finite, low-rank or dense square matrix."""
        for name in ("left", "right", "fingerprint_rows"):
            tensor = getattr(self, name)
            if tensor.ndim != 2 or tensor.dtype not in _FACTOR_DTYPES:
                raise SteerError(
                    f"Steer '{self.card.name}': {name} must be a 2-D floating-point tensor, "
                    f"not {tensor.dtype} of shape {tuple(tensor.shape)}."
                )
            if not torch.isfinite(tensor).all():
                raise SteerError(f"Steer '{self.card.name}': {name} holds NaN or infinity.")
        (d_model, rank), (rank_right, d_right) = self.left.shape, self.right.shape
        if rank != rank_right or d_model != d_right or rank < 1:
            raise SteerError(
                f"Steer '{self.card.name}': factors {tuple(self.left.shape)} and "
                f"{tuple(self.right.shape)} do not multiply to a square matrix."
            )
        if self.fingerprint_rows.shape[1] != d_model:
            raise SteerError(f"Steer '{self.card.name}': its fingerprint is of another width.")
        if self.reader and len(self.reader.left) != d_model:
            raise SteerError(f"Steer '{self.card.name}': its reader is of another width.")

    @property
    def name(self) -> str:
        """The steer's name."""
        return self.card.name

    @property
    def d_model(self) -> int:
        """Width of the hidden state it acts on."""
        return self.left.shape[0]

    @property
    def rank(self) -> int:
        """Number of columns of its factors."""
        return self.left.shape[1]

    def matrix(self) -> Tensor:
        """Return W itself, (d_model, d_model), float32."""
        return self.left.float() @ self.right.float()

    def svd(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return U (d_model, rank), σ (rank,), Vᵀ (rank, d_model) of W through its factors.

        Two thin QR decompositions reduce the d × d problem to rank × rank; float64 inside.
        """
        q_left, r_left = torch.linalg.qr(self.left.double())
        q_right, r_right = torch.linalg.qr(self.right.double().T)
        u, sigma, vt = torch.linalg.svd(r_left @ r_right.T)
        return (q_left @ u).float(), sigma.float(), (vt @ q_right.T).float()

    def scaled(self, factor: float) -> Steer:
        """Return the steer factor · W."""
        return dataclasses.replace(self, left=self.left * factor, reader=None)

    def __add__(self, other: Steer) -> Steer:
        """Return the steer W₁ + W₂; both must belong to one model."""
        check_fingerprint(other, self.fingerprint_rows, self.card.model_id)
        card = dataclasses.replace(
            self.card,
            name=f"{self.name}+{other.name}",
            negative=f"{self.card.negative} and {other.card.negative}",
            positive=f"{self.card.positive} and {other.card.positive}",
            rank=self.rank + other.rank,
            method="sum",
            data=f"{self.name} + {other.name}",
            epsilon_range=SteerCard.epsilon_range,
            collapse_range=SteerCard.collapse_range,
            calibration={},
            metrics={},
            notice=" ".join(filter(None, [self.card.notice, other.card.notice])),
        )
        left = torch.cat([self.left.float(), other.left.float()], dim=1)
        right = torch.cat([self.right.float(), other.right.float()], dim=0)
        return dataclasses.replace(self, left=left, right=right, card=card, reader=None)

    def save(self, folder: Path | str) -> Path:
        """Write steer.safetensors, card.json and a reader, if there is one, and return `folder`.

        Raises:
            SteerError: If the name cannot be a folder name or the disk refuses.
        """
        folder = Path(folder)
        check_name(self.name)
        tensors = {
            "left": self.left.contiguous(),
            "right": self.right.contiguous(),
            "fingerprint_rows": self.fingerprint_rows.contiguous(),
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save_file(tensors, folder / WEIGHTS_FILE)
            if self.reader:
                self.reader.save(folder)
            (folder / CARD_FILE).write_text(self.card.to_json(), encoding="utf-8")
        except (OSError, SafetensorError) as error:
            raise SteerError(f"Cannot write the steer to {folder}: {error}.") from error
        return folder

    @classmethod
    def load(cls, folder: Path | str) -> Steer:
        """Read a steer from its folder.

        Raises:
            SteerError: If a file is missing, truncated, of a wrong shape or not finite.
        """
        folder = Path(folder)
        try:
            card = SteerCard.from_json((folder / CARD_FILE).read_text(encoding="utf-8"))
            with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except FileNotFoundError as error:
            raise SteerError(
                f"No steer at {folder}: {CARD_FILE} or {WEIGHTS_FILE} is missing."
            ) from error
        except UnicodeDecodeError as error:
            raise SteerError(f"{folder / CARD_FILE} is not UTF-8 text.") from error
        except (SafetensorError, OSError) as error:
            raise SteerError(
                f"{folder / WEIGHTS_FILE} cannot be read; it may be truncated: fetch it again."
            ) from error
        missing = {"left", "right", "fingerprint_rows"} - tensors.keys()
        if missing:
            raise SteerError(f"{folder / WEIGHTS_FILE} lacks the tensor {sorted(missing)[0]!r}.")
        factors = tensors["left"], tensors["right"], tensors["fingerprint_rows"]
        return cls(*factors, card, Reader.load(folder))


def check_fingerprint(steer: Steer, output_embedding: Tensor, model_id: str) -> None:
    """Raise SteerError unless `steer` was made for the model, or a copy of it.

    Args:
        steer: Any steer.
        output_embedding: The model's E, (vocab_size, d_model), or another steer's fingerprint rows.
        model_id: What to call the model.
    """
    if not is_fingerprint(steer.fingerprint_rows, output_embedding):
        raise SteerError(
            f"Steer '{steer.name}' was made for {steer.card.model_id} and cannot steer {model_id}; "
            "train or transfer it for this model."
        )


def bound(steer: Steer, output_embedding: Tensor, model_id: str) -> Steer:
    """Return a steer that fits the others of a model, even if made for one with other tokens.

    Arguments and errors as for `check_fingerprint`.
    """
    check_fingerprint(steer, output_embedding, model_id)
    rows = fingerprint_rows(output_embedding)
    if are_parallel(steer.fingerprint_rows, rows):
        return steer
    return dataclasses.replace(steer, fingerprint_rows=rows)
