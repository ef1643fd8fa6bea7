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
    "label is true": ('{"text": "x", "label": true}', "Line 2 has the label True"),
    "label is false": ('{"text": "x", "label": false}', "Line 2 has the label False"),
    "label has an underscore": ('{"text": "x", "label": "0_1"}', "Line 2 has the label '0_1'"),
    "label is a list": ('{"text": "x", "label": [1]}', "Line 2 has the label"),
}


@pytest.mark.parametrize("fault", JSONL_FAULTS)
def test_a_bad_jsonl_line_is_named(write, fault):
    line, expected = JSONL_FAULTS[fault]
    with pytest.raises(InputError, match=expected):
        read_labelled(write("d.jsonl", GOOD + line + "\n" + GOOD))


COMMAS = "text,label\nI came,1\nI left,-1\n"
SEPARATED = {
    "semicolons": "Its columns are separated by semicolons.",
    "tabs": "Its columns are separated by tabs.",
    "bars": "Its columns are separated by bars.",
}


@pytest.mark.parametrize(
    ("separator", "kind"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")]
)
@pytest.mark.parametrize("name", ["d.csv", "d.tsv"])
def test_other_separators_are_read_and_named(write, separator, kind, name):
    read = read_labelled(write(name, COMMAS.replace(",", separator)))
    assert read == Labelled(["I came", "I left"], [1.0, -1.0], 0, (SEPARATED[kind],))


def test_what_separates_is_told_by_the_first_line_whatever_the_texts_hold(write):
    prose = 'text;label\n"I came, I saw; it was so, so, so";1\nWell, well, well, no,;-1\n'
    read = read_labelled(write("d.csv", prose))
    assert read.texts == ["I came, I saw; it was so, so, so", "Well, well, well, no,"]
    read = read_labelled(write("d.csv", "text,label\nyes; oh; yes;,1\nno; oh; no;,-1\n"))
    assert (read.texts, read.labels) == (["yes; oh; yes;", "no; oh; no;"], [1.0, -1.0])


def test_a_european_spreadsheet_is_read(write):
    content = b'\xef\xbb\xbftext;label;\r\nsch\xc3\xb6n, gut;0,5;\r\n"b\xc3\xb6se;\nx";-1,0;\r\n'
    read = read_labelled(write("d.csv", content))
    assert (read.texts, read.labels) == (["schön, gut", "böse;\nx"], [0.5, -1.0])


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ('"text","label"\n"a, b","1"\n"c","-1"\n', [1.0, -1.0]),
        (" text , label \na, 1\nb, -.5\n", [1.0, -0.5]),
        ("text,label,,\na,1,,\nb,-1, ,\n", [1.0, -1.0]),
        ("text,label\na,1,\nb,-1,,\n", [1.0, -1.0]),
        ("text,label\ra,1\rb,-1\r", [1.0, -1.0]),
        ("id,text,label,id\n1,a,1,2\n3,b,-1,4\n", [1.0, -1.0]),
        ("text,label\na,−1\nb,+1e0\n", [-1.0, 1.0]),
    ],
)
def test_what_spreadsheets_and_hands_write_is_read(write, content, labels):
    assert read_labelled(write("d.csv", content)).labels == labels


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.csv", "text,label\ngood,1\nbad,0\nbad,0\n"),
        ("d.jsonl", '{"text": "good", "label": 1}\n{"text": "bad", "label": 0}\n'),
    ],
)
def test_zero_and_one_alone_are_poles_only_when_that_is_said(write, name, content):
    with pytest.raises(InputError, match=r"0 or 1.*write −1 for the − pole.*--zero-is-negative"):
        read_labelled(write(name, content))
    read = read_labelled(write(name, content), zero_is_negative=True)
    assert (read.texts, read.labels) == (["good", "bad"], [1.0, -1.0])
    assert read.notes == ("Its label 0 is read as −1, the − pole.",)


@pytest.mark.parametrize("label", ["-1", "0.5"])
def test_zero_is_no_pole_beside_other_labels(write, label):
    content = f"text,label\na,1\nb,0\nc,{label}\n"
    assert read_labelled(write("d.csv", content)).labels == [1.0, 0.0, float(label)]
    with pytest.raises(InputError, match=f"Line 4 has the label {label}; with 0 as the − pole"):
        read_labelled(write("d.csv", content), zero_is_negative=True)


CSV_FAULTS = {
    "unquoted comma before the label": (
        "text,label\nI rate it, 1,-1\n",
        "Line 2 has more values than line 1 names columns; put .* in double quotes",
    ),
    "unquoted comma in the last column": ("label,text\n1,fine\n1,well, well\n", "Line 3 has more"),
    "unquoted comma beside an empty column": ("text,label,\nI rate it, 1,-1\n", "Line 2 has more"),
    "unquoted semicolon": ("text;label\nfine;1\nso; so;-1\n", "Line 3 has more .* “;”"),
    "quotes after a space": ('label,text\n1, "so, so"\n', "Line 2 has more"),
    "curly quotes": ("text,label\n“so, so”,1\n", "Line 2 has more"),
    "quotes escaped by a backslash": ('text,label\n"he \\"so\\", so",1\n', "Line 2 is not valid"),
    "text named twice": ("text,label,text\na,1,b\n", "Line 1 names a column .* twice"),
    "label named twice": ("text,label, label\na,1,-1\n", "Line 1 names a column .* twice"),
    "header is a line of its own": ("sep=;\ntext;label\na;1\n", "Line 1 .* text and label"),
    "header beside other separators": ("text:label\na:1\n", "separated by commas, semicolons"),
    "decimal comma in quotes": ('text,label\na,"0,5"\n', "Line 2 has the label '0,5'"),
    "percent": ("text;label\na;50%\n", "Line 2 has the label '50%'"),
    "thousands": ("text;label\na;1.000,0\n", "Line 2 has the label '1.000,0'"),
    "underscore": ("text,label\na,0_1\n", "Line 2 has the label '0_1'"),
    "true": ("text,label\na,True\n", "Line 2 has the label 'True'"),
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
