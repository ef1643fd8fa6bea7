"""Sources of a steer: where should the expected output embedding move, token by token?

    descriptions     Δμ_t = ½ (μ_t behind the + description − μ_t behind the − description)
    examples         the same, behind a few examples of each pole
    labelled text    Δμ_t = label · (e_{x_t} − μ_t)

with μ_t = E[e | p_t]. Each returns mean(h Δμᵀ), all that the projection needs of it. The first two
have a teacher: the model itself, reading the same neutral text behind a prefix. Its shifts are
expectations, not observed words, so a few thousand tokens hold no noise to speak of.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from lmsteer_core.errors import InputError
from lmsteer_core.language_model import LanguageModel, check_text
from lmsteer_core.neutral import PlainText, Progress, batches, hidden_states, part, tokens_per_chunk
from lmsteer_core.projection import expected_embedding, natural_length, next_word
from lmsteer_core.steer import shortened

StyleScore = Callable[[Sequence[str]], Sequence[float]]
"""How far texts lean to the + pole, above 0 or below, by a judge that has not seen the steer."""

_TEMPLATES = (
    "This is {}: ",
    "Here is a piece of writing. It is {}. It reads: ",
    "Style: {}\n\n",
    "The following sentence is {}.\n\n",
)
"""Ways to put a description in front of a text; their average keeps any one wording out of W."""

_CHAT_REQUEST = "Write one sentence. It must be {}."

_MAX_POLE_CHARACTERS = 2_000
_MIN_EXAMPLES, _MAX_EXAMPLES = 3, 50
_N_SUBSETS, _SUBSET_SIZE = 10, 3
_MAX_TEXT_TOKENS = 256
_MAX_READ_TOKENS = 400_000
"""Labelled text beyond this is sampled: the shift's noise is long below its signal."""

_MAX_JUDGED_TEXTS = 20_000
_MAX_HELD_OUT_TOKENS = 1_500


@dataclass(frozen=True)
class Shift:
    """What a source says.

    Attributes:
        halves: mean(h Δμᵀ) over either half of the texts, (2, d_model, d_model), float64. Two, so
            that what one half taught can be tested on the other.
        held_out: Tokens that took no part, if the source is labelled text.
    """

    halves: Tensor
    held_out: HeldOut | None = None


@dataclass(frozen=True)
class HeldOut:
    """Labelled tokens kept back: hidden (n_tokens, d_model), the next token's id and the label."""

    hidden: Tensor
    next_ids: Tensor
    labels: Tensor


@runtime_checkable
class Source(Protocol):
    """Anything that says where the expected output embedding should move."""

    def shift(self, lm: LanguageModel, plain: PlainText, progress: Progress) -> Shift:
        """Return mean(h Δμᵀ) of two halves; `progress` may raise to stop."""
        ...

    def style_score(self, lm: LanguageModel) -> StyleScore:
        """Return a judge of the two poles that does not know the steer."""
        ...

    @property
    def poles(self) -> tuple[str, str]:
        """Short names of the − pole and the + pole."""
        ...

    @property
    def summary(self) -> str:
        """What the steer was made from, for its card."""
        ...


