"""Read labelled text: JSON lines or CSV with `text` and `label` in [−1, 1]."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmsteer_core.errors import InputError

MAX_BYTES = 200_000_000

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Labelled:
    """The distinct texts of a file and their labels.

    Attributes:
        texts: The texts.
        labels: Their labels, in [−1, 1].
        n_duplicates: Repeated texts that were dropped.
        notes: A sentence for each thing that was not read as it stands in the file.
    """

    texts: list[str]
    labels: list[float]
    n_duplicates: int
    notes: tuple[str, ...] = ()


def read_labelled(path: Path | str, *, zero_is_negative: bool = False) -> Labelled:
    """Return the distinct texts of a `.jsonl`, `.csv` or `.tsv` file and their labels.

    A CSV's columns may be separated by commas, semicolons, tabs or bars, as its first line tells.

    Args:
        path: The file.
        zero_is_negative: Its labels are 0 and 1 alone, and 0 means the − pole.

    Raises:
        InputError: If the file or one of its lines cannot be used; the sentence names the line.
    """
    path = Path(path)
    content = _content(path)
    notes: list[str] = []
    if path.suffix.lower() in (".csv", ".tsv"):
        separator = _separator(content)
        if separator != ",":
            notes.append(f"Its columns are separated by {_SEPARATORS[separator]}.")
        records = _csv(content, separator)
    else:
        separator, records = "", _jsonl(content)
    labelled: dict[str, float] = {}
    n_rows = 0
    for line, record in records:
        text, label = _text_and_label(line, record, separator)
        if zero_is_negative and label not in (0, 1):
            raise InputError(
                f"Line {line} has the label {label:g}; with 0 as the − pole "
                "every label must be 0 or 1."
            )
        labelled.setdefault(text, label)
        n_rows += 1
    if not labelled:
        raise InputError(f"{path.name} holds no labelled text.")
    labels = list(labelled.values())
    if zero_is_negative:
        labels = [2 * label - 1 for label in labels]
        notes.append("Its label 0 is read as −1, the − pole.")
    elif set(labels) == {0, 1}:
        raise InputError(
            f"Every label in {path.name} is 0 or 1, and 0 means neither pole: write −1 for the "
            "− pole, or say that 0 is the − pole (--zero-is-negative, or the box below the file)."
        )
    return Labelled(list(labelled), labels, n_rows - len(labelled), tuple(notes))


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


def _separator(content: str) -> str:
    """Return what separates the names in the first line; prose further down misleads a sniffer."""
    try:
        names = re.split("[\r\n]", content, maxsplit=1)[0]
        return csv.Sniffer().sniff(names, "".join(_SEPARATORS)).delimiter
    except csv.Error:  # one column, or none
        return ","


def _csv(content: str, separator: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator, strict=True)
    line = 0  # where the last whole record ended
    try:
        names = [name.strip() for name in next(reader, [])]
        counts = Counter(names)
        if not {"text", "label"} <= set(names):
            raise InputError(
                "Line 1 of a CSV file must name the columns text and label, separated by commas, "
                "semicolons or tabs."
            )
        if counts["text"] > 1 or counts["label"] > 1:
            raise InputError("Line 1 names a column text or label twice; keep one of each.")
        line = 1
        for values in reader:
            line = reader.line_num
            if not values:
                continue
            if any(value.strip() for value in _nameless(names, values)):
                raise InputError(
                    f"Line {line} has more values than line 1 names columns; put a text that "
                    f'holds “{separator}” in double quotes (").'
                )
            yield line, dict(zip(names, values, strict=False))
    except csv.Error as error:
        raise InputError(f"Line {line + 1} is not valid CSV: {error}.") from error


def _nameless(names: list[str], values: list[str]) -> Iterator[str]:
    """Yield the values of columns without a name: a spreadsheet may write them, all empty."""
    for i, value in enumerate(values):
        if i >= len(names) or not names[i]:
            yield value


def _text_and_label(line: int, record: dict[str, Any], separator: str) -> tuple[str, float]:
    text = record.get("text")
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"Line {line} has no text.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"Line {line} holds half of a character (a lone surrogate).") from error
    label = _label(record.get("label"), separator)
    if label is None or not -1 <= label <= 1:
        raise InputError(
            f"Line {line} has the label {record.get('label')!r}; it must be from −1 to 1."
        )
    return text.strip(), label


def _label(value: Any, separator: str) -> float | None:
    """Return a label's number, or None; true and false are none, for 0 is not the − pole."""
    if isinstance(value, str):
        number = value.strip().replace("−", "-")
        if separator in (";", "\t"):  # a spreadsheet that writes decimal commas writes these
            number = number.replace(",", ".")
        return float(number) if _NUMBER.fullmatch(number) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
