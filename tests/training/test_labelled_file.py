"""Labelled text is read exactly, or refused with the line that is at fault."""

from __future__ import annotations

import json

import pytest

from lmsteer_core import InputError
from lmsteer_core.training.labelled_file import Labelled, read_labelled, read_lines


@pytest.fixture
def write(tmp_path):
    def to(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to


def test_jsonl_is_read_with_graded_labels(write):
    path = write(
        "d.jsonl", '{"text": "good", "label": 1}\n{"text": "meh", "label": -0.25, "id": 7}\n'
    )
    assert read_labelled(path) == Labelled(["good", "meh"], [1.0, -0.25], 0)


def test_csv_is_read_with_columns_in_any_order(write):
    path = write("d.csv", "label,id,text\n1,a,good\n-0.5,b,bad\n")
    assert read_labelled(str(path)) == Labelled(["good", "bad"], [1.0, -0.5], 0)


def test_suffix_is_read_in_any_case(write):
    assert read_labelled(write("D.CSV", "text,label\nx,1\n")) == Labelled(["x"], [1.0], 0)


@pytest.mark.parametrize(
    ("name", "content"),
    [("d.jsonl", '{"text": "x", "label": 1}\n'), ("d.csv", "text,label\nx,1\n")],
)
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(write, name, content):
    path = write(name, b"\xef\xbb\xbf" + content.replace("\n", "\r\n").encode())
    assert read_labelled(path) == Labelled(["x"], [1.0], 0)


def test_csv_quotes_hold_newlines_commas_and_quotes(write):
    path = write("d.csv", 'text,label\n"one\ntwo, ""three""",1\nplain,-1\n')
    assert read_labelled(path) == Labelled(['one\ntwo, "three"', "plain"], [1.0, -1.0], 0)


def test_jsonl_text_may_hold_line_separators(write):
    record = json.dumps({"text": "one\u2028two\x0bthree", "label": 0}, ensure_ascii=False)
    assert read_labelled(write("d.jsonl", record)) == Labelled(["one\u2028two\x0bthree"], [0.0], 0)


def test_blank_lines_are_passed_over_but_counted(write):
    path = write("d.jsonl", '\n{"text": "x", "label": 1}\n\n   \nbroken\n')
    with pytest.raises(InputError, match="Line 5 is not JSON"):
        read_labelled(path)


def test_repeated_text_is_kept_once_with_its_first_label(write):
    path = write("d.csv", "text,label\nx,1\n x ,-1\ny,-1\nx,1\n")
    assert read_labelled(path) == Labelled(["x", "y"], [1.0, -1.0], 2)


GOOD = '{"text": "fine", "label": 1}\n'
JSONL_FAULTS = {
    "not JSON": ("text: x", "Line 2 is not JSON"),
    "bottomless JSON": ("[" * 100_000, "Line 2 is not JSON"),
    "a list": ("[1, 2]", "Line 2 is not an object"),
    "a string": ('"x"', "Line 2 is not an object"),
    "no text": ('{"label": 1}', "Line 2 has no text"),
    "blank text": ('{"text": "  ", "label": 1}', "Line 2 has no text"),
    "text is a number": ('{"text": 5, "label": 1}', "Line 2 has no text"),
    "half a character": ('{"text": "x \\ud83d", "label": 1}', "Line 2 holds half of a character"),
    "no label": ('{"text": "x"}', "Line 2 has the label None"),
    "label is null": ('{"text": "x", "label": null}', "Line 2 has the label None"),
    "label too high": (
        '{"text": "x", "label": 1.01}',
        r"Line 2 has the label 1.01; it must be from −1 to 1",
    ),
    "label too low": ('{"text": "x", "label": -2}', "Line 2 has the label -2"),
    "label is NaN": ('{"text": "x", "label": NaN}', "Line 2 has the label nan"),
    "label is infinite": ('{"text": "x", "label": Infinity}', "Line 2 has the label inf"),
    "label is a huge integer": ('{"text": "x", "label": 1' + "0" * 400 + "}", "Line 2"),
    "label is a word": ('{"text": "x", "label": "good"}', "Line 2 has the label 'good'"),
    "label is a list": ('{"text": "x", "label": [1]}', "Line 2 has the label"),
}


@pytest.mark.parametrize("fault", JSONL_FAULTS)
def test_a_bad_jsonl_line_is_named(write, fault):
    line, expected = JSONL_FAULTS[fault]
    with pytest.raises(InputError, match=expected):
        read_labelled(write("d.jsonl", GOOD + line + "\n" + GOOD))


CSV_FAULTS = {
    "no text column": ("sentence,label\nx,1\n", "Line 1 .* text and label"),
    "no label column": ("text,stars\nx,1\n", "Line 1 .* text and label"),
    "no header": ("x,1\ny,-1\n", "Line 1 .* text and label"),
    "short row": ("text,label\nx,1\ny\n", "Line 3 has the label None"),
    "empty text": ("text,label\n,1\n", "Line 2 has no text"),
    "empty label": ("text,label\nx,\n", "Line 2 has the label ''"),
    "label out of range": ("text,label\nx,1\ny,5\n", "Line 3 has the label '5'"),
    "label NaN": ("text,label\nx,nan\n", "Line 2 has the label 'nan'"),
    "fault after a quoted newline": ('text,label\n"a\nb",1\ny,5\n', "Line 4 has the label '5'"),
    "fault after blank lines": ("text,label\nx,1\n\n\ny,5\n", "Line 5 has the label '5'"),
    "quote left open for good": ('text,label\nx,1\n"y,1\nz,-1\n', "Line 3 is not valid CSV"),
    "broken header": ('"text"x,label\n', "Line 1 is not valid CSV"),
    "open quote": ('text,label\n"x,1\n', "Line 2 is not valid CSV"),
    "text after a quote": ('text,label\n"x"y,1\n', "Line 2 is not valid CSV"),
    "field of 200 kB": ("text,label\n" + "x" * 200_000 + ",1\n", "Line 2 is not valid CSV"),
}


@pytest.mark.parametrize("fault", CSV_FAULTS)
def test_a_bad_csv_line_is_named(write, fault):
    content, expected = CSV_FAULTS[fault]
    with pytest.raises(InputError, match=expected):
        read_labelled(write("d.csv", content))


@pytest.mark.parametrize("name", ["d.jsonl", "d.csv"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "(holds no labelled text|must name the columns)"),
        (b'{"text": "x\0", "label": 1}\n', "holds NUL bytes"),
        (b'text,label\n"caf\xe9",1\n', "is not UTF-8 text"),
        ("text,label\nx,1\n".encode("utf-16"), "is not UTF-8 text"),
    ],
)
def test_a_file_that_is_not_labelled_text_is_refused(write, name, content, expected):
    with pytest.raises(InputError, match=expected):
        read_labelled(write(name, content))


