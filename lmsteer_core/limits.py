"""Numbers of a request: of the right kind and within their limits, or refused in one sentence."""

from __future__ import annotations

import math
from numbers import Real

from lmsteer_core.errors import InputError


def as_number(value: object) -> float:
    """Return a real number as a float; NaN for anything else, text and truth values included."""
    try:
        return math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:
        return math.nan


def check_number(value: object, what: str, low: float, high: float) -> float:
    """Return a number between two limits as a float.

    Raises:
        InputError: If it is not a number, or not within the limits.
    """
    number = as_number(value)
    if not low <= number <= high:
        raise InputError(f"{what} must be between {low:g} and {high:g}, not {value!r}.")
    return number


def check_whole_number(value: object, what: str, low: int, high: int) -> int:
    """Return a whole number between two limits as an int.

    3.0 is one, as JSON does not tell it from 3.

    Raises:
        InputError: If it is not a whole number, or not within the limits.
    """
    number = as_number(value)
    if not number.is_integer():
        raise InputError(f"{what} must be a whole number, not {value!r}.")
    if not low <= number <= high:
        raise InputError(f"{what} must be between {low} and {high}, not {value!r}.")
    return int(number)
