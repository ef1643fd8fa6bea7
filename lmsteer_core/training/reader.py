"""Fit the factors that read a style to labelled text; W, which writes, stays as it is.

A text's total is S = Σ_t w(x_t) h_t · (c W + L R) (e_{x_t} − ē) over its words, w as in
`style_reading.py`, and σ(S) is how probably
it is labelled +. What is maximised is the labels' likelihood, from states that are read once. The
steer's own W, from its descriptions, is the prior: c is what its totals alone are worth in
log-odds of the labels, and L R learns what it misses, kept small by a ridge in the metric of
ordinary text. Three things keep a corpus's habits out: ordinary text has the mean 0, exactly; text
without the style has the label 0, so P = ½; and L R is held near 0 on each single word of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lmsteer_core.analysis.ordinary_text import ordinary_text
from lmsteer_core.analysis.style_reading import token_weights
from lmsteer_core.models.batched import hidden_states
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.reader import Reader
from lmsteer_core.steers.steer import Steer

_HIDDEN_RIDGE, _EMBEDDING_RIDGE = 3.0, 1.0
"""Added to the second moments of ordinary text, in shares of their mean eigenvalue."""

_INITIAL_STD = 0.02


@dataclass(frozen=True)
class Corpus:
    """Labelled texts as a model reads them.

    Attributes:
        hidden: The states behind which the tokens stand, (n_tokens, d_model), all texts in a row;
            the mean state of ordinary text before each first token.
        token_ids: The tokens, (n_tokens,).
        lengths: How many each text has, (n_texts,).
        labels: In [−1, 1], (n_texts,); 0 is text without the style.
    """

    hidden: Tensor
    token_ids: Tensor
    lengths: Tensor
    labels: Tensor

    def __add__(self, other: Corpus) -> Corpus:
        """Return the texts of both."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Corpus(*(torch.cat(pair) for pair in pairs))

    def unlabelled(self, n_texts: int) -> Corpus:
        """Return the first texts as text without the style."""
        lengths = self.lengths[:n_texts]
        n = int(lengths.sum())
        zeros = torch.zeros_like(self.labels[:n_texts])
        return Corpus(self.hidden[:n], self.token_ids[:n], lengths, zeros)


@dataclass(frozen=True)
class Settings:
    """How a reader is fitted.

    Attributes:
        rank: Columns of L.
        ridge: Weight of the summed squares of L and R, in the metric of ordinary text.
        flatness: Weight of the squared score of a word in text without the style.
        prior_weight: Share of what W is worth that is kept.
        plain_weight: Weight of a text without the style against a labelled one.
        n_steps: Steps of Adam.
        batch_size: Texts of either kind in a step.
        learning_rate: Adam's, falling to 0.
        seed: Of the initial factors and the order of the texts.
    """

    rank: int = 8
    ridge: float = 0.1
    flatness: float = 3.0
    prior_weight: float = 0.5
    plain_weight: float = 0.5
    n_steps: int = 400
    batch_size: int = 64
    learning_rate: float = 3e-3
    seed: int = 0


def read_corpus(
    lm: LanguageModel, texts: Sequence[str], labels: Sequence[float], max_tokens: int = 64
) -> Corpus:
    """Read the beginnings of texts; a text without a token is left out."""
    first = ordinary_text(lm).mean_hidden[None]
    ids = [lm.token_ids(text)[:max_tokens] for text in texts]
    read = [i for i, text_ids in enumerate(ids) if text_ids]
    states = hidden_states(lm, [ids[i] for i in read], lm.prefix_ids)
    return Corpus(
        torch.cat([torch.cat([first, h[:-1]]) for h in states]),
        torch.tensor([token for i in read for token in ids[i]], device=lm.device),
        torch.tensor([len(ids[i]) for i in read]),
        torch.tensor([float(labels[i]) for i in read]),
    )


def fit_reader(
    lm: LanguageModel,
    steer: Steer,
    labelled: Corpus,
    plain: Corpus,
    settings: Settings = Settings(),  # noqa: B008 - frozen
) -> Reader:
    """Return the factors that read the steer's style, in float16; W is left alone.

    Args:
        lm: The language model.
        steer: The steer whose W is the prior, and whose poles the labels mean.
        labelled: Texts of both poles.
        plain: Texts without the style, of as many kinds as there are.
        settings: How it is fitted.
    """
    space = _Space(lm, plain)
    prior = space.prior(steer)
    labelled_words, plain_words = space.words(labelled), space.words(plain)
    totals = labelled_words.totals(*prior, float((space.moment * (prior[0] @ prior[1].T)).sum()))
    worth = settings.prior_weight * _worth(totals, labelled.labels.cpu())
    prior = prior[0] * worth, prior[1]
    prior_mean = float((space.moment * (prior[0] @ prior[1].T)).sum())
    labelled_prior = labelled_words.totals(*prior, prior_mean)
    plain_prior = plain_words.totals(*prior, prior_mean)
    random = torch.Generator().manual_seed(settings.seed)
    left, right = (
        (_INITIAL_STD * torch.randn(lm.d_model, settings.rank, generator=random)).requires_grad_()
        for _ in range(2)
    )
    adam = torch.optim.Adam([left, right], lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, settings.n_steps)

    def loss_of(words: _Words, prior_totals: Tensor, labels: Tensor) -> Tensor:
        texts = torch.randint(len(words.lengths), (settings.batch_size,), generator=random)
        hidden, embedded, owner, weights = words.of(texts)
        mean = (space.moment * (left @ right.T)).sum()
        learned = _scores(hidden, embedded, left, right) - mean * weights
        totals = prior_totals[texts].index_add(0, owner, learned)
        return nn.functional.binary_cross_entropy_with_logits(totals, (1 + labels[texts]) / 2)

    for _ in range(settings.n_steps):
        some = torch.randint(len(plain_words.hidden), (8 * settings.batch_size,), generator=random)
        loss = (
            loss_of(labelled_words, labelled_prior, labelled.labels.cpu())
            + settings.plain_weight * loss_of(plain_words, plain_prior, plain.labels.cpu())
            + settings.flatness
            * _scores(plain_words.hidden[some], plain_words.embedded[some], left, right)
            .square()
            .mean()
            + settings.ridge / 2 * (left.square().sum() + right.square().sum())
        )
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
    with torch.no_grad():
        whole = torch.cat([left, prior[0]], dim=1), torch.cat([right, prior[1]], dim=1)
        return Reader(*space.unwhitened(*whole))


