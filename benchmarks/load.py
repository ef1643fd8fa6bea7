"""A class on one machine: simultaneous visitors against the same requests one after another.

    python -m benchmarks.load [--clients N] [--browsers N] [--tokens N] [--port N] [--decoder NAME]

Starts the app in a process of its own, as `python app.py` does. Each client is a real
`gradio_client` that asks /generate for a baseline and a steered text with an ε and a prompt of its
own; each browser a context of its own in headless Chromium, in which Generate is clicked on the
Steer tab. Afterwards every client's text is scored again, alone, in this process: under its own ε
each token must have the log-probability that the app reported, under another client's it must not.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from gradio_client import Client
from playwright.sync_api import Page, sync_playwright
from torch import Tensor

from benchmarks.measure import seconds, wait_for
from lmsteer_core import LanguageModel, Row, Sampling, Steer, generate, load_model
from lmsteer_core.analysis.logits import logits_over_epsilon
from lmsteer_core.workbench import Workbench

STEER = "sentiment"
PROMPTS = (
    "The old man by the river",
    "Our train was late, so",
    "In the second week of May",
    "Nobody in the office",
    "She opened the box and",
    "The weather on the island",
    "When the music stopped",
    "My brother's new job",
)


@dataclass
class Answer:
    """What one client got, and when, in seconds after it asked."""

    prompt: str
    epsilon: float
    first: float = 0.0
    whole: float = 0.0
    texts: dict[str, dict[str, Any]] | None = None

    def ask(self, client: Client, n_tokens: int, seed: int) -> None:
        """Ask and keep the last answer."""
        start = time.perf_counter()
        job = client.submit(
            self.prompt, {STEER: self.epsilon}, n_tokens, 0.9, 0.95, seed, api_name="/generate"
        )
        for texts in job:
            self.first = self.first or time.perf_counter() - start
            self.texts = texts
        self.whole = time.perf_counter() - start

    @property
    def n_tokens(self) -> int:
        """Tokens of both texts."""
        assert self.texts
        return sum(len(text["token_ids"]) for text in self.texts.values())


_CLICK_JS = """() => {
    const visit = window.visit = {clicked: performance.now()};
    const seconds = () => (performance.now() - visit.clicked) / 1000;
    const count = () => document.querySelectorAll('#baseline .tok, #steered .tok').length;
    const status = document.querySelector('#status');
    let isBegun = false;
    const observer = new MutationObserver(() => {
        const isOver = status.querySelector('.note[role=status]');
        if (!isOver) isBegun = true;
        if (isBegun && !visit.first && count()) visit.first = seconds();
        if (!isBegun || !isOver) return;
        observer.disconnect();
        Object.assign(visit, {n_tokens: count(), whole: seconds()});
    });
    observer.observe(document.body, {childList: true, subtree: true, attributes: true});
    document.querySelector('#generate').click();
}"""


@dataclass
class Visit:
    """What one browser showed, and when, in seconds after its click."""

    page: Page
    first: float = 0.0
    n_tokens: int = 0

    def click(self) -> None:
        """Let both columns be written."""
        self.page.evaluate(_CLICK_JS)

    def wait(self) -> None:
        """Wait for the end of both texts."""
        self.page.wait_for_function("window.visit.whole")
        shown = self.page.evaluate("window.visit")
        self.first, self.n_tokens = shown["first"], shown["n_tokens"]

    def ask(self) -> None:
        """Let both columns be written, and wait for their end."""
        self.click()
        self.wait()


@contextmanager
def browser_pages(url: str, n_pages: int, n_tokens: int) -> Iterator[list[Page]]:
    """Open pages that are ready for Generate, each as another visitor's browser would."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        pages = []
        for i in range(n_pages):
            page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            page.set_default_timeout(300_000)
            page.goto(url)
            page.wait_for_selector("#status .note")
            page.get_by_role("button", name="Sampling").click()
            page.get_by_label("number input for New tokens").fill(str(n_tokens))
            page.fill("#prompt textarea", f"{PROMPTS[i % len(PROMPTS)]} today")
            page.keyboard.press("Tab")
            pages.append(page)
        if pages:
            pages[-1].wait_for_timeout(3000)
        yield pages
        browser.close()


