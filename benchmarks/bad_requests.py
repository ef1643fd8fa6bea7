"""Bad requests at every entrance, and good ones beside them.

    python -m benchmarks.bad_requests [--n 5000] [--seed 0]

A quarter each goes to the HTTP API, to the app's named endpoints, to the same as MCP tools (where
the package mcp is installed; else they go to the endpoints) and to the command line. Each is a good
request with one value, or its whole form, spoilt. It is refused if the answer is an error with one
line of text that is neither a traceback nor "The model failed". Meanwhile two readers ask for one
text over and over, whose every answer must be the text as it is written alone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Any
from unittest import mock

import httpx

from lmsteer_core import LanguageModel, load_model
from lmsteer_core.cli.main import main as lmsteer
from lmsteer_core.http_api.routes import routes
from lmsteer_core.ui.app import build_app, launch_options
from lmsteer_core.workbench import Workbench

PROMPT = "The new neighbours turned out to be"
GOOD = {"prompt": PROMPT, "max_tokens": 6, "seed": 3, "steer": {"sentiment": 1.5}}
MCP_HEADERS = {"Accept": "application/json, text/event-stream"}

Rng = random.Random
Value = Callable[[Rng], Any]


def main() -> None:
    """Print a row for each entrance and one for the good texts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    # Gradio prints each error that it passes on.
    with contextlib.redirect_stderr(io.StringIO()):
        report = run(load_model(), options.n, options.seed)
    print("| entrance | sent | refused with a sentence |\n|---|---|---|")
    for name, count in report.sent.items():
        print(f"| {name} | {count:,} | {count - len(report.not_refused.get(name, [])):,} |")
    print(
        f"\n{report.n_good:,} good texts beside, {report.n_changed} of them changed; "
        f"the engine restarted {report.n_restarts} times."
    )
    for name, requests in report.not_refused.items():
        for request in requests[:10]:
            print(f"{name}: {request}")


@dataclass
class Report:
    """What came of it.

    Attributes:
        sent: Bad requests by entrance.
        not_refused: Those that were not refused with a sentence, with their answers.
        n_good: Good requests beside them.
        n_changed: Those whose text was another than alone.
        n_restarts: Threads of the engine after the first.
    """

    sent: dict[str, int] = field(default_factory=dict)
    not_refused: dict[str, list[str]] = field(default_factory=dict)
    n_good: int = 0
    n_changed: int = 0
    n_restarts: int = 0


def run(lm: LanguageModel, n: int, seed: int) -> Report:
    """Send n bad requests and return what came of them."""
    workbench = Workbench(lm)
    has_mcp = find_spec("mcp") is not None
    demo = build_app(workbench).queue(max_size=200)
    _, url, _ = demo.launch(
        prevent_thread_lock=True,
        quiet=True,
        mcp_server=has_mcp,
        app_kwargs={"routes": routes(workbench)},
        **launch_options(),
    )
    url = url.rstrip("/")
    report, is_over = Report(), threading.Event()
    client = httpx.Client(base_url=url, timeout=120)
    entrances: dict[str, Callable[[Rng], tuple[object, str | None]]] = {
        "HTTP API": partial(over_http, client),
        "endpoints": partial(over_gradio, client),
        "MCP": partial(over_mcp if has_mcp else over_gradio, client),
        "command line": over_command_line,
    }
    (alone,) = texts(client)
    threads = engine_threads()

    def read_on() -> None:
        with httpx.Client(base_url=url, timeout=120) as own_client:
            while not is_over.is_set():
                report.n_good += 1
                report.n_changed += next(texts(own_client)) != alone

    with ThreadPoolExecutor(2) as pool, mock.patch.object(Workbench, "open", opened(lm)):
        readers = [pool.submit(read_on) for _ in range(2)]
        try:
            rng = random.Random(seed)
            for name, send in entrances.items():
                report.sent[name] = n // len(entrances)
                for _ in range(report.sent[name]):
                    request, message = send(rng)
                    if not is_sentence(message):
                        answer = f"{request!r:.300} → {message!r:.200}"
                        report.not_refused.setdefault(name, []).append(answer)
        finally:
            is_over.set()
        for reader in readers:
            reader.result()
    report.n_restarts = sum(not thread.is_alive() for thread in threads)
    demo.close(verbose=False)
    workbench.close()
    return report


