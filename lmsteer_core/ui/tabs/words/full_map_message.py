"""What the page gets of the full map: the words once, and each pair of axes once."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lmsteer_core.analysis.word_clusters import WordClusters
from lmsteer_core.analysis.word_plane import WordPlane

_NOT_SHOWN = 0xFFFF


def packed(column: Tensor) -> dict[str, Any]:
    """Return (n,) numbers as 16 bits each, from the least to the largest in equal steps.

    NaN has a code of its own. assets/js/word_map_data.js reads it.
    """
    known = column[column.isfinite()].double()
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    share = (column.double() - low) / ((high - low) or 1.0)
    codes = (share * (_NOT_SHOWN - 1)).round().nan_to_num(_NOT_SHOWN)
    data = codes.to(torch.int32).numpy().astype("<u2").tobytes()
    return {"low": low, "high": high, "codes": base64.b64encode(data).decode()}


def words_message(words: Sequence[str], probability: Tensor, clusters: WordClusters) -> str:
    """Return the words, how frequent they are and their clusters, as JSON."""
    labels = clusters.labels.to(torch.uint8).numpy().tobytes()
    message = {
        "words": list(words),
        "frequency": packed(probability.log10()),
        "cluster": base64.b64encode(labels).decode(),
        "clusters": clusters.names,
    }
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def plane_message(key: str, steer_name: str, plane: WordPlane, shifts: Tensor) -> str:
    """Return where the words are and go, as JSON; those whose shift is NaN are not in it.

    Args:
        key: Tells this plane from others: with another the page looks at the whole map again.
        steer_name: The steer that moves the words; "" for none.
        plane: The words on two axes.
        shifts: Their logit shifts at ε = 1, (n_words,).
    """
    columns = torch.cat([plane.positions, plane.moves], dim=1)
    columns = columns.masked_fill(shifts.isnan()[:, None], torch.nan)
    message = {
        "key": key,
        "steer": steer_name,
        "titles": plane.titles,
        "columns": [packed(column) for column in columns.T],
        "style": packed(shifts),
    }
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
