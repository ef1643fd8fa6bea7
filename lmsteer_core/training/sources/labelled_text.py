"""A steer from labelled text."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsteer_core.errors import InputError
from lmsteer_core.models.batched import (
    batches,
    expected_embedding,
    hidden_states,
    next_word,
    tokens_per_chunk,
)
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress
from lmsteer_core.text import check_text
from lmsteer_core.training.neutral_text import PlainText
from lmsteer_core.training.sources.source import HeldOut, Shift, StyleScore

_MAX_TEXT_TOKENS = 256
_MAX_READ_TOKENS = 400_000
"""Labelled text beyond this is sampled: the shift's noise is long below its signal."""

_MAX_JUDGED_TEXTS = 20_000
_MAX_HELD_OUT_TOKENS = 1_500


@dataclass(frozen=True)
class LabelledText:
    """Texts with labels from −1 to 1; a graded label is a weaker one.

    Labels are centred, so what both poles share (the domain, the format) cancels out of W.

    Raises:
        InputError: If labels are out of range or do not hold both signs.
    """

    texts: Sequence[str]
    labels: Sequence[float]

    def __post_init__(self) -> None:
        """Refuse what labels no two poles."""
        if len(self.texts) != len(self.labels) or not self.texts:
            raise InputError("Labelled text needs one label per text and at least one text.")
        for text in self.texts:
            check_text(text, "labelled text")
        if not all(-1 <= label <= 1 for label in self.labels):
            raise InputError("Labels must be numbers from −1 to 1.")
        if not min(self.labels) < 0 < max(self.labels):
            raise InputError("Both poles are needed: labels above 0 and labels below 0.")

    def shift(self, lm: LanguageModel, plain: PlainText, progress: Progress) -> Shift:  # noqa: ARG002
        """Return mean(h Δμᵀ) over the texts; at most a tenth of them, 1,500 tokens, is held out."""
        texts: list[list[int]] = []
        n_tokens = 0
        starts, all_labels = self._in_order()
        for text in starts:
            bare = lm.encode(text)[0][len(lm.prefix_ids) :]
            texts.append((lm.start_ids + bare)[:_MAX_TEXT_TOKENS])
            n_tokens += len(texts[-1])
            if n_tokens > _MAX_READ_TOKENS:
                break
        labels = torch.tensor(all_labels[: len(texts)], dtype=torch.float64)
        if not labels.min() < 0 < labels.max():
            raise InputError(
                f"The {len(texts):,} texts that are read hold one pole only; give "
                "fewer of the other one."
            )
        n_held = _within_budget([len(t) for t in texts[: len(texts) // 10]], _MAX_HELD_OUT_TOKENS)
        if not labels[n_held:].min() < 0 < labels[n_held:].max():  # a rare pole is for learning
            n_held = 0
        held_out = _held_out(lm, texts[:n_held], labels[:n_held]) if n_held else None
        return Shift(
            _labelled_halves(lm, texts[n_held:], labels[n_held:], progress), held_out=held_out
        )

    def style_score(self, lm: LanguageModel) -> StyleScore:  # noqa: ARG002
        """Return the log-odds of a TF-IDF classifier fitted to the labels' signs."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        judge = make_pipeline(
            TfidfVectorizer(
                ngram_range=(1, 2), sublinear_tf=True, max_features=50_000, token_pattern=r"\S+"
            ),
            LogisticRegression(C=10, max_iter=1000, class_weight="balanced"),
        )
        texts, labels = self._in_order()
        few = labels[:_MAX_JUDGED_TEXTS]
        if min(few) < 0 < max(few):
            texts, labels = texts[:_MAX_JUDGED_TEXTS], few
        signed = [(text, label > 0) for text, label in zip(texts, labels, strict=True) if label]
        judge.fit(*zip(*signed, strict=True))
        return lambda texts: [float(score) for score in judge.decision_function(list(texts))]

    def _in_order(self) -> tuple[list[str], list[float]]:
        """Return the texts' beginnings and labels, in an order that only their content decides."""
        order = sorted(
            range(len(self.texts)), key=lambda j: (zlib.crc32(self.texts[j].encode()), j)
        )
        return [self.texts[j][: 16 * _MAX_TEXT_TOKENS] for j in order], [
            self.labels[j] for j in order
        ]

    @property
    def poles(self) -> tuple[str, str]:
        """Nothing better is known than the labels."""
        return "label −1", "label +1"

    @property
    def summary(self) -> str:
        """What the steer was made from."""
        return f"{len(self.texts)} labelled texts"


def _labelled_halves(
    lm: LanguageModel, texts: Sequence[list[int]], labels: Tensor, progress: Progress
) -> Tensor:
    """Return mean(h Δμᵀ), (2, d_model, d_model), over texts of even and of odd place."""
    lengths = torch.tensor([len(t) - 1 for t in texts], dtype=torch.float64)
    centred = labels - (labels * lengths).sum() / lengths.sum()
    halves = torch.zeros(2, lm.d_model, lm.d_model, dtype=torch.float64, device=lm.device)
    embedding = lm.output_embedding
    done = 0
    for group in batches(texts):
        states = lm.hidden_states([texts[j] for j in group])
        for half in (0, 1):
            picked = [k for k, j in enumerate(group) if j % 2 == half]
            if not picked:
                continue
            h_all = torch.cat([states[k][:-1] for k in picked])
            next_ids = torch.tensor(
                [i for k in picked for i in texts[group[k]][1:]], device=lm.device
            )
            sign = torch.cat([centred[group[k]].expand(len(states[k]) - 1) for k in picked]).float()
            chunks = (t.split(tokens_per_chunk(lm)) for t in (h_all, next_ids, sign.to(lm.device)))
            for h, x, s in zip(*chunks, strict=True):
                mu = expected_embedding(lm, next_word(lm, h))
                halves[half] += (h.T @ (s[:, None] * (embedding[x].float() - mu))).double()
        done += len(group)
        progress(done / len(texts), f"reading labelled text ({done:,} of {len(texts):,})")
    n_tokens = [lengths[half::2].sum().clamp_min(1) for half in (0, 1)]
    return halves / torch.stack(n_tokens).to(lm.device)[:, None, None]


def _held_out(lm: LanguageModel, texts: Sequence[list[int]], labels: Tensor) -> HeldOut:
    states = hidden_states(lm, texts)
    return HeldOut(
        torch.cat([h[:-1] for h in states]),
        torch.tensor([i for t in texts for i in t[1:]], device=lm.device),
        torch.cat([label.expand(len(t) - 1) for label, t in zip(labels, texts, strict=True)]).to(
            lm.device
        ),
    )


def _within_budget(lengths: Sequence[int], n_tokens: int) -> int:
    """Return how many texts of these lengths fit `n_tokens`."""
    total = 0
    for count, length in enumerate(lengths):
        total += length
        if total > n_tokens:
            return count
    return len(lengths)