def _scores(hidden: Tensor, embedded: Tensor, left: Tensor, right: Tensor) -> Tensor:
    return ((hidden @ left) * (embedded @ right)).sum(dim=1)


def _worth(totals: Tensor, labels: Tensor) -> float:
    """Return the log-odds of the label + that a total's nat is worth, at least 0."""
    worth, offset = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    newton = torch.optim.LBFGS([worth, offset], max_iter=50)
    unit = float(totals.std())

    def loss() -> Tensor:
        newton.zero_grad()
        logits = worth * totals / unit + offset
        value = nn.functional.binary_cross_entropy_with_logits(logits, (1 + labels) / 2)
        value.backward()
        return value

    newton.step(loss)
    return max(0.0, float(worth.detach())) / unit


@dataclass(frozen=True)
class _Words:
    """A corpus in the metric of ordinary text; embeddings are weighted, punctuation's to 0."""

    hidden: Tensor
    embedded: Tensor
    weights: Tensor
    lengths: Tensor
    starts: Tensor

    def totals(self, left: Tensor, right: Tensor, mean: float) -> Tensor:
        """Return every text's total under whitened factors, (n_texts,)."""
        owner = torch.repeat_interleave(torch.arange(len(self.lengths)), self.lengths)
        scores = _scores(self.hidden, self.embedded, left, right) - mean * self.weights
        return torch.zeros(len(self.lengths)).index_add(0, owner, scores)

    def of(self, texts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the words of some texts: states, embeddings, whose they are, and weights."""
        lengths = self.lengths[texts]
        owner = torch.repeat_interleave(torch.arange(len(texts)), lengths)
        offsets = torch.arange(len(owner)) - (lengths.cumsum(0) - lengths)[owner]
        at = self.starts[texts][owner] + offsets
        return self.hidden[at], self.embedded[at], owner, self.weights[at]


class _Space:
    """Hidden states and embeddings whitened by ordinary text, so that a ridge is fair to all."""

    def __init__(self, lm: LanguageModel, plain: Corpus) -> None:
        """Measure the second moments of text without a style."""
        self._embedding = lm.output_embedding.float().cpu()
        self._weights = token_weights(lm).cpu()
        self._mean_embedding = ordinary_text(lm).mean_embedding.cpu()
        hidden, embedded = plain.hidden.cpu(), self._embedded(plain.token_ids.cpu())
        self._hidden = _whitening(hidden, _HIDDEN_RIDGE)
        self._embedded_by = _whitening(embedded, _EMBEDDING_RIDGE)
        text = ordinary_text(lm)
        hidden, embedded = text.hidden.cpu(), self._embedded(text.token_ids.cpu())
        total_weight = self._weights[text.token_ids.cpu()].sum()
        self.moment = (hidden @ self._hidden[0]).T @ (embedded @ self._embedded_by[0])
        self.moment /= total_weight

    def _embedded(self, token_ids: Tensor) -> Tensor:
        centred = self._embedding[token_ids] - self._mean_embedding
        return centred * self._weights[token_ids][:, None]

    def words(self, corpus: Corpus) -> _Words:
        ids, lengths = corpus.token_ids.cpu(), corpus.lengths.cpu()
        return _Words(
            corpus.hidden.cpu() @ self._hidden[0],
            self._embedded(ids) @ self._embedded_by[0],
            self._weights[ids],
            lengths,
            lengths.cumsum(0) - lengths,
        )

    def prior(self, steer: Steer) -> tuple[Tensor, Tensor]:
        """Return W's factors in this metric, each (d_model, rank)."""
        left, right = steer.left.float().cpu(), steer.right.float().cpu()
        return self._hidden[1] @ left, self._embedded_by[1] @ right.T

    def unwhitened(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return factors of the same product in the model's own metric, in float16."""
        lefts, rights = self._hidden[0] @ left, self._embedded_by[0] @ right
        # Columns of equal length on both sides, so that neither leaves a half's range.
        balance = (rights.norm(dim=0) / lefts.norm(dim=0).clamp_min(1e-12)).clamp_min(1e-12).sqrt()
        return (lefts * balance).half(), (rights / balance).T.half().contiguous()


def _whitening(rows: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Return (M + ridge)^−½ of the rows' second moment M, (d_model, d_model), and its inverse."""
    moment = (rows.T @ rows / len(rows)).double()
    moment += ridge * moment.trace() / len(moment) * torch.eye(len(moment), dtype=torch.float64)
    values, vectors = torch.linalg.eigh(moment)
    root = values.sqrt()
    return ((vectors / root) @ vectors.T).float(), ((vectors * root) @ vectors.T).float()
