"""The tokens of a text that was read, for whoever asks about one of its units."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from itertools import accumulate

from lmsteer_core.analysis.spans import Unit
from lmsteer_core.generation.live_row import Token
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.page.written import Written
from lmsteer_core.ui.tabs.highlight.analysis import Analysis
from lmsteer_core.workbench import Workbench


def tokens_of(token_texts: Sequence[str], text_units: Sequence[Unit]) -> list[range]:
    """Return the tokens that each unit is made of, by their places."""
    offsets = [0, *accumulate(map(len, token_texts))]
    return [
        range(
            bisect.bisect_right(offsets, unit.start) - 1, bisect.bisect_right(offsets, unit.end) - 1
        )
        for unit in text_units
    ]


def read_as_written(
    workbench: Workbench, analysis: Analysis, text_units: Sequence[Unit], steer: Steer
) -> Written:
    """Return a text as it would have been written under ε = 1; a unit's text is at its last token.

    A text longer than the context is cut before the token that is asked about.
    """
    texts = list(analysis.token_texts)
    for unit, places in zip(text_units, tokens_of(texts, text_units), strict=True):
        for place in places:
            texts[place] = unit.text if place == places[-1] else ""
    ids = analysis.token_ids
    prefix = workbench.prefix_ids
    room = workbench.context_length - len(prefix)

    def ids_before(place: int) -> list[int]:
        return [*prefix, *ids[max(0, place - room) : place]]

    tokens = [
        Token(token_id, text, math.nan, math.nan) for token_id, text in zip(ids, texts, strict=True)
    ]
    return Written(workbench, "", tokens, {steer.name: 1.0}, {steer.name: steer}, None, ids_before)
