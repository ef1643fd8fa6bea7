"""Which decoder writes: the graph where it is faithful and faster, else the model itself."""

from __future__ import annotations

import copy
import os
import time

import pytest
from support.models import TINY_CONFIGS
from transformers import AutoModelForCausalLM

from lmsteer_core import LanguageModel, Row, Sampling, generate
from lmsteer_core.models import decoder_choice
from lmsteer_core.models.decoder_choice import Measured, choose
from lmsteer_core.models.graph import graph_folder
from lmsteer_core.models.graph_decoder import GraphDecoder


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, lm: LanguageModel):
    """Let a test say what is measured of the embedded model's graph."""

    def measure(divergence: float, gain: float) -> None:
        monkeypatch.setattr(decoder_choice, "_known", lambda _: Measured(divergence, gain))

    yield measure
    lm.decoder = lm.reference


def test_a_faithful_and_faster_graph_writes(lm, measured):
    measured(0.004, 2.5)
    assert choose(lm) == (
        "OpenVINO writes the texts, 2.5 times as fast as torch here (KL 0.0040 nats)."
    )
    assert isinstance(lm.decoder, GraphDecoder)


@pytest.mark.parametrize(
    ("divergence", "gain", "reason"),
    [(0.2, 3.0, "diverge by 0.200 nats"), (0.004, 1.1, "only 1.1 times as fast")],
)
def test_a_graph_that_is_worse_or_hardly_faster_does_not(lm, measured, divergence, gain, reason):
    measured(divergence, gain)
    assert reason in choose(lm)
    assert lm.decoder is lm.reference


def test_it_is_measured_once_on_the_engines_turn(lm, monkeypatch, tmp_path):
    monkeypatch.setattr(decoder_choice, "LEAST_GAIN", 0.0)
    monkeypatch.setattr(decoder_choice, "_memo", lambda _: tmp_path / "measured.json")
    turns = []

    def run(work):
        turns.append(work)
        return work()

    first = choose(lm, run)
    lm.decoder = lm.reference
    assert choose(lm, run) == first
    assert len(turns) == 1
    lm.decoder = lm.reference


def test_without_openvino_the_sentence_says_how_to_get_it(lm, monkeypatch):
    monkeypatch.setattr(decoder_choice, "find_spec", lambda _: None)
    assert 'pip install "lmsteer-workbench[fast]"' in choose(lm)
    assert lm.decoder is lm.reference


@pytest.mark.parametrize(
    ("architecture", "writer"),
    [
        ("gpt2", "OpenVINO writes"),
        ("opt_projected", "OpenVINO writes"),
        ("gptj", "OpenVINO cannot run this model"),
        ("gemma3", "its cache is not one of plain keys and values"),
    ],
)
def test_other_architectures_write_with_the_graph_or_say_why_not(
    lm, architecture, writer, tmp_path, monkeypatch
):
    monkeypatch.setenv("LMSTEER_CACHE", str(tmp_path))
    monkeypatch.setattr(decoder_choice, "LEAST_GAIN", 0.0)
    config = copy.deepcopy(TINY_CONFIGS[architecture])
    config.vocab_size = lm.vocab_size
    tiny = LanguageModel(AutoModelForCausalLM.from_config(config), lm.tokenizer, "tiny")
    said = choose(tiny)
    assert writer in said
    assert said.endswith(".")
    assert (tiny.decoder is tiny.reference) == said.startswith("torch writes the texts")
    (written,) = generate(tiny, [Row("The garden is")], {}, Sampling(max_new_tokens=4))
    assert written.tokens


def test_a_new_graph_takes_the_place_of_those_nobody_loads_any_more(monkeypatch, tmp_path):
    monkeypatch.setenv("LMSTEER_CACHE", str(tmp_path))
    ages = {"of-an-old-version": 31 * 86_400, "of-another-model": 86_400}
    for name, age in ages.items():
        (tmp_path / "graphs" / name).mkdir(parents=True)
        os.utime(tmp_path / "graphs" / name, (time.time() - age,) * 2)
    model = AutoModelForCausalLM.from_config(copy.deepcopy(TINY_CONFIGS["llama"])).eval()
    folder = graph_folder(model)
    assert {path.name for path in folder.parent.iterdir()} == {"of-another-model", folder.name}
    os.utime(folder, (0, 0))
    assert graph_folder(model) == folder
    assert time.time() - folder.stat().st_mtime < 3600
