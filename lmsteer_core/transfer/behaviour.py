"""A source that repeats what a steer does to another model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor

from lmsteer_core.analysis.evidence import weigh
from lmsteer_core.analysis.logits import logits_over_epsilon
from lmsteer_core.analysis.reading import read_text
from lmsteer_core.errors import InputError
from lmsteer_core.models.batched import hidden_states, tokens_per_chunk
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.progress import Progress
from lmsteer_core.steers.steer import Steer, check_fingerprint
from lmsteer_core.training.neutral_text import PlainText
from lmsteer_core.training.sources.source import Shift, StyleScore
from lmsteer_core.transfer.embedding_map import shared_words


@dataclass(frozen=True)
class Behaviour:
    """What a steer does on another model, as a source for the closed-form projection.

    Raises:
        SteerError: If the steer is not the source model's.
    """

    source: LanguageModel
    steer: Steer
    epsilon: float = 1.0

    def __post_init__(self) -> None:
        """Refuse another model's steer."""
        check_fingerprint(self.steer, self.source.output_embedding, self.source.model_id)

    def shift(self, lm: LanguageModel, plain: PlainText, progress: Progress) -> Shift:
        """Return mean(h Δμᵀ) at the ends of words that both models see.

        Raises:
            InputError: If the vocabularies or the texts' tokens share too little.
        """
        shared = shared_words(self.source, lm)
        source = self.source.for_batches
        places = _word_ends(source, lm, plain.token_ids)
        progress(0.0, f"reading neutral text with {source.model_id}")
        read = hidden_states(source, [source_ids for _, source_ids, _ in places], source.prefix_ids)
        embedding = lm.output_embedding[shared.target_ids.to(lm.device)]
        halves = torch.zeros(2, lm.d_model, lm.d_model, dtype=torch.float64, device=lm.device)
        n_tokens = [0, 0]
        for i, ((text, _, ends), states) in enumerate(zip(places, read, strict=True)):
            at_target, at_source = (torch.tensor(side) for side in zip(*ends, strict=True))
            h = plain.hidden[text][at_target.to(lm.device)]
            for part_h, part_s in zip(
                *(t.split(tokens_per_chunk(lm)) for t in (h, states[at_source.to(source.device)])),
                strict=True,
            ):
                moved = self._shift_of(source, part_s, shared.source_ids).to(
                    lm.device, embedding.dtype
                )
                halves[i % 2] += (part_h.T @ (moved @ embedding).float()).double()
            n_tokens[i % 2] += len(ends)
            progress(i / len(places), "comparing the models word by word")
        return Shift(halves / torch.tensor(n_tokens, device=lm.device).clamp_min(1)[:, None, None])

    def style_score(self, lm: LanguageModel) -> StyleScore:  # noqa: ARG002
        """Return the steer's own evidence on its own model, nats a token at ±1."""

        def score(texts: Sequence[str]) -> list[float]:
            scores = []
            for text in texts:
                read = read_text(self.source, text) if text.strip() else None
                weighed = weigh(self.source, read, self.steer, epsilons=[0.0]) if read else None
                scores.append(weighed.total / len(weighed.evidence) if weighed else 0.0)
            return scores

        return score

    @property
    def poles(self) -> tuple[str, str]:
        """The steer's own."""
        return self.steer.card.negative, self.steer.card.positive

    @property
    def summary(self) -> str:
        """Where it came from."""
        return f"transferred from {self.source.model_id} by behaviour"

    def _shift_of(self, source: LanguageModel, hidden: Tensor, ids: Tensor) -> Tensor:
        """Return ½ (p₊ε − p₋ε) over the shared words alone, (n_tokens, n_shared)."""
        ids = ids.to(source.device)
        base, moved = logits_over_epsilon(source, self.steer, hidden)
        plus, minus = (
            source.finish(torch.add(base, moved, alpha=e))[:, ids].softmax(dim=-1)
            for e in (self.epsilon, -self.epsilon)
        )
        return (plus - minus) / 2


def _word_ends(
    source: LanguageModel, target: LanguageModel, token_ids: list[list[int]]
) -> list[tuple[int, list[int], list[tuple[int, int]]]]:
    """Return per usable text: its index, the source's ids, and where a word ends for both models.

    Raises:
        InputError: If no word ends for both.
    """
    places = []
    for i, ids in enumerate(token_ids):
        text = str(target.tokenizer.decode(ids))
        source_tokens, target_tokens = (
            lm.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            for lm in (source, target)
        )
        # Beyond this, the text was sampled in pieces that the tokenizer would not choose.
        pairs = zip(target_tokens["input_ids"], ids, strict=False)
        n_alike = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
        at_source = {end: k for k, (_, end) in enumerate(source_tokens["offset_mapping"])}
        ends = [
            (k, at_source[end])
            for k, (_, end) in enumerate(target_tokens["offset_mapping"][:n_alike])
            if end in at_source and text[end : end + 1] == " "
        ]
        if ends:
            places.append((i, source_tokens["input_ids"], ends))
    if not places:
        raise InputError(
            f"{source.model_id} and {target.model_id} never end a word at the same place."
        )
    return places
