"""Steers of official checkpoints are read as they were trained, and nothing else is."""

from __future__ import annotations

import argparse
import math
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from support.checkpoints import projectors, save_checkpoint
from support.exports import IDS, logits_of, make_lm, one_sentence, steered_logits
from support.models import relative_error

from lmsteer_core import InputError, LanguageModel, Steer, SteerError
from lmsteer_core.exchange.checkpoint import read_official

P = projectors()


def official_logits(
    lm: LanguageModel, tensors: dict[str, torch.Tensor], values, scale
) -> torch.Tensor:
    """The published forward pass: E (h + ε₀ Σ_s v_s (h P1_s) P2_sᵀ), without head bias."""
    with torch.no_grad():
        state = lm.model(IDS, output_hidden_states=True).hidden_states[-1]
        values = torch.tensor(values)[None, :, None, None]
        delta = (state[:, None] @ tensors["projector1"][None]) * values
        delta = (delta @ tensors["projector2"].transpose(1, 2)[None]).sum(1)
        return (state + scale * delta) @ lm.output_embedding.T


@pytest.mark.parametrize(("settings", "scale"), [({}, 1e-3), ({"epsilon": 5e-3}, 5e-3)])
def test_official_strengths_are_epsilons(settings, scale, tmp_path):
    lm = make_lm()
    tensors = projectors()
    path = save_checkpoint(tmp_path / "ckpt.pt", tensors, **settings)
    detoxification, sentiment = read_official(path, lm, {0: "detoxification", 2: "sentiment"})
    expected = official_logits(lm, tensors, [-2.0, 0.0, 5.0, 0.0], scale)
    found = steered_logits(lm, [(detoxification, -2.0), (sentiment, 5.0)])
    moved = (expected - logits_of(lm.model)).norm()
    assert (found - expected).norm() < 3e-3 * moved
    assert moved > 0.1 * expected.norm()


def test_every_steer_has_a_name_a_card_and_thin_factors(tmp_path):
    lm = make_lm()
    tensors = projectors()
    steers = read_official(save_checkpoint(tmp_path / "ckpt.pt", tensors), lm)
    assert [steer.name for steer in steers] == ["steer-0", "steer-1", "steer-2", "steer-3"]
    for index, steer in enumerate(steers):
        assert steer.left.dtype == steer.right.dtype == torch.float16
        assert steer.rank == steer.card.rank <= lm.d_model
        w = 1e-3 * tensors["projector1"][index] @ tensors["projector2"][index].T
        assert relative_error(steer.matrix(), w.detach()) < 2e-3
        assert steer.card.data == f"steer {index} of ckpt.pt, trained for tiny"
        assert steer.card.metrics == {"n_steps": 1000}
        assert Steer.load(steer.save(tmp_path / steer.name)).card == steer.card


def test_a_steer_that_needs_few_dimensions_gets_few(tmp_path):
    tensors = projectors()
    with torch.no_grad():
        tensors["projector1"][1, :, 3:] *= 1e-5
    path = save_checkpoint(tmp_path / "ckpt.pt", tensors)
    (steer,) = read_official(path, make_lm(), {1: "small"})
    assert steer.rank == 3


def test_an_untrained_steer_of_zeros_is_read(tmp_path):
    tensors = {key: torch.zeros(1, 32, 5) for key in ("projector1", "projector2")}
    (steer,) = read_official(save_checkpoint(tmp_path / "ckpt.pt", tensors), make_lm())
    assert not steer.matrix().any()


