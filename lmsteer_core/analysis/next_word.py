"""The next word's exact probability as a curve over ε, for any number of steers.

One pass of the backbone gives the hidden state of the next position, which no steer moves. Then
logits = E h + Σ_s ε_s E W_sᵀ h, and every ε is one softmax over the whole vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsteer_core.analysis.logits import logits_over_epsilon
from lmsteer_core.errors import InputError
from lmsteer_core.limits import check_whole_number
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.models.tokens import first_token, token_text
from lmsteer_core.progress import finished
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.steers.steer import Steer, check_fingerprint

EPSILON_GRID = [round(-3 + 0.1 * i, 1) for i in range(61)]
"""The useful range of a calibrated steer."""

_MAX_GRID = 1000


@dataclass(frozen=True)
class WordCurve:
    """One token's probability over the grid.

    Attributes:
        token_id: Vocabulary index.
        text: The token as it would continue the text, its leading space included.
        probability: P(token | prompt) at each ε.
        word: The word that was asked for; "" if the token was found by its probability.
        is_whole: False if the word has several tokens, of which this is the first: the curve is
            then that of every word that begins so.
    """

    token_id: int
    text: str
    probability: list[float]
    word: str = ""
    is_whole: bool = True


@dataclass(frozen=True)
class Ranking:
    """The likeliest tokens at one ε, in falling order: texts and probabilities."""

    epsilon: float
    texts: list[str]
    probability: list[float]


@dataclass(frozen=True)
class NextWords:
    """What may come next, over a grid of ε.

    Attributes:
        epsilons: The grid of the steer on the axis.
        words: Curves of the top tokens, that of the highest peak first.
        followed: Curves of the words that were asked for, in their order.
        rankings: The likeliest tokens at −ε, 0 and +ε, or at every ε that was asked for.
        cut: Whether the prompt's beginning did not fit the context.
    """

    epsilons: list[float]
    words: list[WordCurve]
    followed: list[WordCurve]
    rankings: list[Ranking]
    cut: bool


# Over 60 lines: more than half of them say what may be asked for.
def next_words(
    lm: LanguageModel,
    prompt: str,
    steer: Steer,
    *,
    held: Sequence[tuple[Steer, float]] = (),
    epsilons: Sequence[float] = EPSILON_GRID,
    at: float = 2.0,
    ranked: Sequence[float] | None = None,
    top: int = 10,
    n_ranked: int | None = None,
    follow: Sequence[str] = (),
) -> NextWords:
    """Return exact probabilities of the next token over a grid of one steer's ε.

    Equals are ordered by token id.

    Args:
        lm: The language model.
        prompt: What the token continues.
        steer: The steer on the axis.
        held: Other steers, each with the ε that it keeps.
        epsilons: The grid, n_epsilons of them.
        at: The ε of the rankings at −ε, 0 and +ε.
        ranked: Where to rank instead, any number of ε.
        top: Tokens of highest probability anywhere on the grid, and in each ranking.
        n_ranked: Tokens in each ranking, if not `top`.
        follow: Words to follow besides, whatever their probability.

    Raises:
        InputError: If the prompt or a word is empty, or a number is out of range.
        SteerError: If a steer is another model's.
    """
    top = check_whole_number(top, "The number of words", 0, lm.vocab_size)
    if n_ranked is not None:
        n_ranked = check_whole_number(n_ranked, "The number of ranked words", 0, lm.vocab_size)
    if not 1 <= len(epsilons) <= _MAX_GRID:
        raise InputError(f"Ask for 1 to {_MAX_GRID} values of ε.")
    check_fingerprint(steer, lm.output_embedding, lm.model_id)
    grid = [check_epsilon(epsilon, steer.name) for epsilon in epsilons]
    at = abs(check_epsilon(at, steer.name))
    ids, cut = lm.encode(prompt, reserve=1)
    followed = [first_token(lm, prompt, word) for word in follow]
    hidden = finished(lm.next_state(ids))
    probabilities = _distribution(lm, hidden, steer, held)
    table = torch.stack([probabilities(epsilon) for epsilon in grid])
    likeliest = _largest(table.amax(dim=0), top)
    rankings = []
    for epsilon in (0.0 - at, 0.0, at) if ranked is None else ranked:
        p = table[grid.index(epsilon)] if epsilon in grid else probabilities(epsilon)
        best = _largest(p, top if n_ranked is None else n_ranked)
        rankings.append(Ranking(epsilon, [token_text(lm, i) for i in best], p[best].tolist()))

    def curve(token_id: int, word: str = "", is_whole: bool = True) -> WordCurve:
        return WordCurve(
            token_id, token_text(lm, token_id), table[:, token_id].tolist(), word, is_whole
        )

    return NextWords(
        grid,
        [curve(token_id) for token_id in likeliest],
        [
            curve(token_id, word, whole)
            for word, (token_id, whole) in zip(follow, followed, strict=True)
        ],
        rankings,
        cut,
    )


def _distribution(
    lm: LanguageModel, hidden: Tensor, steer: Steer, held: Sequence[tuple[Steer, float]]
) -> Callable[[float], Tensor]:
    """Return the distribution of the token after a state, (1, d_model), as a function of ε."""
    base, moved = logits_over_epsilon(lm, steer, hidden)
    for other, epsilon in held:
        check_fingerprint(other, lm.output_embedding, lm.model_id)
        base = base + check_epsilon(epsilon, other.name) * logits_over_epsilon(lm, other, hidden)[1]

    def probabilities(epsilon: float) -> Tensor:
        return lm.finish(torch.add(base, moved, alpha=epsilon))[0].softmax(dim=0).cpu()

    return probabilities


def _largest(p: Tensor, n: int) -> list[int]:
    """Return the token ids of the n largest probabilities, equals by token id."""
    if not 0 < n < len(p):
        return torch.argsort(p, descending=True, stable=True)[:n].tolist()
    # All that reach the n-th largest, in the order of their ids; sorting them is stable.
    ids = (p >= p.topk(n).values[-1]).nonzero()[:, 0]
    return ids[torch.argsort(p[ids], descending=True, stable=True)][:n].tolist()
