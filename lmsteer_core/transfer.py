"""Carry a steer to another model: by what it does, or by a linear map between embedding spaces.

    by behaviour    Δμ_t = Σ_v ½ (p₊ε(v) − p₋ε(v)) e_v      p over the words both models know, e of the target
    by a map H      W′ = H⁻ W H                              e_source ≈ H e_target, H⁻ its way back

The first is a source like a description (see sources.py): both models read the same neutral text, and
where a word ends for both, the source model's steered probabilities tell the target where to move. The
second is the paper's (Han et al., ACL 2024, section on transfer); it needs no text.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

import torch
from torch import Tensor, nn

from lmsteer_core.errors import InputError
from lmsteer_core.geometry import dimensions
from lmsteer_core.language_model import LanguageModel
from lmsteer_core.neutral import PlainText, Progress, hidden_states, neutral_text, part, tokens_per_chunk
from lmsteer_core.projection import next_word
from lmsteer_core.scoring import logits_over_epsilon, read_text, weigh
from lmsteer_core.sources import Shift, StyleScore
from lmsteer_core.steer import Steer, check_fingerprint, fingerprint_digest
from lmsteer_core.training import calibrated, train

Method = Literal["behaviour", "ridge", "procrustes", "transpose"]

LEAST_SHARED_WORDS = 500
"""Fewer say too little about a space of some hundred dimensions."""

_RIDGE = 0.1

_N_WEIGHED_TOKENS = 350
"""Neutral tokens that give the words of a map their weights, under a square root: few are enough."""


@dataclass(frozen=True)
class SharedWords:
    """Tokens of two models with one spelling, word starts told apart from the middles of words.

    Attributes:
        source_ids: Their ids in the source's vocabulary, (n_shared,).
        target_ids: Their ids in the target's, (n_shared,).
        texts: Their spellings; those that begin a word have a leading space.
    """

    source_ids: Tensor
    target_ids: Tensor
    texts: list[str]


@dataclass(frozen=True)
class EmbeddingMap:
    """A linear map between two models' output embeddings, e_source ≈ H e_target.

    Attributes:
        forward: H, (d_source, d_target).
        back: Its way back, (d_target, d_source): a fit of its own, or Hᵀ.
        n_words: Shared words that it was fitted on.
        r2: Share of the source embeddings' variance that it explains, words weighted as in the fit.
    """

    forward: Tensor
    back: Tensor
    n_words: int
    r2: float


@dataclass(frozen=True)
class FitReport:
    """How alike two models' words are.

    Attributes:
        n_shared: Words that both vocabularies have.
        r2: Share of the source embeddings' variance that the ridge map explains.
        neighbours: Some of the steer's words on the source, each with the target's words that lie
            nearest to it once it is mapped.
    """

    n_shared: int
    r2: float
    neighbours: list[tuple[str, list[str]]]


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
        check_fingerprint(self.steer, self.source.fingerprint_rows, self.source.model_id)

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
                moved = self._shift_of(source, part_s, shared.source_ids).to(lm.device, embedding.dtype)
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
                found = weigh(self.source, read, self.steer, epsilons=[0.0]) if read else None
                scores.append(found.total / len(found.evidence) if found else 0.0)
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


def transfer(
    source: LanguageModel,
    steer: Steer,
    target: LanguageModel,
    *,
    method: Method = "behaviour",
    name: str | None = None,
    progress: Progress | None = None,
) -> Steer:
    """Return the steer for another model, its ε calibrated anew there.

    Args:
        source: The steer's model.
        steer: One of its steers.
        target: The model to carry it to.
        method: "behaviour"; or by a map: "ridge" fits both ways, "transpose" is the paper's W′ = Hᵀ W H,
            "procrustes" allows H only to rotate.
        name: The new steer's name; the old one if None.
        progress: Told how far it is; whatever it raises stops the work.

    Raises:
        InputError: If the two vocabularies share too few words.
        SteerError: If the steer is not the source model's.
    """
    behaviour = Behaviour(source, steer)
    shared_words(source, target)  # too few are refused before the long part
    name = name or steer.name
    if method == "behaviour":
        made = train(target, name, behaviour, notice=steer.card.notice, progress=progress)
    else:
        report = progress or (lambda _share, _what: None)
        plain = neutral_text(target.for_batches, progress=part(report, 0.0, 0.5))
        mapped = carried(steer, fit_map(source, target, plain, method=method), target, name)
        made = calibrated(target, mapped, behaviour, plain, progress=progress)
    told = f"'{steer.name}' of {source.model_id} ({steer.card.data or steer.card.method})"
    return dataclasses.replace(
        made, card=dataclasses.replace(made.card, method=f"transferred by {method}", data=told)
    )


def shared_words(source: LanguageModel, target: LanguageModel) -> SharedWords:
    """Return the tokens that both vocabularies have, whatever their tokenizers.

    Raises:
        InputError: If there are fewer than `LEAST_SHARED_WORDS`.
    """
    ours, theirs = _spellings(source), _spellings(target)
    texts = sorted(ours.keys() & theirs.keys(), key=theirs.__getitem__)
    if len(texts) < LEAST_SHARED_WORDS:
        raise InputError(
            f"{source.model_id} and {target.model_id} share {len(texts)} words; "
            f"a transfer needs at least {LEAST_SHARED_WORDS}."
        )
    return SharedWords(
        torch.tensor([ours[text] for text in texts]), torch.tensor([theirs[text] for text in texts]), texts
    )


def fit_map(
    source: LanguageModel, target: LanguageModel, plain: PlainText, *, method: Method = "ridge"
) -> EmbeddingMap:
    """Return the map between two models' output embeddings that fits their shared words.

    Weighted least squares, each word by the square root of its mean probability in the target's
    neutral text, with a ridge of a tenth of the mean eigenvalue; means are taken off first, because
    no softmax notices them.

    Args:
        source: The model to map to.
        target: The model to map from.
        plain: Neutral text of `target.for_batches`.
        method: "ridge", "transpose" or "procrustes", see `transfer`.
    """
    shared = shared_words(source, target)
    weight = _mean_probability(target.for_batches, plain)[shared.target_ids].sqrt()
    weight = (weight / weight.sum()).clamp_min(1e-9).float()[:, None]
    e_source, e_target = _embeddings(source, target, shared)
    e_source, e_target = (e - (weight * e).sum(dim=0) for e in (e_source, e_target))
    if method == "procrustes":
        u, _, vt = torch.linalg.svd((e_source.T @ (weight * e_target)).double(), full_matrices=False)
        forward = (u @ vt).float()
    else:
        forward = _ridge(e_target, e_source, weight)
    back = _ridge(e_source, e_target, weight) if method == "ridge" else forward.T
    fitted = e_target @ forward.T
    # A rotation keeps lengths, which two models do not share: the best scale is not its mistake.
    scale = (weight * fitted * e_source).sum() / (weight * fitted.square()).sum()
    left_over = (weight * (e_source - scale * fitted).square()).sum()
    r2 = 1 - float(left_over / (weight * e_source.square()).sum())
    return EmbeddingMap(forward, back, len(shared.texts), r2)


def fit_report(
    source: LanguageModel, steer: Steer, target: LanguageModel, *, n_words: int = 4, n_nearest: int = 4
) -> FitReport:
    """Return how well the two models' embeddings fit, seen on the steer's own words.

    Args:
        source: The steer's model.
        steer: One of its steers.
        target: The other model.
        n_words: Words from either end of the steer's first dimension.
        n_nearest: Neighbours of each.

    Raises:
        InputError: If the two vocabularies share too few words.
    """
    shared = shared_words(source, target)
    found = fit_map(source, target, neutral_text(target.for_batches))
    e_source, e_target = _embeddings(source, target, shared)
    e_source, e_target = (e - e.mean(dim=0) for e in (e_source, e_target))
    place = {text: i for i, text in enumerate(shared.texts)}
    (first,) = dimensions(source, steer, n_dims=1, n_words=4 * n_words)
    words = [
        word
        for side in (first.positive, first.negative)
        for word in [f" {w}" for w in side if f" {w}" in place][:n_words]
    ]
    mapped = e_source[[place[word] for word in words]] @ found.back.T
    nearest = (mapped @ nn.functional.normalize(e_target).T).topk(n_nearest, dim=1).indices.tolist()
    neighbours = [(w, [shared.texts[i] for i in row]) for w, row in zip(words, nearest, strict=True)]
    return FitReport(found.n_words, found.r2, neighbours)


def carried(steer: Steer, embedding_map: EmbeddingMap, target: LanguageModel, name: str) -> Steer:
    """Return W′ = H⁻ W H on the target, not yet calibrated."""
    card = dataclasses.replace(
        steer.card,
        name=name,
        model_id=target.model_id,
        fingerprint=fingerprint_digest(target.fingerprint_rows),
        calibration={},
        metrics={"shared_words": embedding_map.n_words, "map_r2": round(embedding_map.r2, 4)},
    )
    left = embedding_map.back @ steer.left.float().cpu()
    right = steer.right.float().cpu() @ embedding_map.forward
    return Steer(left, right, target.fingerprint_rows, card)


def _embeddings(source: LanguageModel, target: LanguageModel, shared: SharedWords) -> tuple[Tensor, Tensor]:
    """Return either model's output embeddings of the shared words, (n_shared, d_model), float32."""
    return (
        source.output_embedding[shared.source_ids.to(source.device)].float().cpu(),
        target.output_embedding[shared.target_ids.to(target.device)].float().cpu(),
    )


