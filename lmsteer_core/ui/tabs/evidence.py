"""Evidence: the committed reports of `evaluate`, where there are any."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from markupsafe import Markup

from lmsteer_core.evaluation.task import TASKS
from lmsteer_core.resources import ASSETS
from lmsteer_core.ui.page.events import QUIET
from lmsteer_core.ui.page.links import Links

REPORTS = ASSETS / "evaluation"


def create_evidence_tab(links: Links, folder: Path = REPORTS) -> None:
    """Add the tab, unless the folder holds no report; each is read when it is looked at."""
    reports = {
        path.stem: path
        for task in (*TASKS, "reading")
        for path in sorted(folder.glob(f"{task}*.html"), key=lambda path: path.stem)
    }
    if not reports:
        return
    with gr.Tab("Evidence", id="evidence") as tab:
        chosen = gr.Radio(
            [*reports], value=next(iter(reports)), label="Report", visible=len(reports) > 1
        )
        shown = gr.HTML()
    links.keep("evidence.", report=chosen)
    gr.on([tab.select, chosen.input], lambda name: frame(reports[name]), chosen, shown, **QUIET)


def frame(report: Path) -> Markup:
    """Return a page in a frame of its own, where it can run and reach nothing."""
    return Markup('<iframe class="report" title="{}" sandbox="" srcdoc="{}"></iframe>').format(
        report.stem, report.read_text(encoding="utf-8")
    )
