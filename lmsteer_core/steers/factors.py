"""The factors of W: their signs, and the lowest rank that keeps them."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from lmsteer_core.steers.steer import Steer


def thin(steer: Steer, tolerance: float = 0.0) -> Steer:
    """Return the same W from balanced factors of rank ≤ d_model in float16.

    Args:
        steer: The steer.
        tolerance: Share of W's Frobenius norm that may be lost to a lower rank.
    """
    u, sigma, vt = steer.svd()
    rank = min(steer.rank, steer.d_model)
    if tolerance:
        # what rank k loses, for every k
        tail = sigma.double().square().flip(0).cumsum(0).flip(0).sqrt()
        rank = max(1, int((tail[:rank] > tolerance * tail[0]).sum()))
    root = sigma[:rank].sqrt()
    flip = fixed_signs(vt[:rank])
    return dataclasses.replace(
        steer,
        left=(u[:, :rank] * root * flip).half(),
        right=((root * flip).T * vt[:rank]).half(),
        card=dataclasses.replace(steer.card, rank=rank),
    )


def fixed_signs(vt: Tensor) -> Tensor:
    """Return (1, rank) signs that make each row's largest entry in Vᵀ (rank, d_model) positive.

    An SVD's signs are the library's whim; fixed, training twice gives one file.
    """
    return vt.gather(1, vt.abs().argmax(dim=1, keepdim=True)).sign().T
