"""A model is loaded whole, converted once, or refused in one sentence."""

from __future__ import annotations

import copy
import importlib
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from support.models import TINY_CONFIGS, make_tiny
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    BertLMHeadModel,
    BertModel,
    GPT2Config,
    GPT2ForSequenceClassification,
    RobertaConfig,
    RobertaForMaskedLM,
    ViTConfig,
    ViTForImageClassification,
)

from lmsteer_core import LanguageModel, ModelError, load_model
from lmsteer_core.files import cache_folder
from lmsteer_core.models import catalogue
from lmsteer_core.models.catalogue import _gemma_pieces, available_models, embedded_gguf
from lmsteer_core.models.gguf import _is_complete, _join, convert_gguf
from lmsteer_core.models.packages import GEMMA


def one_sentence(message):
    return "\n" not in message and message.endswith(".") and len(message) < 400


def gguf_file() -> Path:
    file = embedded_gguf()
    assert file is not None
    return file


@pytest.fixture
def folder(lm, tmp_path):
    """A tiny llama with the embedded tokenizer, saved."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = copy.deepcopy(TINY_CONFIGS["llama"])
        config.vocab_size = lm.vocab_size
        model = type(make_tiny("llama"))(config)
    model.save_pretrained(tmp_path / "tiny-llama")
    lm.tokenizer.save_pretrained(tmp_path / "tiny-llama")
    return tmp_path / "tiny-llama"


@pytest.fixture
def conversion(lm, tmp_path, monkeypatch):
    """A hard-linked copy of the embedded model's conversion; breaking it breaks nothing else."""
    assert lm
    original = convert_gguf(gguf_file())
    copy = tmp_path / "models" / original.name
    shutil.copytree(original, copy, copy_function=os.link)
    monkeypatch.setenv("LMSTEER_CACHE", str(tmp_path))
    return copy


def refuses(model_id, *expected):
    with pytest.raises(ModelError) as caught:
        load_model(str(model_id), dtype="float32")
    message = str(caught.value)
    assert one_sentence(message), message
    assert all(words in message for words in expected), message


