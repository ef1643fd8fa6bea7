"""The words a steer lives on: singular dimensions of W and where the vocabulary sits on them.

With W = Σ_i σ_i u_i v_iᵀ the logit of word v moves by ε Σ_i σ_i (h · u_i)(v_i · e_v): the hidden
state decides through u_i how much dimension i matters, and v_i · e_v which words gain.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from lmsteer_core.errors import ModelError
from lmsteer_core.language_model import LanguageModel
from lmsteer_core.steer import Steer

_NEUTRAL_SENTENCES = (
    "The train to the coast leaves at nine and arrives before lunch.",
    "She put the letter back in the drawer and went out to the garden.",
    "In the second half of the year the company opened three new offices.",
    "Water boils at a lower temperature when the air pressure falls.",
    "We talked for an hour about the house, the weather and the children.",
    "It is not clear who will lead the committee after the vote in May.",
    "My brother said that he would call us as soon as he could.",
    "The old map shows a river where the main street runs today.",
    "If you want to learn a language, read a little of it every day.",
    "They found the keys under the seat and drove home without a word.",
    "A good teacher knows when to speak and when to be quiet.",
    "The results were published last week and discussed in the news.",
    "At night the town is quiet, and you can hear the sea from the hill.",
    "He has worked as a cook, a driver and, for a short time, a singer.",
    "This recipe needs two eggs, some flour and a glass of milk.",
    "What I remember best about that summer is the smell of the grass.",
)

_LEAST_PROBABILITY = 2e-7
"""Mean probability on the sentences above below which a token is not a word of the model's."""


_LEAST_WORDS = 50


@dataclass(frozen=True)
class Dimension:
    """One singular dimension of a steer.

    Attributes:
        singular_value: σ_i.
        energy: Share of Σ σ².
        positive: Words that +ε makes likelier through it, strongest first.
        negative: Words that −ε makes likelier.
    """

    singular_value: float
    energy: float
    positive: list[str]
    negative: list[str]


@dataclass(frozen=True)
class Vocabulary:
    """The whole words of a model: their token ids, (n_words,), and spellings."""

    token_ids: Tensor
    words: list[str]


@dataclass(frozen=True)
class _Neutral:
    mean_hidden: Tensor
    mean_probability: Tensor


def dimensions(lm: LanguageModel, steer: Steer, *, n_dims: int = 8, n_words: int = 12) -> list[Dimension]:
    """Return the strongest singular dimensions with the words at both ends.

    The sign of each is fixed so that + is the end that +ε makes likelier in ordinary text, i.e. the
    mean hidden state over neutral sentences has a positive coordinate on u_i.
    """
    _, sigma, _ = steer.svd()
    energy = sigma.square() / sigma.square().sum()
    words = vocabulary(lm).words
    scores = word_scores(lm, steer)
    found = []
    for i in range(min(n_dims, int((sigma > 1e-6 * sigma[0]).sum()))):
        order = torch.argsort(scores[:, i], descending=True, stable=True).tolist()
        found.append(
            Dimension(
                float(sigma[i]),
                float(energy[i]),
                _distinct(words, order, n_words),
                _distinct(words, order[::-1], n_words),
            )
        )
    return found


def word_scores(lm: LanguageModel, steer: Steer) -> Tensor:
    """Return v_i · (e_v − mean e) for the vocabulary's words, (n_words, rank), signs fixed."""
    u, _, vt = steer.svd()
    sign = (_neutral(lm).mean_hidden.cpu() @ u).sign()
    return _centred_embedding(lm) @ (vt * sign[:, None]).T


def displacement_pca(lm: LanguageModel, steer: Steer, *, n_components: int = 3) -> Tensor:
    """Return the words' coordinates in a PCA of their displacements W e_v, (n_words, n_components)."""
    from sklearn.decomposition import PCA

    displacement = _centred_embedding(lm) @ steer.matrix().cpu().T
    pca = PCA(n_components=min(n_components, steer.rank), svd_solver="covariance_eigh")
    return torch.from_numpy(pca.fit_transform(displacement.numpy())).float()


def mean_logit_shift(lm: LanguageModel, steer: Steer) -> Tensor:
    """Return how ε = 1 moves each word's logit in ordinary text against the average word's.

    Returns:
        h̄ · W (e_v − mean e), (n_words,), in nats.
    """
    return _centred_embedding(lm) @ (_neutral(lm).mean_hidden.cpu() @ steer.matrix().cpu())


@functools.lru_cache(maxsize=1)
def vocabulary(lm: LanguageModel) -> Vocabulary:
    """Return the model's whole words by its tokenizer's own word-start convention.

    Fragments, punctuation and tokens that the model hardly ever expects are left out.
    """
    likely = _neutral(lm).mean_probability >= _LEAST_PROBABILITY
    ids, words = [], []
    for token_id in likely.nonzero()[:, 0].tolist():
        token = lm.tokenizer.convert_ids_to_tokens(token_id)
        # byte-level BPE marks a word start with Ġ, SentencePiece with ▁
        if token and token[0] in "Ġ▁":
            word = str(lm.tokenizer.decode([token_id])).strip()
            if len(word) > 1 and word.isalpha():
                ids.append(token_id)
                words.append(word)
    if len(words) < _LEAST_WORDS:
        raise ModelError(f"The tokenizer of {lm.model_id} has no whole words to list.")
    return Vocabulary(torch.tensor(ids, dtype=torch.long), words)


@functools.lru_cache(maxsize=1)
def _neutral(lm: LanguageModel) -> _Neutral:
    ids = [lm.encode(sentence)[0] for sentence in _NEUTRAL_SENTENCES]
    hidden = torch.cat(lm.hidden_states(ids))
    p = lm.finish(lm.unembed(hidden)).softmax(dim=-1).mean(dim=0)
    return _Neutral(hidden.mean(dim=0), p.cpu())


def _centred_embedding(lm: LanguageModel) -> Tensor:
    """Return the words' embeddings less their mean, which no softmax would notice."""
    embedding = lm.output_embedding[vocabulary(lm).token_ids.to(lm.device)].float().cpu()
    return embedding - embedding.mean(dim=0)


def _distinct(words: list[str], order: list[int], n_words: int) -> list[str]:
    """Return the first words in `order`, one spelling of each whatever its case."""
    chosen: dict[str, str] = {}
    for i in order:
        chosen.setdefault(words[i].casefold(), words[i])
        if len(chosen) == n_words:
            break
    return list(chosen.values())
