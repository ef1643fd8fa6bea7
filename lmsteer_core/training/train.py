"""Make a steer: a source's shift, projected and fitted, calibrated on text.

source (sources/)  →  W (projection.py, fit.py)  →  scale and limits (calibration.py)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from lmsteer_core.analysis.logits import logits_over_epsilon
from lmsteer_core.errors import InputError
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress, part
from lmsteer_core.steers.card import SteerCard, check_name
from lmsteer_core.steers.fingerprint import fingerprint_digest
from lmsteer_core.steers.steer import Steer
from lmsteer_core.training.calibration import calibrate, measure, with_useful_range
from lmsteer_core.training.fit import RANK, fit
from lmsteer_core.training.neutral_text import PlainText, neutral_text
from lmsteer_core.training.projection import choose_rank, divergence, project
from lmsteer_core.training.sources.combined import Combined
from lmsteer_core.training.sources.source import HeldOut, Shift, Source

_FITTED = 1 / 3
"""With half, texts repeat themselves less still, and the style is a tenth fainter to a classifier
of labelled text; with nothing, both are behind."""

_TINY = 1e-30
_N_KL_TOKENS = 200
_N_PROMPTS = 14
_PROMPT_TOKENS = 6
_HELD_OUT_EPSILONS = (0.5, 1.0, 1.5, 2.0, 3.0)


def train(
    lm: LanguageModel,
    name: str,
    source: Source | Sequence[tuple[Source, float]],
    *,
    poles: tuple[str, str] | None = None,
    notice: str = "",
    rank: int | None = None,
    plain: PlainText | None = None,
    n_prompts: int = _N_PROMPTS,
    progress: Progress | None = None,
) -> Steer:
    """Return a calibrated steer, the same bytes for the same arguments on one machine.

    Args:
        lm: The language model.
        name: The steer's name.
        source: Where the expected output embedding should move; several with weights are added.
        poles: Names of the − pole and the + pole; the source's own if None.
        notice: A warning for the card.
        rank: Rank of W, half of it for what is fitted to a teacher; None chooses for the projection
            the least that controls as well on text not learned from.
        plain: Neutral text of `lm.for_batches`, if at hand.
        n_prompts: Neutral beginnings that every ε of the calibration continues.
        progress: Told how far it is; whatever it raises stops the training.

    Raises:
        InputError: If the name or the source cannot be used, or the poles are alike to the model.
    """
    check_name(name)
    if rank is not None and rank < 1:
        raise InputError("The rank must be at least 1.")
    if not isinstance(source, Source):
        combined = Combined(tuple(source))
        source = combined if len(source) > 1 else source[0][0]
    fast = lm.for_batches
    report = progress or (lambda _share, _what: None)
    start = 0.0 if plain else 0.4
    plain = plain or neutral_text(fast, progress=part(report, 0.0, start))
    shift = source.shift(fast, plain, part(report, start, 0.7))
    negative, positive = poles or source.poles
    card = SteerCard(
        name,
        negative,
        positive,
        lm.model_id,
        data=source.summary,
        notice=notice,
    )
    steer = steer_from_shift(lm, card, shift, plain, rank, part(report, 0.7, 0.79))
    steer = calibrated(
        lm, steer, source, plain, n_prompts=n_prompts, progress=part(report, 0.0, 0.99)
    )
    if shift.held_out is not None:
        report(0.99, "testing on held-out texts")
        metrics = _held_out_metrics(fast, steer, shift.held_out)
        steer = dataclasses.replace(steer, card=dataclasses.replace(steer.card, metrics=metrics))
    report(1.0, "done")
    return steer


def _held_out_metrics(lm: LanguageModel, steer: Steer, held_out: HeldOut) -> dict[str, float]:
    """Return what the card says of texts that the steer was not made from."""
    gains = held_out_gains(lm, steer, held_out, _HELD_OUT_EPSILONS)
    best = max(range(len(gains)), key=gains.__getitem__)
    return {
        "held_out_tokens": len(held_out.next_ids),
        "held_out_best_epsilon": _HELD_OUT_EPSILONS[best],
        "held_out_gain_nats_per_token": round(gains[best], 4),
    }


def steer_from_shift(
    lm: LanguageModel,
    card: SteerCard,
    shift: Shift,
    plain: PlainText,
    rank: int | None = None,
    progress: Progress | None = None,
) -> Steer:
    """Return the steer of a shift, not yet calibrated.

    Where the source has a teacher, two thirds of W are the projection and a third is fitted to the
    teacher, by the divergence that they cause: the one moves what a style says everywhere, the
    other what it says where it matters, and together they go farther before a text repeats itself.

    Raises:
        InputError: If the shift is nothing at all.
    """
    if not shift.halves.mean(0).any():
        raise InputError("The two poles are alike to the model; make them more different.")
    report = progress or (lambda _share, _what: None)
    report(0.0, "projecting onto W")
    most = min(rank or lm.d_model, lm.d_model)
    n_fitted = min(RANK, most // 2) if shift.lesson else 0
    n_projected = most - n_fitted
    if rank is None:
        n_projected = min(n_projected, choose_rank(shift.halves, plain.curvature))
    parts = [project(shift.halves.mean(0), plain.curvature, rank=n_projected)]
    if shift.lesson and n_fitted:
        parts.append(fit(lm.for_batches, shift.lesson, plain.curvature, report, rank=n_fitted))
    method = "projection and fit" if len(parts) > 1 else "projection"
    shares = (1 - _FITTED, _FITTED) if len(parts) > 1 else (1.0,)
    left = torch.cat(
        [
            left * share / max(divergence(left, right, plain.curvature), _TINY) ** 0.5
            for (left, right), share in zip(parts, shares, strict=True)
        ],
        dim=1,
    )
    right = torch.cat([right for _, right in parts])
    card = dataclasses.replace(
        card, method=method, rank=left.shape[1], fingerprint=fingerprint_digest(lm.fingerprint_rows)
    )
    return Steer(left, right, lm.fingerprint_rows, card)


def calibrated(
    lm: LanguageModel,
    steer: Steer,
    source: Source,
    plain: PlainText | None = None,
    *,
    n_prompts: int = _N_PROMPTS,
    progress: Progress | None = None,
) -> Steer:
    """Return any steer with its useful range ending at ±3, its curve on the card, in float16.

    Args:
        lm: The language model.
        steer: Any steer that is not 0.
        source: Whose judge scores the style.
        plain: Neutral text of `lm.for_batches`, if at hand.
        n_prompts: Neutral beginnings that every ε continues.
        progress: Told how far it is, from 0.8 to 1.
    """
    fast = lm.for_batches
    report = progress or (lambda _share, _what: None)
    plain = plain or neutral_text(fast)
    report(0.8, "calibrating ε by divergence")
    hidden = torch.cat(plain.hidden)
    steer = calibrate(fast, steer, hidden[:: max(1, len(hidden) // _N_KL_TOKENS)])
    prompts = [
        str(lm.tokenizer.decode(ids[:_PROMPT_TOKENS], skip_special_tokens=True))
        for ids in plain.token_ids[:n_prompts]
    ]
    curve = measure(
        fast,
        steer,
        source.style_score(fast),
        prompts,
        on_share=lambda share: report(0.85 + 0.13 * share, "calibrating ε on text"),
    )
    steer = with_useful_range(steer, curve)
    report(1.0, "done")
    return dataclasses.replace(steer, left=steer.left.half().cpu(), right=steer.right.half().cpu())


def held_out_gains(
    lm: LanguageModel, steer: Steer, held_out: HeldOut, epsilons: Sequence[float]
) -> list[float]:
    """Return per ε the mean of log P_{label·ε}(x) − log P_0(x) over held-out tokens, in nats."""
    totals = [0.0] * len(epsilons)
    for h, x, label in zip(
        *(t.split(64) for t in (held_out.hidden, held_out.next_ids, held_out.labels)), strict=True
    ):
        base, moved = logits_over_epsilon(lm, steer, h)
        moved *= label[:, None].float()

        def log_p(
            epsilon: float, base: Tensor = base, moved: Tensor = moved, x: Tensor = x
        ) -> float:
            logits = lm.finish(torch.add(base, moved, alpha=epsilon))
            return float((logits.gather(1, x[:, None])[:, 0] - logits.logsumexp(dim=1)).sum())

        unsteered = log_p(0.0)
        totals = [t + log_p(e) - unsteered for t, e in zip(totals, epsilons, strict=True)]
    return [total / len(held_out.next_ids) for total in totals]