def test_hidden_states_are_the_last_hidden_states_and_feed_the_head(lm):
    ids = lm.encode("The weather today is quite")[0]
    with torch.no_grad():
        output = lm.model(torch.tensor([ids]), output_hidden_states=True)
    (hidden,) = lm.hidden_states([ids])
    assert hidden.shape == (len(ids), lm.d_model)
    torch.testing.assert_close(hidden, output.hidden_states[-1][0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        hidden @ lm.output_embedding.T, output.logits[0], atol=1e-3, rtol=1e-4
    )


def test_hidden_states_of_texts_of_unequal_length_equal_those_alone(lm):
    texts = [
        lm.encode(text)[0] for text in ("Hi", "The weather today is quite", "Once upon a time")
    ]
    for text, together in zip(texts, lm.hidden_states(texts), strict=True):
        (alone,) = lm.hidden_states([text])
        assert together.shape == alone.shape
        torch.testing.assert_close(together, alone, atol=1e-3, rtol=1e-3)


def test_hidden_states_feed_the_head_on_every_architecture(tiny, lm):
    small = LanguageModel(tiny, lm.tokenizer, "tiny")
    texts = [[5, 6, 7, 8, 9], [10, 11]]
    head = tiny.get_output_embeddings()
    seen = []
    with head.register_forward_pre_hook(lambda _m, args: seen.append(args[0])):
        tiny(torch.tensor(texts[:1]), use_cache=False)
    states = small.hidden_states(texts)
    torch.testing.assert_close(states[0], seen[0][0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(states[1], small.hidden_states(texts[1:])[0], atol=1e-4, rtol=1e-4)


def test_hidden_states_leave_no_hook(lm):
    hooks = len(lm.model.get_output_embeddings()._forward_pre_hooks)
    lm.hidden_states([[5, 6, 7]])
    assert len(lm.model.get_output_embeddings()._forward_pre_hooks) == hooks


def test_hidden_states_and_logits_of_another_thread_do_not_mix(llama, lm):
    small, ids = LanguageModel(llama, lm.tokenizer, "tiny"), torch.tensor([[5, 6, 7, 8]])
    logits, hidden = llama(ids).logits, small.hidden_states([[9, 10]])[0]
    stop, same = threading.Event(), []

    def keep_reading():
        while not stop.is_set():
            same.append(torch.equal(small.hidden_states([[9, 10]])[0], hidden))

    reader = threading.Thread(target=keep_reading)
    reader.start()
    try:
        with torch.no_grad():
            agree = [llama(ids).logits.shape == logits.shape for _ in range(200)]
    finally:
        stop.set()
        reader.join()
    assert all(agree)
    assert same
    assert all(same)


def test_loaded_model_is_frozen_and_in_eval_mode(lm):
    assert not lm.model.training
    assert not any(parameter.requires_grad for parameter in lm.model.parameters())


def test_embedded_model_speaks_english(lm):
    with torch.no_grad():
        logits = lm.model(torch.tensor([lm.encode("The capital of France is")[0]])).logits[0, -1]
    assert lm.tokenizer.decode(logits.argmax()) == " Paris"


def test_embedded_model_is_available(lm):
    assert [row["name"] for row in available_models() if row["id"] == "embedded"] == [lm.model_id]


def test_wrapping_a_model_changes_no_logit(llama, lm):
    ids = torch.tensor([[5, 6, 7]])
    before = llama(ids).logits
    LanguageModel(llama, lm.tokenizer, "tiny")
    torch.testing.assert_close(llama(ids).logits, before, atol=1e-6, rtol=1e-6)


def test_local_folder_is_loaded_and_named_after_itself(folder):
    loaded = load_model(str(folder), dtype="float32")
    assert loaded.model_id == "tiny-llama"
    assert (loaded.vocab_size, loaded.d_model) == (49152, 32)
    assert loaded.output_embedding.dtype == torch.float32


def test_a_conversion_that_is_complete_is_used_as_it_is(conversion):
    assert cache_folder() == conversion.parent.parent
    assert _is_complete(conversion)
    weights = conversion / "model.safetensors"
    before = weights.stat().st_ino
    assert convert_gguf(gguf_file()) == conversion
    assert weights.stat().st_ino == before


def truncate(path, share=0.5):
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: (f / "model.safetensors").unlink(),
        lambda f: truncate(f / "model.safetensors"),
        lambda f: truncate(f / "tokenizer.json", 0.99),
        lambda f: (f / "manifest.json").unlink(),
        lambda f: truncate(f / "manifest.json"),
        lambda f: truncate(f / "manifest.json", 0),
        shutil.rmtree,
    ],
    ids=[
        "no weights",
        "short weights",
        "short tokenizer",
        "no list",
        "half a list",
        "empty list",
        "gone",
    ],
)
def test_a_damaged_conversion_is_noticed(conversion, damage):
    damage(conversion)
    assert not _is_complete(conversion)


@pytest.mark.parametrize("content", ["{}", "[]", "null", "3", '{"config.json": "x"}'])
def test_a_manifest_that_proves_nothing_is_not_trusted(conversion, content):
    (conversion / "manifest.json").unlink()
    (conversion / "manifest.json").write_text(content)
    assert not _is_complete(conversion)


@pytest.mark.slow
def test_a_damaged_conversion_is_made_again_with_the_same_weights(conversion, lm):
    truncate(conversion / "model.safetensors")
    again = load_model("embedded", dtype="float32")
    assert _is_complete(conversion)
    assert torch.equal(again.output_embedding, lm.output_embedding)
    assert os.listdir(conversion.parent) == [conversion.name]


@pytest.mark.parametrize("n_bytes", [0, 3, 100, 500_000])
def test_a_truncated_gguf_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, n_bytes):
    monkeypatch.setenv("LMSTEER_CACHE", str(tmp_path / "cache"))
    with gguf_file().open("rb") as file:
        (tmp_path / "short.gguf").write_bytes(file.read(n_bytes))
    refuses(tmp_path / "short.gguf", "short.gguf", "again")
    assert os.listdir(tmp_path / "cache" / "models") == []