def engine_threads() -> set[threading.Thread]:
    """Return the threads of this process's engines; that of one that restarts has ended."""
    return {each for each in threading.enumerate() if each.name.startswith("lmsteer-engine")}


def texts(client: httpx.Client) -> Iterator[str]:
    """Yield the good request's text, or what came in its place."""
    answer = client.post("/v1/completions", json=GOOD).json()
    yield answer["choices"][0]["text"] if "choices" in answer else str(answer)


def opened(lm: LanguageModel) -> Callable[..., Workbench]:
    """Return what the command line opens: a workbench over the model that is loaded already."""
    return lambda *_args, **_options: Workbench(lm)


def is_sentence(message: str | None) -> bool:
    """Return whether a message is one line that says what is wrong."""
    return bool(
        message
        and len(message.strip().splitlines()) == 1
        and len(message.split()) > 2
        and "Traceback" not in message
        and "The model failed" not in message
        and "The server failed" not in message
    )


# What spoils a value


def one_of(*values: Any) -> Value:
    """Return one of some values."""
    return lambda rng: rng.choice(values)


def number(low: float, high: float, *, is_whole: bool) -> Value:
    """Return what is no number between two limits."""

    def spoil(rng: Rng) -> Any:
        below, above = low - rng.uniform(1, 1e6), high + rng.uniform(1, 1e9)
        outside = [int(below) if is_whole else below, int(above) if is_whole else above]
        others = ["", str(high), "much", [], [low], {}, {"a": low}, 1e300, float("inf")]
        return rng.choice([*outside, *others, *([low + 0.5] if is_whole else []), float("nan")])

    return spoil


def spoilt_text(rng: Rng) -> Any:
    """Return what is no text to continue."""
    blank = "".join(rng.choices(" \t\n\u3000", k=rng.randint(0, 9)))
    return rng.choice(
        [blank, blank, 7, -1.5, {}, {"text": PROMPT}, True, "half \ud83d a character"]
    )


def spoilt_name(rng: Rng) -> Any:
    """Return what names no steer."""
    unknown = "".join(rng.choices("abcxyz <>/.\\'\"ε", k=rng.randint(1, 30)))
    return rng.choice([f"no {unknown}", "", 3, [], ["sentiment"], {}, True, "../sentiment"])


def spoilt_epsilons(rng: Rng) -> Any:
    """Return what gives no ε by steer name."""
    outside = rng.choice([-1, 1]) * rng.uniform(10.01, 1e6)
    bad: Any = rng.choice(["2", "", [2.0], {}, outside, float("nan"), float("-inf"), True, None])
    name = spoilt_name(rng)
    return rng.choice(
        [
            {"sentiment": bad},
            {"sentiment": 1.0, "formality": bad},
            {name if isinstance(name, str) else "nobody": 1.0},
            {"detoxification": -rng.uniform(0.1, 3)},  # its − pole is locked
            ["sentiment"],
            "sentiment=2",
            2.0,
            True,
        ]
    )


SPOILT_FLAG = one_of("true", "false", "", 2, [], {}, "yes")


# The HTTP API

HTTP_VALUES: dict[str, Value] = {
    "prompt": lambda rng: rng.choice([spoilt_text(rng), [], [-1], [10**9], [[]], [["a"]], ["", 3]]),
    "max_tokens": number(0, 8192, is_whole=True),
    "temperature": number(0, 10, is_whole=False),
    "top_p": one_of(-0.1, 0, 1.01, 5, "1", [], {}, float("nan")),
    "n": number(1, 256, is_whole=True),
    "seed": one_of("1", 0.5, [], {}, float("inf")),
    "stop": one_of([""], ["a"] * 5, 3, {}, [1]),
    "stream": SPOILT_FLAG,
    "logprobs": number(0, 20, is_whole=True),
    "echo": SPOILT_FLAG,
    "steer": spoilt_epsilons,
    "unlock": SPOILT_FLAG,
    "model": spoilt_name,
    "best_of": one_of(2, 0, "1", []),
    "frequency_penalty": one_of(0.1, -2, "0", {}),
    "tools": one_of([], [{}], "all"),
}


