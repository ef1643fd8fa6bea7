"""What a view shows, as code that makes it again: Python, the HTTP API and the command line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.packages import EMBEDDED
from lmsteer_core.steers.card import SteerCard
from lmsteer_core.ui.page.link import STEER_PREFIX
from lmsteer_core.ui.tabs.compose.handlers import TEXT
from lmsteer_core.ui.tabs.compose.setting import NOBODY, PROMPT_CHARACTERS, WORD
from lmsteer_core.ui.tabs.next_word.chart import N_LINES
from lmsteer_core.ui.tabs.steer.settings import DRIVE, continuum_grid
from lmsteer_core.ui.tabs.train.form_input import DESCRIPTIONS, EXAMPLES, split_texts
from lmsteer_core.ui.tabs.transfer.handlers import SAMPLING as TRANSFER_TEXT
from lmsteer_core.ui.tabs.words.lens import DEFAULT_LABEL, N_DIMS, READINGS

State = Mapping[str, Any]
"""What the widgets hold, by the keys of a link."""

_N_WORDS = 12
_ALONE = (
    "Over HTTP and on the command line each line is written alone; with torch in bfloat16 it may "
    "then differ where two words are nearly equally likely."
)


@dataclass(frozen=True)
class Place:
    """Where the code is to run.

    Attributes:
        model: The model, as `Workbench.open` takes it.
        url: Where the app answers, without a slash at its end.
        cards: The cards of the page's steers by name.
        own: Names of those that only this page holds.
        is_accelerated: Whether a faster decoder than torch writes the app's texts.
        has_login: Whether the app asks for a password.
    """

    model: str
    url: str
    cards: Mapping[str, SteerCard]
    own: frozenset[str] = frozenset()
    is_accelerated: bool = False
    has_login: bool = False


@dataclass(frozen=True)
class Recipe:
    """One thing that a view shows, as code; "" where there is no such way.

    Attributes:
        title: What it makes.
        note: What the code cannot do, or needs.
    """

    title: str
    python: str = ""
    curl: str = ""
    cli: str = ""
    note: str = ""


def recipes(tab: str, state: State, place: Place) -> list[Recipe]:
    """Return the code for a tab as its widgets stand."""
    return _TABS[tab](state, place)


def _steer(state: State, place: Place) -> list[Recipe]:
    epsilons = {
        name: epsilon for name in place.cards if (epsilon := state.get(f"{STEER_PREFIX}{name}"))
    }
    note = ""
    if state["view"] == DRIVE:
        note = "Drive goes on as its sliders move; this is the text with the sliders as they stand."
    sampling = _sampling(state)
    texts = _texts("Both columns", state["prompt"], epsilons, sampling, place)
    name = state["continuum"]
    if name not in place.cards:
        return [replace(texts, note=f"{texts.note} {note}".strip())]
    grid = continuum_grid(place.cards[name], int(state["lines"]), unlocked=False)
    return [
        replace(texts, note=f"{texts.note} {note}".strip()),
        _continuum("Continuum", state["prompt"], name, grid, sampling, place),
    ]


def _compose(state: State, place: Place) -> list[Recipe]:
    across, up, third = (state[f"compose.{key}"] for key in ("across", "up", "third"))
    if across not in place.cards or up not in place.cards:
        return [Recipe("The text at the point", note="Choose two steers first.")]
    epsilons = {across: state["compose.e1"], up: state["compose.e2"]}
    held = {} if third in (None, NOBODY) else {third: state["compose.e3"]}
    prompt = state["compose.prompt"][-PROMPT_CHARACTERS:]
    sampling = replace(TEXT, seed=int(state["compose.seed"]))
    made = [_texts("The text at the point", prompt, {**epsilons, **held}, sampling, place)]
    if state["compose.map"] == WORD:
        named = [_named(name, place) for name in (across, up)]
        pairs = ", ".join(f"({_named(name, place)}, {e!r})" for name, e in held.items() if e)
        lines = [
            f"plane = workbench.plane({prompt!r}, {', '.join(named)}, {state['compose.word']!r}, "
            f"held=[{pairs}])",
            "print(plane)",
        ]
        python = _python(lines, place, [across, up, *held])
        made.append(Recipe("The map of a word", python, note="Only the library draws this map."))
    return made


def _next_word(state: State, place: Place) -> list[Recipe]:
    title, name, prompt = "The curves", state["nextword.steer"], state["nextword.prompt"]
    if name not in place.cards:
        return [Recipe(title, note="Choose a steer first.")]
    pairs = ((state[f"nextword.held{i}"], state[f"nextword.e{i}"]) for i in (1, 2))
    held = {held: epsilon for held, epsilon in pairs if held and epsilon}
    words = list(state["nextword.follow"] or ())
    names = [name, *held]
    options = [f"top={N_LINES}"]
    if held:
        parts = ", ".join(f"({_named(each, place)}, {e!r})" for each, e in held.items())
        options.insert(0, f"held=[{parts}]")
    if words:
        options.append(f"follow={words!r}")
    lines = [
        f"curves = workbench.next_words({prompt!r}, {_named(name, place)}, {', '.join(options)})",
        "for word in [*curves.words, *curves.followed]:",
        "    print(word.text, dict(zip(curves.epsilons, word.probability)))",
    ]
    command = ["nextword", *_model(place), "--steer", _on_disk(name, place)]
    for each, epsilon in held.items():
        command += ["--steer", f"{_on_disk(each, place)}={epsilon:g}"]
    for word in words:
        command += ["--word", word]
    curl, note = "", "The HTTP API holds no second steer and follows no words." if names[1:] else ""
    if not held and not words:
        curl, note = _endpoint("nextword", [prompt, name, N_LINES], names, place)
    cli = _unpacked(names, place) + _command([*command, "--top", str(N_LINES), "--json"], prompt)
    return [Recipe(title, _python(lines, place, names), curl, cli, note)]


def _words(state: State, place: Place) -> list[Recipe]:
    title, name = "Dimensions and their words", state["words.steer"]
    if name not in place.cards:
        return [Recipe(title, note="Choose a steer first.")]
    label, raw = state["words.reading"], state["words.raw"]
    reading, _ = READINGS[label]
    lines = [
        f"shown = workbench.word_map({_named(name, place)}, n_dims={N_DIMS}, raw={raw!r}, "
        f"reading={reading!r})",
        "for dimension in shown.dimensions:",
        "    print(dimension)",
    ]
    python = _python(lines, place, [name])
    if raw:
        return [Recipe(title, python, note="Only the library shows raw tokens.")]
    curl, note = "", "The HTTP API reads by divergence alone."
    if label == DEFAULT_LABEL:
        curl, note = _endpoint("words", [name, N_DIMS, _N_WORDS], [name], place)
    shown = ["--reading", reading, "--dims", str(N_DIMS), "--top", str(_N_WORDS), "--json"]
    command = ["words", *_model(place), *shown]
    cli = _unpacked([name], place) + _command(command, _on_disk(name, place))
    return [Recipe(title, python, curl, cli, note)]


def _highlight(state: State, place: Place) -> list[Recipe]:
    name = state["highlight.steer"]
    if name not in place.cards:
        return [Recipe("Scores and evidence", note="Choose a steer first.")]
    texts = {"Scores and evidence": state["highlight.text"]}
    if state["highlight.compare"]:
        texts = {"The first text": state["highlight.text"]}
        texts["The second text"] = state["highlight.second"]
    made = []
    for title, text in texts.items():
        lines = [
            f"steer = {_named(name, place)}",
            f"read = finished(workbench.read({text!r}))",
            "(evidence,) = finished(workbench.profile(read, [steer]))",
            "(style,) = workbench.read_styles(read, [steer])",
            "for token, score, nats in zip(read.token_texts, style.scores, evidence.evidence):",
            '    print(f"{token!r} {score:+.2f} {nats:+.2f}")',
        ]
        python = "from lmsteer_core.progress import finished\n" + _python(lines, place, [name])
        curl, note = _endpoint("analyze", [text, name], [name], place)
        command = ["analyze", *_model(place), "--steer", _on_disk(name, place), "--json"]
        cli = _unpacked([name], place) + _command(command, text)
        made.append(Recipe(title, python, curl, cli, note))
    return made


def _train(state: State, place: Place) -> list[Recipe]:
    title, name = "Make the steer", state["train.name"].strip() or "my-steer"
    note = "The HTTP API makes no steers."
    command = ["train", *_model(place), "--name", name]
    if state["train.mode"] == DESCRIPTIONS:
        plus, minus = state["train.positive"], state["train.negative"]
        source, kind = f"Descriptions({plus!r}, {minus!r})", "Descriptions"
        cli = _command([*command, f"--plus={plus}", f"--minus={minus}"])
    elif state["train.mode"] == EXAMPLES:
        more, less = (split_texts(state[f"train.{side}"]) for side in ("more", "less"))
        source, kind = f"Examples({more!r}, {less!r})", "Examples"
        cli = ""
        if not any("\n" in text for text in (*more, *less)):
            files = [f"<(printf '%s\\n' {shlex.join(texts)})" for texts in (more, less)]
            cli = f"{_command(command)} --plus-examples {files[0]} --minus-examples {files[1]}"
    else:
        flag = ["--zero-is-negative"] if state["train.zero"] else []
        options = ", zero_is_negative=True" if flag else ""
        source, kind = "LabelledText(read.texts, read.labels)", "LabelledText, read_labelled"
        cli = _command([*command, *flag], "labelled.csv")
        note += " Put the file that you chose in the place of labelled.csv."
    lines = [
        f"steer = workbench.train({name!r}, {source}, lambda share, activity: None)",
        f"steer.save({name!r})",
    ]
    if kind.startswith("Labelled"):
        lines.insert(0, f'read = read_labelled("labelled.csv"{options})')
    return [Recipe(title, _python(lines, place, imports=f"{kind}, Workbench"), "", cli, note)]


def _transfer(state: State, place: Place) -> list[Recipe]:
    title = "Carry the steer over, and write on both models"
    source, target, name = (state[f"transfer.{key}"] for key in ("from", "to", "steer"))
    if not name or not target or source == target:
        return [Recipe(title, note="Choose a steer and two different models first.")]
    is_here = name in place.own
    steer = f'source.unpacked(["{name}.zip"])' if is_here else f"source.steer({name!r})"
    low, epsilon = -state["transfer.e"], state["transfer.e"]
    writing = f"workbench.generate(rows, {TRANSFER_TEXT!r}, extra={{each.name: each}})"
    method, prompt = state["transfer.by"], state["transfer.prompt"]
    if name in place.cards:
        low = place.cards[name].lowest(low, unlocked=False)
    python = "\n".join(
        [
            "from lmsteer_core import Row, Sampling, Workbench",
            "",
            f"with Workbench.open({source!r}) as source, Workbench.open({target!r}) as target:",
            f"    steer = {steer}",
            f"    carried = source.transfer(steer, target, method={method!r})",
            "    for workbench, each in ((source, steer), (target, carried)):",
            f"        grid = {sorted({low, 0.0, epsilon})}",
            f"        rows = [Row({prompt!r}, {{each.name: e}}) for e in grid]",
            f"        for text in {writing}:",
            "            print(text.row.epsilons, text.row.prompt + text.text)",
        ]
    )
    command = ["transfer", "--model", source, "--to", target, "--method", method]
    cli = _unpacked([name], place) + _command(command, _on_disk(name, place))
    note = "The HTTP API carries no steers. The command carries it; `generate` writes with it."
    return [Recipe(title, python, "", cli, note)]


def _evidence(_state: State, _place: Place) -> list[Recipe]:
    return [Recipe("The reports", note="Each report says at its end by what command it was made.")]


_TABS: dict[str, Callable[[State, Place], list[Recipe]]] = {
    "steer": _steer,
    "train": _train,
    "nextword": _next_word,
    "words": _words,
    "highlight": _highlight,
    "compose": _compose,
    "transfer": _transfer,
    "evidence": _evidence,
}


def _sampling(state: State) -> Sampling:
    return Sampling(state["temperature"], state["top_p"], int(state["tokens"]), int(state["seed"]))


def _texts(
    title: str, prompt: str, epsilons: Mapping[str, float], sampling: Sampling, place: Place
) -> Recipe:
    """Return the code of a baseline and a steered text."""
    active = {name: epsilon for name, epsilon in epsilons.items() if epsilon}
    rows = f"[Row({prompt!r}), Row({prompt!r}, {active!r})]"
    return _generation(title, rows, prompt, [active], sampling, place)


def _continuum(
    title: str, prompt: str, name: str, grid: Sequence[float], sampling: Sampling, place: Place
) -> Recipe:
    """Return the code of one text for each ε of a grid."""
    rows = f"[Row({prompt!r}, {{{name!r}: e}}) for e in {list(grid)!r}]"
    recipe = _generation(title, rows, prompt, [{name: e} for e in grid], sampling, place)
    return (
        recipe if place.is_accelerated else replace(recipe, note=f"{recipe.note} {_ALONE}".strip())
    )


def _generation(
    title: str,
    rows: str,
    prompt: str,
    settings: Sequence[Mapping[str, float]],
    sampling: Sampling,
    place: Place,
) -> Recipe:
    """Return the code that writes a prompt under some settings, and without steering."""
    names = list(dict.fromkeys(name for setting in settings for name in setting))
    is_locked = any(
        epsilon < place.cards[name].lowest(epsilon, unlocked=False)
        for setting in settings
        for name, epsilon in setting.items()
    )
    is_own = bool(place.own & {*names})
    extra = (", extra=own" if is_own else "") + (", unlock=True" if is_locked else "")
    lines = [
        f"rows = {rows}",
        f"texts = workbench.generate(rows, {sampling!r}{extra})",
        "for text in texts:",
        "    print(dict(text.row.epsilons), text.row.prompt + text.text)",
    ]
    if place.is_accelerated:
        lines.insert(0, "workbench.accelerate().result()  # it wrote the page's texts, too")
    python = _python(lines, place, names, imports="Row, Sampling, Workbench")
    body: dict[str, Any] = {
        "prompt": prompt,
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
    }
    if is_locked:
        body["unlock"] = True
    options = ["--decoder", "auto"] if place.is_accelerated else []
    options += ["--unlock"] if is_locked else []
    for field in ("max_new_tokens", "temperature", "top_p", "seed"):
        options += [f"--{field.replace('_', '-')}", f"{getattr(sampling, field):g}"]
    requests, commands = [], []
    for setting in settings:
        requests.append(_request("/v1/completions", {**body, "steer": dict(setting)}, place))
        steers = [f"--steer={_on_disk(name, place)}={e:g}" for name, e in setting.items()]
        commands.append(_command(["generate", *_model(place), *steers, *options, "--json"], prompt))
    if len(settings) == 1:
        requests.insert(0, _request("/v1/completions", body, place))
    curl = "" if is_own else "\n".join(requests)
    cli = _unpacked(names, place) + "\n".join(commands)
    return Recipe(title, python, curl, cli, _own_note(names, place))


def _python(
    lines: Sequence[str],
    place: Place,
    names: Sequence[str] = (),
    imports: str = "Workbench",
) -> str:
    """Return a script that opens the model, and the page's own steers of these names."""
    model = "" if place.model == EMBEDDED else repr(place.model)
    own = ", ".join(
        f'{name!r}: workbench.unpacked(["{name}.zip"])' for name in names if name in place.own
    )
    opened = [f"own = {{{own}}}  # downloaded on the New steer tab"] if own else []
    indented = [f"    {line}" for line in (*opened, *lines)]
    head = [
        f"from lmsteer_core import {imports}",
        "",
        f"with Workbench.open({model}) as workbench:",
    ]
    return "\n".join([*head, *indented])