def _ridge(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return H, (d_y, d_x), with y ≈ H x over rows."""
    weighted = weight * x
    moment, cross = (weighted.T @ x).double(), (weighted.T @ y).double()
    ridge = _RIDGE * moment.trace() / len(moment)
    h: Tensor = torch.linalg.solve(moment + ridge * torch.eye(len(moment), dtype=moment.dtype), cross)
    return h.T.float()


def _spellings(lm: LanguageModel) -> dict[str, int]:
    """Return every token's id by its spelling, a word start's with a leading space."""
    found: dict[str, int] = {}
    for i, (token, text) in enumerate(
        zip(lm.tokenizer.convert_ids_to_tokens(list(range(lm.vocab_size))), lm.token_texts, strict=True)
    ):
        if token and text.strip() and "\ufffd" not in text:
            # Byte-level BPE marks a word start with Ġ, SentencePiece with ▁.
            found.setdefault(f" {text.strip()}" if token[0] in "Ġ▁" else text, i)
    return found


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
        ours, theirs = (
            lm.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            for lm in (source, target)
        )
        # Beyond this, the text was sampled in pieces that the tokenizer would not choose.
        pairs = zip(theirs["input_ids"], ids, strict=False)
        n_alike = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
        at_source = {end: k for k, (_, end) in enumerate(ours["offset_mapping"])}
        ends = [
            (k, at_source[end])
            for k, (_, end) in enumerate(theirs["offset_mapping"][:n_alike])
            if end in at_source and text[end : end + 1] == " "
        ]
        if ends:
            places.append((i, ours["input_ids"], ends))
    if not places:
        raise InputError(f"{source.model_id} and {target.model_id} never end a word at the same place.")
    return places


def _mean_probability(lm: LanguageModel, plain: PlainText) -> Tensor:
    """Return the mean next-word probability over some neutral text, (vocab_size,), float64."""
    hidden = torch.cat(plain.hidden)
    hidden = hidden[:: max(1, len(hidden) // _N_WEIGHED_TOKENS)]
    total = torch.zeros(lm.vocab_size, dtype=torch.float64, device=lm.device)
    for h in hidden.split(tokens_per_chunk(lm)):
        total += next_word(lm, h).sum(dim=0, dtype=torch.float64)
    return (total / len(hidden)).cpu()
