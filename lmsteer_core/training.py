"""Make a steer: a source gives shifts of the expected output embedding, one projection gives W.

At every token t a *source* says where the expected output embedding μ_t = E[e | p_t] should move:

    descriptions     Δμ_t = ½ (μ_t behind the + description − μ_t behind the − description)
    labelled text    Δμ_t = label · (e_{x_t} − μ_t)

The steer is the natural-gradient projection of those shifts onto h ↦ Wᵀ h (projection.py), in closed
form from one pass, because the backbone does not depend on W.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsteer_core.calibration import calibrate
from lmsteer_core.errors import InputError
from lmsteer_core.generation import Row, Sampling, generate
from lmsteer_core.language_model import LanguageModel
from lmsteer_core.projection import Curvature, CurvatureSums, expected_embedding, next_word, project
from lmsteer_core.steer import Steer, SteerCard, check_name, fingerprint_digest

Progress = Callable[[float, str], None]
"""Called with the finished share (0–1) and what is being done."""

DEFAULT_RANK = 16

_OPENERS = (
    "The", "In the", "It was", "There is", "When the", "I", "We", "She said", "He was", "They have",
    "This is", "At first", "After the", "My", "Our", "Some people", "If you", "On Monday", "Most of",
    "One of the", "For the", "You can", "The old", "The new", "A small", "During the", "Then the",
    "What I", "Before we", "Because the", "Last night", "Every", "As a", "From the", "But the", "Near",
)  # fmt: skip

_TEMPLATES = (
    "This is {}: ",
    "Here is a piece of writing. It is {}. It reads: ",
    "Style: {}\n\n",
    "The following sentence is {}.\n\n",
)
"""Ways to put a description in front of a text; their average keeps any one wording out of W."""

_TOKENS_PER_BATCH = 2048
_TOKENS_PER_CHUNK = 256


@dataclass(frozen=True)
class PlainText:
    """Neutral contexts of one model with what every description shares.

    Attributes:
        token_ids: The texts.
        hidden: Their hidden states, one (n_tokens, d_model) per text.
        curvature: A and B over these contexts.
    """

    token_ids: list[list[int]]
    hidden: list[Tensor]
    curvature: Curvature


def neutral_text(
    lm: LanguageModel, *, n_texts: int = 160, n_tokens: int = 22, progress: Progress | None = None
) -> PlainText:
    """Sample short texts from the model itself and gather their statistics.

    Args:
        lm: The language model.
        n_texts: How many texts.
        n_tokens: Sampled tokens in each, after one of a few dozen ordinary openings.
        progress: Told how far it is.
    """
    rows = [Row(_OPENERS[i % len(_OPENERS)], seed_offset=i // len(_OPENERS)) for i in range(n_texts)]
    sampling = Sampling(temperature=1.0, top_p=0.9, max_new_tokens=n_tokens, seed=1)
    texts: list[list[int]] = []
    for start in range(0, n_texts, 96):
        if progress:
            progress(0.8 * start / n_texts, "sampling neutral text from the model")
        for done in generate(lm, rows[start : start + 96], {}, sampling, logprobs=False):
            texts.append(lm.encode(done.row.prompt)[0][len(lm.prefix_ids) :] + [t.id for t in done.tokens])
    if progress:
        progress(0.8, "measuring the model's curvature")
    states = dict(_hidden_states(lm, texts, lm.prefix_ids))
    hidden = [states[i] for i in range(n_texts)]
    return PlainText(texts, hidden, curvature_of(lm, torch.cat(hidden)))


def curvature_of(lm: LanguageModel, hidden: Tensor) -> Curvature:
    """Return A and B over hidden states (n_tokens, d_model), in float64."""
    sums = CurvatureSums(lm)
    for h in hidden.split(_TOKENS_PER_CHUNK):
        p = next_word(lm, h)
        sums.add(h, p, expected_embedding(lm, p))
    return sums.mean()


def shift_from_descriptions(
    lm: LanguageModel,
    positive: str,
    negative: str,
    plain: PlainText,
    *,
    keep_own_words: bool = False,
    progress: Progress | None = None,
) -> Tensor:
    """Return mean(h Δμᵀ), (d_model, d_model), float64, from two described poles.

    The teacher is the model itself reading the plain texts behind each description. The
    descriptions' own words are left out of Δμ, so that "a pirate" does not only say "pirate";
    `keep_own_words` is for descriptions that are themselves written in the style.

    Raises:
        InputError: If a description is empty, they are the same, or one is longer than the context.
    """
    positive, negative = positive.strip(), negative.strip()
    if not positive or not negative:
        raise InputError("Describe both poles, each in a few words.")
    if positive.casefold() == negative.casefold():
        raise InputError("The two descriptions are the same; describe two different poles.")
    longest = max(map(len, plain.token_ids))
    own_words = [] if keep_own_words else _word_token_ids(lm, f"{positive} {negative}")
    total = torch.zeros(lm.d_model, lm.d_model, dtype=torch.float64, device=lm.device)
    for i, template in enumerate(_TEMPLATES):
        if progress:
            progress(i / len(_TEMPLATES), "reading neutral text behind the descriptions")
        prefixes = []
        for pole in (positive, negative):
            ids, cut = lm.encode(template.format(pole), reserve=longest)
            if cut or len(ids) > lm.context_length // 4:
                raise InputError("A description is too long; a sentence or two is enough.")
            prefixes.append(ids)
        # Every template reads its own share of the texts: a quarter of the time, the same average.
        texts, plain_states = plain.token_ids[i :: len(_TEMPLATES)], plain.hidden[i :: len(_TEMPLATES)]
        poles = [dict(_hidden_states(lm, texts, prefix)) for prefix in prefixes]
        for indices in _chunks(texts):
            h = torch.cat([plain_states[j] for j in indices])
            toward, away = (next_word(lm, torch.cat([pole[j] for j in indices])) for pole in poles)
            shift = (toward - away) / 2
            shift[:, own_words] = 0
            total += (h.T @ expected_embedding(lm, shift)).double()
    return total / sum(map(len, plain.token_ids))


def shift_from_labels(
    lm: LanguageModel,
    texts: Sequence[str],
    labels: Sequence[float],
    *,
    progress: Progress | None = None,
) -> tuple[Tensor, Curvature]:
    """Return mean(h Δμᵀ) and the curvature over labelled texts.

    Labels are centred, so what both poles share (the domain, the format) cancels out of W.

    Args:
        lm: The language model.
        texts: The training texts.
        labels: One label per text in [−1, 1].
        progress: Told how far it is.

    Raises:
        InputError: If labels are out of range or do not hold both signs.
    """
    if len(texts) != len(labels) or not texts:
        raise InputError("Labelled text needs one label per text and at least one text.")
    if not all(-1 <= label <= 1 for label in labels):
        raise InputError("Labels must be numbers from −1 to 1.")
    if not min(labels) < 0 < max(labels):
        raise InputError("Both poles are needed: labels above 0 and labels below 0.")
    limit = min(lm.context_length, 256)
    bare = [lm.encode(text)[0][len(lm.prefix_ids) :] for text in texts]
    ids = [(lm.start_ids + text_ids)[:limit] for text_ids in bare]
    lengths = torch.tensor([len(t) - 1 for t in ids], dtype=torch.float64)
    signs = torch.tensor(labels, dtype=torch.float64)
    signs = signs - (signs * lengths).sum() / lengths.sum()
    embedding = lm.output_embedding
    total = torch.zeros(lm.d_model, lm.d_model, dtype=torch.float64, device=lm.device)
    sums = CurvatureSums(lm)
    done = 0
    for indices in _chunks(ids, _TOKENS_PER_BATCH):
        states = dict(_hidden_states(lm, [ids[j] for j in indices]))
        h_all = torch.cat([states[k][:-1] for k in range(len(indices))])
        next_ids = torch.cat([torch.tensor(ids[j][1:], dtype=torch.long) for j in indices]).to(lm.device)
        sign = torch.cat([signs[j].expand(len(ids[j]) - 1) for j in indices]).float().to(lm.device)
        for h, x, s in zip(*(t.split(_TOKENS_PER_CHUNK) for t in (h_all, next_ids, sign)), strict=True):
            p = next_word(lm, h)
            mu = expected_embedding(lm, p)
            total += (h.T @ (s[:, None] * (embedding[x].float() - mu))).double()
            sums.add(h, p, mu)
        done += len(indices)
        if progress:
            progress(done / len(ids), f"reading labelled text ({done} of {len(ids)})")
    return total / lengths.sum().item(), sums.mean()


def train_from_descriptions(
    lm: LanguageModel,
    name: str,
    positive: str,
    negative: str,
    *,
    plain: PlainText | None = None,
    rank: int = DEFAULT_RANK,
    progress: Progress | None = None,
) -> Steer:
    """Return a calibrated steer from two descriptions, with no data.

    Args:
        lm: The language model.
        name: The steer's name.
        positive: What +ε should read like, e.g. "a cheerful, warm note".
        negative: What −ε should read like.
        plain: Statistics from `neutral_text`, if at hand.
        rank: Rank of W.
        progress: Told how far it is.
    """
    check_name(name)
    plain = plain or neutral_text(lm, progress=progress)
    shift = shift_from_descriptions(lm, positive, negative, plain, progress=progress)
    card = SteerCard(name, negative, positive, lm.model_id, method="descriptions", data="two descriptions")
    return steer_from_shift(lm, card, shift, plain.curvature, plain, rank)


def train_from_labels(
    lm: LanguageModel,
    name: str,
    texts: Sequence[str],
    labels: Sequence[float],
    *,
    plain: PlainText | None = None,
    rank: int = DEFAULT_RANK,
    progress: Progress | None = None,
) -> Steer:
    """Return a calibrated steer from labelled text; arguments as for the other sources."""
    check_name(name)
    shift, curvature = shift_from_labels(lm, texts, labels, progress=progress)
    plain = plain or neutral_text(lm, progress=progress)
    card = SteerCard(
        name, "label −1", "label +1", lm.model_id, method="labelled text", data=f"{len(texts)} texts"
    )
    return steer_from_shift(lm, card, shift, curvature, plain, rank)


def steer_from_shift(
    lm: LanguageModel, card: SteerCard, shift: Tensor, curvature: Curvature, plain: PlainText, rank: int
) -> Steer:
    """Return the calibrated steer of mean(h Δμᵀ), (d_model, d_model), in half precision.

    Shifts of several sources may be averaged before; `plain` is what the strength is measured on.

    Raises:
        InputError: If the shift is nothing at all.
    """
    left, right = project(shift, curvature, rank=min(rank, lm.d_model))
    card = dataclasses.replace(card, rank=left.shape[1], fingerprint=fingerprint_digest(lm.fingerprint_rows))
    steer = Steer(left, right, lm.fingerprint_rows, card)
    if not (steer.left.any() and steer.right.any()):
        raise InputError("The two poles are alike to the model; describe them more differently.")
    hidden = torch.cat(plain.hidden)
    calibrated = calibrate(lm, steer, hidden[:: max(1, len(hidden) // 600)])
    return dataclasses.replace(
        calibrated, left=calibrated.left.half().cpu(), right=calibrated.right.half().cpu()
    )


def _hidden_states(
    lm: LanguageModel, token_ids: Sequence[Sequence[int]], prefix: Sequence[int] = ()
) -> Iterator[tuple[int, Tensor]]:
    """Yield (index, hidden states of the text's own tokens), texts of like length together."""
    for indices in _chunks([[*prefix, *t] for t in token_ids], _TOKENS_PER_BATCH):
        batch = lm.hidden_states([[*prefix, *token_ids[j]] for j in indices])
        for j, states in zip(indices, batch, strict=True):
            yield j, states[len(prefix) :]


def _chunks(token_ids: Sequence[Sequence[int]], n_tokens: int = _TOKENS_PER_CHUNK) -> Iterator[list[int]]:
    """Yield indices of texts of like length in groups of about `n_tokens` tokens, padding included."""
    group: list[int] = []
    for j in sorted(range(len(token_ids)), key=lambda j: len(token_ids[j])):
        if group and (len(group) + 1) * len(token_ids[j]) > n_tokens:
            yield group
            group = []
        group.append(j)
    if group:
        yield group


def _word_token_ids(lm: LanguageModel, text: str) -> list[int]:
    """Return the tokens that start the text's content words, in their usual spellings."""
    words = {word.lower() for word in re.findall(r"[^\W\d_]{4,}", text)}
    spellings = {form for word in words for form in (word, word.capitalize(), word.upper())}
    ids = set()
    for form in sorted(spellings):
        for text_form in (form, f" {form}"):
            token_ids = lm.tokenizer(text_form, add_special_tokens=False)["input_ids"]
            if token_ids:
                ids.add(token_ids[0] if len(token_ids) == 1 else -1)
    return sorted(ids - {-1})
