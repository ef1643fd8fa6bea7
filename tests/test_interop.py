"""Steers come in from official checkpoints and leave as adapters, models and repositories unchanged."""

from __future__ import annotations

import argparse
import base64
import copy
import hashlib
import json
import math
import pickle
import re
import threading
import warnings
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import yaml
from conftest import TINY_CONFIGS, VOCAB_SIZE, make_steer, relative_error
from huggingface_hub import HfApi, constants
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoModelForCausalLM, CohereConfig, GraniteConfig, PreTrainedTokenizerFast

from lmsteer_core import InputError, LanguageModel, LMSteerError, Steer, SteerError, Steering, load_model
from lmsteer_core.cli import main
from lmsteer_core.interop import (
    export_merged,
    export_peft,
    model_card,
    pull,
    push,
    read_official,
    save_repository,
)
from lmsteer_core.steer import CARD_FILE, WEIGHTS_FILE

IDS = torch.randint(3, VOCAB_SIZE, (3, 7), generator=torch.Generator().manual_seed(5))
_LLAMA = TINY_CONFIGS["llama"].to_dict()
_SHAPE = {
    key: _LLAMA[key]
    for key in (
        "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "max_position_embeddings", "bos_token_id", "eos_token_id", "pad_token_id",
    )
}  # fmt: skip
CONFIGS = {
    **TINY_CONFIGS,
    "cohere": CohereConfig(**_SHAPE, logit_scale=0.5),
    "granite": GraniteConfig(**_SHAPE, logits_scaling=4.0),
}
GRADIENT_NEWS = "`is_gradient_checkpointing` is deprecated"  # transformers warns of its own use
FORMATS = {"peft": export_peft, "merged": export_merged}


