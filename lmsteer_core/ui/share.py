"""What the header shares: a view's link, which the browser copies, its QR code and its code."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

import gradio as gr
import segno
from markupsafe import Markup

from lmsteer_core.models.catalogue import available_models
from lmsteer_core.ui.code import Place, Recipe, recipes
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.context import Page
from lmsteer_core.ui.page.events import LOOK, call_js
from lmsteer_core.ui.page.request import session_of

MAX_QR_SQUARES = 105
"""Along a side; they hold some 1,000 characters, and a phone reads no finer ones off a wall."""

BUTTONS = Markup(
    '<span class="copied" role="status"></span>'
    '<button type="button" data-share="link">Copy link</button>'
    '<button type="button" data-share="qr" aria-expanded="false">QR code</button>'
    '<button type="button" data-share="code" aria-expanded="false">Copy as code</button>'
)
_LANGUAGES = {"python": "Python", "curl": "HTTP API", "cli": "Command line"}
_CODE = Markup(
    '<figure class="code"><figcaption>{0}<button type="button" data-copy aria-label="Copy {0}">Copy'
    '</button></figcaption><pre tabindex="0"><code>{1}</code></pre></figure>'
)
_TOO_LONG = (
    "This view holds too much text for a QR code that a phone can read: shorten the text, or send "
    "the link."
)
_LOCAL = (
    "A phone cannot open this address, which means “this machine” wherever it is typed. Start the "
    "app with --host 0.0.0.0 and open it by this machine's address in your network."
)


def create_panels(page: Page) -> None:
    """Add the panels of the header's buttons, which show them and have them filled."""

    def show_code(request: gr.Request, address: str) -> Markup:
        return code_html(recipes_of(page, request, address))

    for kind, show in (("qr", qr_code), ("code", show_code)):
        panel = gr.HTML(elem_id=f"share-{kind}", elem_classes="card")
        view = gr.Textbox(visible=False)
        ask = gr.Button("Ask", visible="hidden", elem_id=f"share-{kind}-ask")
        ask.click(show, view, panel, js=call_js("link.viewAddress"), **LOOK)


def recipes_of(page: Page, request: gr.Request, address: str) -> list[Recipe]:
    """Return the code for the view at an address, as the page that asks holds it."""
    parts, session = urlsplit(address), session_of(request)
    reading, _ = page.read(session, parts.fragment, unlocked=True)
    ids = {row["name"]: row["id"] for row in available_models()}
    model_id = page.workbench.model_id
    names = page.steers.names(session)
    place = Place(
        model=ids.get(model_id, model_id),
        url=f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/"),
        cards={name: page.steers.steer(session, name).card for name in names},
        own=frozenset(page.steers.by_name(session)),
        is_accelerated=page.workbench.is_accelerated,
        has_login=bool(request.username),
    )
    return recipes(reading.values.get("tab", "steer"), page.links.values(reading), place)


def code_html(made: Sequence[Recipe]) -> Markup:
    """Return recipes as HTML, with a button to copy each piece of code."""
    return Markup().join(
        Markup("<h2>{}</h2>{}{}").format(
            recipe.title,
            Markup().join(
                _CODE.format(language, code)
                for name, language in _LANGUAGES.items()
                if (code := getattr(recipe, name))
            ),
            widgets.note(recipe.note),
        )
        for recipe in made
    )


def qr_code(address: str) -> Markup:
    """Return the address as a QR code in HTML, or the sentence that says why there is none."""
    try:
        code = segno.make(address, error="l", micro=False, boost_error=False)
    except segno.DataOverflowError:
        return widgets.note(_TOO_LONG, "warning")
    if code.symbol_size(border=0)[0] > MAX_QR_SQUARES:
        return widgets.note(_TOO_LONG, "warning")
    svg = code.svg_inline(dark="#000", light="#fff", omitsize=True, title="QR code of this view")
    host = urlsplit(address).hostname or ""
    return Markup(svg) + widgets.note(_LOCAL if _is_loopback(host) else "", "warning")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
