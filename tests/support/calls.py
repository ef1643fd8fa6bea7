"""What was called, and what must not be."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest


def record_calls(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[tuple]:
    """Return the positional arguments of every call of a function that is made from now on."""
    calls: list[tuple] = []
    original = getattr(owner, name)

    def recorded(*args: Any, **options: Any) -> Any:
        calls.append(args)
        return original(*args, **options)

    monkeypatch.setattr(owner, name, recorded)
    return calls


def never(*_args: Any) -> NoReturn:
    """Fail the test that calls it."""
    pytest.fail("This was not to be called.")