def cut_in_pieces(gguf, folder, n_pieces):
    """Cut a file's first bytes into name.gguf.part00, part01, …; return the pieces."""
    content = gguf.read_bytes()
    size = -(-len(content) // n_pieces)
    pieces = [folder / f"{gguf.name}.part{i:02}" for i in range(n_pieces)]
    for i, piece in enumerate(pieces):
        piece.write_bytes(content[i * size : (i + 1) * size])
    return pieces


def test_a_gguf_in_pieces_is_the_gguf(conversion, tmp_path):
    pieces = cut_in_pieces(gguf_file(), tmp_path, 3)
    assert convert_gguf(*pieces) == conversion
    whole = _join(tmp_path / "whole.gguf", *pieces)
    assert whole.read_bytes() == gguf_file().read_bytes()


def test_pieces_that_are_no_gguf_are_one_sentence_and_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("LMSTEER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "short.gguf").write_bytes(b"GGUF" + bytes(500))
    with pytest.raises(ModelError, match=r"^short\.gguf cannot be converted .* again\.$"):
        convert_gguf(*cut_in_pieces(tmp_path / "short.gguf", tmp_path, 4))
    assert os.listdir(tmp_path / "cache" / "models") == []


def gemma_package(folder, number):
    data = folder / f"absent_gguf_part{number}" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    (data / f"absent.gguf.part{number - 1:02}").touch()


def test_gemma_counts_as_installed_only_when_every_piece_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "_GEMMA_PACKAGE", "absent_gguf")
    monkeypatch.syspath_prepend(tmp_path)
    for number in (4, 2, 1):
        gemma_package(tmp_path, number)
    assert GEMMA not in {row["id"] for row in available_models()}
    refuses(GEMMA, "lmsteer install gemma", "make gemma", "Gemma terms")
    gemma_package(tmp_path, 3)
    importlib.invalidate_caches()
    (row,) = (row for row in available_models() if row["id"] == GEMMA)
    assert "Gemma terms" in row["source"]
    assert [piece.suffix for piece in _gemma_pieces()] == [
        ".part00",
        ".part01",
        ".part02",
        ".part03",
    ]


@pytest.mark.slow  # its first load converts 250 MB
@pytest.mark.skipif(not _gemma_pieces(), reason="Gemma is not installed: make gemma")
def test_gemma_reads_behind_one_bos_and_speaks_english(capsys):
    gemma = load_model(GEMMA, dtype="bfloat16")
    assert "Gemma terms" in capsys.readouterr().err
    assert (gemma.model_id, gemma.vocab_size, gemma.d_model) == ("gemma-3-270m", 262144, 640)
    ids, _ = gemma.encode("The weather today is quite")
    assert ids == [2, 818, 7606, 3124, 563, 4346]
    assert gemma.tokenizer.decode(ids[1:]) == "The weather today is quite"
    with torch.no_grad():
        logits = gemma.model(torch.tensor([gemma.encode("Monday, Tuesday, Wednesday,")[0]])).logits
    assert gemma.tokenizer.decode(logits[0, -1].argmax()) == " Thursday"


def test_a_gguf_that_is_not_there_is_named(tmp_path):
    refuses(tmp_path / "absent.gguf", "There is no file", "absent.gguf")


def test_a_folder_that_is_not_a_model_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    refuses(tmp_path, str(tmp_path))


def test_a_path_that_is_not_there_is_refused(tmp_path):
    refuses(tmp_path / "nowhere", "no such folder")


@pytest.mark.parametrize("model_id", ["", " ", "a b", "x/y/z", "../..", "\0"])
def test_an_id_that_can_name_no_model_is_refused(model_id):
    refuses(model_id)


def test_an_unknown_hub_id_offline_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError) as caught:
        load_model("nobody/no-such-model", dtype="float32")
    message = str(caught.value)
    assert one_sentence(message), message
    assert "'nobody/no-such-model'" in message
    assert "hub" in message


def save_vit(folder):
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    ViTForImageClassification(config).save_pretrained(folder)


def save_bert(folder):
    config = BertConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        vocab_size=99,
    )
    BertModel(config).save_pretrained(folder)


def test_a_vision_model_is_refused(lm, tmp_path):
    save_vit(tmp_path / "vit")
    lm.tokenizer.save_pretrained(tmp_path / "vit")
    refuses(tmp_path / "vit", "not a causal language model")


def test_an_encoder_is_refused(lm, tmp_path):
    save_bert(tmp_path / "bert")
    lm.tokenizer.save_pretrained(tmp_path / "bert")
    refuses(tmp_path / "bert", "it is an encoder, which reads a text in both directions")


TINY_BERT: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 99,
}
TINY_BART: dict[str, Any] = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "vocab_size": 99,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
}
TINY_GPT2: dict[str, Any] = {"n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": 99}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: BertForMaskedLM(BertConfig(**TINY_BERT)), "an encoder, which reads"),
        (lambda: RobertaForMaskedLM(RobertaConfig(**TINY_BERT)), "an encoder, which reads"),
        (
            lambda: BartForConditionalGeneration(BartConfig(**TINY_BART)),
            "an encoder–decoder model, which does not continue a text",
        ),
        (
            lambda: GPT2ForSequenceClassification(GPT2Config(**TINY_GPT2)),
            "trained for another task (GPT2ForSequenceClassification)",
        ),
    ],
)
def test_a_checkpoint_made_for_something_else_is_refused_and_not_listed(
    lm, tmp_path, monkeypatch, make, reason
):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--me--other/snapshots/main"
    make().save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    refuses(folder, reason, "choose a causal language model")
    assert "me/other" not in {row["id"] for row in available_models()}


def test_an_encoder_whose_config_keeps_it_secret_is_refused_by_how_it_reads(lm, tmp_path):
    BertLMHeadModel(BertConfig(**TINY_BERT)).save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "causal": True}))
    refuses(tmp_path, "reads a text in both directions")


