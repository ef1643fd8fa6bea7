"""Fit the factors that read to labelled text, and put them into the shipped steers' folders.

    python -m benchmarks.train_readers --data DATA [--only STYLE …] [--texts N] [--cache FOLDER]

Where DATA has a folder of a style, with train.jsonl, its labels are learned from. The other
styles learn from what the model itself writes behind the descriptions of either pole, at half the
useful ε. Text without a style is prompts/neutral.jsonl and the texts of the other labelled styles.
W, which writes, is not touched.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks.control import PRETRAINED
from benchmarks.train_pretrained import STYLES
from lmsteer_core import LanguageModel, Row, Sampling, Steer, generate, load_model
from lmsteer_core.evaluation.prompts import read_prompts
from lmsteer_core.steers.card import CARD_FILE
from lmsteer_core.training.labelled_file import read_labelled
from lmsteer_core.training.reader import Corpus, fit_reader, read_corpus
from lmsteer_core.training.sources.descriptions import TEMPLATES

LABELLED = ("sentiment", "detoxification", "clickbait", "subjectivity", "shakespeare")
DESCRIBED = ("formality", "corporate", "pirate", "simplicity")
N_PLAIN, N_OTHERS, N_WRITTEN = 1200, 300, 128
"""Neutral prompts; texts of each other style; texts that the model writes for each pole."""

SAMPLING = Sampling(temperature=1.0, top_p=0.9, max_new_tokens=32, seed=5)


def main() -> None:
    """Fit the readers asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=LABELLED + DESCRIBED, nargs="+")
    parser.add_argument("--texts", type=int, default=3000, help="labelled texts of a style")
    parser.add_argument("--cache", type=Path, help="where states that were read are kept")
    options = parser.parse_args()
    lm = load_model("embedded")
    store = Corpora(lm, options.data, options.texts, options.cache)
    for name in options.only or LABELLED + DESCRIBED:
        folder = PRETRAINED / name
        steer = Steer.load(folder)
        labelled, source = store.of(name, steer)
        plain = store.neutral()
        for other in LABELLED:
            if other != name:
                plain = plain + store.of(other, steer)[0].unlabelled(N_OTHERS)
        fit_reader(lm, steer, labelled, plain).save(folder)
        card = dataclasses.replace(steer.card, reading=source)
        (folder / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
        print(name, source, flush=True)


class Corpora:
    """The texts as the model reads them, kept in a folder if one is given."""

    def __init__(self, lm: LanguageModel, data: Path, n_texts: int, cache: Path | None) -> None:
        """Read nothing yet."""
        self._lm, self._data, self._n_texts, self._cache = lm, data, n_texts, cache

    def of(self, name: str, steer: Steer) -> tuple[Corpus, str]:
        """Return a style's texts and what they are."""
        if name in DESCRIBED:
            texts, labels = written(self._lm, steer)
            return self._read(name, texts, labels), (
                f"{len(texts)} texts that the model wrote behind the descriptions"
            )
        file = read_labelled(self._data / name / "train.jsonl")
        pairs = list(zip(file.texts, file.labels, strict=True))
        random.Random(0).shuffle(pairs)
        pairs = pairs[: self._n_texts]
        corpus = self._read(name, [text for text, _ in pairs], [label for _, label in pairs])
        return corpus, f"{len(pairs)} labelled texts"

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


def written(lm: LanguageModel, steer: Steer) -> tuple[list[str], list[float]]:
    """Return what the model writes behind the descriptions of either pole, and which it was."""
    pairs = STYLES[steer.name].descriptions
    rows, signs = [], []
    for pole, end in zip((0, 1), reversed(steer.card.epsilon_range), strict=True):
        for i in range(N_WRITTEN):
            template = TEMPLATES[i // len(pairs) % len(TEMPLATES)]
            prompt = template.format(pairs[i % len(pairs)][pole])
            rows.append(Row(prompt, {steer.name: end / 2}, seed_offset=i))
            signs.append(1.0 - 2.0 * pole)
    texts = []
    for start in range(0, len(rows), 64):
        some = rows[start : start + 64]
        texts += [
            each.text.strip()
            for each in generate(lm, some, {steer.name: steer}, SAMPLING, logprobs=False)
        ]
    kept = [i for i, text in enumerate(texts) if len(text.split()) > 3]
    return [texts[i] for i in kept], [signs[i] for i in kept]


if __name__ == "__main__":
    main()
