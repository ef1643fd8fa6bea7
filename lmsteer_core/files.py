"""Files of this library: the cache folder, and writing that a kill cannot leave half done."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lmsteer_core.errors import InputError, LMSteerError, SteerError, first_line


def replace_file(file: Path, text: str) -> None:
    """Write a file whole: a kill leaves the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}.writing")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, file)


@contextmanager
def all_or_nothing(folder: Path | str) -> Iterator[Path]:
    """Yield a folder that takes the place of `folder` when all went well, and else is removed."""
    folder = Path(folder).expanduser().resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder; choose another.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".exporting-", dir=folder.parent) as scratch:
            partial = Path(scratch) / folder.name
            partial.mkdir()
            yield partial
            if folder.exists():
                folder.rmdir()
            os.replace(partial, folder)
    except LMSteerError:
        raise
    # a full disk is an OSError, SafetensorError or, of tokenizers, Exception
    except Exception as error:
        raise SteerError(
            f"Cannot write {folder}: {first_line(error)}; nothing was left there."
        ) from error


def cache_folder() -> Path:
    """Return the folder for converted models and statistics; `LMSTEER_CACHE` overrides it."""
    chosen = os.environ.get("LMSTEER_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lmsteer"