def test_an_encoder_that_is_a_decoder_is_loaded(lm, tmp_path):
    BertLMHeadModel(BertConfig(**TINY_BERT, is_decoder=True)).save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    assert load_model(str(tmp_path), dtype="float32").d_model == 16


def test_the_hubs_cache_lists_what_can_be_loaded(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("llama", "weightless", "broken"):
        shutil.copytree(folder, tmp_path / f"hub/models--me--{name}/snapshots/main")
    (tmp_path / "hub/models--me--weightless/snapshots/main/model.safetensors").unlink()
    (tmp_path / "hub/models--me--broken/snapshots/main/config.json").write_text("{")
    (tmp_path / "hub/models--me--empty/snapshots").mkdir(parents=True)
    rows = [row["id"] for row in available_models() if row["source"] == "hub cache"]
    assert rows == ["me/llama"]


def test_the_hubs_cache_is_looked_for_where_its_own_library_has_it(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "home/hub/models--me--llama/snapshots/main")
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-m", "lmsteer_core", "models", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "me/llama" in done.stdout


def test_what_the_hub_refuses_is_told_from_a_hub_out_of_reach(hub, tmp_path):
    code = (
        "import sys, time\n"
        "time.sleep = lambda _seconds: None  # between the client's retries\n"
        "from lmsteer_core import ModelError, load_model\n"
        "for model_id in sys.argv[1:]:\n"
        "    try: load_model(model_id, dtype='float32')\n"
        "    except ModelError as error: print(error)\n"
    )

    def asking(endpoint, *model_ids):
        environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "home")}
        environment.pop("HF_HUB_OFFLINE", None)
        return subprocess.Popen(
            [sys.executable, "-c", code, *model_ids],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    # Both at once: a Python of its own takes seconds to import what it needs.
    with (
        asking(hub.endpoint, "meta/gated-offline-header", "nobody/connect") as refused,
        asking("http://127.0.0.1:9", "me/warm") as alone,
    ):
        gated, unknown = refused.communicate()[0].splitlines()
        (unreachable,) = alone.communicate()[0].splitlines()
    assert "accept their terms" in gated
    assert "hf auth login" in gated
    assert "no such model on the hub" in unknown
    assert "the hub cannot be reached" in unreachable
    assert all(map(one_sentence, (gated, unknown, unreachable)))


def test_a_folder_whose_name_speaks_of_the_hub_is_explained_by_its_fault(folder, tmp_path):
    odd = tmp_path / "offline resolve header connect"
    shutil.copytree(folder, odd)
    config = json.loads((odd / "config.json").read_text())
    (odd / "config.json").write_text(json.dumps({**config, "hidden_size": 48}))
    with pytest.raises(ModelError) as caught:
        load_model(str(odd), dtype="float32")
    assert "hub" not in str(caught.value)
    assert "damaged" not in str(caught.value)


def test_truncated_weights_are_refused(folder):
    truncate(folder / "model.safetensors")
    refuses(folder, "damaged or truncated")


def test_absent_weights_are_refused(folder):
    (folder / "model.safetensors").unlink()
    refuses(folder, "tiny-llama")


def test_a_config_that_is_not_json_is_refused(folder):
    (folder / "config.json").write_text("{")
    refuses(folder, "tiny-llama")


def test_a_config_of_an_unknown_architecture_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "nonesuch"}))
    refuses(folder, "tiny-llama")


def test_weights_of_another_shape_are_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_size": 48}))
    refuses(folder, "tiny-llama")


def test_a_tokenizer_that_is_not_json_is_refused(folder):
    (folder / "tokenizer.json").write_text("{")
    refuses(folder, "tiny-llama")


def test_a_model_without_an_output_embedding_is_refused(llama, lm):
    with pytest.raises(ModelError, match="'headless' has no output embedding"):
        LanguageModel(llama.model, lm.tokenizer, "headless")


def test_an_unknown_dtype_is_refused(folder):
    with pytest.raises(ModelError, match="Unknown dtype 'int8'"):
        load_model(str(folder), dtype="int8")


def test_an_unknown_device_is_refused(folder):
    with pytest.raises(ModelError, match="tiny-llama"):
        load_model(str(folder), device="abacus", dtype="float32")


def test_the_dtype_probe_chooses_a_supported_dtype_and_remembers_it(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LMSTEER_CACHE", str(tmp_path / "cache"))
    chosen = load_model(str(folder), device="cpu").output_embedding.dtype
    assert chosen in (torch.float32, torch.bfloat16)
    (key,) = json.loads((tmp_path / "cache" / "dtype.json").read_text())
    assert str(folder) in key
    (tmp_path / "cache" / "dtype.json").write_text(json.dumps({key: "bfloat16"}))
    assert load_model(str(folder), device="cpu").output_embedding.dtype == torch.bfloat16
