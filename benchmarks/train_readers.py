"""Fit the factors that read to labelled text, and put them into the shipped steers' folders.

    python -m benchmarks.train_readers --data DATA [--only STYLE …] [--texts N] [--cache FOLDER]

DATA has a folder of each style with train.jsonl, and prompts/neutral.jsonl: text without a style
are those prompts and the texts of the other styles. W, which writes, is not touched. Steers made
from descriptions alone read with W: factors learned from what the model writes behind the
descriptions were no better (see README.md).
"""

from __future__ import annotations

import argparse
import dataclasses
import random
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks.control import PRETRAINED
from lmsteer_core import LanguageModel, Steer, load_model
from lmsteer_core.evaluation.prompts import read_prompts
from lmsteer_core.steers.card import CARD_FILE, SteerCard
from lmsteer_core.training.labelled_file import read_labelled
from lmsteer_core.training.reader import Corpus, Settings, fit_reader, read_corpus

LABELLED = ("sentiment", "detoxification", "clickbait", "subjectivity", "shakespeare")
N_PLAIN, N_OTHERS = 1200, 300
"""Neutral prompts, and texts of each other style."""

SETTINGS = {
    "detoxification": Settings(prior_weight=4.0, ridge=0.3),
    "shakespeare": Settings(prior_weight=1.5),
}
"""Where the usual settings lead with words that a reader would not mark; see README.md."""

READ_WITH = "Read with factors of its own (`reader.safetensors`), learned from "


def main() -> None:
    """Fit the readers asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=LABELLED, nargs="+")
    parser.add_argument("--texts", type=int, default=3000, help="labelled texts of a style")
    parser.add_argument("--cache", type=Path, help="where states that were read are kept")
    options = parser.parse_args()
    lm = load_model("embedded")
    store = Corpora(lm, options.data, options.texts, options.cache)
    for name in options.only or LABELLED:
        folder = PRETRAINED / name
        steer = Steer.load(folder)
        labelled = store.of(name)
        plain = store.neutral()
        for other in LABELLED:
            if other != name:
                plain = plain + store.of(other).unlabelled(N_OTHERS)
        fit_reader(lm, steer, labelled, plain, SETTINGS.get(name, Settings())).save(folder)
        card = dataclasses.replace(steer.card, reading=f"{len(labelled.lengths)} labelled texts")
        (folder / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
        readme = folder / "README.md"
        text = readme.read_text(encoding="utf-8").split(READ_WITH)[0].rstrip()
        readme.write_text(f"{text}\n\n{read_with(card)}\n", encoding="utf-8")
        print(name, card.reading, flush=True)


def read_with(card: SteerCard) -> str:
    """Return what a steer's README says of its reader."""
    command = f"python -m benchmarks.train_readers --data DATA --only {card.name}"
    return f"{READ_WITH}{card.reading}: `{command}`"


class Corpora:
    """The texts as the model reads them, kept in a folder if one is given."""

    def __init__(self, lm: LanguageModel, data: Path, n_texts: int, cache: Path | None) -> None:
        """Read nothing yet."""
        self._lm, self._data, self._n_texts, self._cache = lm, data, n_texts, cache

    def of(self, name: str) -> Corpus:
        """Return a style's texts."""
        file = read_labelled(self._data / name / "train.jsonl")
        pairs = list(zip(file.texts, file.labels, strict=True))
        random.Random(0).shuffle(pairs)
        pairs = pairs[: self._n_texts]
        return self._read(name, [text for text, _ in pairs], [label for _, label in pairs])

    def neutral(self) -> Corpus:
        """Return neutral prompts."""
        prompts = read_prompts(self._data / "prompts/neutral.jsonl")
        random.Random(0).shuffle(prompts)
        return self._read("neutral", prompts[:N_PLAIN], [0.0] * N_PLAIN)

    def _read(self, name: str, texts: list[str], labels: list[float]) -> Corpus:
        file = self._cache / f"{name}-{len(texts)}.safetensors" if self._cache else None
        if file and file.is_file():
            kept = load_file(file)
            return Corpus(**{**kept, "hidden": kept["hidden"].float()})
        with torch.inference_mode():
            corpus = read_corpus(self._lm, texts, labels)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file({**vars(corpus), "hidden": corpus.hidden.half()}, file)
        return Corpus(**{key: tensor.clone() for key, tensor in vars(corpus).items()})


if __name__ == "__main__":
    main()
