"""What the header shares: the link of a view, which the browser copies, and its QR code."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import gradio as gr
import segno
from markupsafe import Markup

from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.page.events import LOOK, call_js

MAX_QR_SQUARES = 105
"""Along a side; they hold some 1,000 characters, and a phone reads no finer ones off a wall."""

BUTTONS = Markup(
    '<span class="copied" role="status"></span>'
    '<button type="button" data-share="link">Copy link</button>'
    '<button type="button" data-share="qr" aria-expanded="false">QR code</button>'
)
_TOO_LONG = (
    "This view holds too much text for a QR code that a phone can read: shorten the text, or send "
    "the link."
)
_LOCAL = (
    "A phone cannot open this address, which means “this machine” wherever it is typed. Start the "
    "app with --host 0.0.0.0 and open it by this machine's address in your network."
)


def create_qr_panel() -> None:
    """Add the panel to the open Blocks; the header's button shows it and has it filled."""
    panel = gr.HTML(elem_id="share-qr", elem_classes="card")
    address = gr.Textbox(visible=False)
    ask = gr.Button("Ask", visible="hidden", elem_id="share-qr-ask")
    ask.click(qr_code, address, panel, js=call_js("link.viewAddress"), **LOOK)


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
