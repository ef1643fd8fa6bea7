"""What an address shows before the app is there."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.serving import free_port

from lmsteer_core import InputError
from lmsteer_core.ui.starting import StartingPage, keep_example

ROOT = Path(__file__).parents[2]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LMSTEER_CACHE", str(tmp_path))
    return tmp_path


def shown(port: int, path: str = "/") -> str:
    """Return the page, which must say that it is not the app yet."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5)
    with refused.value as answer:
        assert answer.code == 503
        return answer.read().decode()


def test_a_first_start_says_that_the_model_is_loaded(port: int) -> None:
    page = StartingPage("127.0.0.1", port, "<b>model")
    assert "being loaded" in shown(port)
    assert "&lt;b&gt;model" in shown(port, "/config")
    assert "Baseline" not in shown(port)
    page.close()


def test_the_next_start_shows_the_example_of_the_last(port: int, cache: Path) -> None:
    keep_example("<i>small", "<p>plain</p>", "<p>costs $9</p>", "sentiment +1.5")
    page = StartingPage("127.0.0.1", port, "embedded")
    for part in ("<p>plain</p>", "<p>costs $9</p>", "sentiment +1.5", "&lt;i&gt;small"):
        assert part in shown(port)
    page.close()
    (kept,) = cache.glob("*.json")
    for broken in ("{", "[]", '{"baseline": "half"}'):
        kept.write_text(broken)
        page = StartingPage("127.0.0.1", port, "embedded")
        assert "Baseline" not in shown(port)
        page.close()


def test_a_taken_port_is_one_sentence(port: int) -> None:
    page = StartingPage("127.0.0.1", port, "embedded")
    with pytest.raises(InputError, match=f"port {port}: the port is taken"):
        StartingPage("127.0.0.1", port, "embedded")
    page.close()


@pytest.mark.model
def test_the_page_becomes_the_app_by_itself(port: int, browser, monkeypatch) -> None:
    monkeypatch.delenv("LMSTEER_CACHE")  # the model is converted there
    app = subprocess.Popen(
        [sys.executable, str(ROOT / "app.py"), "--port", str(port)], stderr=subprocess.PIPE
    )
    try:
        assert app.stderr and b"can be opened already" in app.stderr.readline()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}")
        assert "being loaded" in page.inner_text("#state")
        page.wait_for_selector("#prompt textarea", timeout=240_000)
        page.close()
    finally:
        app.terminate()
        app.communicate()
