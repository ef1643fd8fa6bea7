"""A page that loses its connection and comes back keeps its steers; nobody else ever has them."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from support.proxy import Proxy

SECONDS_AWAY = 20


@pytest.fixture
def proxy(app_url: str) -> Iterator[Proxy]:
    with Proxy(urlsplit(app_url).port or 0) as proxy:
        yield proxy


@pytest.fixture
def page(browser, proxy):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(240_000)
    page.goto(f"http://127.0.0.1:{proxy.port}")
    page.wait_for_function("document.querySelector('#status')?.innerText.trim()")
    yield page
    context.close()


def open_tab(page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


@pytest.mark.long
def test_a_page_that_comes_back_keeps_its_steers_and_nobody_else_has_them(
    page, proxy, visit
) -> None:
    open_tab(page, "New steer")
    page.fill("#train-positive textarea", "a pirate's rough tale of storm and rum")
    page.fill("#train-negative textarea", "a dull memo of an office")
    page.fill("#train-name input", "sailor")
    page.click("#train-make")
    page.wait_for_selector("#train-status [role=progressbar]")

    proxy.cut()  # in training: gradio loads the page anew when it is back
    page.wait_for_timeout(1000 * SECONDS_AWAY)
    with page.expect_event("load"):
        proxy.mend()
    open_tab(page, "New steer")
    page.wait_for_function(
        "document.querySelector('#train-status').innerText.includes('sailor is made')"
    )
    assert page.input_value("#train-own input") == "sailor"
    open_tab(page, "Steer")
    page.wait_for_selector("#own-1-box")
    assert "dull memo" in page.inner_text("#own-1-box .poles .minus")

    proxy.cut()  # after: where nothing is under way, gradio does not notice and keeps the page
    page.wait_for_timeout(2000)
    proxy.mend()
    page.wait_for_timeout(5000)  # it looks for a lost server every 2 s
    open_tab(page, "Steer")
    page.wait_for_selector("#own-1-box")
    page.fill("#own-1-box input[type=number]", "2")
    page.keyboard.press("Tab")
    page.wait_for_function(
        "document.querySelector('#status').innerText.match(/sailor \\+2.*tokens.s/)"
    )

    page.reload()
    page.wait_for_selector("#own-1-box")

    stranger = visit.page
    assert not stranger.locator("#own-1-box").is_visible()
    stranger.reload()
    stranger.wait_for_function("document.querySelector('#status')?.innerText.trim()")
    open_tab(stranger, "New steer")
    assert not stranger.locator("#train-results").is_visible()
    assert "sailor" not in stranger.content()