def _named(name: str, place: Place) -> str:
    """Return the Python expression of a steer."""
    return f"own[{name!r}]" if name in place.own else f"workbench.steer({name!r})"


def _on_disk(name: str, place: Place) -> str:
    """Return what the command line calls a steer."""
    return f"./{name}" if name in place.own else name


def _unpacked(names: Sequence[str], place: Place) -> str:
    """Return the commands that unpack the page's own steers."""
    own = (shlex.quote(name) for name in names if name in place.own)
    return "".join(f"python -m zipfile -e {name}.zip {name}\n" for name in own)


def _own_note(names: Sequence[str], place: Place) -> str:
    own = [name for name in names if name in place.own]
    if not own:
        return ""
    files = ", ".join(f"{name}.zip" for name in own)
    return (
        f"Download {files} on the New steer tab first, into the folder where the code runs. The "
        "HTTP API knows only steers that everybody has."
    )


def _model(place: Place) -> list[str]:
    return [] if place.model == EMBEDDED else ["--model", place.model]


def _command(words: Sequence[str], text: str | None = None) -> str:
    """Return a command line that ends with a text, which may begin with a dash."""
    end = [] if text is None else ["--", text] if text.startswith("-") else [text]
    return shlex.join(["lmsteer", *words, *end])


def _request(path: str, body: Mapping[str, Any], place: Place) -> str:
    login = ' -H "Authorization: Bearer $USER_AND_PASSWORD"' if place.has_login else ""
    return (
        f"curl -s {shlex.quote(place.url + path)}{login} -H 'Content-Type: application/json' "
        f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    )


def _endpoint(
    name: str, values: Sequence[Any], names: Sequence[str], place: Place
) -> tuple[str, str]:
    """Return the two requests that call a named endpoint, or the note that says why not."""
    if note := _own_note(names, place):
        return "", note
    path = f"/gradio_api/call/{name}"
    asked = _request(path, {"data": list(values)}, place)
    answer = f'curl -s {shlex.quote(place.url + path)}/"$(\n  {asked} | cut -d \'"\' -f 4\n)"'
    return answer, ""
