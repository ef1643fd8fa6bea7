"""Tokens are drawn alike row by row, as on a CPU, and together, as on a GPU."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lmsteer_core import Sampling, SteerError
from lmsteer_core.generation.draw import _draw_together, draw_one, draw_rows
from lmsteer_core.generation.live_row import LiveRow

SAMPLINGS = [
    Sampling(temperature, top_p, seed=seed)
    for temperature in (0.0, 0.4, 1.0, 2.5)
    for top_p in (0.05, 0.5, 0.9, 1.0)
    for seed in (0, 1, 2)
]


def rows_of(samplings: list[Sampling]) -> list[LiveRow]:
    return [
        LiveRow([1], {}, {}, sampling, seed_offset=i % 5) for i, sampling in enumerate(samplings)
    ]


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 8.0])
def test_together_and_row_by_row_draw_the_same_tokens(sharpness) -> None:
    torch.manual_seed(0)
    rows = rows_of(SAMPLINGS)
    logits = sharpness * torch.randn(len(rows), 3000)
    together = _draw_together(logits, rows)
    assert together == [draw_one(line, row, {}) for line, row in zip(logits, rows, strict=True)]
    assert len({int(token) for token in together if isinstance(token, Tensor)}) > 3


@pytest.mark.parametrize("way", [draw_rows, _draw_together])
def test_a_row_without_numbers_fails_alone(way) -> None:
    torch.manual_seed(0)
    rows = rows_of(SAMPLINGS[:4])
    logits = torch.randn(4, 100)
    alone = way(logits, rows)
    for bad in (torch.nan, torch.inf):
        spoilt = logits.clone()
        spoilt[2, 7] = bad
        drawn = way(spoilt, rows)
        assert isinstance(drawn[2], SteerError)
        assert [drawn[i] for i in (0, 1, 3)] == [alone[i] for i in (0, 1, 3)]
