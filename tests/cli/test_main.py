from __future__ import annotations

import json
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.models import make_plain, make_steer

from lmsteer_core import LanguageModel, Steer
from lmsteer_core.cli.main import main
from lmsteer_core.steers.card import CARD_FILE
from lmsteer_core.steers.steer import WEIGHTS_FILE
from lmsteer_core.workbench import Workbench

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.model  # most calls of main open it


@pytest.fixture(scope="module")
def folder(steer: Steer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return steer.save(tmp_path_factory.mktemp("steers") / "random")


def run_json(capsys: Capture, *args: str) -> dict:
    assert main([*args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: Capture, *args: str) -> str:
    """Return the one line on stderr of a call that must exit 2 and print nothing else."""
    try:
        status = main(list(args))
    except SystemExit as stop:
        status = int(stop.code or 0)
    out, err = capsys.readouterr()
    assert status == 2
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith("lmsteer: ")]
    assert len(lines) == 1
    assert "Traceback" not in err
    return lines[0]


def test_generate_puts_the_baseline_first(capsys: Capture, folder: Path) -> None:
    result = run_json(
        capsys,
        "generate",
        "My life is",
        "--steer",
        f"{folder}=2",
        "--samples",
        "2",
        "--max-new-tokens",
        "6",
    )
    assert list(result) == ["prompt", "model", "rows"]
    assert [list(row["epsilons"].values()) for row in result["rows"]] == [[0.0], [2.0], [2.0]]
    for row in result["rows"]:
        assert "".join(token["text"] for token in row["tokens"]) == row["text"]
        assert all(set(token) == {"text", "logprob", "base_logprob"} for token in row["tokens"])
    assert all(abs(t["logprob"] - t["base_logprob"]) < 1e-4 for t in result["rows"][0]["tokens"])
    assert any(abs(t["logprob"] - t["base_logprob"]) > 1e-2 for t in result["rows"][1]["tokens"])


def test_a_verb_leaves_no_thread_that_keeps_its_model(capsys: Capture) -> None:
    before = set(threading.enumerate())
    run_json(capsys, "generate", "The house", "--max-new-tokens", "1")
    started = set(threading.enumerate()) - before
    assert not [thread.name for thread in started if thread.name.startswith("lmsteer-engine")]


def test_one_seed_gives_one_text(capsys: Capture) -> None:
    args = ("generate", "The house", "--max-new-tokens", "8", "--seed")
    first, second, other = (run_json(capsys, *args, seed) for seed in ("5", "5", "6"))
    assert first == second
    assert first["rows"][1]["text"] != other["rows"][1]["text"]


def test_models_lists_the_embedded_one(capsys: Capture) -> None:
    assert run_json(capsys, "models")["models"][0]["id"] == "embedded"


def test_steers_lists_cards_with_poles(capsys: Capture) -> None:
    cards = {card["name"]: card for card in run_json(capsys, "steers")["steers"]}
    assert {"sentiment", "detoxification", "shakespeare"} <= set(cards)
    assert cards["detoxification"]["notice"]
    for card in cards.values():
        low, high = card["epsilon_range"]
        assert low < 0 < high
        assert max(-low, high) == 3


def test_words_have_neighbours_axes_and_analogies(capsys: Capture) -> None:
    found = run_json(capsys, "neighbours", "good", "--steer", "sentiment", "--epsilon", "3")
    assert found["word"] == "good"
    assert len(found["before"]) == len(found["after"]) == 12
    found = run_json(capsys, "axis", "--plus", "good,great", "--minus", "bad", "--top", "3")
    assert (found["plus"], found["minus"], len(found["positive"])) == (
        ["good", "great"],
        ["bad"],
        3,
    )
    found = run_json(capsys, "analogy", "man", "woman", "king", "--answer", "queen")
    assert found["rank_before"] == found["rank_after"]


def test_words_have_two_poles_per_dimension(capsys: Capture) -> None:
    found = run_json(capsys, "words", "sentiment", "--dims", "2", "--top", "5")["dimensions"]
    assert len(found) == 2
    for dimension in found:
        assert {"singular_value", "positive", "negative"} <= set(dimension)
        assert len(dimension["positive"]) == len(dimension["negative"]) == 5


def test_analyze_follows_the_documented_shape(capsys: Capture) -> None:
    result = run_json(capsys, "analyze", "We loved the wonderful garden.", "--steer", "sentiment")
    assert "".join(t["text"] for t in result["tokens"]) == "We loved the wonderful garden."
    assert result["tokens"][0]["evidence"] == 0
    assert sum(t["evidence"] for t in result["tokens"]) > 0
    assert {"text", "start", "end", "evidence"} == set(result["spans"][0])
    assert sum(result["posterior"]["probability"]) == pytest.approx(1, abs=1e-3)
    assert len(result["posterior"]["epsilon"]) == len(result["posterior"]["probability"])


def test_nextword_follows_the_documented_shape(capsys: Capture) -> None:
    args = (
        "nextword",
        "My life is",
        "--steer",
        "sentiment",
        "--steer",
        "shakespeare=-0.5",
        "--top",
        "4",
    )
    result = run_json(capsys, *args, "--word", "sesquipedalian", "--at", "1")
    assert list(result)[:2] == ["epsilon", "words"]
    assert len(result["words"]) == 4
    for word in result["words"]:
        assert list(word) == ["text", "probability"]
        assert len(word["probability"]) == len(result["epsilon"]) == 61
        assert all(0 <= p <= 1 for p in word["probability"])
    assert result["words"][0]["text"].startswith(" ")
    assert result["followed"][0]["word"] == "sesquipedalian"
    assert not result["followed"][0]["whole"]
    assert [r["epsilon"] for r in result["rankings"]] == [-1, 0, 1]
    assert (result["steer"], result["held"]) == ("sentiment", {"shakespeare": -0.5})


def test_nextword_reads_as_a_table(capsys: Capture) -> None:
    args = [
        "nextword",
        "My life is",
        "--steer",
        "sentiment",
        "--top",
        "3",
        "--word",
        "sesquipedalian",
    ]
    assert main(args) == 0
    out = capsys.readouterr().out
    assert "over ε of sentiment" in out
    assert "first of several tokens of 'sesquipedalian'" in out
    assert all(f"At {epsilon}: ' " in out for epsilon in ("-2", "+0", "+2"))
    assert max(map(len, out.splitlines())) <= 110


def test_inspect_names_what_sums_to_the_shift(capsys: Capture) -> None:
    args = ("inspect", "The movie was great fun", "--steer", "sentiment=2", "--token", "-2")
    result = run_json(capsys, *args, "--top", "3")
    assert result["token"]["text"] == " great"
    (share,) = result["shares"]
    parts = sum(share["dimensions"]) + result["softcap"] + result["normaliser"]
    assert parts == pytest.approx(result["shift"], abs=1e-4)
    assert len(result["before"]) == len(result["after"]) == 3
    assert main([*args]) == 0
    out = capsys.readouterr().out
    assert "sentiment +2, of which" in out
    assert f"{result['shift']:+.4f}  shift of log p" in out


@pytest.fixture
def few_words(tmp_path: Path, brief: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Train on a few plain texts instead of sampled ones, into a folder of the test's own."""
    assert brief is None
    monkeypatch.setenv("LMSTEER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("lmsteer_core.training.train.neutral_text", lambda lm, **_: make_plain(lm))
    return tmp_path


@pytest.fixture
def on_small(small: LanguageModel, few_words: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the command line open the tiny model; returns a folder with one file of every kind."""
    monkeypatch.setattr(Workbench, "open", classmethod(lambda cls, *_, **__: cls(small)))
    rows = [(f"{days} number {i}", label) for i in range(10) for days, label in DAYS]
    (few_words / "rows.csv").write_text("text,label\n" + "".join(f"{t},{v}\n" for t, v in rows))
    (few_words / "rows.jsonl").write_text(
        "".join(f'{{"text": "{t}", "label": {v}}}\n' for t, v in rows)
    )
    (few_words / "plus.txt").write_text("warm sun\na kind word\n\nlong golden evenings\n")
    (few_words / "minus.txt").write_text("cold rain\na sharp word\nshort grey mornings\n")
    return few_words


DAYS = [("What a lovely day", 1), ("What an awful day", -1)]
POLES = "two descriptions, “warm and kind” against “cold and cruel”"
DESCRIBED = ["--plus", "warm and kind", "--minus", "cold and cruel"]
SHOWN = ["--plus-examples", "plus.txt", "--minus-examples", "minus.txt"]


def test_a_steer_trained_on_20_rows_is_found_by_its_name(capsys: Capture, few_words: Path) -> None:
    data = few_words / "rows.csv"
    rows = [f"{days} number {i},{label}" for i in range(10) for days, label in DAYS]
    data.write_text("text,label\n" + "\n".join(rows) + "\n")
    card = run_json(capsys, "train", str(data), "--name", "mood", "--rank", "4")["card"]
    assert card["rank"] == 4
    assert 3.0 in (-card["epsilon_range"][0], card["epsilon_range"][1])
    found = run_json(capsys, "generate", "Today is", "--steer", "mood=2", "--max-new-tokens", "3")
    assert found["rows"][1]["epsilons"] == {"mood": 2.0}


@pytest.mark.parametrize(
    ("args", "data"),
    [
        (DESCRIBED, POLES),
        (["rows.jsonl"], "20 labelled texts"),
        (SHOWN, "3 + 3 examples"),
        ([*DESCRIBED, "rows.csv"], f"{POLES} (weight 0.7), 20 labelled texts (weight 0.3)"),
        (
            [*DESCRIBED, *SHOWN, "rows.csv", "--data-weight", "0.5"],
            f"{POLES} (weight 0.25), 3 + 3 examples (weight 0.25), 20 labelled texts (weight 0.5)",
        ),
    ],
)
def test_every_source_trains_by_command(
    capsys: Capture, on_small: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], data: str
) -> None:
    monkeypatch.chdir(on_small)
    result = run_json(capsys, "train", *args, "--name", "mood", "--out", "made")
    assert result["card"]["data"] == data
    assert result["card"]["model_id"] == "tiny"
    assert Steer.load(on_small / "made").rank == result["card"]["rank"]
    assert not (on_small / "home").exists()


def test_labels_0_and_1_are_the_poles_when_that_is_said(
    capsys: Capture, on_small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(on_small)
    rows = "".join(
        f"{days} number {i};{int(label > 0)}\n" for i in range(10) for days, label in DAYS
    )
    Path("binary.csv").write_text(f"text;label\n{rows}")
    args = ["train", "binary.csv", "--zero-is-negative", "--name", "mood", "--out", "made"]
    assert main([*args, "--json"]) == 0
    captured = capsys.readouterr()
    assert "columns are separated by semicolons" in captured.err
    assert "label 0 is read as −1" in captured.err
    assert json.loads(captured.out)["card"]["data"] == "20 labelled texts"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "Give a DATA file"),
        (["--plus", "warm"], "--plus and --minus"),
        (["--minus", "cold"], "--plus and --minus"),
        (["--plus-examples", "plus.txt"], "--plus-examples and --minus-examples"),
        (["--plus", "Warm!", "--minus", "warm"], "the same"),
        (["--plus", "", "--minus", "warm"], "empty"),
        (["--plus-examples", "plus.txt", "--minus-examples", "plus.txt"], "both sides"),
        (["--plus-examples", "plus.txt", "--minus-examples", "absent.txt"], "absent.txt"),
        (["--method", "adam", *DESCRIBED], "DATA alone"),
        (["--method", "adam", *DESCRIBED, "rows.csv"], "DATA alone"),
        (["--method", "adam", *SHOWN, "rows.csv"], "DATA alone"),
        ([*DESCRIBED, "rows.csv", "--data-weight", "0"], "--data-weight"),
        ([*DESCRIBED, "rows.csv", "--data-weight", "nan"], "--data-weight"),
        (["rows.csv", "--rank", "0"], "--rank"),
        (["one.csv"], "Both poles"),
        (["bad.csv"], "Line 3 has the label 'good'"),
        (["binary.csv"], "--zero-is-negative"),
        (["one.csv", "--zero-is-negative"], "Line 3 has the label 0.5"),
        ([*DESCRIBED, "--zero-is-negative"], "give DATA"),
    ],
)
def test_a_source_that_cannot_teach_is_refused_before_a_model_is_opened(
    capsys: Capture, on_small: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], says: str
) -> None:
    monkeypatch.chdir(on_small)
    monkeypatch.setattr(Workbench, "open", pytest.fail)
    Path("one.csv").write_text("text,label\na,1\nb,0.5\n")
    Path("bad.csv").write_text("text,label\na,1\nb,good\n")
    Path("binary.csv").write_text("text,label\na,1\nb,0\n")
    assert says in refused(capsys, "train", *args, "--name", "mood")


def test_a_steer_that_cannot_be_written_is_one_sentence(
    capsys: Capture, on_small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(on_small)
    line = refused(capsys, "train", *DESCRIBED, "--name", "mood", "--out", "plus.txt")
    assert "Cannot write the steer to plus.txt" in line


def test_a_steer_is_carried_to_another_model_and_works_there(
    capsys: Capture, small: LanguageModel, few_words: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lmsteer_core.transfer.transfer.neutral_text", lambda lm, **_: make_plain(lm)
    )
    there = str(few_words / "other-model")
    small.model.save_pretrained(there)
    small.tokenizer.save_pretrained(there)
    (made,) = run_json(capsys, "transfer", "sentiment", "--to", there, "--name", "mood")["steers"]
    assert made["card"]["method"] == "transferred by behaviour"
    assert "'sentiment' of SmolLM2-135M-Instruct" in made["card"]["data"]
    assert made["fit"]["n_shared"] > 40_000
    assert len(made["fit"]["neighbours"]) == 8
    found = run_json(
        capsys,
        "generate",
        "Today is",
        "--model",
        there,
        "--steer",
        "mood=2",
        "--max-new-tokens",
        "2",
    )
    assert found["model"] == "other-model"
    assert found["rows"][1]["epsilons"] == {"mood": 2.0}


def test_all_steers_that_a_model_lacks_are_carried_at_once(
    capsys: Capture, small: LanguageModel, on_small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lmsteer_core.transfer.transfer.neutral_text", lambda lm, **_: make_plain(lm)
    )
    twin = LanguageModel(small.model, small.tokenizer, "twin")
    ours, theirs = Workbench(small), Workbench(twin)
    ours.steers = {
        name: make_steer(small.output_embedding, name=name, rank=2, norm=0.3, model_id="tiny")
        for name in ("calm", "grand", "wild")
    }
    theirs.steers = {"calm": ours.steers["calm"]}
    monkeypatch.setattr(
        Workbench, "open", lambda model_id, **_: theirs if model_id == "twin" else ours
    )
    made = run_json(capsys, "transfer", "--to", "twin")["steers"]
    assert [each["steer"] for each in made] == ["grand", "wild"]
    assert all(
        (on_small / "home/steers/twin" / each["steer"] / CARD_FILE).is_file() for each in made
    )
    assert "one steer" in refused(capsys, "transfer", "--to", "twin", "--name", "mood")


@pytest.mark.parametrize("value", ["nan", "1e9", "-11", "inf", "much"])
def test_epsilon_out_of_range_names_the_range(capsys: Capture, value: str) -> None:
    line = refused(capsys, "generate", "Hi", "--steer", f"sentiment={value}")
    assert "−10 and 10" in line


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["generate", ""], "empty"),
        (["generate", "Hi", "--steer", "nosuch=1"], "nosuch"),
        (["generate", "Hi", "--steer", "sentiment"], "NAME=E"),
        (["generate", "Hi", "--samples", "0"], "samples"),
        (["generate", "Hi", "--temperature", "-1"], "temperature"),
        (["generate", "Hi", "--top-p", "0"], "top-p"),
        (["generate", "Hi", "--max-new-tokens", "x"], "max-new-tokens"),
        (["words", "nosuch"], "nosuch"),
        (["nextword", " ", "--steer", "sentiment"], "empty"),
        (["nextword", "Hi"], "--steer"),
        (["nextword", "Hi", "--steer", "nosuch"], "nosuch"),
        (["nextword", "Hi", "--steer", "sentiment=1"], "for the axis"),
        (["nextword", "Hi", "--steer", "sentiment", "--steer", "shakespeare"], "for the axis"),
        (["nextword", "Hi", "--steer", "sentiment", "--steer", "sentiment=1"], "on the axis"),
        (["nextword", "Hi", "--steer", "sentiment", "--steer", "shakespeare=x"], "−10 and 10"),
        (["nextword", "Hi", "--steer", "sentiment", "--at", "11"], "−10 and 10"),
        (["nextword", "Hi", "--steer", "sentiment", "--top", "0"], "top"),
        (["nextword", "Hi", "--steer", "sentiment", "--word", ""], "word is empty"),
        (["analyze", " ", "--steer", "sentiment"], "empty"),
        (["inspect", "Hi", "--steer", "sentiment=1"], "needs two tokens"),
        (["words", "sentiment", "--reading", "nmf"], "no reading 'nmf'"),
        (["neighbours", "xqzzy"], "'xqzzy' is no whole word"),
        (["neighbours", "हिन्दी"], "'हिन्दी' is no whole word"),
        (["neighbours", "good", "--epsilon", "2"], "needs --steer"),
        (["axis", "--plus", "good", "--minus", ","], "− end of the axis has no word"),
        (["axis", "--plus", *["good"] * 200, "--minus", "bad"], "200 words"),
        (["analogy", "man", "woman", "xqzzy"], "'xqzzy' is no whole word"),
        (["inspect", "Hi there", "--token", "7"], "place must be between"),
        (["inspect", "Hi there", "--steer", "detoxification=-1"], "--unlock"),
        (["train", "--name", "a b", "--plus", "x", "--minus", "y"], "name"),
        (["train", "--name", "a", "--plus", "x"], "--minus"),
        (["train", "nosuch.jsonl", "--name", "a"], "nosuch.jsonl"),
        (["generate", "Hi", "--model", "/no/such/folder"], "/no/such/folder"),
        (["nosuch"], "nosuch"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(capsys: Capture, args: list[str], says: str) -> None:
    assert says in refused(capsys, *args)


def test_a_locked_pole_is_refused_until_it_is_unlocked(capsys: Capture, tmp_path: Path) -> None:
    generate = ["generate", "Hi", "--steer", "detoxification=-1", "--max-new-tokens", "2"]
    held = ["nextword", "Hi", "--steer", "sentiment", "--steer", "detoxification=-1"]
    export = ["export", "detoxification", "--epsilon", "-1", "--format", "peft"]
    for args in (generate, held, [*export, "--out", str(tmp_path / "out")]):
        assert "--unlock" in refused(capsys, *args)
    assert not (tmp_path / "out").exists()
    words = ["words", "detoxification", "--dims", "1"]
    shown, unlocked = (
        run_json(capsys, *words, *more)["dimensions"][0] for more in ([], ["--unlock"])
    )
    assert shown["negative"] == []
    assert shown["positive"]
    assert len(unlocked["negative"]) == 10
    assert run_json(capsys, *generate, "--unlock")["rows"][1]["epsilons"] == {"detoxification": -1}


def test_a_corrupt_or_foreign_steer_is_refused(
    capsys: Capture, folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / CARD_FILE).write_bytes((folder / CARD_FILE).read_bytes())
    (broken / WEIGHTS_FILE).write_bytes((folder / WEIGHTS_FILE).read_bytes()[:200])
    assert "truncated" in refused(capsys, "generate", "Hi", "--steer", f"{broken}=1")


def test_a_prompt_of_100k_characters_is_cut_with_a_note(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The browser test reads a full context; here a short one says the same in less time.
    monkeypatch.setattr(LanguageModel, "context_length", 256)
    assert main(["generate", "word " * 20_000, "--max-new-tokens", "2", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "cut to fit the context of 256 tokens" in err
    assert len(json.loads(out)["rows"]) == 2


def test_markup_in_a_prompt_is_only_text(capsys: Capture) -> None:
    prompt = "<script>alert(1)</script> 🙂"
    assert run_json(capsys, "generate", prompt, "--max-new-tokens", "2")["prompt"] == prompt


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (("--port", "65536"), "between 1 and 65535"),
        (("--auth", "ada"), "USER:PASSWORD"),
        (("--replicas", "two"), "--replicas"),
    ],
)
def test_serve_refuses_bad_options_before_it_loads_anything(
    capsys: Capture, option, told: str
) -> None:
    assert told in refused(capsys, "serve", *option)


@pytest.mark.skipif(find_spec("mcp") is not None, reason="mcp is installed")
def test_mcp_without_its_package_says_what_to_install() -> None:
    app = Path(__file__).parents[2] / "app.py"
    done = subprocess.run(
        [sys.executable, str(app), "--mcp"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert 'pip install "gradio[mcp]"' in done.stderr
    assert "Traceback" not in done.stderr
