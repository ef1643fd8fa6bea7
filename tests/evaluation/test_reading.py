from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from support.models import make_steer

from lmsteer_core import InputError, LanguageModel
from lmsteer_core.analysis.reading import read_text
from lmsteer_core.evaluation import reading as reading_module
from lmsteer_core.evaluation.reading import (
    NEUTRAL,
    MarkedText,
    _figures,
    _is_hit,
    _judged,
    evaluate_reading,
    marked_texts,
    tables,
)
from lmsteer_core.evaluation.report.page import tables_html


def silent(_share: float, _what: str) -> None:
    pass


def test_every_style_has_texts_whose_marked_words_are_in_them() -> None:
    texts = marked_texts()
    assert len(texts) >= 200
    assert sum(text.style == NEUTRAL for text in texts) == 40
    for text in texts:
        assert (text.style == NEUTRAL) == (text.pole == 0) == (not text.marked)
        assert all(word in text.text for word in text.marked)
    styles = {text.style for text in texts} - {NEUTRAL}
    assert all(sum(text.style == style for text in texts) == 20 for style in styles)


def test_figures_of_a_perfect_and_of_a_swapped_reading() -> None:
    labels = np.array([1.0, 0.5, -1.0, -0.5])
    perfect = _figures(np.array([9.0, 9.0, -9.0, -9.0]), labels)
    assert (perfect["accuracy"], perfect["auc"], perfect["error"]) == (1, 1, 0)
    assert perfect["calibration_error"] < 0.01
    swapped = _figures(np.array([-9.0, -9.0, 9.0, 9.0]), labels)
    assert (swapped["accuracy"], swapped["auc"]) == (0, 0)
    assert swapped["calibration_error"] > 0.99


def test_a_hit_is_the_strongest_word_towards_the_texts_pole(small: LanguageModel) -> None:
    text = next(t for t in marked_texts() if t.style == "sentiment" and t.pole == 1)
    read = read_text(small, text.text)
    marked = [any(word in piece for word in text.marked) for piece in read.token_texts]
    assert _is_hit(text, read, [5.0 if is_marked else -9.0 for is_marked in marked])
    assert not _is_hit(text, read, [-5.0 if is_marked else 9.0 for is_marked in marked])


def test_a_steer_is_read_on_labelled_and_on_marked_text(
    small: LanguageModel, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_module, "marked_texts", lambda: marked_texts()[::11])
    steer = make_steer(small.output_embedding, norm=0.4, name="sentiment")
    (tmp_path / "sentiment").mkdir()
    lines = [{"text": f"day {i} was good", "label": 1} for i in range(6)]
    lines += [{"text": f"night {i} was bad", "label": -1} for i in range(6)]
    for name in ("dev", "train"):
        content = "\n".join(map(json.dumps, lines))
        (tmp_path / "sentiment" / f"{name}.jsonl").write_text(content, encoding="utf-8")
    kept = tmp_path / "official"
    result = evaluate_reading(small, [steer], tmp_path, silent, n_texts=8, official=kept, n_steps=2)
    official = f"{reading_module.OFFICIAL}, 2 steps"
    methods = [row["method"] for row in result["labelled"]]
    assert methods == [
        reading_module.W,
        reading_module.PAPER,
        official,
        reading_module.CONTRAST,
        reading_module.TFIDF,
    ]
    assert all(row["n"] == 8 for row in result["labelled"])
    assert result["labelled"][-1]["accuracy"] == 1
    (marked,) = result["marked"]
    assert set(marked["rivals"]) == set(methods)
    assert (kept / "sentiment" / "training.json").is_file()
    without = evaluate_reading(small, [steer], tmp_path, silent, n_texts=8)
    assert [row["method"] for row in without["labelled"]] == [m for m in methods if m != official]
    page = tables_html("Reading <b>", ["about"], tables(result))
    assert "Reading &lt;b&gt;" in page and "TF-IDF classifier" in page


def test_a_judge_leans_on_the_word_whose_leaving_out_costs_most() -> None:
    text = MarkedText("sentiment", -1, "A dull and friendly film.", ("dull",))

    def judge(texts):
        return [3.0 * ("friendly" in each) - 4.0 * ("dull" in each) for each in texts]

    assert _judged(text, judge) == (True, True)
    assert _judged(replace(text, marked=("friendly",)), judge) == (True, False)
    assert _judged(replace(text, pole=1, marked=("friendly",)), judge) == (False, True)


def test_data_without_a_steers_name_is_refused(small: LanguageModel, tmp_path) -> None:
    with pytest.raises(InputError, match="no folder named like a steer"):
        evaluate_reading(small, [make_steer(small.output_embedding)], tmp_path / "none", silent)
