"""The real app in a real browser: one server and one Chromium for the whole folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from support.blocks import inside_blocks
from support.models import make_steer
from support.serving import free_port
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from lmsteer_core import LanguageModel
from lmsteer_core.models.catalogue import locate
from lmsteer_core.models.packages import EMBEDDED
from lmsteer_core.ui.page.context import Page as AppPage
from lmsteer_core.workbench import Workbench

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 60_000
DROPPED = "Connection errored out"
"""What gradio says of a request that was under way when its page was loaded anew."""


class Clock:
    """A clock that tests set, in seconds."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def small_workbench(small: LanguageModel) -> Iterator[Workbench]:
    """A tiny random model, which no shipped steer fits."""
    workbench = Workbench(small)
    yield workbench
    workbench.close()


@pytest.fixture
def page(small: LanguageModel, small_workbench: Workbench) -> AppPage:
    """What tabs share, over a tiny random model; the page of session "a" holds the steer joy."""
    context = inside_blocks(partial(AppPage.create, small_workbench))
    context.steers.add("a", make_steer(small.output_embedding, name="joy"))
    return context


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        reason = "no Chromium on this machine; install it to run the browser tests"
        if os.environ.get("LMSTEER_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        yield (chromium := playwright.chromium.launch(executable_path=path, args=FLAGS))
        chromium.close()


@pytest.fixture(scope="session")
def hub_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face cache with one tiny random model: the app's second one to offer."""
    cache = tmp_path_factory.mktemp("hub")
    folder = cache / "models--tiny--random" / "snapshots" / "main"
    tokenizer = AutoTokenizer.from_pretrained(locate(EMBEDDED)[1])
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder.parents[1] / "refs").mkdir()
    (folder.parents[1] / "refs" / "main").write_text("main")
    return cache


@pytest.fixture(scope="session")
def app_url(hub_cache: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_CACHE": str(hub_cache), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(1200):
            assert app.poll() is None, "the app ended while starting"
            try:
                urllib.request.urlopen(f"{url}/config", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        app.terminate()
        app.wait()


class Visit:
    """A page with what it asked for and complained about."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.n_loads = 0
        page.set_default_timeout(PATIENCE_MS)
        page.on("load", lambda _: setattr(self, "n_loads", self.n_loads + 1))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        page.goto(url)
        # Not the seconds that Gradio counts there; a link may open another tab.
        page.wait_for_selector("#status .note", state="attached")

    def wait_until_done(self) -> None:
        """Wait for the line of a finished text."""
        self.page.wait_for_selector("#status .note[role=status]")

    def generate(self) -> None:
        """Click Generate and wait for a fresh finish."""
        # A short text may be finished before anybody sees it begin.
        self.page.evaluate("document.querySelector('#status .note').dataset.before = ''")
        self.page.click("#generate")
        self.page.wait_for_selector("#status .note:not([data-before])")
        self.wait_until_done()

    def text(self, column: str) -> str:
        """Return the whole text of a column."""
        return self.page.inner_text(f"#{column} .gen")


@pytest.fixture(scope="session")
def visit_at(browser: Browser, app_url: str):
    def open_at(width: int, height: int, fragment: str = "", **options: Any) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        return Visit(context.new_page(), app_url + fragment)

    return open_at


@pytest.fixture
def visit(visit_at) -> Iterator[Visit]:
    """A page of the test's own."""
    opened: Visit = visit_at(1280, 900)
    yield opened
    leave(opened)


@pytest.fixture
def open_link(visit_at) -> Iterator[Callable[..., Visit]]:
    """Pages that are opened by a link: call it with the parts of the link's fragment."""
    opened: list[Visit] = []

    def open_at(**state: str) -> Visit:
        opened.append(visit_at(1280, 900, f"/#{urlencode(state)}"))
        return opened[-1]

    yield open_at
    for each in opened:
        leave(each)


@pytest.fixture(scope="module")
def shared(visit_at) -> Iterator[Visit]:
    """A page for the tests of a module, which set what they need: loading one costs seconds."""
    opened: Visit = visit_at(1280, 900)
    yield opened
    leave(opened)


def leave(opened: Visit) -> None:
    """Close a page; fail if it asked anybody outside or complained."""
    outside = [
        u for u in opened.requests if "127.0.0.1" not in u and not u.startswith(("data:", "blob:"))
    ]
    complaints = [text for text in opened.complaints if "AbortError" not in text]
    if opened.n_loads > 1:
        complaints = [text for text in complaints if DROPPED not in text]
    opened.page.context.close()
    assert outside == []
    assert complaints == []
