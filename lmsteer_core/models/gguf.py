"""Convert a GGUF file to safetensors, once."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import sys
import tempfile
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lmsteer_core.errors import ModelError, first_line
from lmsteer_core.files import cache_folder

_MANIFEST = "manifest.json"
_CONVERSION_VERSION = 1


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
            with _read_once():
                model: Any = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
                AutoTokenizer.from_pretrained(**source).save_pretrained(partial)
            # Dequantised here, so nothing of the quantisation may reach the saved config.
            model.hf_quantizer = None
            model.is_quantized = False
            if hasattr(model.config, "quantization_config"):
                del model.config.quantization_config
            model.save_pretrained(partial)
            sizes = {file.name: file.stat().st_size for file in partial.iterdir()}
            (partial / _MANIFEST).write_text(json.dumps(sizes))
            if not _is_complete(folder):  # another process may have finished first
                shutil.rmtree(folder, ignore_errors=True)
                partial.rename(folder)
    except (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        IndexError,
        OverflowError,
        MemoryError,
        struct.error,
    ) as error:
        if _is_complete(folder):
            return folder
        raise ModelError(
            f"{stem}.gguf cannot be converted ({first_line(error)}); if the file is truncated, "
            "install or download it again."
        ) from error
    return folder


def _read_once() -> AbstractContextManager[Any]:
    """Let transformers parse a file once, not for config, tokenizer and weights each.

    It also asks for the same map of names once for every module.
    """
    import gguf

    return mock.patch.multiple(
        gguf,
        GGUFReader=cache(gguf.GGUFReader),
        get_tensor_name_map=cache(gguf.get_tensor_name_map),
    )


def _join(whole: Path, *pieces: Path) -> Path:
    with whole.open("wb") as out:
        for piece in pieces:
            with piece.open("rb") as part:
                shutil.copyfileobj(part, out, 1 << 20)
    return whole


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
