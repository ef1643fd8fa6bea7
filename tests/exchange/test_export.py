"""Steers leave as adapters and models that give the steered logits."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from support.exports import (
    CONFIGS,
    FORMATS,
    load_peft,
    logits_of,
    make_lm,
    one_sentence,
    read_front_matter,
    steered_logits,
    steers_of,
)
from support.models import relative_error
from transformers import AutoModelForCausalLM

from lmsteer_core import InputError, SteerError, load_model
from lmsteer_core.exchange.export import export_merged, export_peft


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("architecture", list(CONFIGS))
def test_exports_reproduce_the_steered_logits(architecture, tied, tmp_path):
    lm = make_lm(architecture, tied=tied)
    weights = {name: tensor.clone() for name, tensor in lm.model.state_dict().items()}
    parts = steers_of(lm)
    expected = steered_logits(lm, parts)
    assert (expected - logits_of(lm.model)).abs().max() > 1e-2

    merged = AutoModelForCausalLM.from_pretrained(export_merged(lm, parts, tmp_path / "merged"))
    assert merged.get_output_embeddings().weight is not merged.get_input_embeddings().weight
    adapter = export_peft(lm, parts, tmp_path / "peft")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in lm.model.state_dict().items())
    base = copy.deepcopy(lm.model)  # PEFT puts its layers into the model it is given
    for name, model in (("merged", merged), ("peft", load_peft(base, adapter))):
        assert (logits_of(model.eval()) - expected).abs().max() < 1e-4, name


def test_a_merged_model_loads_with_its_tokenizer_and_generates(tmp_path):
    lm = make_lm()
    folder = export_merged(lm, steers_of(lm), tmp_path / "merged")
    again = load_model(str(folder), dtype="float32")
    assert again.tokenizer.get_vocab() == lm.tokenizer.get_vocab()
    ids = torch.tensor([again.tokenizer.convert_tokens_to_ids(["w5", "w6"])])
    model: Any = again.model
    assert model.generate(ids, min_new_tokens=3, max_new_tokens=3).shape == (1, 5)
    assert "lm-steer" in read_front_matter((folder / "README.md").read_text())["tags"]


def test_a_half_precision_model_keeps_its_dtype(tmp_path):
    lm = make_lm()
    lm.model.bfloat16()
    parts = steers_of(lm)
    expected = steered_logits(lm, parts).float()
    folder = export_merged(lm, parts, tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert merged.dtype == torch.bfloat16
    assert relative_error(logits_of(merged), expected) < 0.02
    adapted = load_peft(copy.deepcopy(lm.model), export_peft(lm, parts, tmp_path / "peft"))
    assert relative_error(logits_of(adapted), expected) < 0.02


def test_a_steer_at_zero_is_left_out(tmp_path):
    lm = make_lm()
    first, second = steers_of(lm)
    folder = export_peft(lm, [first, (second[0], 0.0)], tmp_path / "peft")
    assert json.loads((folder / "adapter_config.json").read_text())["r"] == first[0].rank


def test_an_empty_folder_is_used_and_a_filled_one_refused(tmp_path):
    lm = make_lm()
    for name, export in FORMATS.items():
        folder = tmp_path / name
        folder.mkdir()
        export(lm, steers_of(lm), folder)
        kept = {file: file.read_bytes() for file in folder.iterdir()}
        with pytest.raises(InputError, match="not an empty folder") as caught:
            export(lm, steers_of(lm), folder)
        one_sentence(caught.value)
        assert {file: file.read_bytes() for file in folder.iterdir()} == kept
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        export_peft(lm, steers_of(lm), tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("export", FORMATS.values(), ids=FORMATS)
def test_what_cannot_be_exported_is_refused(export, tmp_path):
    lm = make_lm()
    other = make_lm(seed=1)
    steer = steers_of(lm)[0][0]
    for parts, kind, words in [
        ([(steer, 0.0)], InputError, "ε = 0"),
        ([], InputError, "ε = 0"),
        ([(steer, math.nan)], InputError, "must be a number"),
        ([(steer, 11.0)], InputError, "must be a number"),
        (steers_of(other), SteerError, "was made for"),
    ]:
        with pytest.raises(kind, match=words) as caught:
            export(lm, parts, tmp_path / "out")
        one_sentence(caught.value)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("empty", [True, False], ids=["an empty folder", "no folder"])
@pytest.mark.parametrize("export", FORMATS.values(), ids=FORMATS)
def test_a_full_disk_leaves_nothing_half_written(export, empty, tmp_path, monkeypatch):
    lm = make_lm()
    if empty:
        (tmp_path / "out").mkdir()
    before = sorted(tmp_path.rglob("*"))
    written: list[Path] = []

    def full(path: Path, *_args, **_settings) -> None:
        written.extend(path.parent.iterdir())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)  # the last file of either export
    with pytest.raises(SteerError, match="No space left") as caught:
        export(lm, steers_of(lm), tmp_path / "out")
    one_sentence(caught.value)
    assert any(file.suffix == ".safetensors" for file in written)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("export", FORMATS.values(), ids=FORMATS)
def test_weights_that_do_not_fit_leave_nothing(export, tmp_path):
    resource = pytest.importorskip("resource")
    lm = make_lm()
    parts = steers_of(lm)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # the writers' own errors, not a mock's
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(SteerError, match="nothing was left there") as caught:
            export(lm, parts, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    one_sentence(caught.value)
    assert not any(tmp_path.iterdir())
