"""Texts over the coarse grid of two ε, scored by the two steers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lmsteer_core.generation.generate import Row, growing
from lmsteer_core.generation.live_row import Token
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.page.runs import Wanted
from lmsteer_core.ui.tabs.compose.setting import COARSE_GRID, Setting, StyleMap
from lmsteer_core.workbench import Workbench


def write_style_map(
    workbench: Workbench,
    setting: Setting,
    sampling: Sampling,
    page_steers: Mapping[str, Steer],
    is_wanted: Wanted,
) -> Iterator[str | StyleMap]:
    """Yield what is being done, then the texts and their scores."""
    points = [(x, y) for y in COARSE_GRID for x in COARSE_GRID if not setting.is_locked(x, y)]
    rows = [Row(setting.prompt, setting.epsilons(*point)) for point in points]
    tokens: list[list[Token]] = [[] for _ in rows]
    yield "Waiting …"
    steps = workbench.stream(
        rows, sampling, extra=page_steers, is_wanted=is_wanted, unlock=setting.is_unlocked
    )
    for tokens in growing(steps, len(rows)):
        n_written = max(map(len, tokens))
        yield f"Writing {len(rows)} texts: token {n_written} of {sampling.max_new_tokens} …"
    if not is_wanted():
        return
    yield "Scoring …"
    judges = [setting.across, setting.up]
    scores = workbench.styles(setting.prompt, tokens, judges)
    text_at = dict(zip(points, ("".join(t.text for t in row) for row in tokens), strict=True))
    scores_at = dict(zip(points, scores, strict=True))
    yield StyleMap(
        setting,
        [[text_at.get((x, y), "") for x in COARSE_GRID] for y in COARSE_GRID],
        [[scores_at.get((x, y)) for x in COARSE_GRID] for y in COARSE_GRID],
    )
