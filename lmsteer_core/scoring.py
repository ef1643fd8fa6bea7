"""What a text says about ε: token evidence, the posterior over ε, the strongest spans.

The backbone does not depend on ε, so one pass gives the hidden states h_t and every ε after that is
exact arithmetic on two logit tables: E h, which all steers share, and E Wᵀ h of each.
"""

from __future__ import annotations

import bisect
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lmsteer_core.language_model import LanguageModel, check_text
from lmsteer_core.steer import Steer, check_epsilon, check_fingerprint
from lmsteer_core.steps import Steps, finished, scaled

POSTERIOR_GRID = [round(-5 + 0.25 * i, 2) for i in range(41)]
"""ε values of the posterior, wider than the recommended ±3 so that its peak is not cut off."""

MAX_TOKENS = 32_768
"""Longest text that is read; a longer one is cut, and `ReadText.cut` says so."""

_WINDOW = 2_048
"""Widest window of a text longer than the context: attention over more costs more than it tells."""

UnitKind = Literal["tokens", "words", "sentences"]

_TOKENS_PER_CHUNK = 64

_UNSPACED = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER",
             "MYANMAR", "TIBETAN")  # fmt: skip
"""First words of the Unicode names of letters whose scripts put no space between words."""

_SENTENCE_END = re.compile(
    r"""(?<![.!?…])[.!?…]++["'”’»)\]]*+\s++(?=[^a-z])|[。！？]++["'”’»」』）)\]]*+\s*+|\n\s*+"""
)
"""Possessive, so that a text of dots alone takes linear time."""


@dataclass(frozen=True)
class ReadText:
    """A text with the hidden states that predict its tokens.

    Attributes:
        token_ids: The tokens, n_tokens of them.
        token_texts: The characters each token covers; joined they are the text that was read.
        hidden: (n_tokens − 1, d_model); row t predicts token t + 1.
        cut: Whether the text was longer than `MAX_TOKENS` and its end was left out.
    """

    token_ids: list[int]
    token_texts: list[str]
    hidden: Tensor
    cut: bool

    def beginning(self, n_tokens: int) -> ReadText:
        """Return the first n_tokens of it."""
        if len(self.token_ids) <= n_tokens:
            return self
        return ReadText(
            self.token_ids[:n_tokens], self.token_texts[:n_tokens], self.hidden[: n_tokens - 1], True
        )


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


@dataclass(frozen=True)
class Weighed:
    """What a text says about one steer.

    Attributes:
        name: The steer's name.
        evidence: log P₊ε(x_t) − log P₋ε(x_t) per token, in nats; the first token reads 0.
        epsilons: The grid of the posterior.
        posterior: P(ε | text) over it, with equal prior weight on every grid point.
    """

    name: str
    evidence: list[float]
    epsilons: list[float]
    posterior: list[float]

    @property
    def total(self) -> float:
        """The whole text's evidence, in nats."""
        return sum(self.evidence)

    @property
    def best_epsilon(self) -> float:
        """The likeliest ε of the grid; of equals the one nearest to 0."""
        pairs = zip(self.posterior, self.epsilons, strict=True)
        return max(pairs, key=lambda pair: (pair[0], -abs(pair[1]), pair[1]))[1]


def read_text(lm: LanguageModel, text: str) -> ReadText:
    """Run the model over a text once, in overlapping windows where it is longer than the context.

    Every token is predicted once, from at least half a window of text where that much precedes it.

    Raises:
        InputError: If the text is empty.
    """
    return finished(reading(lm, text))


def reading(lm: LanguageModel, text: str) -> Steps[ReadText]:
    """Do what `read_text` does in steps, each yielding the share that is read; closing it ends the work."""
    check_text(text)
    # A token is seldom longer than 16 characters.
    encoding = lm.tokenizer(text[: MAX_TOKENS * 16], return_offsets_mapping=True, add_special_tokens=False)
    token_ids = encoding["input_ids"][:MAX_TOKENS]
    ends = [end for _, end in encoding["offset_mapping"]][:MAX_TOKENS]
    starts = [0, *ends[:-1]]
    cut = len(encoding["input_ids"]) > MAX_TOKENS or len(text) > MAX_TOKENS * 16
    hidden = []
    room = lm.context_length - len(lm.prefix_ids)
    width = room if len(token_ids) <= room else min(room, _WINDOW)
    for start, first, stop in _windows(len(token_ids), width):
        window = lm.reading(lm.prefix_ids + token_ids[start:stop])
        states = yield from scaled(window, (first - 1) / len(token_ids), stop / len(token_ids))
        hidden.append(states[len(lm.prefix_ids) :][first - 1 - start : -1])
    texts = [text[a:b] for a, b in zip(starts, ends, strict=True)]
    return ReadText(token_ids, texts, torch.cat(hidden), cut)


