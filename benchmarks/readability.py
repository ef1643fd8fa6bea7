"""How well a dimension's words hang together: can another model tell a word that was slipped in?

    python -m benchmarks.readability [--dims N] [--trials N] [--lists]

Of each end of each dimension, ten words, and one more that the model says about as often. The judge
is Gemma's embedding, which the embedded model has never seen: it calls the word odd whose mean
cosine with the others is least. Half of a dimension's trials go to either end, each with another
odd word; chance is 1 in 11. The first row is the plain SVD with the words of the largest v · e, as
the app had it before. `distinct` is the share of a steer's listed words that stand in one list
only. `lmsteer install gemma` fetches the judge.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lmsteer_core import LanguageModel, Steer, load_model
from lmsteer_core.analysis.dimensions import word_scores
from lmsteer_core.analysis.ordinary_text import expectations
from lmsteer_core.analysis.readings import READINGS
from lmsteer_core.analysis.vocabulary import vocabulary
from lmsteer_core.analysis.word_lists import distinct, end_words
from lmsteer_core.workbench import Workbench

N_WORDS = 10
_AS_OFTEN = 100
"""The odd word is at most so many ranks of frequency from one of the list's."""

Lists = Callable[[Steer, str, int], list[list[str]]]


def main() -> None:
    """Print a table: readings by steers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dims", type=int, default=3)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--lists", action="store_true", help="print the words too")
    options = parser.parse_args()
    lm = load_model("embedded", dtype="float32")
    steers = Workbench(lm).steers
    judge = Judge(lm, load_model("gemma"))
    rows: list[tuple[str, str, Lists]] = [
        ("svd, plain v · e", "svd", lambda steer, reading, i: plain_lists(lm, steer, reading, i)),
        *((name, name, lambda steer, reading, i: ends(lm, steer, reading, i)) for name in READINGS),
    ]
    print(
        "| reading | " + " | ".join(sorted(steers)) + " | steers | dimensions | mean | distinct |"
    )
    print("|---" * (len(steers) + 5) + "|")
    for title, reading, lists in rows:
        cells, told, distinct_shares = [], [], []
        for name in sorted(steers):
            found = [lists(steers[name], reading, i) for i in range(options.dims)]
            shares = [judge.told(each, options.trials) for each in found]
            told.append(shares)
            cells.append(" ".join(f"{share:.0%}" for share in shares).replace("%", ""))
            listed = [word.casefold() for each in found for end in each for word in end]
            distinct_shares.append(len(set(listed)) / len(listed))
            if options.lists:
                for i, (plus, minus) in enumerate(found, 1):
                    print(f"  {name} {i} + {', '.join(plus)} − {', '.join(minus)}")
        passed = sum(min(shares) >= 0.8 for shares in told)
        flat = [share for shares in told for share in shares]
        print(
            f"| {title} | {' | '.join(cells)} | {passed} of {len(told)} "
            f"| {sum(share >= 0.8 for share in flat)} of {len(flat)} "
            f"| {sum(flat) / len(flat):.2f} | {sum(distinct_shares) / len(distinct_shares):.2f} |",
            flush=True,
        )


class Judge:
    """Another model's embedding, over the words that it has whole."""

    def __init__(self, lm: LanguageModel, other: LanguageModel) -> None:
        """Look up every word of `lm` in the other model's vocabulary."""
        self._words = vocabulary(lm).words
        place = {text: i for i, text in enumerate(other.token_texts)}
        ids = [place.get(f" {word}", -1) for word in self._words]
        rows = other.output_embedding[ids].float()
        known = torch.tensor(ids) >= 0
        self._units = normalize(rows - rows[known].mean(dim=0))
        frequency = expectations(lm).probability[vocabulary(lm).token_ids]
        self._by_frequency = [i for i in frequency.argsort().tolist() if known[i]]
        self._rank = {self._words[i]: rank for rank, i in enumerate(self._by_frequency)}

    def told(self, lists: list[list[str]], trials: int) -> float:
        """Return the share of trials, as many for each list, in which the odd word is told."""
        rng = random.Random(0)
        right = 0
        for words in lists:
            known = [word for word in words if word in self._rank][:N_WORDS]
            for _ in range(trials // len(lists)):
                odd = self._odd_word(known, words, rng)
                units = self._units[[self._by_frequency[self._rank[w]] for w in (*known, odd)]]
                alike = (units @ units.T).fill_diagonal_(0).sum(dim=1)
                right += int(alike.argmin() == len(known))
        return right / (trials // len(lists) * len(lists))

    def _odd_word(self, known: list[str], words: list[str], rng: random.Random) -> str:
        listed = {word.casefold() for word in words}
        while True:
            rank = self._rank[rng.choice(known)] + rng.randint(-_AS_OFTEN, _AS_OFTEN)
            if 0 <= rank < len(self._by_frequency):
                word: str = self._words[self._by_frequency[rank]]
                if word.casefold() not in listed:
                    return word


def ends(lm: LanguageModel, steer: Steer, reading: str, i: int) -> list[list[str]]:
    """Return the words at both ends of dimension i, a few more than are judged."""
    scores = word_scores(lm, steer, reading=reading)[:, i]
    words = vocabulary(lm).words
    return [[words[j] for j in end_words(lm, sign * scores, N_WORDS + 2)] for sign in (1, -1)]


def plain_lists(lm: LanguageModel, steer: Steer, reading: str, i: int) -> list[list[str]]:
    """Return the words of the largest scores at both ends, whatever they are."""
    scores: Tensor = word_scores(lm, steer, reading=reading)[:, i]
    words = vocabulary(lm).words
    return [
        [words[j] for j in distinct(words, (-sign * scores).argsort().tolist(), N_WORDS + 2)]
        for sign in (1, -1)
    ]


if __name__ == "__main__":
    main()
