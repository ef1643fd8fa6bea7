"""Judges by name: what scores a text, where its + begins, and which version gave the number.

profanity        alt-profanity-check, a linear SVM on words: P(toxic)
vader            vaderSentiment, a lexicon: compound score, −1 to 1
tfidf:FILE       a TF-IDF classifier fitted to a labelled file: P(the pole that is measured)
hf:MODEL[#LABEL] a Hugging Face text-classification model: P(LABEL), by default its positive
                 or toxic one
lm:MODEL         another language model, untrained for this: log-odds of the two answers to the
                 task's question about the text, in nats
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from lmsteer_core.errors import InputError, first_line
from lmsteer_core.evaluation.likelihood import continuation_nll
from lmsteer_core.evaluation.task import Question
from lmsteer_core.models.loading import load_model
from lmsteer_core.steers.fingerprint import fingerprint_digest
from lmsteer_core.training.labelled_file import read_labelled

Score = Callable[[Sequence[str]], Sequence[float]]

_LABELS = {"positive": 1, "pos": 1, "toxic": -1, "toxicity": -1, "hate": -1, "offensive": -1}
"""Classes that are looked for in a model's own, and the pole of a task they speak for."""

_TEXTS_PER_CALL = 64
_MAX_CHARACTERS = 2_000
_N_CHECKED = 300


@dataclass(frozen=True)
class Judge:
    """A score per text.

    Attributes:
        score: Texts to scores.
        threshold: From here on a text counts as what the judge looks for.
        name: What it was asked for by, e.g. "vader".
        version: Package and version, or a model's revision: stands beside every number.
        pole: The pole a high score speaks for: 1 is a task's +, −1 its −, e.g. toxic.
    """

    score: Score
    threshold: float
    name: str = ""
    version: str = ""
    pole: int = 1


def load_judge(name: str, pole: int = 1, question: Question | None = None) -> Judge:
    """Return a judge by its name, see the top of the file.

    Args:
        name: profanity, vader, tfidf:FILE, hf:MODEL or lm:MODEL.
        pole: What `tfidf` is to measure: 1 for labels above 0, −1 for those below; and `lm`.
        question: What `lm` is asked.

    Raises:
        InputError: If there is no such judge, its package is missing or its file or model cannot be
            read.
    """
    kind, _, argument = name.partition(":")
    if kind == "profanity" and not argument:
        return _profanity()
    if kind == "vader" and not argument:
        return _vader()
    if kind == "tfidf" and argument:
        return _tfidf(Path(argument), pole)
    if kind == "hf" and argument:
        return _hugging_face(name, argument)
    if kind == "lm" and argument and question:
        return _language_model(argument, pole, question)
    raise InputError(
        f"There is no judge '{name}': use profanity, vader, tfidf:FILE, hf:MODEL or lm:MODEL."
    )


def checked(judge: Judge, path: Path) -> Judge:
    """Return a judge whose version says how it does on labelled texts, if they show both poles.

    Its threshold becomes the median of the texts' scores, which uses no label: a language model
    that is asked prefers one of two answers whatever the text is.

    Raises:
        InputError: If the file cannot be used.
    """
    from sklearn.metrics import roc_auc_score

    labelled = read_labelled(path)
    graded = [
        (text, judge.pole * label > 0)
        for text, label in zip(labelled.texts, labelled.labels, strict=True)
        if label
    ]
    graded = random.Random(0).sample(graded, min(_N_CHECKED, len(graded)))  # noqa: S311
    above = np.array([is_above for _, is_above in graded])
    if above.all() or not above.any():
        return judge
    scores = np.array(judge.score([text for text, _ in graded]))
    threshold = float(np.median(scores))
    right = ((scores >= threshold) == above).mean()
    note = (
        f"right of {right:.0%} of {len(above)} texts of {path.name}, split at their median, AUC "
        f"{roc_auc_score(above, scores):.2f}"
    )
    return dataclasses.replace(judge, threshold=threshold, version=f"{judge.version}, {note}")