def _windows(n_tokens: int, width: int) -> Iterator[tuple[int, int, int]]:
    """Yield (start, first, stop): the window reads tokens [start, stop) and predicts [first, stop)."""
    first, stop = 1, min(width, n_tokens)
    yield 0, first, stop
    while stop < n_tokens:
        first, stop = stop, min(stop + max(width // 2, 1), n_tokens)
        yield stop - width, first, stop


def logits_over_epsilon(lm: LanguageModel, steer: Steer, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Return E h and E Wᵀ h over hidden states (n_tokens, d_model), each (n_tokens, vocab_size), float32.

    `lm.finish` of the first plus ε times the second are the logits at every ε.
    """
    return _base_logits(lm, hidden), _moved_logits(lm, steer, hidden)


def _base_logits(lm: LanguageModel, hidden: Tensor) -> Tensor:
    return lm.unembed(hidden.to(lm.output_embedding.dtype)).float()


def _moved_logits(lm: LanguageModel, steer: Steer, hidden: Tensor) -> Tensor:
    left, right = steer.left.float().to(lm.device), steer.right.float().to(lm.device)
    embedding = lm.output_embedding
    # The move alone, not a difference of logits: half precision would round it away.
    return (((hidden @ left) @ right).to(embedding.dtype) @ embedding.T).float()


def log_probabilities(lm: LanguageModel, read: ReadText, steer: Steer, epsilons: Sequence[float]) -> Tensor:
    """Return log P_ε(x_t | x_<t) in nats, (n_epsilons, n_tokens); the first token reads 0.

    Args:
        lm: The language model that read the text.
        read: The text.
        steer: The steer whose ε varies.
        epsilons: Any values within the allowed range.
    """
    return finished(_log_probabilities(lm, read, [steer], epsilons))[0]


def _log_probabilities(
    lm: LanguageModel, read: ReadText, steers: Sequence[Steer], epsilons: Sequence[float]
) -> Steps[Tensor]:
    """Yield the finished share; return log P_ε(x_t | x_<t), (n_steers, n_epsilons, n_tokens)."""
    for steer in steers:
        check_fingerprint(steer, lm.fingerprint_rows, lm.model_id)
        for epsilon in epsilons:
            check_epsilon(epsilon, steer.name)
    out = torch.zeros(len(steers), len(epsilons), len(read.token_ids))
    targets = torch.tensor(read.token_ids[1:], device=lm.device)
    for start in range(0, len(targets), _TOKENS_PER_CHUNK):
        stop = min(start + _TOKENS_PER_CHUNK, len(targets))
        hidden, chunk = read.hidden[start:stop], targets[start:stop]
        base = _base_logits(lm, hidden)
        for i, steer in enumerate(steers):
            moved = _moved_logits(lm, steer, hidden)
            out[i, :, start + 1 : stop + 1] = _chosen(lm, base, moved, chunk, epsilons).cpu()
            yield (start + (stop - start) * (i + 1) / len(steers)) / len(targets)
    return out


def _chosen(
    lm: LanguageModel, base: Tensor, moved: Tensor, targets: Tensor, epsilons: Sequence[float]
) -> Tensor:
    """Return the targets' log-probabilities, (n_epsilons, n_tokens), from tables (n_tokens, vocab_size)."""
    out = torch.empty(len(epsilons), len(targets), device=base.device)
    # Row by row on a CPU: all ε of one token work in its cache, where a chunk of tokens would not fit.
    size = 1 if base.device.type == "cpu" else len(targets)
    for start in range(0, len(targets), size):
        rows = slice(start, start + size)
        for i, epsilon in enumerate(epsilons):
            logits = lm.finish(torch.add(base[rows], moved[rows], alpha=epsilon))
            picked = logits.gather(1, targets[rows, None])[:, 0]
            out[i, rows] = picked - logits.logsumexp(dim=1)
    return out


def evidence(lm: LanguageModel, read: ReadText, steer: Steer, epsilon: float = 1.0) -> list[float]:
    """Return log P₊ε(x_t) − log P₋ε(x_t) per token, in nats; positive speaks for the + pole."""
    plus, minus = log_probabilities(lm, read, steer, [epsilon, -epsilon])
    return [float(e) for e in plus - minus]


def posterior(lm: LanguageModel, read: ReadText, steer: Steer, epsilons: Sequence[float]) -> list[float]:
    """Return P(ε | text) over a grid, with equal prior weight on every grid point."""
    return _posterior(log_probabilities(lm, read, steer, epsilons))


def _posterior(log_p: Tensor) -> list[float]:
    return [float(p) for p in log_p.double().sum(dim=1).softmax(dim=0)]


def weigh(
    lm: LanguageModel,
    read: ReadText,
    steer: Steer,
    *,
    epsilon: float = 1.0,
    epsilons: Sequence[float] = POSTERIOR_GRID,
) -> Weighed:
    """Return `evidence` at ±epsilon and `posterior` over epsilons from one table."""
    return profile(lm, read, [steer], epsilon=epsilon, epsilons=epsilons)[0]


def profile(
    lm: LanguageModel,
    read: ReadText,
    steers: Sequence[Steer],
    *,
    epsilon: float = 1.0,
    epsilons: Sequence[float] = POSTERIOR_GRID,
) -> list[Weighed]:
    """Return what the text says about each steer alone; all share one reading of the backbone.

    Args:
        lm: The language model that read the text.
        read: The text.
        steers: The steers, n_steers of them.
        epsilon: The ± at which evidence is taken.
        epsilons: The posterior's grid.
    """
    return finished(profiling(lm, read, steers, epsilon=epsilon, epsilons=epsilons))


def profiling(
    lm: LanguageModel,
    read: ReadText,
    steers: Sequence[Steer],
    *,
    epsilon: float = 1.0,
    epsilons: Sequence[float] = POSTERIOR_GRID,
) -> Steps[list[Weighed]]:
    """Do what `profile` does in steps, each yielding the finished share; closing it ends the work."""
    grid = list(epsilons)
    wanted = list(dict.fromkeys([*grid, epsilon, -epsilon]))
    at = [wanted.index(e) for e in grid]
    plus, minus = wanted.index(epsilon), wanted.index(-epsilon)
    table = yield from _log_probabilities(lm, read, steers, wanted)
    return [
        Weighed(steer.name, (log_p[plus] - log_p[minus]).tolist(), grid, _posterior(log_p[at]))
        for steer, log_p in zip(steers, table, strict=True)
    ]


def units(
    token_texts: Sequence[str], token_evidence: Sequence[float], kind: UnitKind = "words"
) -> list[Unit]:
    """Return the evidence summed over each token, word or sentence; every token counts once.

    Words are what stands between spaces, with their punctuation; where a script has no spaces each
    token is one. A sentence ends with . ! ? … before a space and no small letter, with 。！？, or with
    its line, so an abbreviation before a name ends one too. A token that reaches into the next
    unit belongs to the one it begins in.

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
    found: list[Unit] = []
    current = -1
    first, total = 0, 0.0
    for i, (piece, value) in enumerate(zip(token_texts, token_evidence, strict=True)):
        if piece.strip():  # the rest of a character, and spaces, stay with what they follow
            visible = offsets[i] + len(piece) - len(piece.lstrip())
            index = bisect.bisect_right(beginnings, visible)
            if current not in (-1, index):
                found.append(_unit(text, offsets[first], offsets[i], total))
                first, total = i, 0.0
            current = index
        total += value
    if token_texts:
        found.append(_unit(text, offsets[first], offsets[-1], total))
    return found


def is_unspaced(character: str) -> bool:
    """Return whether it is a letter of a script that puts no space between words, e.g. Chinese."""
    return not character.isascii() and unicodedata.name(character, "").startswith(_UNSPACED)


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
    token_texts: Sequence[str], token_evidence: Sequence[float], *, n_spans: int = 5, max_tokens: int = 24
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
