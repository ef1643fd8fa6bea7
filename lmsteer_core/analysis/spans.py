"""Tokens gathered into words, sentences and the strongest spans, with the evidence of each."""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lmsteer_core.text import is_unspaced

UnitKind = Literal["tokens", "words", "sentences"]

_SENTENCE_END = re.compile(
    r"""(?<![.!?…])[.!?…]++["'”’»)\]]*+\s++(?=[^a-z])|[。！？]++["'”’»」』）)\]]*+\s*+|\n\s*+"""
)
"""Possessive, so that a text of dots alone takes linear time."""


@dataclass(frozen=True)
class Span:
    """Neighbouring tokens [start, end) and the sum of their evidence in nats."""

    text: str
    start: int
    end: int
    evidence: float


@dataclass(frozen=True)
class Unit:
    """A token, word or sentence: the characters [start, end) and their summed evidence in nats."""

    text: str
    start: int
    end: int
    evidence: float


def units(
    token_texts: Sequence[str], token_evidence: Sequence[float], kind: UnitKind = "words"
) -> list[Unit]:
    """Return the evidence summed over each token, word or sentence; every token counts once.

    Words are what stands between spaces, with their punctuation; where a script has no spaces each
    token is one. A sentence ends with . ! ? … before a space and no small letter, with 。！？,
    or with its line, so an abbreviation before a name ends one too. A token that reaches into the
    next unit belongs to the one it begins in.

    Args:
        token_texts: Characters of each token; joined they are the text that offsets count in.
        token_evidence: Evidence of each token, in nats.
        kind: What to sum over.
    """
    text = "".join(token_texts)
    offsets = [0]
    for piece in token_texts:
        offsets.append(offsets[-1] + len(piece))
    if kind == "tokens":
        bounds = zip(token_texts, offsets[:-1], offsets[1:], token_evidence, strict=True)
        return [Unit(piece, start, end, value) for piece, start, end, value in bounds]
    beginnings = _word_starts(text) if kind == "words" else _sentence_starts(text)
    text_units: list[Unit] = []
    current = -1
    first, total = 0, 0.0
    for i, (piece, value) in enumerate(zip(token_texts, token_evidence, strict=True)):
        if piece.strip():  # the rest of a character, and spaces, stay with what they follow
            visible = offsets[i] + len(piece) - len(piece.lstrip())
            index = bisect.bisect_right(beginnings, visible)
            if current not in (-1, index):
                text_units.append(_unit(text, offsets[first], offsets[i], total))
                first, total = i, 0.0
            current = index
        total += value
    if token_texts:
        text_units.append(_unit(text, offsets[first], offsets[-1], total))
    return text_units


def _unit(text: str, start: int, end: int, total: float) -> Unit:
    """Return a unit without the spaces around it."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return Unit(piece.strip(), start, start + len(piece.strip()), total)


def _word_starts(text: str) -> list[int]:
    starts = []
    before, before_unspaced = " ", False
    for i, character in enumerate(text):
        unspaced = is_unspaced(character)
        if not character.isspace() and (
            before.isspace() or unspaced or (before_unspaced and character.isalnum())
        ):
            starts.append(i)
        before, before_unspaced = character, unspaced
    return starts


def _sentence_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in _SENTENCE_END.finditer(text))]


def strongest_spans(
    token_texts: Sequence[str],
    token_evidence: Sequence[float],
    *,
    n_spans: int = 5,
    max_tokens: int = 24,
) -> list[Span]:
    """Return disjoint spans of largest |summed evidence|, strongest first.

    Time is O(n_tokens · max_tokens), memory O(n_tokens); of equals the earliest and shortest wins.

    Args:
        token_texts: Characters of each token.
        token_evidence: Evidence of each token, in nats.
        n_spans: Most spans to return.
        max_tokens: Longest span.
    """
    values = np.asarray(token_evidence, dtype=np.float64)
    total = np.concatenate([[0.0], values.cumsum()])
    n_tokens = len(values)
    taken = np.zeros(n_tokens, dtype=bool)
    best, length = np.zeros(n_tokens), np.zeros(n_tokens, dtype=np.int64)

    def scan(low: int, high: int) -> None:
        """Find the best free span that begins at each token of [low, high)."""
        best[low:high] = 0
        free = np.ones(high - low, dtype=bool)
        for size in range(1, max_tokens + 1):
            stop = min(high, n_tokens - size + 1)
            if stop <= low:
                break
            last = slice(low + size - 1, stop + size - 1)
            free = free[: stop - low] & ~taken[last]
            score = total[low + size : stop + size] - total[low:stop]
            # a best span begins and ends with a token that speaks for its own pole
            ends = (values[low:stop] * score > 0) & (values[last] * score > 0)
            better = (free & ends & (np.abs(score) > np.abs(best[low:stop]))).nonzero()[0]
            best[low + better], length[low + better] = score[better], size

    scan(0, n_tokens)
    spans: list[Span] = []
    while len(spans) < n_spans and n_tokens:
        start = int(np.abs(best).argmax())
        if not best[start]:
            break
        end, score = start + int(length[start]), float(best[start])
        spans.append(Span("".join(token_texts[start:end]).strip(), start, end, score))
        taken[start:end] = True
        scan(max(0, start - max_tokens + 1), end)
    return spans