def main() -> None:
    """Print the throughputs, the waiting times, and whether anybody got somebody else's ε."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--browsers", type=int, default=0)
    parser.add_argument("--decoder", choices=["auto", "torch"], default="auto")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--port", type=int, default=7898)
    options = parser.parse_args()

    def asked() -> list[Answer]:
        n = options.clients
        return [Answer(PROMPTS[i % len(PROMPTS)], round(-3 + 6 * i / (n - 1), 2)) for i in range(n)]

    n_visitors = options.clients + options.browsers
    with (
        app(options.port, options.decoder) as (url, _),
        browser_pages(url, options.browsers, options.tokens) as pages,
    ):
        clients = [Client(url, verbose=False) for _ in range(options.clients)]
        Answer(PROMPTS[0], 1.0).ask(clients[0], 4, 0)
        together, apart = asked(), asked()
        visits, visits_apart = ([Visit(page) for page in pages] for _ in range(2))
        threads = [
            threading.Thread(target=answer.ask, args=(client, options.tokens, i))
            for i, (client, answer) in enumerate(zip(clients, together, strict=True))
        ]
        start = time.perf_counter()
        for visit in visits:
            visit.click()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for visit in visits:
            visit.wait()
        at_once = _n_tokens(together, visits) / (time.perf_counter() - start)
        for page in pages:  # else the page would keep its baseline
            page.fill("#prompt textarea", f"{page.input_value('#prompt textarea')} again")
            page.keyboard.press("Tab")
            page.wait_for_timeout(3000)
        start = time.perf_counter()
        for i, (client, answer) in enumerate(zip(clients, apart, strict=True)):
            answer.ask(client, options.tokens, i)
        for visit in visits_apart:
            visit.ask()
        in_turn = _n_tokens(apart, visits_apart) / (time.perf_counter() - start)
    print(
        f"tokens/s, {n_visitors} visitors, {options.browsers} of them browsers, at once / one "
        f"after another: {at_once / in_turn:.2f} (target ≥ 5; {at_once:.1f} and {in_turn:.1f})"
    )
    for name, firsts in (
        ("at once", _firsts(together, visits)),
        ("one after another", _firsts(apart, visits_apart)),
        ("at once, browsers", _firsts([], visits)),
    ):
        first = sorted(firsts) or [math.nan]
        print(
            f"time to the first token, {name}: median {statistics.median(first):.2f} s, "
            f"95 % {first[int(0.95 * (len(first) - 1))]:.2f} s"
        )
    lm = load_model()
    steers = Workbench(lm).steers
    own, other = cross_talk(lm, steers, together)
    print(
        f"log-probability reported − scored again alone: at most {own:.1e} nats under the own ε, "
        f"{other:.3f} in the mean under another client's"
    )
    print(
        f"the same without gradio and its clients, which share these cores: "
        f"{without_gradio(lm, asked(), options.tokens):.2f}"
    )
    alone(lm, options.tokens)


def _n_tokens(answers: list[Answer], visits: list[Visit]) -> int:
    return sum(answer.n_tokens for answer in answers) + sum(visit.n_tokens for visit in visits)


def _firsts(answers: list[Answer], visits: list[Visit]) -> list[float]:
    return [answer.first for answer in answers] + [visit.first for visit in visits]


def without_gradio(lm: LanguageModel, asked: list[Answer], n_tokens: int) -> float:
    """Return the engine's time for the requests one after another over that for all at once."""
    workbench = Workbench(lm)

    def begin(i: int) -> Iterator[Any]:
        rows = [Row(asked[i].prompt), Row(asked[i].prompt, {STEER: asked[i].epsilon})]
        return workbench.stream(rows, Sampling(0.9, 0.95, n_tokens, i))

    def at_once() -> None:
        for text in [begin(i) for i in range(len(asked))]:
            deque(text, maxlen=0)

    def in_turn() -> None:
        for i in range(len(asked)):
            deque(begin(i), maxlen=0)

    deque(begin(0), maxlen=0)
    return seconds(in_turn) / seconds(at_once)


