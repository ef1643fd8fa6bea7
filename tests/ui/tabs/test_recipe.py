"""CONTRIBUTING's recipe for a tab works as it stands: its three files make a tab."""

from __future__ import annotations

import importlib
import re
import sys
import textwrap
from pathlib import Path

import gradio as gr
import pytest
from support.blocks import inside_blocks
from support.models import make_steer

from lmsteer_core.ui import tabs
from lmsteer_core.ui.page.context import Page

GUIDE = Path(__file__).parents[3] / "CONTRIBUTING.md"
REQUEST = gr.Request(session_hash="a", headers={})
FILES = ("markup", "handlers", "tab")


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> Path:
    """Write the recipe's blocks into the files that it names, where tabs are looked for."""
    text = GUIDE.read_text().partition("## Add a tab")[2].partition("\n## ")[0]
    blocks = re.findall(r"^    ```python\n(.*?)^    ```", text, re.MULTILINE | re.DOTALL)
    folder = tmp_path / "card"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Card."""\n')
    for name, block in zip(FILES, blocks, strict=True):
        (folder / f"{name}.py").write_text(textwrap.dedent(block))
        monkeypatch.setitem(sys.modules, f"{tabs.__name__}.card.{name}", None)  # forgotten after
        del sys.modules[f"{tabs.__name__}.card.{name}"]
    monkeypatch.setattr(tabs, "__path__", [*tabs.__path__, str(tmp_path)])
    return folder


def test_the_tab_shows_the_card_of_a_visitors_steer(recipe, small, small_workbench) -> None:
    tab = importlib.import_module(f"{tabs.__name__}.{recipe.name}.tab")

    def build(demo: gr.Blocks) -> Page:
        page = Page.create(small_workbench, demo)
        tab.create_card_tab(page)
        return page

    page = inside_blocks(build)
    page.steers.add("a", make_steer(small.output_embedding, name="joy"))
    show = tab.CardHandlers(page).show
    assert "cold ↔ warm" in show(REQUEST, "joy")
    assert "another" in show(REQUEST, "another")  # one sentence says that there is none
