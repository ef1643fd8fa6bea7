"""Progress as one line on stderr, with the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

_SECONDS_PER_LINE = 30


def progress_line(*, logged: bool = False) -> Callable[[float, str], None]:
    """Return a progress report in one line of stderr; where nobody watches, silence or a log."""
    watched = sys.stderr.isatty()
    if not watched and not logged:
        return lambda _share, _what: None
    began, first, latest = time.monotonic(), 0.0, 0.0
    latest_line = began - _SECONDS_PER_LINE

    def report(share: float, what: str) -> None:
        nonlocal began, first, latest, latest_line
        now = time.monotonic()
        # another piece of work, or one that an earlier call began
        if share < latest or latest == 0:
            began, first = now, share
        latest = share
        done = share - first
        left = (now - began) * (1 - share) / done if done > 0.02 else 0
        line = f"{share:4.0%} {what}{f', about {_duration(left)} left' if left >= 1 else ''}"
        if watched:
            sys.stderr.write(f"\r\033[K{line}" + "\n" * (share >= 1))
        elif now - latest_line >= _SECONDS_PER_LINE or share >= 1:
            latest_line = now
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    return report


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
