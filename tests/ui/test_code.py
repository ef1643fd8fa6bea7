"""What is copied as code writes what the page shows: each kind is run, and compared by tokens."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import subprocess
from dataclasses import replace

import pytest
from support.serving import serve

from lmsteer_core import Row, Sampling, Workbench
from lmsteer_core.cli.main import main
from lmsteer_core.ui.code import Place, recipes
from lmsteer_core.ui.share import code_html

SAMPLING = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=8, seed=7)
PROMPT = '-- It\'s "the" old $HOME; `harbour` <b>'
STATE = {
    "prompt": PROMPT,
    "view": "Side by side",
    "temperature": 0.9,
    "top_p": 0.95,
    "tokens": 8,
    "seed": 7,
    "continuum": "pirate",
    "lines": 5,
    "steer.sentiment": -1.1,
    "steer.pirate": 1.5,
}


pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def workbench():
    with Workbench.open() as workbench:  # as the app and the copied code open it
        workbench.accelerate().result()
        yield workbench


@pytest.fixture(scope="module")
def place(workbench: Workbench):
    server, address = serve(workbench, None)
    cards = {name: workbench.steers[name].card for name in workbench.names}
    url = address.removesuffix("/v1")
    yield Place("embedded", url, cards, is_accelerated=workbench.is_accelerated)
    server.should_exit = True


def written(workbench: Workbench, rows: list[Row]) -> list[str]:
    return [text.text for text in workbench.generate(rows, SAMPLING)]


def run_python(code: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "copied", "exec"), {})  # what a person would do with it
    return out.getvalue()


def run_shell(code: str) -> list[dict]:
    answer = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    decoder, rest, found = json.JSONDecoder(), answer.stdout.strip(), []
    while rest:
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return found


def run_command(line: str, capsys) -> dict:
    program, *arguments = shlex.split(line)
    assert program == "lmsteer"
    assert main(arguments) == 0
    return json.loads(capsys.readouterr().out)


def test_the_columns_and_the_continuum_are_written_again(workbench, place, capsys) -> None:
    columns, continuum = recipes("steer", STATE, place)
    rows = [Row(PROMPT), Row(PROMPT, {"sentiment": -1.1, "pirate": 1.5})]
    texts = written(workbench, rows)
    assert texts[0] != texts[1]
    printed = run_python(columns.python)
    assert [text for text in texts if PROMPT + text not in printed] == []
    assert [each["choices"][0]["text"] for each in run_shell(columns.curl)] == texts
    told = run_command(columns.cli, capsys)
    assert [row["text"] for row in told["rows"]] == texts

    low, high = place.cards["pirate"].epsilon_range
    grid = [round(low + (high - low) * i / 4, 2) for i in range(5)]
    lines = written(workbench, [Row(PROMPT, {"pirate": epsilon}) for epsilon in grid])
    printed = run_python(continuum.python)
    assert [text for text in lines if PROMPT + text not in printed] == []
    if not place.is_accelerated:  # with torch in bfloat16 a line may depend on its neighbours
        return
    assert [each["choices"][0]["text"] for each in run_shell(continuum.curl)] == lines
    commands = continuum.cli.splitlines()
    assert len(commands) == 5
    assert run_command(commands[0], capsys)["rows"][1]["text"] == lines[0]


def test_code_is_shown_as_text_and_steers_of_a_page_come_from_their_files(place) -> None:
    card = place.cards["sentiment"]
    mine = replace(place, cards={**place.cards, "mine": card}, own=frozenset({"mine"}))
    (columns, _) = made = recipes("steer", {**STATE, "steer.mine": 1.0}, mine)
    assert 'workbench.unpacked(["mine.zip"])' in columns.python
    assert "--steer=./mine=1" in columns.cli
    assert columns.curl == ""
    assert "Download mine.zip" in columns.note
    assert "<b>" not in code_html(made)
