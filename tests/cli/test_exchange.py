"""The verbs that bring steers in and out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from support.checkpoints import save_checkpoint
from support.exports import FORMATS, load_peft, logits_of, make_lm, steered_logits, steers_of
from transformers import AutoModelForCausalLM

from lmsteer_core import load_model
from lmsteer_core.cli.main import main


@pytest.fixture
def tiny_folder(tmp_path, monkeypatch) -> str:
    lm = make_lm()
    lm.model.save_pretrained(tmp_path / "tiny")
    lm.tokenizer.save_pretrained(tmp_path / "tiny")
    for steer, _ in steers_of(lm):
        steer.save(tmp_path / "home/steers/tiny" / steer.name)
    monkeypatch.setenv("LMSTEER_HOME", str(tmp_path / "home"))
    return str(tmp_path / "tiny")


def run(capsys, *args: str) -> dict:
    assert main([*args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *args: str) -> str:
    assert main(list(args)) == 2
    out, err = capsys.readouterr()
    assert not out
    (line,) = [line for line in err.splitlines() if line.startswith("lmsteer: ")]
    return line


def test_import_names_the_steers_of_a_file(capsys, tiny_folder, tmp_path):
    path = str(save_checkpoint(tmp_path / "ckpt.pt"))
    args = ("import", path, "--model", tiny_folder)
    result = run(capsys, *args, "--index", "0", "--name", "clean", "--index", "2", "--name", "glad")
    assert [(s["steer"], s["data"][:7]) for s in result["steers"]] == [
        ("clean", "steer 0"),
        ("glad", "steer 2"),
    ]
    assert "README.md" in {file.name for file in Path(result["steers"][0]["folder"]).iterdir()}
    names = {s["name"] for s in run(capsys, "steers", "--model", tiny_folder)["steers"]}
    assert names == {"clean", "glad", "warm", "grand"}
    every = run(capsys, *args, "--out", str(tmp_path / "out"))["steers"]
    assert [Path(s["folder"]) for s in every] == [tmp_path / f"out/steer-{i}" for i in range(4)]
    assert main([*args, "--name", "first", "--out", str(tmp_path / "out")]) == 0
    assert "first: rank" in capsys.readouterr().out
    for more, words in [
        (["--index", "1"], "one --index per --name"),
        (["--index", "1", "--name", "a", "--index", "1", "--name", "b"], "given once"),
        (["--index", "9", "--name", "a"], "there is no 9"),
        (["--name", "a/b"], "name is 1–64"),
    ]:
        assert words in refused(capsys, *args, *more)
    assert "Cannot read" in refused(capsys, "import", "nowhere.pt", "--model", tiny_folder)


def test_export_writes_several_steers_in_either_format(capsys, tiny_folder, tmp_path):
    lm = load_model(tiny_folder, dtype="float32")
    expected = steered_logits(lm, steers_of(lm))
    args = ("export", "warm", "--epsilon", "2", "--steer", "grand=-1.5", "--model", tiny_folder)
    for name in FORMATS:
        result = run(capsys, *args, "--format", name, "--out", str(tmp_path / name))
        assert result["epsilons"] == {"warm": 2.0, "grand": -1.5}
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits_of(merged), expected, atol=1e-4, rtol=0)
    adapted = load_peft(lm.model, tmp_path / "peft")
    torch.testing.assert_close(logits_of(adapted), expected, atol=1e-4, rtol=0)
    for more, words in [
        (["--out", str(tmp_path / "peft")], "not an empty folder"),
        (["--out", str(tmp_path / "x"), "--steer", "grand"], "NAME=E"),
        (["--out", str(tmp_path / "x"), "--steer", "warm=1"], "named once"),
        (["--out", str(tmp_path / "x"), "--steer", "cold=1"], "no steer named 'cold'"),
        (["--out", str(tmp_path / "x"), "--epsilon", "much"], "must be a number"),
        (["--out", str(tmp_path / "x"), "--epsilon", "0", "--steer", "grand=0"], "named once"),
    ]:
        assert words in refused(capsys, *args, "--format", "peft", *more)
    zero = ("export", "warm", "--epsilon", "0", "--model", tiny_folder, "--format", "merged")
    assert "ε = 0" in refused(capsys, *zero, "--out", str(tmp_path / "x"))
    assert main([*args, "--format", "peft", "--out", str(tmp_path / "shown")]) == 0
    assert "PeftModel.from_pretrained(base_model," in capsys.readouterr().out
    assert not (tmp_path / "x").exists()


@pytest.mark.usefixtures("hub")
def test_a_steer_goes_to_the_hub_and_is_listed_and_used_from_there(
    capsys, tiny_folder, monkeypatch
):
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    pushed = run(capsys, "push", "warm", "--model", tiny_folder, "--to", "me/warm")
    assert pushed["address"].endswith("/me/warm")
    (card,) = run(capsys, "steers", "me/warm", "--model", tiny_folder)["steers"]
    assert card["name"] == "warm"
    args = ("generate", "the cat", "--model", tiny_folder, "--max-new-tokens", "3", "--steer")
    here, there = (
        run(capsys, *args, f"{name}=2")["rows"][1]["text"] for name in ("warm", "me/warm")
    )
    assert here == there
    assert "no repository me/nobody" in refused(
        capsys, "steers", "me/nobody", "--model", tiny_folder
    )


def test_push_without_a_token_says_how_to_get_one(capsys, tiny_folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert "hf auth login" in refused(
        capsys, "push", "warm", "--model", tiny_folder, "--to", "me/warm"
    )