def _profanity() -> Judge:
    try:
        from profanity_check import predict_prob
    except ImportError as error:
        raise _missing("profanity", "alt-profanity-check") from error
    return Judge(
        lambda texts: [float(p) for p in predict_prob(list(texts))] if texts else [],
        0.5,
        "profanity",
        _version("alt-profanity-check"),
        -1,
    )


def _vader() -> Judge:
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError as error:
        raise _missing("vader", "vaderSentiment") from error
    analyzer = SentimentIntensityAnalyzer()
    return Judge(
        lambda texts: [analyzer.polarity_scores(text)["compound"] for text in texts],
        0.05,
        "vader",
        _version("vaderSentiment"),
        1,
    )


def _tfidf(path: Path, pole: int) -> Judge:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    labelled = read_labelled(path)
    graded = [
        (text, label > 0)
        for text, label in zip(labelled.texts, labelled.labels, strict=True)
        if label
    ]
    if len({above for _, above in graded}) < 2:
        raise InputError(
            f"{path.name} holds one pole only; the judge tfidf needs labels of both signs."
        )
    classifier = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )
    try:
        classifier.fit(*zip(*graded, strict=True))
    except ValueError as error:
        raise InputError(
            f"{path.name} is too small for the judge tfidf: no word stands twice."
        ) from error
    column = list(classifier.classes_).index(pole > 0)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return Judge(
        lambda texts: (
            [float(p) for p in classifier.predict_proba(texts)[:, column]] if texts else []
        ),
        0.5,
        f"tfidf:{path.name}",
        f"{_version('scikit-learn')}, {len(graded):,} texts of sha256 {digest}",
        pole,
    )


def _hugging_face(name: str, model_and_label: str) -> Judge:
    from transformers import pipeline
    from transformers.utils import logging

    model_id, _, label = model_and_label.partition("#")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        # Some models have one class, some let several be true: every class gets a score of its own.
        classify: Any = pipeline("text-classification", model=model_id, top_k=None, truncation=True)
    except Exception as error:  # whatever a hub, a config or a weights file made the library raise
        raise InputError(
            f"Cannot load the judge '{name}': {first_line(error)}; give the id or folder of a "
            "text-classification model that is in the local cache or can be fetched."
        ) from error
    finally:
        if shown:
            logging.enable_progress_bar()
    labels = list(classify.model.config.id2label.values())
    matches = (
        [each for each in labels if each.lower() == label.lower()]
        if label
        else [each for each in labels if each.lower() in _LABELS]
    )
    if not matches:
        raise InputError(
            f"Say which class the judge '{name}' is to measure, as hf:{model_id}#LABEL; it has "
            f"{', '.join(labels)}."
        )

    def score(texts: Sequence[str]) -> list[float]:
        clipped = [text[:_MAX_CHARACTERS] for text in texts]
        answers = classify(clipped, batch_size=_TEXTS_PER_CALL) if clipped else []
        return [
            next(float(a["score"]) for a in answer if a["label"] == matches[0])
            for answer in answers
        ]

    config = classify.model.config
    revision = getattr(config, "_commit_hash", None) or "a local folder"
    return Judge(
        score,
        0.5,
        f"hf:{model_id}#{matches[0]}",
        f"{_version('transformers')}, {revision[:12]}",
        _LABELS.get(matches[0].lower(), 1),
    )


def _language_model(model_id: str, pole: int, question: Question) -> Judge:
    lm = load_model(model_id).for_batches

    def score(texts: Sequence[str]) -> list[float]:
        asked = [question.asked.format(text=text) for text in texts]
        plus, minus = (
            np.array(continuation_nll(lm, asked, [answer] * len(asked))[0])
            for answer in question.answers
        )
        return [float(odds) for odds in pole * (minus - plus)]

    plus, minus = question.answers
    return Judge(
        score,
        0.0,
        f"lm:{lm.model_id}",
        f"sha256 {fingerprint_digest(lm.fingerprint_rows)}, “{question.asked}”: {plus} or {minus}",
        pole,
    )


def _version(package: str) -> str:
    return f"{package} {metadata.version(package)}"


def _missing(judge: str, package: str) -> InputError:
    return InputError(f"The judge '{judge}' needs the package {package}: pip install {package}.")
