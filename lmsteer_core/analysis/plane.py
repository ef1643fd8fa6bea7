"""Two steers at once: what their plane (ε₁, ε₂) does to a word and to the style of a text.

Moves add, so logits = E h + ε₁ E W₁ᵀ h + ε₂ E W₂ᵀ h: one pass of the backbone and three tables give
every point of the plane exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from lmsteer_core.analysis.evidence import profile
from lmsteer_core.analysis.logits import logits_over_epsilon
from lmsteer_core.analysis.reading import ReadText
from lmsteer_core.errors import InputError
from lmsteer_core.generation.live_row import Token
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.models.tokens import first_token, token_text
from lmsteer_core.progress import finished
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.steers.steer import Steer, check_fingerprint

PLANE_GRID = [round(-3 + 0.25 * i, 2) for i in range(25)]
"""ε of both axes, over the useful range of a calibrated steer."""

_MAX_GRID = 200


@dataclass(frozen=True)
class Plane:
    """One word's probability over the plane of two steers.

    Attributes:
        epsilons: The grid of both axes.
        probability: P(token | prompt); row i is steer_b at epsilons[i], column j steer_a at
            epsilons[j].
        text: The token as it would continue the prompt, its leading space included.
        is_whole: False if the word has several tokens, of which this is the first.
        cut: Whether the prompt's beginning did not fit the context.
    """

    epsilons: list[float]
    probability: list[list[float]]
    text: str
    is_whole: bool
    cut: bool


def plane(
    lm: LanguageModel,
    prompt: str,
    steer_a: Steer,
    steer_b: Steer,
    word: str,
    epsilons: Sequence[float] = PLANE_GRID,
    *,
    held: Sequence[tuple[Steer, float]] = (),
) -> Plane:
    """Return the exact probability that a word comes next, over a square grid of two steers' ε.

    Memory is a few rows of vocabulary size, whatever the grid.

    Args:
        lm: The language model.
        prompt: What the word continues.
        steer_a: The steer of the columns.
        steer_b: The steer of the rows.
        word: Any word; of several tokens the first counts.
        epsilons: The grid of both axes.
        held: Other steers, each with the ε that it keeps.

    Raises:
        InputError: If the prompt or the word is empty, or a number is out of range.
        SteerError: If a steer is another model's.
    """
    if not 1 <= len(epsilons) <= _MAX_GRID:
        raise InputError(f"Ask for 1 to {_MAX_GRID} values of ε.")
    grid = [check_epsilon(epsilon) for epsilon in epsilons]
    for steer, epsilon in (*held, (steer_a, 0.0), (steer_b, 0.0)):
        check_fingerprint(steer, lm.output_embedding, lm.model_id)
        check_epsilon(epsilon, steer.name)
    ids, cut = lm.encode(prompt, reserve=1)
    token_id, is_whole = first_token(lm, prompt, word)
    hidden = finished(lm.next_state(ids))
    base, moved_a = logits_over_epsilon(lm, steer_a, hidden)
    moved_b = logits_over_epsilon(lm, steer_b, hidden)[1]
    for steer, epsilon in held:
        base = base + epsilon * logits_over_epsilon(lm, steer, hidden)[1]

    def probability(at_b: Tensor, epsilon: float) -> float:
        logits = lm.finish(at_b.add(moved_a, alpha=epsilon))[0]
        return float((logits[token_id] - logits.logsumexp(dim=0)).exp())

    rows = (base.add(moved_b, alpha=epsilon) for epsilon in grid)
    table = [[probability(row, epsilon) for epsilon in grid] for row in rows]
    return Plane(grid, table, token_text(lm, token_id), is_whole, cut)


def styles(
    lm: LanguageModel, prompt: str, texts: Sequence[Sequence[Token]], steers: Sequence[Steer]
) -> list[list[float]]:
    """Return every text's evidence per token for every steer, in nats, (n_texts, n_steers).

    The unsteered model reads; the steer's own likelihood ratio, log P(token | ε = 1) − log P(token
    | ε = −1), is the judge. A text without tokens reads 0.

    Args:
        lm: The language model.
        prompt: What all texts continue; it is read once and not scored.
        texts: Continuations, n_texts of them.
        steers: The steers, n_steers of them.
    """
    if not texts:
        return []
    ids, _ = lm.encode(prompt, reserve=max(map(len, texts)), n_rows=len(texts))
    written = [[ids[-1], *(token.id for token in text)] for text in texts]
    hidden = lm.hidden_states(written, prefix=ids[:-1])
    text_scores = []
    for token_ids, states in zip(written, hidden, strict=True):
        n_new = len(token_ids) - 1
        read = ReadText(token_ids, [""] * len(token_ids), states[:-1], cut=False)
        weighed = profile(lm, read, steers, epsilons=[1.0, -1.0]) if n_new else []
        text_scores.append([each.total / n_new for each in weighed] or [0.0] * len(steers))
    return text_scores