def cross_talk(
    lm: LanguageModel, steers: Mapping[str, Steer], answers: list[Answer]
) -> tuple[float, float]:
    """Return the largest difference under its own ε, and the mean one under the farthest ε."""
    worst, others = 0.0, []
    farthest = {
        a.epsilon: max((b.epsilon for b in answers), key=lambda e: abs(e - a.epsilon))
        for a in answers
    }
    for answer in answers:
        assert answer.texts
        for name, epsilon in (("baseline", 0.0), ("steered", answer.epsilon)):
            ids = answer.texts[name]["token_ids"]
            told = torch.tensor(answer.texts[name]["logprobs"])
            prompt = lm.encode(answer.prompt)[0]
            hidden = lm.hidden_states([prompt + ids])[0][len(prompt) - 1 : -1]
            tables = logits_over_epsilon(lm, steers[STEER], hidden)
            worst = max(worst, float((told - scores(lm, tables, ids, epsilon)).abs().max()))
            if name == "steered":
                there = scores(lm, tables, ids, farthest[answer.epsilon])
                others.append(float((told - there).abs().mean()))
    return worst, statistics.mean(others)


def scores(
    lm: LanguageModel, tables: tuple[Tensor, Tensor], ids: list[int], epsilon: float
) -> Tensor:
    """Return each token's log-probability at ε, (n_tokens,)."""
    logits = lm.finish(tables[0] + epsilon * tables[1])
    return logits.log_softmax(dim=-1).gather(1, torch.tensor(ids)[:, None])[:, 0]


def alone(lm: LanguageModel, n_tokens: int, repeats: int = 5) -> None:
    """Print a lone user's time per token in the engine against transformers' own `generate`."""
    lm.__dict__["end_ids"] = frozenset()
    lm.model.generation_config.eos_token_id = None
    workbench = Workbench(lm)
    inputs = lm.tokenizer(PROMPTS[0], return_tensors="pt")
    sampling = Sampling(0.9, 0.95, n_tokens, 0)

    model: Any = lm.model

    def plain() -> None:
        model.generate(
            **inputs,
            max_new_tokens=n_tokens,
            min_new_tokens=n_tokens,
            do_sample=True,
            temperature=0.9,
            top_p=0.95,
            top_k=0,
            pad_token_id=0,
        )

    def engine() -> None:
        for _ in workbench.stream([Row(PROMPTS[0])], sampling):
            pass

    def inline() -> None:
        generate(lm, [Row(PROMPTS[0])], {}, sampling)

    ratios: dict[str, list[float]] = {"engine": [], "the library, no thread": []}
    plain()
    engine()
    for _ in range(repeats):
        reference = seconds(plain)
        ratios["engine"].append(seconds(engine) / reference)
        ratios["the library, no thread"].append(seconds(inline) / reference)
    for name, found in ratios.items():
        print(
            f"a lone user's time per token, {name} / plain generate: "
            f"{statistics.median(found):.2f} ({min(found):.2f}–{max(found):.2f}; target ≤ 1.15)"
        )


@contextmanager
def app(port: int, decoder: str = "auto") -> Iterator[tuple[str, int]]:
    """Serve the app in a process of its own and return its address and the process's number.

    With `auto` it is served once the decoder has been chosen.
    """
    url = f"http://127.0.0.1:{port}"
    served = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port), "--decoder", decoder],
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert served.stderr
    try:
        wait_for(f"{url}/config", served)
        if decoder == "auto":
            next((line for line in served.stderr if "writes the texts" in line), None)
        threading.Thread(target=deque, args=(served.stderr, 0), daemon=True).start()
        yield url, served.pid
    finally:
        served.terminate()
        served.wait()


if __name__ == "__main__":
    main()
