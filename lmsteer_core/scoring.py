"""What a text says about ε: token evidence, the posterior over ε, the strongest spans.

The backbone does not depend on ε, so one pass gives the hidden states h_t and every ε after that is
exact arithmetic on two logit tables: E h and E Wᵀ h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsteer_core.language_model import LanguageModel, check_text
from lmsteer_core.steer import Steer, check_epsilon, check_fingerprint

POSTERIOR_GRID = [round(-5 + 0.25 * i, 2) for i in range(41)]
"""ε values of the posterior, wider than the recommended ±3 so that its peak is not cut off."""

_TOKENS_PER_CHUNK = 64


@dataclass(frozen=True)
class ReadText:
    """A text with the hidden states that predict its tokens.

    Attributes:
        token_ids: The tokens, n_tokens of them.
        token_texts: The characters each token covers; joined they are the text that was read.
        hidden: (n_tokens − 1, d_model); row t predicts token t + 1.
        cut: Whether the text's end did not fit the context and was left out.
    """

    token_ids: list[int]
    token_texts: list[str]
    hidden: Tensor
    cut: bool


@dataclass(frozen=True)
class Span:
    """Neighbouring tokens [start, end) and the sum of their evidence in nats."""

    text: str
    start: int
    end: int
    evidence: float


def read_text(lm: LanguageModel, text: str) -> ReadText:
    """Run the model over a text once.

    Raises:
        InputError: If the text is empty.
    """
    check_text(text)
    room = lm.context_length - len(lm.prefix_ids)
    encoding = lm.tokenizer(text[: room * 16], return_offsets_mapping=True, add_special_tokens=False)
    token_ids = encoding["input_ids"][:room]
    ends = [end for _, end in encoding["offset_mapping"]][:room]
    starts = [0, *ends[:-1]]
    cut = len(encoding["input_ids"]) > room or len(text) > room * 16
    hidden = lm.hidden_states([lm.prefix_ids + token_ids])[0][len(lm.prefix_ids) : -1]
    return ReadText(token_ids, [text[a:b] for a, b in zip(starts, ends, strict=True)], hidden, cut)


def logits_over_epsilon(lm: LanguageModel, steer: Steer, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Return E h and E Wᵀ h over hidden states (n_tokens, d_model), each (n_tokens, vocab_size), float32.

    `lm.finish` of the first plus ε times the second are the logits at every ε.
    """
    left, right = steer.left.float().to(lm.device), steer.right.float().to(lm.device)
    embedding = lm.output_embedding
    # The move alone, not a difference of logits: half precision would round it away.
    moved = ((hidden @ left) @ right).to(embedding.dtype) @ embedding.T
    return lm.unembed(hidden.to(embedding.dtype)).float(), moved.float()


def log_probabilities(lm: LanguageModel, read: ReadText, steer: Steer, epsilons: Sequence[float]) -> Tensor:
    """Return log P_ε(x_t | x_<t) in nats, (n_epsilons, n_tokens); the first token reads 0.

    Args:
        lm: The language model that read the text.
        read: The text.
        steer: The steer whose ε varies.
        epsilons: Any values within the allowed range.
    """
    check_fingerprint(steer, lm.fingerprint_rows, lm.model_id)
    grid = [check_epsilon(epsilon, steer.name) for epsilon in epsilons]
    out = torch.zeros(len(grid), len(read.token_ids))
    targets = torch.tensor(read.token_ids[1:], device=lm.device)
    for start in range(0, len(targets), _TOKENS_PER_CHUNK):
        stop = min(start + _TOKENS_PER_CHUNK, len(targets))
        h, x = read.hidden[start:stop], targets[start:stop, None]
        base, moved = logits_over_epsilon(lm, steer, h)
        for i, epsilon in enumerate(grid):
            logits = lm.finish(torch.add(base, moved, alpha=epsilon))
            chosen = logits.gather(1, x)[:, 0] - logits.logsumexp(dim=1)
            out[i, start + 1 : stop + 1] = chosen.cpu()
    return out


def evidence(lm: LanguageModel, read: ReadText, steer: Steer, epsilon: float = 1.0) -> list[float]:
    """Return log P₊ε(x_t) − log P₋ε(x_t) per token, in nats; positive speaks for the + pole."""
    plus, minus = log_probabilities(lm, read, steer, [epsilon, -epsilon])
    return [float(e) for e in plus - minus]


def posterior(lm: LanguageModel, read: ReadText, steer: Steer, epsilons: Sequence[float]) -> list[float]:
    """Return P(ε | text) over a grid, with equal prior weight on every grid point."""
    return [float(p) for p in log_probabilities(lm, read, steer, epsilons).sum(dim=1).softmax(dim=0)]


def strongest_spans(
    token_texts: Sequence[str], token_evidence: Sequence[float], *, n_spans: int = 5, max_tokens: int = 24
) -> list[Span]:
    """Return disjoint spans of largest |summed evidence|, strongest first.

    Args:
        token_texts: Characters of each token.
        token_evidence: Evidence of each token, in nats.
        n_spans: Most spans to return.
        max_tokens: Longest span.
    """
    n_tokens = len(token_evidence)
    total = [0.0]
    for value in token_evidence:
        total.append(total[-1] + value)
    candidates = sorted(
        (
            (total[end] - total[start], start, end)
            for start in range(n_tokens)
            for end in range(start + 1, min(start + max_tokens, n_tokens) + 1)
            # a best span begins and ends with a token that speaks for its own pole
            if (token_evidence[start] > 0) == (token_evidence[end - 1] > 0) == (total[end] > total[start])
        ),
        key=lambda c: (-abs(c[0]), c[1], c[2]),
    )
    taken = [False] * n_tokens
    spans: list[Span] = []
    for score, start, end in candidates:
        if len(spans) == n_spans or not score:
            break
        if not any(taken[start:end]):
            taken[start:end] = [True] * (end - start)
            spans.append(Span("".join(token_texts[start:end]).strip(), start, end, score))
    return spans
