"""The original LM-Steer training recipe: the reference that other ways must beat.

Han et al., ACL 2024 (arXiv 2305.12798) and the code published with it: two steers of rank 1,000 are
trained by Adam on labelled text. The style has strength v = label; the *dummy* is always on (v = 1)
and takes up what the texts share, their domain and format. With ε₀ = 1e-3 a hidden state becomes

    h + ε₀ Σ_s v_s (h P1_s) P2_sᵀ        so that        W = ε₀ P1 P2ᵀ, ε = v

Two things differ from the published code. Padding is not scored: there the end-of-text token that
fills a batch is part of the loss. And the dummy is thrown away, which at ε = 0 leaves the base
model; the published evaluation keeps it on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Iterator, Sequence

import torch
from torch import Tensor, nn

from lmsteer_core.errors import InputError
from lmsteer_core.models.batched import MAX_TEXT_TOKENS, like_lengths, token_ids
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.card import SteerCard, check_name
from lmsteer_core.steers.factors import thin
from lmsteer_core.steers.fingerprint import fingerprint_digest
from lmsteer_core.steers.steer import Steer, steer_hidden
from lmsteer_core.training.sources.labelled_text import LabelledText

N_STEPS = 1000
"""Steps of the published runs."""

_INITIAL_STD = 1e-2
_LOGITS_PER_CHUNK = 2**25
"""Logits held at once: 128 MiB in float32, and as much again for each of a few copies."""


# Over 60 lines: all but 34 are the settings of the published runs and what they mean.
def train_official(
    lm: LanguageModel,
    name: str,
    texts: Sequence[str],
    labels: Sequence[float],
    *,
    snapshots: Collection[int] = (N_STEPS,),
    rank: int = 1000,
    learning_rate: float = 1e-2,
    batch_size: int = 32,
    scale: float = 1e-3,
    regularization: float = 1e-6,
    seed: int = 0,
    max_tokens: int = MAX_TEXT_TOKENS,
    recipe: type[OfficialTraining] | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> dict[int, Steer]:
    """Train as published and return the style after each of the steps asked for.

    Defaults are the published sentiment run's. The language model reads every batch anew, in its
    own dtype; the head, the loss and the steers are float32.

    Args:
        lm: The language model.
        name: The steer's name.
        texts: The training texts.
        labels: One label per text in [−1, 1]; graded labels are strengths v.
        snapshots: Steps after which to keep the style; the last of them ends the training.
        rank: Columns of P1 and P2.
        learning_rate: Adam's.
        batch_size: Texts a step.
        scale: ε₀.
        regularization: Weight of the projectors' summed squares in the loss.
        seed: Seed of the initial projectors and of the order of the texts.
        max_tokens: Tokens that are read of each text.
        recipe: Another place for the steers than the hidden states, e.g. the input embeddings.
        progress: Called with the finished share (0–1) and the latest loss in words.

    Returns:
        Steer by step, uncalibrated: ε = 1 is v = 1. The factors are the float16 factors of W's SVD,
        (d_model, k) and (k, d_model) with k = min(rank, d_model): the same product ε₀ P1 P2ᵀ, in
        fewer numbers where the published rank exceeds the model's width.

    Raises:
        InputError: If the data do not hold two labelled poles or a setting is out of range.
    """
    check_name(name)
    LabelledText(texts, labels)  # refuses what labels no two poles
    ids = token_ids(lm, texts, max_tokens)
    steps = sorted(set(snapshots))
    if not steps or steps[0] < 1 or min(rank, batch_size) < 1:
        raise InputError("Steps, rank and batch size must be whole numbers from 1.")
    if not (
        0 < learning_rate < math.inf and 0 < scale < math.inf and 0 <= regularization < math.inf
    ):
        raise InputError("Learning rate and scale must be above 0, the regularization at least 0.")
    training = (recipe or OfficialTraining)(
        lm,
        ids,
        labels,
        rank=rank,
        learning_rate=learning_rate,
        batch_size=batch_size,
        scale=scale,
        regularization=regularization,
        seed=seed,
    )
    card = SteerCard(
        name,
        "label −1",
        "label +1",
        lm.model_id,
        fingerprint_digest(lm.fingerprint_rows),
        method="official recipe",
        data=f"{len(texts)} texts",
    )
    steers = {}
    for step, loss in enumerate(training, start=1):
        if progress:
            progress(step / steps[-1], f"step {step} of {steps[-1]}, loss {loss:.3f} nats a token")
        if step in steps:
            steers[step] = thin(training.style(card, step))
        if step == steps[-1]:
            break
    return steers


class OfficialTraining:
    """One run of the recipe: iterate over it for a step and its loss at a time, without end.

    Attributes:
        projector1: P1 of the style and the dummy, (2, d_model, rank), float32.
        projector2: P2 of the same, (2, d_model, rank), float32.
    """

    def __init__(
        self,
        lm: LanguageModel,
        token_ids: Sequence[Sequence[int]],
        labels: Sequence[float],
        *,
        rank: int,
        learning_rate: float,
        batch_size: int,
        scale: float,
        regularization: float,
        seed: int,
    ) -> None:
        """Draw the projectors; arguments as for `train_official`, texts as tokens with targets."""
        self._lm, self._token_ids, self._labels = lm, token_ids, labels
        self._batch_size, self._scale, self._regularization = batch_size, scale, regularization
        self._random = torch.Generator().manual_seed(seed)
        self.projector1, self.projector2 = (
            (_INITIAL_STD * torch.randn(2, lm.d_model, rank, generator=self._random))
            .to(lm.device)
            .requires_grad_()
            for _ in range(2)
        )
        self._adam = torch.optim.Adam([self.projector1, self.projector2], lr=learning_rate)

    def __iter__(self) -> Iterator[float]:
        """Yield the loss of each step, in nats per token and before its update."""
        while True:
            for batch in torch.randperm(len(self._labels), generator=self._random).split(
                self._batch_size
            ):
                self._adam.zero_grad()
                loss = self.backward(batch.tolist())
                self._adam.step()
                yield loss

    def backward(self, batch: Sequence[int]) -> float:
        """Add the gradient of the texts' mean loss to the projectors; return it, in nats per token.

        Only what follows the language model's hidden states is differentiated.
        """
        total = self._backward(batch)
        if self._regularization:
            squares = self.projector1.square().sum() + self.projector2.square().sum()
            (self._regularization * squares).backward()
        return total

    def _backward(self, batch: Sequence[int]) -> float:
        """Do the same without the regularization."""
        lm = self._lm
        groups = like_lengths(batch, self._token_ids)
        states = [
            h for group in groups for h in lm.hidden_states([self._token_ids[i] for i in group])
        ]
        batch = [i for group in groups for i in group]
        hidden = torch.cat([h[:-1] for h in states])
        targets = torch.tensor([t for i in batch for t in self._token_ids[i][1:]], device=lm.device)
        strengths = torch.cat(
            [
                torch.tensor([[self._labels[i], 1.0]]).expand(len(self._token_ids[i]) - 1, 2)
                for i in batch
            ]
        ).to(lm.device)
        n_rows = max(1, _LOGITS_PER_CHUNK // lm.vocab_size)
        total = 0.0
        for h, v, x in zip(*(t.split(n_rows) for t in (hidden, strengths, targets)), strict=True):
            logits = lm.finish(lm.unembed(self._steered(h, v)))
            loss = nn.functional.cross_entropy(logits, x, reduction="sum") / len(targets)
            loss.backward()
            total += loss.item()
        return total

    def style(self, card: SteerCard, step: int) -> Steer:
        """Return the style as it stands, W = ε₀ P1 P2ᵀ, in float32."""
        left = self.projector1[0].detach().cpu().clone()
        right = self._scale * self.projector2[0].detach().cpu().T
        card = dataclasses.replace(card, rank=left.shape[1], metrics={"n_steps": step})
        return Steer(left, right, self._lm.fingerprint_rows, card)

    def _steered(self, hidden: Tensor, strengths: Tensor) -> Tensor:
        """Return h + ε₀ Σ_s v_s (h P1_s) P2_sᵀ for rows h, (…, d_model); strengths (…, 2)."""
        left = torch.cat(tuple(self.projector1), dim=1)
        right = self._scale * torch.cat(tuple(self.projector2), dim=1).T
        return steer_hidden(
            hidden, left, right, strengths.repeat_interleave(left.shape[1] // 2, dim=-1)
        )
