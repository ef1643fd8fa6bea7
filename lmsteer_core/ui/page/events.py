"""Options and scripts of events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

DEBOUNCE_JS = "(...values) => window.lmsteer.debounce(values)"

QUIET: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
"""Options of an event that is answered at once."""

STREAMING: dict[str, Any] = {
    "concurrency_id": "generate",
    "concurrency_limit": 64,  # the engine has its own line
    "api_visibility": "private",
    "show_progress": "hidden",
    "trigger_mode": "multiple",
}
"""Options of an event that shows text while it is generated."""

LOOK: dict[str, Any] = {
    "concurrency_id": "look",
    "concurrency_limit": 4,
    "api_visibility": "private",
    "show_progress": "hidden",
    "trigger_mode": "always_last",
}
"""Options of an event that computes what to look at; of several only the last is answered."""


def told_js(told: Mapping[Any, str], otherwise: str = "") -> str:
    """Return the script that tells what an example teaches while the widgets hold that example.

    A change made by a button can be told before the widget holds it: the button needs a `then`
    besides.

    Args:
        told: HTML by what the widgets hold, a tuple of strings.
        otherwise: HTML for everything else: what was taught of one text is not true of another.
    """
    known = {
        json.dumps(held, ensure_ascii=False, separators=(",", ":")): html
        for held, html in told.items()
    }
    return f"(...held) => ({json.dumps(known)})[JSON.stringify(held)] ?? {json.dumps(otherwise)}"
