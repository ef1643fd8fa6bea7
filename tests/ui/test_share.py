"""What the header shares: the link of the view, and its QR code."""

from __future__ import annotations

import pytest

from lmsteer_core.ui.share import qr_code


def test_a_short_link_is_drawn_and_a_long_one_says_so() -> None:
    drawn = qr_code("http://192.168.1.5:7860/#v=1&prompt=My+life+is&model=SmolLM2")
    assert drawn.startswith("<svg")
    assert "note" not in drawn
    for length in (1_100, 50_000):
        told = qr_code(f"http://192.168.1.5:7860/#v=1&prompt={'x' * length}")
        assert "<svg" not in told
        assert "too much text" in told


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_an_address_that_no_phone_can_open_says_so(host: str) -> None:
    assert "--host 0.0.0.0" in qr_code(f"http://{host}:7860/#v=1")


def test_copy_link_copies_the_view_alone_and_the_qr_code_follows_it(visit) -> None:
    page = visit.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("tab", name="Words", exact=True).click()
    page.fill("#words-pins textarea", "moon")
    page.get_by_role("tab", name="Steer", exact=True).click()
    page.fill("#prompt textarea", "By the sea")
    page.wait_for_function("location.hash.includes('prompt=By+the+sea&')")
    page.get_by_role("button", name="Copy link").click()
    page.wait_for_function("document.querySelector('.copied').textContent === 'Copied'")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "#v=1&prompt=By+the+sea&model=" in copied
    page.get_by_role("button", name="QR code").click()
    page.wait_for_selector("#share-qr svg")
    before = page.inner_html("#share-qr svg")
    page.fill("#prompt textarea", "By the lake")
    page.wait_for_function(
        "(before) => document.querySelector('#share-qr svg')?.innerHTML !== before", arg=before
    )
    page.get_by_role("button", name="QR code").click()
    page.wait_for_selector("#share-qr", state="hidden")
