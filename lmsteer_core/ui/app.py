"""The sitemap: header, tabs, and how the app is served."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup
from starlette.middleware import Middleware

from lmsteer_core.http_api.routes import routes
from lmsteer_core.resources import ASSETS
from lmsteer_core.ui.endpoints import create_endpoints
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import call_js
from lmsteer_core.ui.page.inspector import create_inspector
from lmsteer_core.ui.page.jobs import CLOSING
from lmsteer_core.ui.page.live_feed import FeedMiddleware
from lmsteer_core.ui.page.modules import HEAD, module_route
from lmsteer_core.ui.page.theme import theme
from lmsteer_core.ui.share import BUTTONS, create_panels
from lmsteer_core.ui.starting import StartingPage, cannot_serve
from lmsteer_core.ui.tabs.compose.tab import create_compose_tab
from lmsteer_core.ui.tabs.evidence import create_evidence_tab
from lmsteer_core.ui.tabs.highlight.tab import create_highlight_tab
from lmsteer_core.ui.tabs.next_word.tab import create_next_word_tab
from lmsteer_core.ui.tabs.steer.tab import create_steer_tab
from lmsteer_core.ui.tabs.train.layout import MAX_UPLOAD
from lmsteer_core.ui.tabs.train.tab import create_train_tab
from lmsteer_core.ui.tabs.transfer.tab import create_transfer_tab
from lmsteer_core.ui.tabs.words.tab import create_words_tab
from lmsteer_core.workbench import Workbench


def serve_app(
    workbench: Workbench,
    starting: StartingPage,
    *,
    host: str,
    port: int,
    auth: tuple[str, str] | None = None,
    share: bool = False,
    mcp: bool = False,
) -> None:
    """Serve the app and the HTTP API until interrupted.

    Args:
        workbench: The model and its steers.
        starting: The page that has the address until the app is there.
        host: Address to listen on.
        port: Port to listen on.
        auth: User and password that visitors must give; with a colon between them, the API's key.
        share: Also serve through a public gradio link.
        mcp: Also offer the named endpoints as tools of an MCP server; needs the package mcp.

    Raises:
        InputError: If the address cannot be listened on.
    """
    demo = build_app(workbench).queue(max_size=200)
    starting.close()
    try:
        demo.launch(
            server_name=host,
            server_port=port,
            share=share,
            auth=auth,
            mcp_server=mcp,
            app_kwargs={
                "middleware": [Middleware(FeedMiddleware)],
                "routes": [
                    module_route(),
                    *routes(workbench, key=":".join(auth) if auth else None),
                ],
            },
            **launch_options(),
        )
    except OSError as error:
        raise cannot_serve(host, port) from error
    finally:
        CLOSING.set()


def build_app(workbench: Workbench) -> gr.Blocks:
    """Return the app over one workbench; `launch_options` go to its `launch`."""
    demo: gr.Blocks
    with gr.Blocks(
        title="LM-Steer Workbench",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(3600, 86400),
    ) as demo:
        gr.HTML(_header(workbench.model_id))
        for problem in workbench.problems:
            gr.HTML(widgets.note(f"A steer was passed over: {problem}", "warning"))
        panels = gr.Column()
        page = Page.create(workbench, demo)
        with panels:
            create_panels(page)
        with page.tabs:
            with gr.Tab("Steer", id="steer"):
                create_steer_tab(page)
            with gr.Tab("New steer", id="train"):
                create_train_tab(page)
            with gr.Tab("Next word", id="nextword"):
                create_next_word_tab(page)
            with gr.Tab("Words", id="words"):
                create_words_tab(page)
            with gr.Tab("Highlight", id="highlight"):
                create_highlight_tab(page)
            with gr.Tab("Compose", id="compose"):
                create_compose_tab(page)
            with gr.Tab("Transfer", id="transfer") as tab:
                create_transfer_tab(page, tab)
            create_evidence_tab(page.links)
        create_inspector()
        page.open()
        create_endpoints(workbench)
        demo.load(None, js=call_js("page.restoreTheme"), api_visibility="private")
    return demo


def launch_options() -> dict[str, Any]:
    """Return what `Blocks.launch` needs for our look, and to keep every prompt on this machine."""
    return {
        "theme": theme(),
        "css_paths": sorted(ASSETS.glob("*.css")),
        "head": HEAD,
        "max_file_size": MAX_UPLOAD,
        "max_threads": 128,  # each text that is written keeps one waiting
        "show_error": True,  # else a client that sends too few values is told nothing
        "run_history": False,
        "footer_links": [],
        "ssr_mode": False,
    }


def _header(model_id: str) -> Markup:
    return Markup(
        '<header class="masthead"><div><h1>LM-Steer Workbench</h1> '
        '<span class="model">model <b>{}</b></span>'
        "<p>A steer moves every output word embedding: "
        "<code>e′ = (I + ε W) e</code>. Drag ε, watch the style.</p></div>"
        '<div class="aside">{}<button type="button" data-lesson>Lesson</button>'
        '<button type="button" class="runs-open" aria-haspopup="dialog">Runs '
        "<span>0</span></button>"
        '<button type="button" class="mode" aria-label="Switch between light and dark">◐</button>'
        "</div></header>"
    ).format(model_id, BUTTONS)
