from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from lmsteer_core import InputError
from lmsteer_core.evaluation import judges
from lmsteer_core.evaluation.judges import checked, load_judge
from lmsteer_core.evaluation.task import Question

GOOD = [f"a lovely {thing}, we liked it" for thing in ("walk", "soup", "song", "room")]
BAD = [f"an awful {thing}, we hated it" for thing in ("walk", "soup", "song", "room")]


@pytest.fixture
def labelled(tmp_path):
    path = tmp_path / "train.jsonl"
    lines = [{"text": text, "label": 1} for text in GOOD] + [
        {"text": text, "label": -0.5} for text in BAD
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


@pytest.fixture
def classifier(tmp_path):
    """Return a folder with a tiny random text-classification model of given classes."""

    def make(*labels):
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"]
        (tmp_path / "vocab.txt").write_text("\n".join(words))
        BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "model")
        config = BertConfig(
            vocab_size=7,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=8,
            initializer_range=1.0,
            id2label=dict(enumerate(labels)),
            label2id={label: i for i, label in enumerate(labels)},
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = BertForSequenceClassification(config)
        model.save_pretrained(tmp_path / "model")
        return tmp_path / "model"

    return make


@pytest.mark.parametrize(
    ("name", "high", "low", "pole"),
    [
        ("vader", "What a wonderful day, I love it", "I hate this terrible day", 1),
        ("profanity", "shut up, you stupid bastard", "please come in and have a seat", -1),
    ],
)
def test_an_offline_judge_tells_poles_apart(name, high, low, pole):
    judge = load_judge(name)
    above, below = judge.score([high, low])
    assert above >= judge.threshold > below
    assert judge.pole == pole
    assert judge.version.split()[-1][0].isdigit()
    assert len(judge.score([""])) == 1
    assert list(judge.score([])) == []


@pytest.mark.parametrize("pole", [1, -1])
def test_a_fitted_judge_measures_the_pole_asked_for(labelled, pole):
    judge = load_judge(f"tfidf:{labelled}", pole)
    good, bad = judge.score(["a lovely day, we liked it", "an awful day, we hated it"])
    assert (good - bad) * pole > 0.2
    assert judge.pole == pole
    assert "8 texts" in judge.version
    assert judge.name == "tfidf:train.jsonl"


def test_a_fitted_judge_names_another_file_by_another_version(labelled):
    before = load_judge(f"tfidf:{labelled}").version
    labelled.write_text(labelled.read_text() + '\n{"text": "more of it", "label": 1}')
    assert load_judge(f"tfidf:{labelled}").version != before


def test_a_hugging_face_judge_scores_the_class_asked_for(classifier):
    folder = classifier("NEGATIVE", "POSITIVE")
    positive, negative = load_judge(f"hf:{folder}"), load_judge(f"hf:{folder}#negative")
    assert positive.name.endswith("#POSITIVE")
    for p, q in zip(
        positive.score(["good", "bad bad"]), negative.score(["good", "bad bad"]), strict=True
    ):
        assert p + q == pytest.approx(1, abs=1e-5)
    assert positive.score(["good"]) != positive.score(["bad bad"])


def test_a_toxic_class_speaks_for_the_minus_pole(classifier):
    assert load_judge(f"hf:{classifier('toxic', 'obscene')}").pole == -1


def test_a_model_of_unknown_classes_asks_for_one(classifier):
    with pytest.raises(InputError, match="it has LABEL_X, LABEL_Y"):
        load_judge(f"hf:{classifier('LABEL_X', 'LABEL_Y')}")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("perspective", "There is no judge 'perspective': use profanity, vader"),
        ("tfidf", "There is no judge 'tfidf'"),
        ("tfidf:nowhere.jsonl", "no file nowhere.jsonl"),
        ("hf:./no-such-folder", "Cannot load the judge 'hf:./no-such-folder'"),
    ],
)
def test_a_judge_that_cannot_be_had_is_one_sentence(name, told):
    with pytest.raises(InputError, match=told) as caught:
        load_judge(name)
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "profanity_check", None)
    with pytest.raises(InputError, match="pip install alt-profanity-check"):
        load_judge("profanity")


def test_a_file_that_teaches_nothing_is_refused(tmp_path):
    path = tmp_path / "one.jsonl"
    path.write_text('{"text": "a b", "label": 1}\n{"text": "c d", "label": 0.5}')
    with pytest.raises(InputError, match="one pole only"):
        load_judge(f"tfidf:{path}")
    path.write_text('{"text": "a b", "label": 1}\n{"text": "c d", "label": -1}')
    with pytest.raises(InputError, match="too small"):
        load_judge(f"tfidf:{path}")


@pytest.mark.parametrize("pole", [1, -1])
def test_a_language_model_judges_by_its_log_odds_and_says_how_often_it_is_right(
    pole, lm, labelled, monkeypatch
):
    monkeypatch.setattr(judges, "load_model", lambda _model_id: lm)
    question = Question("{text}\nSentiment:", (" positive", " negative"))
    judge = load_judge("lm:embedded", pole, question)
    high, low = judge.score(["It was a delight, we loved it.", "It was dreadful, we hated it."])
    assert (high > low) == (pole > 0)
    assert judge.name == f"lm:{lm.model_id}"
    graded = checked(judge, labelled)
    good, bad = judge.score(GOOD), judge.score(BAD)
    assert graded.threshold == np.median([*good, *bad])
    right = [(score >= graded.threshold) == (pole > 0) for score in good]
    right += [(score >= graded.threshold) != (pole > 0) for score in bad]
    told = f", right of {sum(right) / 8:.0%} of 8 texts of train.jsonl, split at their median, AUC "
    assert graded.version.startswith(judge.version + told)
    assert float(graded.version.removeprefix(judge.version + told)) > 0.8


def test_a_language_model_needs_a_question_to_judge():
    with pytest.raises(InputError, match="no judge 'lm:embedded'"):
        load_judge("lm:embedded")
