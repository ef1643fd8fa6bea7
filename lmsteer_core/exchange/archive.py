"""A steer as one file: a zip of its files, packed for download, unpacked with suspicion."""

from __future__ import annotations

import dataclasses
import io
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from lmsteer_core.errors import SteerError
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.card import CARD_FILE, shortened
from lmsteer_core.steers.reader import READER_FILE
from lmsteer_core.steers.steer import WEIGHTS_FILE, Steer, bound

MAX_BYTES = 5_000_000
"""Of an uploaded steer, packed or not; the largest that ship are a tenth of that."""

_MAX_CARD_BYTES = 100_000
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_PARTS = {WEIGHTS_FILE, CARD_FILE}
_WITH_READER = _PARTS | {READER_FILE}
_WANTED = (
    f"a steer is one .zip with {WEIGHTS_FILE} and {CARD_FILE} in it, or those two files, "
    f"with {READER_FILE} if it has one"
)


def pack(steer: Steer) -> bytes:
    """Return a zip of the steer's files."""
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(packed, "w") as archive:
        for part in sorted(_WITH_READER if steer.reader else _PARTS):
            archive.write(steer.save(folder) / part, part)
    return packed.getvalue()


def unpack(paths: Sequence[Path | str], lm: LanguageModel) -> Steer:
    """Read an uploaded steer: one zip or its files.

    Raises:
        SteerError: If it is not a steer, is too large, is damaged or is another model's.
    """
    files = [Path(path) for path in paths]
    if sum(file.stat().st_size for file in files) > MAX_BYTES:
        raise SteerError(
            f"That is larger than {MAX_BYTES // 10**6} MB, and no steer of this model is."
        )
    parts = (
        _unzipped(files[0]) if len(files) == 1 else {file.name: file.read_bytes() for file in files}
    )
    if parts.keys() not in (_PARTS, _WITH_READER) or len(files) > len(parts):
        raise SteerError(f"That is not a steer: {_WANTED}.")
    if len(parts[CARD_FILE]) > _MAX_CARD_BYTES:
        raise SteerError(f"{CARD_FILE} is too large to be a steer's card.")
    with tempfile.TemporaryDirectory() as folder:
        for name, content in parts.items():
            (Path(folder) / name).write_bytes(content)
        try:
            steer = Steer.load(folder)
        except SteerError as error:
            raise SteerError(str(error).replace(f"{folder}/", "")) from error
    steer = bound(steer, lm.output_embedding, lm.model_id)
    card = steer.card
    card = dataclasses.replace(
        card, negative=shortened(card.negative), positive=shortened(card.positive)
    )
    return dataclasses.replace(steer, card=card)


def _unzipped(file: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            names = {entry.filename for entry in entries}
            if len(entries) != len(names) or names not in (_PARTS, _WITH_READER):
                raise SteerError(f"{file.name} holds other things than a steer: {_WANTED}.")
            if sum(entry.file_size for entry in entries) > MAX_BYTES:
                raise SteerError(
                    f"{file.name} unpacks to more than {MAX_BYTES // 10**6} MB; it is no steer."
                )
            if any(entry.compress_type not in _COMPRESSIONS for entry in entries):
                raise SteerError(f"{file.name} is packed in an unusual way; use an ordinary zip.")
            return {entry.filename: _content(archive, entry) for entry in entries}
    except zipfile.BadZipFile as error:
        raise SteerError(f"{file.name} is not a zip file, or it is damaged: {_WANTED}.") from error
    except (RuntimeError, EOFError, OSError, ValueError, struct.error, zlib.error) as error:
        raise SteerError(
            f"{file.name} cannot be unpacked: pack it again without a password."
        ) from error


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Read no more than the entry declares.

    `archive.read` would first inflate whatever is there.
    """
    with archive.open(entry) as file:
        return file.read(entry.file_size)
