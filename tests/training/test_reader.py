from __future__ import annotations

import dataclasses

import pytest
import torch
from support.models import make_steer

from lmsteer_core import LanguageModel, Steer, SteerError, read_text
from lmsteer_core.analysis.ordinary_text import SENTENCES
from lmsteer_core.analysis.style_reading import read_styles
from lmsteer_core.steers.reader import READER_FILE, Reader
from lmsteer_core.training.reader import Settings, fit_reader, read_corpus

WARM = ["a warm sunny room", "the sunny garden was warm", "warm bread and sunny days", "so sunny"]
COLD = ["a cold dark room", "the dark garden was cold", "cold soup and dark days", "so dark"]
SETTINGS = Settings(rank=2, n_steps=80, batch_size=8, flatness=0.1, ridge=0.01)


@pytest.fixture(scope="module")
def steer(small: LanguageModel) -> Steer:
    return make_steer(small.output_embedding, rank=2, norm=0.2)


@pytest.fixture(scope="module")
def with_reader(small: LanguageModel, steer: Steer) -> Steer:
    labelled = read_corpus(small, [*WARM, *COLD], [1.0] * 4 + [-1.0] * 4)
    plain = read_corpus(small, SENTENCES[:16], [0.0] * 16)
    return dataclasses.replace(steer, reader=fit_reader(small, steer, labelled, plain, SETTINGS))


def total(lm: LanguageModel, steer: Steer, text: str) -> float:
    return read_styles(lm, read_text(lm, text), [steer])[0].total


def test_a_reader_tells_the_labels_apart_at_zero(small: LanguageModel, with_reader: Steer) -> None:
    assert all(total(small, with_reader, text) > 0 for text in WARM)
    assert all(total(small, with_reader, text) < 0 for text in COLD)


def test_a_reader_says_nothing_of_ordinary_text(small: LanguageModel, with_reader: Steer) -> None:
    ordinary = [read_styles(small, read_text(small, s), [with_reader])[0] for s in SENTENCES]
    assert abs(sum(sum(reading.scores[1:]) for reading in ordinary)) < 1e-2
    assert abs(total(small, with_reader, WARM[1])) > 3 * abs(
        sum(reading.total for reading in ordinary) / len(ordinary)
    )


def test_swapped_labels_read_the_opposite(small: LanguageModel, with_reader: Steer) -> None:
    swapped = read_corpus(small, [*COLD, *WARM], [1.0] * 4 + [-1.0] * 4)
    plain = read_corpus(small, SENTENCES[:16], [0.0] * 16)
    reader = fit_reader(small, with_reader, swapped, plain, SETTINGS)
    opposite = dataclasses.replace(with_reader, reader=reader)
    assert total(small, opposite, WARM[0]) < 0 < total(small, opposite, COLD[0])


def test_one_fit_gives_one_reader_and_leaves_w_alone(
    small: LanguageModel, steer: Steer, with_reader: Steer
) -> None:
    labelled = read_corpus(small, [*WARM, *COLD], [1.0] * 4 + [-1.0] * 4)
    plain = read_corpus(small, SENTENCES[:16], [0.0] * 16)
    again = fit_reader(small, steer, labelled, plain, SETTINGS)
    assert with_reader.reader is not None
    assert torch.equal(again.left, with_reader.reader.left)
    assert torch.equal(with_reader.left, steer.left)


def test_a_reader_lies_beside_w_and_is_read_back(tmp_path, with_reader: Steer) -> None:
    loaded = Steer.load(with_reader.save(tmp_path / "style"))
    assert loaded.reader is not None and with_reader.reader is not None
    assert torch.equal(loaded.reader.right, with_reader.reader.right)
    (tmp_path / "style" / READER_FILE).unlink()
    assert Steer.load(tmp_path / "style").reader is None


def test_a_steer_made_of_others_reads_with_its_own_w(with_reader: Steer) -> None:
    assert with_reader.scaled(2.0).reader is None
    assert (with_reader + with_reader).reader is None


@pytest.mark.parametrize(
    "reader",
    [
        lambda: Reader(torch.zeros(3, 2), torch.zeros(2, 4)),
        lambda: Reader(torch.full((3, 2), torch.nan), torch.zeros(2, 3)),
    ],
)
def test_what_is_no_reader_is_refused(reader) -> None:
    with pytest.raises(SteerError):
        reader()


def test_a_damaged_reader_is_one_sentence(tmp_path, with_reader: Steer) -> None:
    folder = with_reader.save(tmp_path / "style")
    (folder / READER_FILE).write_bytes(b"short")
    with pytest.raises(SteerError, match="fetch it again"):
        Steer.load(folder)


def test_texts_without_a_token_are_left_out(small: LanguageModel) -> None:
    corpus = read_corpus(small, ["", "one two", ""], [1.0, -1.0, 1.0])
    assert corpus.labels.tolist() == [-1.0]
    assert corpus.unlabelled(1).labels.tolist() == [0.0]