@dataclass(frozen=True)
class Descriptions:
    """Two poles in the user's words.

    The descriptions' own content words are left out of Δμ, so that "a pirate" does not only say
    "pirate"; `keep_own_words` is for descriptions that are themselves written in the style.

    Raises:
        InputError: If a description is empty or too long, or they are the same.
    """

    positive: str
    negative: str
    keep_own_words: bool = False

    def __post_init__(self) -> None:
        """Refuse what describes no two poles."""
        for pole, what in ((self.positive, "“more like”"), (self.negative, "“less like”")):
            check_text(pole, f"{what} description")
            if len(pole) > _MAX_POLE_CHARACTERS:
                raise InputError(f"The {what} description is too long; a sentence or two is enough.")
        if _plain(self.positive) == _plain(self.negative):
            raise InputError("The two descriptions are the same; describe two different poles.")

    def shift(self, lm: LanguageModel, plain: PlainText, progress: Progress) -> Shift:
        """Return mean(h Δμᵀ) behind the descriptions, averaged over several templates."""
        own_words = [] if self.keep_own_words else _word_token_ids(lm, f"{self.positive} {self.negative}")
        return _taught_shift(lm, plain, self._prefixes(lm), own_words, progress)

    def style_score(self, lm: LanguageModel) -> StyleScore:
        """Return the model's own log-odds of the descriptions, nats a token."""
        return _log_odds(lm, self._prefixes(lm)[0])

    @property
    def poles(self) -> tuple[str, str]:
        """The descriptions, shortened; where that leaves the same, from where they part."""
        negative, positive = shortened(self.negative), shortened(self.positive)
        if negative == positive:
            less, more = self.negative.split(), self.positive.split()
            n_shared = next((i for i, (a, b) in enumerate(zip(less, more, strict=False)) if a != b), 0)
            negative, positive = (shortened(" ".join(words[n_shared:])) for words in (less, more))
        return negative, positive

    @property
    def summary(self) -> str:
        """What the steer was made from."""
        return f"two descriptions, “{self.positive.strip()}” against “{self.negative.strip()}”"

    def _prefixes(self, lm: LanguageModel) -> list[tuple[list[int], list[int]]]:
        poles = self.positive.strip(), self.negative.strip()
        texts = [tuple(template.format(pole) for pole in poles) for template in _TEMPLATES]
        pairs = [tuple(lm.encode(text)[0] for text in pair) for pair in texts]
        if lm.tokenizer.chat_template:
            pairs.append(tuple(_chat_ids(lm, _CHAT_REQUEST.format(pole)) for pole in poles))
        longest = max(len(ids) for pair in pairs for ids in pair)
        if longest > lm.context_length // 4:
            raise InputError("A description is too long; a sentence or two is enough.")
        return [(plus, minus) for plus, minus in pairs]