def make_lm(architecture: str = "llama", *, tied: bool = True, seed: int = 0) -> LanguageModel:
    """Return a tiny random model, tied or not, with a tokenizer of as many words."""
    config = copy.deepcopy(CONFIGS[architecture])
    config.tie_word_embeddings = tied
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
    words = Tokenizer(WordLevel({f"w{i}": i for i in range(VOCAB_SIZE)}, unk_token="w0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0", eos_token="w2")
    return LanguageModel(model, tokenizer, "tiny")


def steers_of(lm: LanguageModel) -> list[tuple[Steer, float]]:
    """Return two steers of different rank with their ε."""
    embedding = lm.output_embedding
    return [
        (make_steer(embedding, name="warm", rank=4), 2.0),
        (make_steer(embedding, name="grand", rank=3, seed=1), -1.5),
    ]


def logits_of(model: torch.nn.Module, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad():
        return model(ids, use_cache=False).logits


def steered_logits(
    lm: LanguageModel, parts: list[tuple[Steer, float]], ids: torch.Tensor = IDS
) -> torch.Tensor:
    with Steering(lm.model, [s for s, _ in parts], [[e for _, e in parts]]):
        return logits_of(lm.model, ids)


def load_peft(base: torch.nn.Module, folder: Path) -> torch.nn.Module:
    from peft import PeftModel

    with warnings.catch_warnings():  # PEFT warns of tied embeddings whatever the adapter does
        warnings.filterwarnings("ignore", message="Model has `tie_word_embeddings=True`")
        warnings.filterwarnings("ignore", message=GRADIENT_NEWS)
        return PeftModel.from_pretrained(base, folder)


def one_sentence(error: LMSteerError) -> str:
    message = str(error)
    assert "\n" not in message
    assert message.endswith(".")
    assert len(message) < 400
    return message


def read_front_matter(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


# Out


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


@pytest.mark.filterwarnings(f"ignore:{GRADIENT_NEWS}:FutureWarning")
def test_a_merged_model_loads_with_its_tokenizer_and_generates(tmp_path):
    lm = make_lm()
    folder = export_merged(lm, steers_of(lm), tmp_path / "merged")
    again = load_model(str(folder), dtype="float32")
    assert again.tokenizer.get_vocab() == lm.tokenizer.get_vocab()
    ids = torch.tensor([again.tokenizer.convert_tokens_to_ids(["w5", "w6"])])
    assert again.model.generate(ids, min_new_tokens=3, max_new_tokens=3).shape == (1, 5)
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
    written = []

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
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # the writers' own errors, not a mock's
    try:
        with pytest.raises(SteerError, match="nothing was left there") as caught:
            export(lm, parts, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    one_sentence(caught.value)
    assert not any(tmp_path.iterdir())


# In


def projectors(d_model: int = 32, rank: int = 50, n_steers: int = 4) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint; large enough for W to matter."""
    noise = torch.Generator().manual_seed(3)
    return {
        key: torch.nn.Parameter(torch.randn(n_steers, d_model, rank, generator=noise))
        for key in ("projector1", "projector2")
    }


def save_checkpoint(
    path: Path, tensors: dict[str, object] | None = None, steps: object = 1000, **settings: object
) -> Path:
    """Write what the official training script writes."""
    settings = {"model_name": "tiny", "adaptor_class": "multiply", "rank": 50, **settings}
    torch.save([argparse.Namespace(**settings), projectors() if tensors is None else tensors, steps], path)
    return path


def official_logits(lm: LanguageModel, tensors: dict[str, torch.Tensor], values, scale) -> torch.Tensor:
    """The published forward pass: E (h + ε₀ Σ_s v_s (h P1_s) P2_sᵀ), for models without head bias."""
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
    (steer, *_) = read_official(save_checkpoint(tmp_path / "a.pt", model_name="EleutherAI/pythia-70m"), lm)
    assert "trained for EleutherAI/pythia-70m; it is read for tiny" in capsys.readouterr().err
    assert "pythia-70m" in steer.card.data
    read_official(save_checkpoint(tmp_path / "b.pt", model_name="maker/Tiny"), lm)
    assert not capsys.readouterr().err


def with_nan() -> dict[str, torch.Tensor]:
    tensors = projectors()
    with torch.no_grad():
        tensors["projector2"][1, 0, 0] = math.nan
    return tensors


P = projectors()
BAD_CONTENT = {
    "another width": (projectors(d_model=16), {}, "steers 16 dimensions.*tiny has 32"),
    "no projector2": ({"projector1": P["projector1"]}, {}, "lacks the tensor 'projector2'"),
    "wrong ranks": ({**P, "projector2": P["projector2"][..., :7]}, {}, "differ in shape"),
    "fewer steers": ({**P, "projector2": P["projector2"][:1]}, {}, "differ in shape"),
    "a flat matrix": ({key: p[0] for key, p in P.items()}, {}, "shape"),
    "whole numbers": ({key: p.detach().long() for key, p in P.items()}, {}, "int64"),
    "no steers": ({key: p[:0] for key, p in P.items()}, {}, "shape"),
    "not tensors": ({"projector1": [1.0], "projector2": [1.0]}, {}, "lacks the tensor 'projector1'"),
    "another list": ([1, 2], {}, "not an official LM-Steer checkpoint"),
    "NaN": (with_nan(), {}, "NaN"),
    "another scale": (P, {"epsilon": -1.0}, "epsilon must be a number above 0"),
    "a worded scale": (P, {"epsilon": "much"}, "epsilon must be a number above 0"),
    "added vectors": ({"add_vec": torch.ones(4, 32)}, {"adaptor_class": "add"}, "adaptor_class 'add'"),
    "input embeddings": (P, {"adapted_component": "input_embedding"}, "adapted_component 'input_embedding'"),
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
@pytest.mark.parametrize("place", ["in the settings", "beside the tensors", "alone", "plain pickle"])
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
        with pytest.raises(InputError, match="Cannot read") as caught:
            read_official(path, lm)
        one_sentence(caught.value)


# Share


def test_a_model_card_carries_what_the_hub_shows():
    steer = make_steer(torch.randn(97, 32), name="clean", model_id="SmolLM2-135M-Instruct")
    noticed = Steer(
        steer.left,
        steer.right,
        steer.fingerprint_rows,
        type(steer.card).from_json(steer.card.to_json().replace('"notice": ""', '"notice": "Read: this"')),
    )
    text = model_card(noticed)
    assert read_front_matter(text) == {
        "base_model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "library_name": "lmsteer",
        "tags": ["lm-steer", "steering"],
    }
    assert "# clean: cold ↔ warm" in text
    assert "> Read: this" in text
    assert "base_model" not in read_front_matter(model_card(make_steer(torch.randn(97, 32))))


def test_packaged_models_are_named_as_on_the_hub(lm):
    assert "base_model: HuggingFaceTB/SmolLM2-135M-Instruct" in model_card(
        make_steer(lm.output_embedding, model_id=lm.model_id)
    )


def test_a_repository_is_a_steer_folder_with_a_readme(tmp_path):
    steer = make_steer(torch.randn(97, 32))
    folder = save_repository(steer, tmp_path / "style")
    assert {file.name for file in folder.iterdir()} == {CARD_FILE, WEIGHTS_FILE, "README.md"}
    assert Steer.load(folder).card == steer.card


class FakeHub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as its client speaks to store and fetch small files."""

    protocol_version = "HTTP/1.1"
    files: dict[str, bytes]
    asked: list[tuple[str, str | None]]

    def log_message(self, *_args) -> None:
        """Say nothing."""

    def reply(self, body: object, status: int = 200, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, self.headers["Authorization"]))
        home = "http://{}:{}/me/warm".format(*self.server.server_address)
        if self.path.endswith("/repos/create"):
            self.reply({"url": home, "id": "me/warm"})
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            self.reply(
                {"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]}
            )
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.reply({"commitOid": "a" * 40, "commitUrl": f"{home}/commit/{'a' * 40}", "success": True})
        else:
            self.reply({})

    def do_GET(self) -> None:
        oid = {name: hashlib.sha1(data).hexdigest() for name, data in self.files.items()}
        name = self.path.rpartition("/")[2]
        if "me/warm" not in self.path:
            self.reply({"error": "not found"}, 404, X_Error_Code="RepoNotFound")
        elif "/resolve/" in self.path:
            self.reply(self.files[name], ETag=f'"{oid[name]}"', X_Repo_Commit="a" * 40)
        elif "/tree/" in self.path:
            self.reply(
                [
                    {"type": "file", "path": n, "size": len(data), "oid": oid[n]}
                    for n, data in self.files.items()
                ]
            )
        else:
            self.reply({"id": "me/warm", "sha": "a" * 40, "siblings": [{"rfilename": n} for n in oid]})

    do_HEAD = do_GET


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[type[FakeHub]]:
    """A hub on this machine, to which the real client speaks."""

    class Hub(FakeHub):
        files, asked = {}, []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    endpoint = "http://{}:{}".format(*server.server_address)
    monkeypatch.setattr("lmsteer_core.interop.HfApi", partial(HfApi, endpoint=endpoint))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield Hub
    server.shutdown()
    server.server_close()


def test_a_pushed_steer_is_pulled_unchanged(hub):
    steer = make_steer(torch.randn(97, 32))
    assert push(steer, "me/warm", "hf_mine").endswith("/me/warm")
    assert set(hub.files) == {CARD_FILE, WEIGHTS_FILE, "README.md"}
    assert {token for path, token in hub.asked if "/models/" in path} == {"Bearer hf_mine"}
    assert read_front_matter(hub.files["README.md"].decode())["library_name"] == "lmsteer"
    hub.files["pytorch_model.bin"] = b"not asked for"
    again = pull("me/warm")
    assert torch.equal(again.left, steer.left)
    assert again.card == steer.card


def test_what_the_hub_refuses_is_one_sentence(hub, monkeypatch):
    steer = make_steer(torch.randn(97, 32))
    for call, words in [
        (lambda: pull("me/nobody"), "no repository me/nobody"),
        (lambda: pull("../me"), "Cannot fetch"),
        (lambda: push(steer, "not/a/name", "hf_mine"), "Cannot push"),
    ]:
        with pytest.raises(SteerError, match=words) as caught:
            call()
        one_sentence(caught.value)
    monkeypatch.setattr("lmsteer_core.interop.HfApi", partial(HfApi, endpoint="http://127.0.0.1:9"))
    for call in (lambda: pull("me/warm"), lambda: push(steer, "me/warm", "hf_mine")):
        with pytest.raises(SteerError, match="Cannot") as caught:
            call()
        one_sentence(caught.value)
    assert not hub.files


# The command line


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
def test_a_steer_goes_to_the_hub_and_is_listed_and_used_from_there(capsys, tiny_folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    pushed = run(capsys, "push", "warm", "--model", tiny_folder, "--to", "me/warm")
    assert pushed["address"].endswith("/me/warm")
    (card,) = run(capsys, "steers", "me/warm", "--model", tiny_folder)["steers"]
    assert card["name"] == "warm"
    args = ("generate", "the cat", "--model", tiny_folder, "--max-new-tokens", "3", "--steer")
    here, there = (run(capsys, *args, f"{name}=2")["rows"][1]["text"] for name in ("warm", "me/warm"))
    assert here == there
    assert "no repository me/nobody" in refused(capsys, "steers", "me/nobody", "--model", tiny_folder)


def test_push_without_a_token_says_how_to_get_one(capsys, tiny_folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert "hf auth login" in refused(capsys, "push", "warm", "--model", tiny_folder, "--to", "me/warm")