def test_a_file_of_blank_lines_is_refused(write):
    with pytest.raises(InputError, match="d.jsonl holds no labelled text"):
        read_labelled(write("d.jsonl", "\n\n"))


def test_a_header_alone_is_refused(write):
    with pytest.raises(InputError, match="d.csv holds no labelled text"):
        read_labelled(write("d.csv", "text,label\n"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="There is no file .*absent.csv"):
        read_labelled(tmp_path / "absent.csv")


def test_a_folder_is_not_labelled_text(tmp_path):
    with pytest.raises(InputError, match="Cannot read"):
        read_labelled(tmp_path)


def test_lines_are_read_without_blank_ones(write):
    path = write("d.txt", b"\xef\xbb\xbfone, \xe2\x80\x9ctwo\xe2\x80\x9d\r\n\r\n  three \n\n")
    assert read_lines(str(path)) == ["one, “two”", "three"]


@pytest.mark.parametrize(
    ("content", "expected"), [(b"caf\xe9\n", "is not UTF-8 text"), (b"x\0\n", "holds NUL bytes")]
)
def test_lines_that_are_not_text_are_refused(write, content, expected):
    with pytest.raises(InputError, match=expected):
        read_lines(write("d.txt", content))


def test_a_file_too_large_to_read_is_refused_unread(write, monkeypatch):
    monkeypatch.setattr("lmsteer_core.training.labelled_file.MAX_BYTES", 5)
    with pytest.raises(InputError, match="larger than"):
        read_lines(write("d.txt", "one\ntwo\n"))
