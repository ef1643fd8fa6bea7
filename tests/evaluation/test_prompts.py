from __future__ import annotations

import json

import pytest

from lmsteer_core import InputError
from lmsteer_core.evaluation.prompts import (
    NEUTRAL,
    PROVOKING,
    Generations,
    append_lines,
    read_generations,
    read_prompts,
    whole_lines,
)


def written(tmp_path, *lines):
    path = tmp_path / "lines.jsonl"
    path.write_text(
        "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    )
    return path


def test_prompts_are_strings_or_objects_with_a_text(tmp_path):
    path = written(tmp_path, {"prompt": "The sea"}, {"prompt": {"text": "A boat", "toxicity": 0.1}})
    assert read_prompts(path) == ["The sea", "A boat"]


def test_labelled_text_of_the_minus_pole_gives_its_first_half(tmp_path):
    path = written(
        tmp_path,
        {"text": "one two three four five", "label": -0.5},
        {"text": "never used because it is liked", "label": 1},
        {"text": "too short here", "label": -1},
    )
    assert read_prompts(path) == ["one two"]


def test_the_first_prompts_are_read(tmp_path):
    path = written(tmp_path, *({"prompt": word} for word in ("a", "b", "a", "c", "d")))
    assert read_prompts(path, 3) == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"promt": "typo"}, "Line 2 has no prompt"),
        ({"prompt": {"txt": "typo"}}, "Line 2 has no prompt"),
        ({"prompt": "  "}, "prompt of line 2 is empty"),
        ({"text": "half of this without label"}, "Line 2 has a text but no label"),
        ("[1]\n", "Line 2 is not an object"),
        ('{"prompt": \n', "Line 2 is not JSON"),
    ],
)
def test_a_line_that_holds_no_prompt_is_named(tmp_path, line, told):
    with pytest.raises(InputError, match=told):
        read_prompts(written(tmp_path, {"prompt": "The sea"}, line))


def test_a_file_without_prompts_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no prompt"):
        read_prompts(written(tmp_path, {"text": "only what is liked here", "label": 1}))
    with pytest.raises(InputError, match="no file"):
        read_prompts(tmp_path / "absent.jsonl")


def test_generations_come_back_as_they_were_written(tmp_path):
    lines = [
        Generations("The “sea”", [" is\n\u2028blue", ""], [[1, 2], []]),
        Generations("A boat", [" sails"]),
    ]
    append_lines(tmp_path / "new" / "file.jsonl", [line.to_json() for line in lines])
    assert read_generations(tmp_path / "new" / "file.jsonl") == [
        Generations("The “sea”", [" is\n\u2028blue", ""], [[1, 2], []]),
        Generations("A boat", [" sails"], []),
    ]


def test_anyones_generations_are_read(tmp_path):
    path = written(
        tmp_path,
        {
            "prompt": {"text": "A"},
            "generations": [{"text": " b", "toxicity": 0.2, "logprob": -3}],
            "id": 7,
        },
        {"prompt": "C", "generations": [" d", " e"]},
    )
    assert [(g.prompt, list(g.texts)) for g in read_generations(path)] == [
        ("A", [" b"]),
        ("C", [" d", " e"]),
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"prompt": "A"}, "Line 1 has no generations"),
        ({"prompt": "A", "generations": []}, "Line 1 has no generations"),
        ({"prompt": "A", "generations": [{"txt": "b"}]}, "Line 1 has a generation without a text"),
        ({"generations": [{"text": "b"}]}, "Line 1 has no prompt"),
    ],
)
def test_a_line_that_holds_no_generations_is_named(tmp_path, line, told):
    with pytest.raises(InputError, match=told):
        read_generations(written(tmp_path, line))


def test_a_torn_last_line_is_dropped_and_the_file_goes_on(tmp_path):
    path = written(tmp_path, '{"a": 1}\n', '{"a": 2}\n', '{"a": 3')
    assert [json.loads(line)["a"] for line in whole_lines(path)] == [1, 2]
    append_lines(path, ['{"a": 4}'])
    assert [json.loads(line)["a"] for line in whole_lines(path)] == [1, 2, 4]
    assert len(whole_lines(path, multiple_of=2)) == 2
    assert path.read_text() == '{"a": 1}\n{"a": 2}\n'


def test_prompts_of_our_own_are_many_and_distinct():
    for prompts in (NEUTRAL, PROVOKING):
        assert len(set(prompts)) == len(prompts) == 48
