"""The tab of committed reports: there or not, and what it shows."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from support.blocks import inside_blocks

from lmsteer_core.ui.page.links import Links
from lmsteer_core.ui.tabs.evidence import create_evidence_tab, frame

PAGE = '<!doctype html>\n<p title="a & b">"Quoted" <script>alert(1)</script></p>'


def components(folder: Path) -> dict[str, Any]:
    """Return the tab's components by kind."""

    def build(demo: gr.Blocks) -> gr.Blocks:
        with gr.Tabs():
            create_evidence_tab(Links(), folder)
        return demo

    return {type(block).__name__: block for block in inside_blocks(build).blocks.values()}


def test_without_a_report_there_is_no_tab(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no report")
    assert "Tab" not in components(tmp_path)
    assert "Tab" not in components(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "names", [["sentiment"], ["sentiment", "sentiment-adapters", "detoxification"]]
)
def test_several_reports_are_offered_by_task(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / f"{name}.html").write_text(PAGE)
    found = components(tmp_path)
    assert found["Tab"].label == "Evidence"
    assert [choice for choice, _ in found["Radio"].choices] == names
    assert found["Radio"].visible is (len(names) > 1)
    assert found["Radio"].value == names[0]


def test_a_report_is_whole_in_a_frame_that_may_do_nothing(tmp_path: Path) -> None:
    (tmp_path / "sentiment.html").write_text(PAGE)
    tags: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, dict(attrs)))

    Reader().feed(frame(tmp_path / "sentiment.html"))
    ((tag, attributes),) = tags
    assert tag == "iframe"
    assert attributes["srcdoc"] == PAGE
    assert attributes["sandbox"] == ""
