"""The sitemap: header, tabs, and how the app is served."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from lmsteer_core.ui import render
from lmsteer_core.ui.compose_tab import create_compose_tab
from lmsteer_core.ui.endpoints import create_endpoints
from lmsteer_core.ui.highlight_tab import create_highlight_tab
from lmsteer_core.ui.nextword_tab import create_nextword_tab
from lmsteer_core.ui.session import SessionSteers
from lmsteer_core.ui.steer_tab import create_steer_tab
from lmsteer_core.ui.theme import ASSETS, theme
from lmsteer_core.ui.train_tab import MAX_UPLOAD, create_train_tab
from lmsteer_core.ui.words_tab import create_words_tab
from lmsteer_core.workbench import Workbench


def build_app(workbench: Workbench) -> gr.Blocks:
    """Return the app over one workbench; `launch_options` go to its `launch`."""
    own = SessionSteers(workbench)
    demo: gr.Blocks
    with gr.Blocks(
        title="LM-Steer Workbench", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)
    ) as demo:
        gr.HTML(_header(workbench.lm.model_id))
        for problem in workbench.problems:
            gr.HTML(render.note(f"A steer was passed over: {problem}", "warning"))
        changed = gr.State((0, None))  # a session.Latest
        with gr.Tabs() as tabs:
            with gr.Tab("Steer", id="steer"):
                create_steer_tab(workbench, own, changed, demo)
            with gr.Tab("New steer", id="train"):
                create_train_tab(workbench, own, changed, tabs, demo)
            with gr.Tab("Next word", id="nextword"):
                create_nextword_tab(workbench, own, changed, demo)
            with gr.Tab("Words", id="words"):
                create_words_tab(workbench, own, changed, demo)
            with gr.Tab("Highlight", id="highlight"):
                create_highlight_tab(workbench, own, changed, demo)
            with gr.Tab("Compose", id="compose"):
                create_compose_tab(workbench, own, changed, demo)
        create_endpoints(workbench)
        demo.load(None, js="() => window.lmsteer.restoreTheme()", api_visibility="private")
    return demo


def launch_options() -> dict[str, Any]:
    """Return what `Blocks.launch` needs for our look, and to keep every prompt on this machine."""
    return {
        "theme": theme(),
        "css_paths": sorted(ASSETS.glob("*.css")),
        "head": "".join(
            f"<script>{path.read_text(encoding='utf-8')}</script>" for path in sorted(ASSETS.glob("*.js"))
        ),
        "max_file_size": MAX_UPLOAD,
        "max_threads": 128,  # each text that is written keeps one waiting
        "run_history": False,
        "footer_links": [],
        "ssr_mode": False,
    }


def _header(model_id: str) -> str:
    return (
        '<header class="masthead"><div><h1>LM-Steer Workbench</h1>'
        "<p>A steer moves every output word embedding: "
        "<code>e′ = (I + ε W) e</code>. Drag ε and watch the style change.</p></div>"
        f'<div class="aside"><span class="model">model <b>{escape(model_id)}</b></span>'
        '<button type="button" class="mode" onclick="window.lmsteer.toggleTheme()" '
        'aria-label="Switch between light and dark">◐</button></div></header>'
    )
