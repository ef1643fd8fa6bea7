"""Why one token of a text is as likely as it is: each steer's and each dimension's exact share.

A steer moves the logit of word v by ε Σ_i (h · a_i)(b_i · e_v) (see `readings`). No softmax
notices what all words have in common, so that a share is such a term less its mean over the
vocabulary. Where l are logits less their mean, before and after (l′) steering, and Z = Σ_w exp l_w:

    log p′(v) − log p(v) = Σ shares + softcap − (log Z′ − log Z)

The shares sum to what steering adds to l_v. The last term, the normaliser, is what the rest of the
vocabulary does: it is negative where others gain more than v. A model that bends its logits by a
softcap gives v less, or more, than its shares; the difference is a term of its own, 0 for all
other models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsteer_core.analysis.logits import base_logits
from lmsteer_core.analysis.readings import factors
from lmsteer_core.errors import ContextError, InputError
from lmsteer_core.limits import check_whole_number
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.models.tokens import token_text
from lmsteer_core.progress import Steps, finished
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.steers.steer import Steer, check_fingerprint, steer_product


@dataclass(frozen=True)
class Alternative:
    """A token that might have stood in a place.

    Attributes:
        token_id: Vocabulary index.
        text: The token as it would continue the text, its leading space included.
        base_logprob: Its log-probability without steering, in nats.
        logprob: With steering.
    """

    token_id: int
    text: str
    base_logprob: float
    logprob: float


@dataclass(frozen=True)
class SteerShare:
    """What one steer adds to a token's logit, in nats above its mean over the vocabulary.

    Attributes:
        name: The steer's name.
        epsilon: Its ε.
        dimensions: Of each dimension, (n_dims,), in the order of `dimensions.dimensions`.
    """

    name: str
    epsilon: float
    dimensions: list[float]

    @property
    def nats(self) -> float:
        """The sum over the dimensions."""
        return sum(self.dimensions)


@dataclass(frozen=True)
class InspectedToken:
    """A token in its place, and what made it as likely as it is.

    Attributes:
        position: Its place in the text, from 0.
        token: The token itself.
        base_rank: How many tokens were at least as likely without steering, itself included.
        rank: With steering.
        shares: Of every steer whose ε is not 0.
        softcap: What the model's softcap takes from their sum, in nats; 0 if it has none.
        normaliser: −(log Z′ − log Z), in nats.
        before: The likeliest tokens without steering, in falling order.
        after: With steering.
    """

    position: int
    token: Alternative
    base_rank: int
    rank: int
    shares: list[SteerShare]
    softcap: float
    normaliser: float
    before: list[Alternative]
    after: list[Alternative]

    @property
    def shift(self) -> float:
        """What steering adds to its log-probability, in nats: the sum of all parts."""
        return self.token.logprob - self.token.base_logprob


def inspect_token(
    lm: LanguageModel,
    token_ids: Sequence[int],
    position: int,
    steers: Sequence[tuple[Steer, float]] = (),
    *,
    top: int = 10,
) -> InspectedToken:
    """Return one token's log-probabilities, what made them differ, and its alternatives.

    Args:
        lm: The language model.
        token_ids: The text, with what the tokenizer puts before it.
        position: The token's place in it, from 0; negative ones count from the end.
        steers: The steers that it was written under, each with its ε.
        top: Likeliest tokens to name, before steering and after.

    Raises:
        ContextError: If the model cannot read so much text before the token.
        InputError: If there is no such place or token id, nothing stands before the token, or a
            number is out of range.
        SteerError: If a steer is another model's.
    """
    return finished(inspecting(lm, token_ids, position, steers, top=top))


def inspecting(
    lm: LanguageModel,
    token_ids: Sequence[int],
    position: int,
    steers: Sequence[tuple[Steer, float]] = (),
    *,
    top: int = 10,
) -> Steps[InspectedToken]:
    """Do what `inspect_token` does; a long text is read in several steps."""
    position = _checked_position(lm, token_ids, position)
    top = check_whole_number(top, "The number of alternatives", 1, lm.vocab_size)
    active = []
    for steer, epsilon in steers:
        check_fingerprint(steer, lm.output_embedding, lm.model_id)
        if epsilon := check_epsilon(epsilon, steer.name):
            active.append((steer, epsilon))
    hidden = yield from lm.next_state(token_ids[:position])
    product = moved = base_logits(lm, hidden)
    for steer, epsilon in active:
        left, at = steer.left.to(hidden), torch.tensor([epsilon]).to(hidden)
        moved = steer_product(moved, hidden, left, lm.embedded(steer), at)
    base, steered = (lm.finish(each)[0].cpu().double() for each in (product, moved))
    if not steered.isfinite().all():
        raise InputError("At this ε a steer makes logits that are not finite; move it towards 0.")
    token_id = token_ids[position]
    shares = [_share(lm, steer, epsilon, hidden, token_id) for steer, epsilon in active]
    base_logprobs, logprobs = base.log_softmax(0), steered.log_softmax(0)

    def alternative(token_id: int) -> Alternative:
        text = token_text(lm, token_id)
        return Alternative(
            token_id, text, float(base_logprobs[token_id]), float(logprobs[token_id])
        )

    def likeliest(logits: Tensor) -> list[Alternative]:
        order = torch.argsort(logits, descending=True, stable=True)
        return [alternative(i) for i in order[:top].tolist()]

    move = (steered - base) - (steered - base).mean()
    normaliser = (base - base.mean()).logsumexp(0) - (steered - steered.mean()).logsumexp(0)
    is_capped = lm.probed.logit_map.cap is not None
    return InspectedToken(
        position,
        alternative(token_id),
        int((base >= base[token_id]).sum()),
        int((steered >= steered[token_id]).sum()),
        shares,
        float(move[token_id]) - sum(share.nats for share in shares) if is_capped else 0.0,
        float(normaliser),
        likeliest(base),
        likeliest(steered),
    )


def _share(
    lm: LanguageModel, steer: Steer, epsilon: float, hidden: Tensor, token_id: int
) -> SteerShare:
    """Return scale · ε (h · a_i)(b_i · (e_v − mean e)) of every dimension i."""
    found = factors(lm, steer)
    reads, writes = found.reads.to(lm.device), found.writes.to(lm.device)
    embedding = lm.output_embedding
    word = embedding[token_id].float() - embedding.mean(dim=0, dtype=torch.float32)
    terms = lm.probed.logit_map.scale * epsilon * (hidden[0] @ reads) * (writes @ word)
    return SteerShare(steer.name, epsilon, terms.tolist())


def _checked_position(lm: LanguageModel, token_ids: Sequence[int], position: int) -> int:
    """Return a token's place from 0, or raise as `inspect_token` does."""
    n_tokens = len(token_ids)
    if n_tokens < 2:
        raise InputError("The text needs two tokens: one to look at and one before it.")
    for token_id in token_ids:
        check_whole_number(token_id, "A token id", 0, lm.vocab_size - 1)
    position = check_whole_number(position, "The token's place", -n_tokens, n_tokens - 1)
    position %= n_tokens
    if position == 0:
        raise InputError("Nothing stands before a text's first token: choose a later one.")
    if position > lm.context_length:
        raise ContextError(
            f"{position} tokens stand before that one, and {lm.model_id} reads "
            f"{lm.context_length} at most; choose an earlier one."
        )
    return position
