"""The drawer on a token, in a browser."""

from __future__ import annotations

import re

from playwright.sync_api import Page

PARTS = "#inspector:not([aria-busy=true]) .inspector-parts"


def column(page: Page) -> list[float]:
    """Return the numbers of the sum: the steers, the normaliser, and the shift."""
    cells = page.locator(PARTS).first.locator("td.num").all_inner_texts()
    return [float(cell.replace("−", "-")) for cell in cells]


def test_a_token_is_opened_by_keyboard_and_its_bars_sum_to_the_shift(visit) -> None:
    page = visit.page
    assert page.locator("#steered .tok[tabindex]").count() == 1
    page.locator("#steered .tok[tabindex='0']").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    fourth = page.locator("#steered .tok[data-place]").nth(3)
    assert fourth.evaluate("token => token === document.activeElement")
    assert fourth.get_attribute("role") == "button"
    page.keyboard.press("Enter")
    page.wait_for_selector(PARTS)
    *parts, shift = column(page)
    assert abs(sum(parts) - shift) < 2e-4
    assert page.get_by_role("dialog", name="Token inspector").is_visible()
    word = fourth.inner_text()
    assert word in page.inner_text("#inspector h2")
    page.get_by_role("button", name="Token after").click()
    page.wait_for_function(
        "word => !document.querySelector('#inspector h2').innerText.includes(word)", arg=word
    )
    page.keyboard.press("Escape")
    assert page.locator("#inspector").is_hidden()
    assert (
        page.locator("#steered .tok[data-place]")
        .nth(4)
        .evaluate("token => token === document.activeElement")
    )


def test_both_columns_go_on_from_another_token(visit) -> None:
    page = visit.page
    page.locator("#steered .tok[data-place]").nth(2).click()
    page.wait_for_selector(PARTS)
    button = page.locator(".inspector-lists table").nth(1).locator("tr:not([aria-current]) button")
    word = button.first.inner_text().replace("␣", " ")
    button.first.click()
    page.wait_for_function("document.querySelector('#status').innerText.includes('A branch')")
    assert page.locator("#inspector").is_hidden()
    baseline, steered = visit.text("baseline"), visit.text("steered")
    begun = steered.index(word) + len(word)
    assert baseline[:begun] == steered[:begun]
    assert page.locator("#baseline .tok.chosen").inner_text() == word.strip()
    assert page.locator("#steered .tok.chosen").inner_text() == word.strip()


def test_a_tint_by_surprise_and_the_perplexity_of_each_column(visit) -> None:
    page = visit.page
    heads = page.locator("#baseline, #steered").locator(
        "xpath=ancestor::*[contains(@class, 'card')]"
    )
    assert heads.count() == 2
    for head in heads.all():
        assert float(re.findall(r"perplexity ([\d.]+)", head.inner_text())[0]) > 1
    look = "token => getComputedStyle(token).backgroundColor"
    token = page.locator("#steered .tok.plus").first
    before = token.evaluate(look)
    page.locator("#steered-tints, .tints").first.get_by_label("surprise").check()
    assert token.evaluate(look) != before
    assert page.get_by_text("−log p under the unsteered").first.is_visible()
    page.locator(".tints").first.get_by_label("steering").check()
    assert token.evaluate(look) == before


def test_on_a_phone_it_is_a_sheet_below_the_token(visit_at) -> None:
    visit = visit_at(390, 844, has_touch=True, is_mobile=True)
    page = visit.page
    token = page.locator("#steered .tok[data-place]").nth(5)
    token.tap()
    page.wait_for_selector(PARTS)
    sheet, at = page.locator("#inspector").bounding_box(), token.bounding_box()
    assert sheet and at
    assert sheet["x"] == 0
    assert sheet["width"] == 390
    assert at["y"] + at["height"] <= sheet["y"]
    for button in page.locator("#inspector button").all():
        box = button.bounding_box()
        assert box
        assert box["height"] >= 44
    page.context.close()