@dataclass(frozen=True)
class Examples:
    """A few texts of each pole, put in context: many small random subsets, so that topic cancels.

    Raises:
        InputError: If a side has fewer than 3 or more than 50 distinct texts, or both are the same.
    """

    positive: Sequence[str]
    negative: Sequence[str]

    def __post_init__(self) -> None:
        """Strip the texts, drop repeated ones, refuse what shows no two poles."""
        for side, what in (("positive", "“more like”"), ("negative", "“less like”")):
            texts = [text for text in dict.fromkeys(t.strip() for t in getattr(self, side)) if text]
            for text in texts:
                check_text(text, f"{what} example")
            if not _MIN_EXAMPLES <= len(texts) <= _MAX_EXAMPLES:
                raise InputError(
                    f"There are {len(texts)} different {what} examples; give "
                    f"{_MIN_EXAMPLES} to {_MAX_EXAMPLES} a side."
                )
            object.__setattr__(self, side, tuple(texts))
        if set(self.positive) & set(self.negative):
            raise InputError("An example stands on both sides; each belongs to one pole.")

    def shift(self, lm: LanguageModel, plain: PlainText, progress: Progress) -> Shift:
        """Return mean(h Δμᵀ) behind random subsets of the examples."""
        return _taught_shift(lm, plain, self._prefixes(lm), [], progress)

    def style_score(self, lm: LanguageModel) -> StyleScore:
        """Return the model's own log-odds of the examples' two sides, nats a token."""
        return _log_odds(lm, self._prefixes(lm)[0])

    @property
    def poles(self) -> tuple[str, str]:
        """Nothing better is known than the sides."""
        return "like the − examples", "like the + examples"

    @property
    def summary(self) -> str:
        """What the steer was made from."""
        return f"{len(self.positive)} + {len(self.negative)} examples"

    def _prefixes(self, lm: LanguageModel) -> list[tuple[list[int], list[int]]]:
        draw = random.Random(0)  # noqa: S311
        limit = min(lm.context_length // 8, 128)

        def prefix(side: Sequence[str]) -> list[int]:
            ids = list(lm.prefix_ids)
            for text in draw.sample(list(side), _SUBSET_SIZE):
                ids += lm.tokenizer(text, add_special_tokens=False)["input_ids"][:limit]
                ids += lm.tokenizer("\n\n", add_special_tokens=False)["input_ids"]
            return ids

        return [(prefix(self.positive), prefix(self.negative)) for _ in range(_N_SUBSETS)]


@dataclass(frozen=True)
class LabelledText:
    """Texts with labels from −1 to 1; a graded label is a weaker one.

    Labels are centred, so what both poles share (the domain, the format) cancels out of W.

    Raises:
        InputError: If labels are out of range or do not hold both signs.
    """

    texts: Sequence[str]
    labels: Sequence[float]

    def __post_init__(self) -> None:
        """Refuse what labels no two poles."""
        if len(self.texts) != len(self.labels) or not self.texts:
            raise InputError("Labelled text needs one label per text and at least one text.")
        for text in self.texts:
            check_text(text, "labelled text")
        if not all(-1 <= label <= 1 for label in self.labels):
            raise InputError("Labels must be numbers from −1 to 1.")
        if not min(self.labels) < 0 < max(self.labels):
            raise InputError("Both poles are needed: labels above 0 and labels below 0.")

    def shift(self, lm: LanguageModel, plain: PlainText, progress: Progress) -> Shift:  # noqa: ARG002
        """Return mean(h Δμᵀ) over the texts; at most a tenth of them, 1,500 tokens, is held out."""
        texts: list[list[int]] = []
        n_tokens = 0
        starts, all_labels = self._in_order()
        for text in starts:
            bare = lm.encode(text)[0][len(lm.prefix_ids) :]
            texts.append((lm.start_ids + bare)[:_MAX_TEXT_TOKENS])
            n_tokens += len(texts[-1])
            if n_tokens > _MAX_READ_TOKENS:
                break
        labels = torch.tensor(all_labels[: len(texts)], dtype=torch.float64)
        if not labels.min() < 0 < labels.max():
            raise InputError(
                f"The {len(texts):,} texts that are read hold one pole only; give fewer of the other one."
            )
        n_held = _within_budget([len(t) for t in texts[: len(texts) // 10]], _MAX_HELD_OUT_TOKENS)
        if not labels[n_held:].min() < 0 < labels[n_held:].max():  # a rare pole is for learning
            n_held = 0
        held_out = _held_out(lm, texts[:n_held], labels[:n_held]) if n_held else None
        return Shift(_labelled_halves(lm, texts[n_held:], labels[n_held:], progress), held_out)

    def style_score(self, lm: LanguageModel) -> StyleScore:  # noqa: ARG002
        """Return the log-odds of a TF-IDF classifier fitted to the labels' signs."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        judge = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=50_000, token_pattern=r"\S+"),
            LogisticRegression(C=10, max_iter=1000, class_weight="balanced"),
        )
        texts, labels = self._in_order()
        few = labels[:_MAX_JUDGED_TEXTS]
        if min(few) < 0 < max(few):
            texts, labels = texts[:_MAX_JUDGED_TEXTS], few
        signed = [(text, label > 0) for text, label in zip(texts, labels, strict=True) if label]
        judge.fit(*zip(*signed, strict=True))
        return lambda texts: [float(score) for score in judge.decision_function(list(texts))]

    def _in_order(self) -> tuple[list[str], list[float]]:
        """Return the texts' beginnings and labels by content: neither the file's order nor chance decides."""
        order = sorted(range(len(self.texts)), key=lambda j: (zlib.crc32(self.texts[j].encode()), j))
        return [self.texts[j][: 16 * _MAX_TEXT_TOKENS] for j in order], [self.labels[j] for j in order]

    @property
    def poles(self) -> tuple[str, str]:
        """Nothing better is known than the labels."""
        return "label −1", "label +1"

    @property
    def summary(self) -> str:
        """What the steer was made from."""
        return f"{len(self.texts)} labelled texts"


@dataclass(frozen=True)
class Combined:
    """Several sources, each with its share of the shift's length, e.g. a description refined by data.

    Raises:
        InputError: If there is no source or a weight is not above 0.
    """

    parts: Sequence[tuple[Source, float]]

    def __post_init__(self) -> None:
        """Refuse weights that weigh nothing."""
        if not self.parts or not all(0 < weight < float("inf") for _, weight in self.parts):
            raise InputError("Sources are combined with weights above 0.")

    def shift(self, lm: LanguageModel, plain: PlainText, progress: Progress) -> Shift:
        """Return the weighted sum of the sources' shifts, each first brought to one natural length."""
        total, held_out = torch.zeros((), dtype=torch.float64), None
        for i, (source, weight) in enumerate(self.parts):
            found = source.shift(lm, plain, part(progress, i / len(self.parts), (i + 1) / len(self.parts)))
            length = natural_length(found.halves.mean(0), plain.curvature)
            if not length:
                raise InputError(
                    f"The two poles of {source.summary} are alike to the model; make them differ."
                )
            total = total + weight * found.halves / length
            held_out = held_out or found.held_out
        return Shift(total, held_out)

    def style_score(self, lm: LanguageModel) -> StyleScore:
        """Return the first source's judge."""
        return self.parts[0][0].style_score(lm)

    @property
    def poles(self) -> tuple[str, str]:
        """The first source's poles."""
        return self.parts[0][0].poles

    @property
    def summary(self) -> str:
        """What the steer was made from."""
        weights: dict[str, float] = {}
        for source, weight in self.parts:
            weights[source.summary] = weights.get(source.summary, 0.0) + weight
        return ", ".join(f"{summary} (weight {weight:.2g})" for summary, weight in weights.items())


def _taught_shift(
    lm: LanguageModel,
    plain: PlainText,
    prefixes: Sequence[tuple[list[int], list[int]]],
    silent_ids: list[int],
    progress: Progress,
) -> Shift:
    """Return mean(h Δμᵀ) behind pairs of prefixes, with no shift for the tokens `silent_ids`.

    Every pair reads its own share of the texts: one share of the time, the same average.
    """
    halves = torch.zeros(2, lm.d_model, lm.d_model, dtype=torch.float64, device=lm.device)
    n_tokens = [0, 0]
    for i, pair in enumerate(prefixes):
        progress(i / len(prefixes), "reading neutral text behind each pole")
        mine = range(i, len(plain.token_ids), len(prefixes))
        texts = [plain.token_ids[j] for j in mine]
        plus, minus = (hidden_states(lm, texts, prefix) for prefix in pair)
        for half in (0, 1):
            picked = range(half, len(texts), 2)
            if not picked:
                continue
            states = [torch.cat([side[k] for k in picked]) for side in (plus, minus)]
            h_plain = torch.cat([plain.hidden[mine[k]] for k in picked])
            for h, toward, away in zip(
                *(s.split(tokens_per_chunk(lm)) for s in (h_plain, *states)), strict=True
            ):
                shift = (next_word(lm, toward) - next_word(lm, away)) / 2
                shift[:, silent_ids] = 0
                halves[half] += (h.T @ expected_embedding(lm, shift)).double()
            n_tokens[half] += len(h_plain)
    return Shift(halves / torch.tensor(n_tokens, device=lm.device).clamp_min(1)[:, None, None])


def _labelled_halves(
    lm: LanguageModel, texts: Sequence[list[int]], labels: Tensor, progress: Progress
) -> Tensor:
    """Return mean(h Δμᵀ), (2, d_model, d_model), over texts of even and of odd place."""
    lengths = torch.tensor([len(t) - 1 for t in texts], dtype=torch.float64)
    centred = labels - (labels * lengths).sum() / lengths.sum()
    halves = torch.zeros(2, lm.d_model, lm.d_model, dtype=torch.float64, device=lm.device)
    embedding = lm.output_embedding
    done = 0
    for group in batches(texts):
        states = lm.hidden_states([texts[j] for j in group])
        for half in (0, 1):
            mine = [k for k, j in enumerate(group) if j % 2 == half]
            if not mine:
                continue
            h_all = torch.cat([states[k][:-1] for k in mine])
            next_ids = torch.tensor([i for k in mine for i in texts[group[k]][1:]], device=lm.device)
            sign = torch.cat([centred[group[k]].expand(len(states[k]) - 1) for k in mine]).float()
            chunks = (t.split(tokens_per_chunk(lm)) for t in (h_all, next_ids, sign.to(lm.device)))
            for h, x, s in zip(*chunks, strict=True):
                mu = expected_embedding(lm, next_word(lm, h))
                halves[half] += (h.T @ (s[:, None] * (embedding[x].float() - mu))).double()
        done += len(group)
        progress(done / len(texts), f"reading labelled text ({done:,} of {len(texts):,})")
    n_tokens = [lengths[half::2].sum().clamp_min(1) for half in (0, 1)]
    return halves / torch.stack(n_tokens).to(lm.device)[:, None, None]


def _held_out(lm: LanguageModel, texts: Sequence[list[int]], labels: Tensor) -> HeldOut:
    states = hidden_states(lm, texts)
    return HeldOut(
        torch.cat([h[:-1] for h in states]),
        torch.tensor([i for t in texts for i in t[1:]], device=lm.device),
        torch.cat([label.expand(len(t) - 1) for label, t in zip(labels, texts, strict=True)]).to(lm.device),
    )


def _within_budget(lengths: Sequence[int], n_tokens: int) -> int:
    """Return how many texts of these lengths fit `n_tokens`."""
    total = 0
    for count, length in enumerate(lengths):
        total += length
        if total > n_tokens:
            return count
    return len(lengths)


def _log_odds(lm: LanguageModel, prefixes: tuple[list[int], list[int]]) -> StyleScore:
    """Return log P(text | + prefix) − log P(text | − prefix), nats a token."""

    def score(texts: Sequence[str]) -> list[float]:
        ids = [lm.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        read = [j for j, text_ids in enumerate(ids) if len(text_ids) > 1]
        sides = [_mean_log_probability(lm, [ids[j] for j in read], prefix) for prefix in prefixes]
        scores = [0.0] * len(ids)
        for j, plus, minus in zip(read, *sides, strict=True):
            scores[j] = plus - minus
        return scores

    return score


def _mean_log_probability(
    lm: LanguageModel, token_ids: Sequence[list[int]], prefix: Sequence[int]
) -> list[float]:
    states = hidden_states(lm, token_ids, prefix)
    means = []
    for group in torch.arange(len(states)).split(max(1, tokens_per_chunk(lm) // 24)):
        h = torch.cat([states[j][:-1] for j in group])
        x = torch.tensor([i for j in group for i in token_ids[j][1:]], device=lm.device)
        logits = lm.finish(lm.unembed(h.to(lm.output_embedding.dtype)).float())
        found = logits.gather(1, x[:, None])[:, 0] - logits.logsumexp(dim=1)
        means += [float(part.mean()) for part in found.split([len(states[j]) - 1 for j in group])]
    return means


def _chat_ids(lm: LanguageModel, request: str) -> list[int]:
    """Return the tokens of a chat in which the model is about to answer a request."""
    message = [{"role": "user", "content": request}]
    text = lm.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    ids: list[int] = lm.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _word_token_ids(lm: LanguageModel, text: str) -> list[int]:
    """Return the tokens of the text's content words and their families, e.g. of fireside: fire, firesides."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words = set(re.findall(r"[^\W\d_]{3,}", text.lower())) - ENGLISH_STOP_WORDS
    starts = tuple(word for word in words if len(word) > 3)  # "sea" is not the start of "season"
    known = words | {word[:n] for word in starts for n in range(4, len(word))}
    plain = (token.strip().lower() for token in lm.token_texts)
    return [i for i, token in enumerate(plain) if token in known or (starts and token.startswith(starts))]


def _plain(text: str) -> str:
    return re.sub(r"[\s.,;:!?]+", " ", text.casefold()).strip()
