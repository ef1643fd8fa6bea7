"""Long work: how far it is, in steps so that others may have a turn, and stopped on request."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

Progress = Callable[[float, str], None]
"""Called with the finished share (0–1) and what is being done;
whatever it raises stops the work."""


_T = TypeVar("_T")
_Report = TypeVar("_Report")

Steps = Generator[float, None, _T]
"""Yields the finished share after each step and returns the result; closing it ends the work."""


def finished(steps: Steps[_T]) -> _T:
    """Run steps to their end and return what they made."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: _T = end.value
            return result


def map_shares(
    steps: Steps[_T], function: Callable[[float], _Report]
) -> Generator[_Report, None, _T]:
    """Yield what `function` makes of each share; return what the steps return."""
    while True:
        try:
            share = next(steps)
        except StopIteration as end:
            result: _T = end.value
            return result
        yield function(share)


def scaled(steps: Steps[_T], start: float, end: float) -> Steps[_T]:
    """Let the steps' shares run from `start` to `end`."""
    return map_shares(steps, lambda share: start + (end - start) * share)


def part(progress: Progress, start: float, end: float) -> Progress:
    """Return a progress whose 0–1 is `start`–`end` of another's."""
    return lambda share, what: progress(start + (end - start) * share, what)