def over_http(client: httpx.Client, rng: Rng) -> tuple[object, str | None]:
    """Send a bad request to the HTTP API; return it and the error's message."""
    path = rng.choice(["completions", "completions", "chat/completions"])
    name = rng.choice(list(HTTP_VALUES))
    value = HTTP_VALUES[name](rng)
    body: dict[str, Any] = {**GOOD, name: value}
    if path.startswith("chat"):
        no_messages = [[], {}, "hi", [3], [{"role": "user"}], [{"role": "x", "content": "hi"}]]
        messages = [{"role": "user", "content": PROMPT}]
        del body["prompt"]
        body["messages"] = rng.choice(no_messages) if name == "prompt" else messages
    content = json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    form = rng.random()
    if form < 0.05:
        content = content[: rng.randrange(len(content))]
    elif form < 0.08:
        content = rng.randbytes(rng.randint(0, 60))
    elif form < 0.1:
        headers = {"Content-Type": rng.choice(["text/plain", "application/xml", ""])}
    answer = client.post(f"/v1/{path}", content=content, headers=headers)
    if not 400 <= answer.status_code < 500:
        return (path, content), None
    return (path, content), answer.json()["error"]["message"]


# The app's named endpoints and MCP's tools

ENDPOINTS: dict[str, list[tuple[str, Any, Value]]] = {
    "generate": [
        ("prompt", PROMPT, spoilt_text),
        ("steer", {"sentiment": 1.5}, spoilt_epsilons),
        ("max_new_tokens", 4, number(1, 100_000, is_whole=True)),
        ("temperature", 0.9, number(0, 10, is_whole=False)),
        ("top_p", 0.95, one_of(-0.1, 0, 1.01, 5, "1", [], {})),
        ("seed", 1, number(0, 2**32 - 1, is_whole=True)),
        ("unlock", False, SPOILT_FLAG),
    ],
    "nextword": [
        ("prompt", PROMPT, spoilt_text),
        ("steer", "sentiment", spoilt_name),
        ("n_words", 3, number(0, 1000, is_whole=True)),
        ("unlock", False, SPOILT_FLAG),
    ],
    "words": [
        ("steer", "sentiment", spoilt_name),
        ("n_dims", 1, number(1, 576, is_whole=True)),
        ("n_words", 3, number(1, 1000, is_whole=True)),
        ("unlock", False, SPOILT_FLAG),
    ],
    "analyze": [("text", PROMPT, spoilt_text), ("steer", "sentiment", spoilt_name)],
}


def spoilt_arguments(rng: Rng) -> tuple[str, dict[str, Any]]:
    """Return an endpoint and its arguments, one of which is spoilt."""
    endpoint = rng.choice(list(ENDPOINTS))
    parameters = ENDPOINTS[endpoint]
    spoilt = rng.randrange(len(parameters))
    return endpoint, {
        name: spoil(rng) if i == spoilt else good
        for i, (name, good, spoil) in enumerate(parameters)
    }


def over_gradio(client: httpx.Client, rng: Rng) -> tuple[object, str | None]:
    """Call a named endpoint badly; return the call and the error's message."""
    endpoint, arguments = spoilt_arguments(rng)
    data: Any = list(arguments.values())
    form = rng.random()
    if form < 0.03:
        data = data[: rng.randrange(len(data))]
    elif form < 0.05:
        data = rng.choice([arguments, "x", 3, None])
    content = json.dumps({"data": data})
    if form > 0.98:
        content = content[: rng.randrange(len(content))]
    path = f"/gradio_api/call/{endpoint}"
    asked = client.post(path, content=content, headers={"Content-Type": "application/json"})
    if asked.status_code == 422:
        return (endpoint, content), f"The request is malformed: {asked.json()['detail'][0]['msg']}"
    if asked.status_code != 200:
        return (endpoint, content), None
    answer = client.get(f"{path}/{asked.json()['event_id']}").text
    *_, kind, line = [line for line in answer.splitlines() if line]
    if kind != "event: error":
        return (endpoint, content), None
    message = json.loads(line.removeprefix("data: "))["error"]
    return (endpoint, content), message and message.splitlines()[0]  # gradio's own has details


