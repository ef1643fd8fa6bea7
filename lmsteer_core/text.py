"""What can be said of a text without a model: is it whole, has its script spaces."""

from __future__ import annotations

import unicodedata

from lmsteer_core.errors import InputError

_UNSPACED = (
    "CJK UNIFIED",
    "CJK COMPATIBILITY IDEOGRAPH",
    "HIRAGANA",
    "KATAKANA",
    "THAI",
    "LAO",
    "KHMER",
    "MYANMAR",
    "TIBETAN",
)
"""First words of the Unicode names of letters whose scripts put no space between words."""


def check_text(text: str, what: str = "text") -> None:
    """Raise InputError unless there is something to read and every character is whole."""
    if not isinstance(text, str):
        raise InputError(f"The {what} must be text, not {text!r:.40}.")
    if not text.strip():
        raise InputError(f"The {what} is empty: write a few words.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"The {what} holds half of a character (a lone surrogate); retype it."
        ) from error


def is_unspaced(character: str) -> bool:
    """Return whether it is a letter of a script that puts no space between words, e.g. Chinese."""
    return not character.isascii() and unicodedata.name(character, "").startswith(_UNSPACED)
