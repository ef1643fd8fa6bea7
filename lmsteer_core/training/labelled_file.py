"""Read labelled text: JSON lines or CSV with `text` and `label` in [−1, 1]."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmsteer_core.errors import InputError

MAX_BYTES = 200_000_000


@dataclass(frozen=True)
class Labelled:
    """The distinct texts of a file, their labels, and how many repeated texts were dropped."""

    texts: list[str]
    labels: list[float]
    n_duplicates: int


def read_labelled(path: Path | str) -> Labelled:
    """Return the distinct texts of a `.jsonl` or `.csv` file and their labels.

    Raises:
        InputError: If the file or one of its lines cannot be used; the sentence names the line.
    """
    path = Path(path)
    content = _content(path)
    records = _csv(content) if path.suffix.lower() == ".csv" else _jsonl(content)
    labelled: dict[str, float] = {}
    n_rows = 0
    for line, record in records:
        text, label = _text_and_label(line, record)
        labelled.setdefault(text, label)
        n_rows += 1
    if not labelled:
        raise InputError(f"{path.name} holds no labelled text.")
    return Labelled(list(labelled), list(labelled.values()), n_rows - len(labelled))


def read_lines(path: Path | str) -> list[str]:
    """Return the lines of a text file that are not blank; errors as for `read_labelled`."""
    return [line.strip() for line in _content(Path(path)).split("\n") if line.strip()]


def json_objects(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield a JSONL file's objects with their lines' numbers; errors as for `read_labelled`."""
    return _jsonl(_content(Path(path)))


def _content(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"{path.name} is larger than {MAX_BYTES // 10**6} MB; train on a sample."
            )
        content = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is not UTF-8 text; save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    if "\0" in content:
        raise InputError(f"{path.name} holds NUL bytes; it is not a text file.")
    return content


def _jsonl(content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"Line {number} is not JSON: {error}.") from error
            if not isinstance(record, dict):
                raise InputError(f'Line {number} is not an object like {{"text": …}}.')
            yield number, record


def _csv(content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    line = 0  # where the last whole record ended; DictReader.line_num is late after blank lines
    try:
        if not {"text", "label"} <= set(reader.fieldnames or ()):
            raise InputError("Line 1 of a CSV file must name the columns text and label.")
        line = 1
        for record in reader:
            line = reader.reader.line_num
            yield line, record
    except csv.Error as error:
        raise InputError(f"Line {line + 1} is not valid CSV: {error}.") from error


def _text_and_label(line: int, record: dict[str, Any]) -> tuple[str, float]:
    text = record.get("text")
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"Line {line} has no text.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"Line {line} holds half of a character (a lone surrogate).") from error
    try:
        label = float(record.get("label"))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        label = math.nan
    if not -1 <= label <= 1:
        raise InputError(
            f"Line {line} has the label {record.get('label')!r}; it must be from −1 to 1."
        )
    return text.strip(), label