def over_mcp(client: httpx.Client, rng: Rng) -> tuple[object, str | None]:
    """Call a tool badly; return the call and the error's message."""
    tool, arguments = spoilt_arguments(rng)
    form = rng.random()
    if form < 0.03:
        del arguments[next(iter(arguments))]
    elif form < 0.06:
        tool = f"{tool}s"
    call = {"name": tool, "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    content = json.dumps(body)
    answer = client.post(
        "/gradio_api/mcp/",
        content=content,
        headers={**MCP_HEADERS, "Content-Type": "application/json"},
    )
    lines = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    reply = json.loads(lines[-1].removeprefix("data: ")) if lines else answer.json()
    if "error" in reply:
        return call, reply["error"]["message"].splitlines()[0]
    result = reply["result"]
    return call, result["content"][0]["text"] if result["isError"] else None


# The command line

_NO_NUMBERS = ("", "x", "1,5", "nan", "--", "²", "1e999")


def over_command_line(rng: Rng) -> tuple[object, str | None]:
    """Run a bad command; return it and the line on its standard error."""
    name = str(spoilt_name(rng)) or "nobody"
    whole = rng.choice([*_NO_NUMBERS, "1.5", "-1", str(-rng.randrange(1, 10**9))])
    outside = rng.choice(["10.5", "-11", "nan", "inf", "two", "1e9"])
    blank = " " * rng.randint(0, 9)
    commands = [
        ["generate", blank],
        ["generate", PROMPT, "--steer", f"no-{name.replace('=', '')}=1"],
        ["generate", PROMPT, "--steer", f"sentiment={outside}"],
        ["generate", PROMPT, "--steer", "sentiment"],
        ["generate", PROMPT, "--steer", f"detoxification=-{rng.uniform(0.1, 3):.3f}"],
        ["generate", PROMPT, "--max-new-tokens", whole],
        ["generate", PROMPT, "--samples", rng.choice([whole, "0", "256", "99999"])],
        ["generate", PROMPT, "--temperature", rng.choice([*_NO_NUMBERS, "-1", "10.1"])],
        ["generate", PROMPT, "--top-p", rng.choice([*_NO_NUMBERS, "0", "-1", "1.01"])],
        ["generate", PROMPT, "--seed", whole],
        ["generate"],
        ["generate", PROMPT, f"--{name.strip(' -') or 'x'}"],
        ["nextword", blank, "--steer", "sentiment"],
        ["nextword", PROMPT, "--steer", f"no-{name}"],
        ["nextword", PROMPT, "--steer", "sentiment", "--top", whole],
        ["words", f"no-{name}"],
        ["words", "sentiment", "--dims", rng.choice([whole, "0", "577"])],
        ["words", "sentiment", "--top", rng.choice([whole, "0"])],
        ["analyze", blank, "--steer", "sentiment"],
        ["analyze", PROMPT, "--steer", f"no-{name}"],
        ["train", "--name", "x", "--plus", PROMPT, "--minus", PROMPT],
        ["train", "--name", f"../{name}", "--plus", "kind", "--minus", "rude"],
        ["train", "--name", "x", "--plus", "kind"],
        ["export", f"no-{name}", "--epsilon", "1", "--out", "nowhere"],
        ["export", "sentiment", "--epsilon", outside, "--out", "nowhere"],
        [name],
        [],
    ]
    command = rng.choice(commands)
    out, error = (io.TextIOWrapper(io.BytesIO(), "utf-8", "replace") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            status = lmsteer([each.replace("\ud83d", "") for each in command])
        except SystemExit as stop:
            status = int(stop.code or 0)
        except Exception as escaped:  # what must not be
            return command, f"Traceback: {escaped!r}"
    error.seek(0)
    lines = [line for line in error.read().splitlines() if line.startswith("lmsteer: ")]
    return command, lines[0] if status == 2 and len(lines) == 1 else None


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
