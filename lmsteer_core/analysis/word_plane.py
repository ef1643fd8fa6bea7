"""All words of a model on two axes: where they are, and where a steer's ε moves them."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lmsteer_core.analysis.dimensions import centred_scores, mean_logit_shift
from lmsteer_core.analysis.ordinary_text import expectations
from lmsteer_core.analysis.vocabulary import vocabulary
from lmsteer_core.analysis.word_clusters import frequency_free
from lmsteer_core.analysis.word_lists import word_directions
from lmsteer_core.files import cache_folder
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.steer import Steer, check_fingerprint

_N_COMPONENTS = 50
_PERPLEXITY = 30
_N_ITERATIONS = 500
_ANGLE = 0.7
_VERSION = 1

_AXES: WeakKeyDictionary[LanguageModel, tuple[Tensor, Tensor]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class WordPlane:
    """The n_words of a `vocabulary` on two axes.

    Attributes:
        titles: What the axes are, across and up.
        positions: Where each word is at ε = 0, (n_words, 2).
        moves: What ε = 1 adds, (n_words, 2).
    """

    titles: tuple[str, str]
    positions: Tensor
    moves: Tensor

    def __post_init__(self) -> None:
        """Refuse positions and moves that do not belong together."""
        if self.positions.shape != self.moves.shape or self.positions.shape[1:] != (2,):
            raise ValueError(
                "Positions and moves must both be (n_words, 2), not "
                f"{tuple(self.positions.shape)} and {tuple(self.moves.shape)}."
            )


def principal_plane(lm: LanguageModel, steer: Steer | None = None) -> WordPlane:
    """Return the words on the two principal axes of their embeddings, with their moves W e there.

    Args:
        lm: The language model.
        steer: What moves the words; without one none moves.

    Raises:
        SteerError: If the steer is another model's.
    """
    axes, shares = _principal_axes(lm)
    positions = centred_scores(lm, axes)
    moves = torch.zeros_like(positions)
    if steer is not None:
        check_fingerprint(steer, lm.output_embedding, lm.model_id)
        # W e along an axis is e along Wᵀ of it.
        moves = centred_scores(
            lm, steer.right.float().cpu().T @ (steer.left.float().cpu().T @ axes)
        )
    first, second = (
        f"principal axis {i} of all words ({share:.0%} of their spread)"
        for i, share in enumerate(shares.tolist(), start=1)
    )
    return WordPlane((first, second), positions, moves)


def neighbourhood_plane(lm: LanguageModel) -> WordPlane:
    """Return the words where t-SNE puts them, near to their neighbours; ε moves none.

    It is kept in the cache folder. Which words are near says something; how far apart two groups
    are, where they lie and how wide they are says nothing.

    References:
        van der Maaten and Hinton, 2008, "Visualizing Data using t-SNE".
    """
    file = cache_folder() / "neighbourhoods" / f"{_digest(lm)}-v{_VERSION}.safetensors"
    positions = _load(file, len(vocabulary(lm).words))
    if positions is None:
        positions = neighbourhoods(frequency_free(lm))
        _save(file, positions)
    return WordPlane(
        ("neighbourhoods (t-SNE, no unit)", "neighbourhoods (t-SNE, no unit)"),
        positions,
        torch.zeros_like(positions),
    )


def neighbourhoods(vectors: Tensor) -> Tensor:
    """Return where t-SNE puts (n, d) vectors, (n, 2), with 1 as the largest coordinate."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    n_components = min(_N_COMPONENTS, *vectors.shape)
    reduced = PCA(n_components, random_state=0).fit_transform(vectors.numpy())
    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
    embedding = TSNE(
        perplexity=perplexity, max_iter=_N_ITERATIONS, angle=_ANGLE, random_state=0, n_jobs=1
    )
    positions = torch.from_numpy(embedding.fit_transform(reduced)).float()
    return positions / positions.abs().max().clamp_min(1e-30)


def word_shifts(lm: LanguageModel, steer: Steer | None, *, plus_only: bool = False) -> Tensor:
    """Return how ε = 1 moves each word's logit in ordinary text, (n_words,), in nats.

    Args:
        lm: The language model.
        steer: One of its steers; without one nothing moves.
        plus_only: Give NaN for the words of the − pole: those that −ε makes likelier.
    """
    if steer is None:
        return torch.zeros(len(vocabulary(lm).words))
    shifts = mean_logit_shift(lm, steer)
    return shifts.masked_fill(shifts < 0, torch.nan) if plus_only else shifts


def word_frequencies(lm: LanguageModel) -> tuple[list[str], Tensor]:
    """Return the words of the `vocabulary` and their mean probability in ordinary text."""
    words = vocabulary(lm)
    return words.words, expectations(lm).probability[words.token_ids]


def _principal_axes(lm: LanguageModel) -> tuple[Tensor, Tensor]:
    """Return two axes of length 1, (d_model, 2), and the share of the words' variance on each."""
    found = _AXES.get(lm)
    if found is None:
        units, lengths = word_directions(lm)
        values, vectors = torch.linalg.eigh(torch.cov((units * lengths[:, None]).T.double()))
        axes = vectors[:, [-1, -2]]
        # An eigenvector's sign is the machine's: the words' skewness along it is made positive.
        skewness = ((units * lengths[:, None]).double() @ axes).pow(3).mean(dim=0)
        axes = axes * torch.where(skewness < 0, -1.0, 1.0)
        found = _AXES[lm] = axes.float(), (values[[-1, -2]] / values.sum()).float()
    return found


def _digest(lm: LanguageModel) -> str:
    """Name the words and their embeddings."""
    digest = hashlib.sha256("\n".join(vocabulary(lm).words).encode())
    digest.update(word_directions(lm)[0][:, ::16].half().contiguous().numpy().tobytes())
    return digest.hexdigest()[:20]


def _save(file: Path, positions: Tensor) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=file.parent) as scratch:
            save_file({"positions": positions.contiguous()}, Path(scratch) / file.name)
            os.replace(Path(scratch) / file.name, file)
    except (OSError, SafetensorError):
        pass  # only a cache: a read-only home waits for it again


def _load(file: Path, n_words: int) -> Tensor | None:
    try:
        positions = load_file(file)["positions"]
    except (OSError, SafetensorError, KeyError):  # absent, or a damaged cache: make it again
        return None
    return positions if positions.shape == (n_words, 2) else None