def test_half_precision_and_old_style_files_are_read(tmp_path):
    lm = make_lm()
    halves = {key: p.detach().half() for key, p in projectors().items()}
    first = read_official(save_checkpoint(tmp_path / "half.pt", halves), lm)
    old = [argparse.Namespace(model_name="tiny"), halves, 7]
    torch.save(old, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for a, b in zip(first, read_official(tmp_path / "old.pt", lm), strict=True):
        assert torch.equal(a.left, b.left)


def test_another_models_name_is_told(tmp_path, capsys):
    lm = make_lm()
    (steer, *_) = read_official(
        save_checkpoint(tmp_path / "a.pt", model_name="EleutherAI/pythia-70m"), lm
    )
    assert "trained for EleutherAI/pythia-70m; it is read for tiny" in capsys.readouterr().err
    assert "pythia-70m" in steer.card.data
    read_official(save_checkpoint(tmp_path / "b.pt", model_name="maker/Tiny"), lm)
    assert not capsys.readouterr().err


def with_nan() -> dict[str, torch.Tensor]:
    tensors = projectors()
    with torch.no_grad():
        tensors["projector2"][1, 0, 0] = math.nan
    return tensors


BAD_CONTENT: dict[str, tuple[Any, dict[str, Any], str]] = {
    "another width": (projectors(d_model=16), {}, "steers 16 dimensions.*tiny has 32"),
    "no projector2": ({"projector1": P["projector1"]}, {}, "lacks the tensor 'projector2'"),
    "wrong ranks": ({**P, "projector2": P["projector2"][..., :7]}, {}, "differ in shape"),
    "fewer steers": ({**P, "projector2": P["projector2"][:1]}, {}, "differ in shape"),
    "a flat matrix": ({key: p[0] for key, p in P.items()}, {}, "shape"),
    "whole numbers": ({key: p.detach().long() for key, p in P.items()}, {}, "int64"),
    "no steers": ({key: p[:0] for key, p in P.items()}, {}, "shape"),
    "not tensors": (
        {"projector1": [1.0], "projector2": [1.0]},
        {},
        "lacks the tensor 'projector1'",
    ),
    "another list": ([1, 2], {}, "not an official LM-Steer checkpoint"),
    "NaN": (with_nan(), {}, "NaN"),
    "another scale": (P, {"epsilon": -1.0}, "epsilon must be a number above 0"),
    "a worded scale": (P, {"epsilon": "much"}, "epsilon must be a number above 0"),
    "added vectors": (
        {"add_vec": torch.ones(4, 32)},
        {"adaptor_class": "add"},
        "adaptor_class 'add'",
    ),
    "input embeddings": (
        P,
        {"adapted_component": "input_embedding"},
        "adapted_component 'input_embedding'",
    ),
}


@pytest.mark.parametrize("case", BAD_CONTENT)
def test_a_checkpoint_that_is_no_steer_is_refused(case, tmp_path):
    tensors, settings, words = BAD_CONTENT[case]
    path = save_checkpoint(tmp_path / "ckpt.pt", tensors, **settings)
    with pytest.raises(SteerError) as caught:
        read_official(path, make_lm())
    assert re.search(words, one_sentence(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({7: "a"}, "there is no 7"),
        ({-1: "a"}, "there is no -1"),
        ({0: "a", 1: "a"}, "name of its own"),
        ({0: "../a"}, "name is 1–64 letters"),
    ],
)
def test_names_and_indices_are_checked(names, words, tmp_path):
    path = save_checkpoint(tmp_path / "ckpt.pt")
    with pytest.raises(InputError, match=words) as caught:
        read_official(path, make_lm(), names)
    one_sentence(caught.value)


class Malice:
    """A pickle of this makes a file when it is read by an ordinary unpickler."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


class Command(Malice):
    def __reduce__(self):
        import os

        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("malice", [Malice, Command])
@pytest.mark.parametrize(
    "place", ["in the settings", "beside the tensors", "alone", "plain pickle"]
)
def test_a_malicious_pickle_is_refused_unrun(malice, place, tmp_path):
    target, path = tmp_path / "made", tmp_path / "ckpt.pt"
    evil = malice(target)
    content = {
        "in the settings": [argparse.Namespace(model_name=evil), projectors(), 1],
        "beside the tensors": [argparse.Namespace(), {**projectors(), "x": evil}, 1],
    }.get(place, evil)
    if place == "plain pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(SteerError, match=r"^ckpt\.pt ") as caught:
        read_official(path, make_lm())
    one_sentence(caught.value)
    assert place == "plain pickle" or "nothing in it was run" in str(caught.value)
    assert not target.exists()
    if place == "plain pickle":  # the file is as bad as it should be
        pickle.loads(path.read_bytes())
        assert target.exists()


def test_damaged_and_foreign_files_are_refused(tmp_path):
    lm = make_lm()
    whole = save_checkpoint(tmp_path / "whole.pt").read_bytes()
    (tmp_path / "truncated.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pt").write_text("Once upon a time, there was no checkpoint.\n" * 50)
    (tmp_path / "empty.pt").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as file:
        file.writestr("a", "b")
    for name in ("truncated", "text", "empty", "zip"):
        with pytest.raises(SteerError, match=f"{name}.pt cannot be read") as caught:
            read_official(tmp_path / f"{name}.pt", lm)
        one_sentence(caught.value)
    for path in (tmp_path / "missing.pt", tmp_path):
        with pytest.raises(InputError, match="Cannot read") as unread:
            read_official(path, lm)
        one_sentence(unread.value)
