"""Drive in a real browser: a text that flows while the sliders move."""

from __future__ import annotations

import csv
import io
import math
import re

from lmsteer_core.generation.live_row import Token
from lmsteer_core.ui.tabs.steer.drive_markup import DrivenText, ribbons


def written(text: str, **epsilons: float) -> Token:
    return Token(0, text, math.log(0.1), math.log(0.1), epsilons)


def test_a_token_has_the_colour_of_its_strongest_epsilon_and_is_escaped() -> None:
    page = DrivenText("<b>", [written(" <i>", joy=-1.5, rank=0.5), written(" plain")]).html()
    assert re.search(
        r'"tok minus" style="--t:0.50[^>]*title="joy −1.5, rank \+0.5">&lt;i&gt;', page
    )
    assert re.search(r'"tok" style="--t:0.00[^>]*title="every ε at 0">plain', page)
    assert "&lt;b&gt;" in page


def test_a_ribbon_tells_where_epsilon_was() -> None:
    page = ribbons(
        [written("a", joy=1.5), written("b", joy=1.5), written("c", joy=-3.0), written("d")]
    )
    assert '<rect class="plus" x="0" width="2" y="-0.50" height="0.50"/>' in page
    assert '<rect class="minus" x="2" width="1" y="0.00" height="1.00"/>' in page
    assert "ε of joy over the last 4 tokens: from −3 to +1.5, now 0" in page


def test_a_text_flows_while_the_slider_moves_pauses_and_is_saved(visit) -> None:
    page = visit.page
    page.get_by_label("Drive", exact=True).click()
    page.click("#drive-go")
    page.wait_for_selector("#drive-text .tok.plus >> nth=4", state="attached")
    page.locator("#steer-sentiment input[type=range]").fill("-2")
    page.wait_for_selector("#drive-text .tok.minus >> nth=3", state="attached")
    page.click("#drive-pause")
    page.wait_for_function("document.querySelector('#drive-status').innerText.includes('Paused')")
    before = page.inner_text("#drive-text .gen")
    assert page.locator("#drive-ribbons rect.plus").count() == 1
    assert page.locator("#drive-ribbons rect.minus").count() == 1
    page.wait_for_timeout(1500)
    assert page.inner_text("#drive-text .gen") == before
    with page.expect_download() as download:
        page.click("#drive-csv")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8-sig"))))
    epsilons = [float(row["sentiment"]) for row in rows]
    assert sorted(set(epsilons)) == [-2.0, 1.5]
    assert epsilons == sorted(epsilons, reverse=True)
    page.click("#drive-go")
    page.wait_for_function(
        "n => document.querySelectorAll('#drive-text .tok').length > n + 3", arg=len(rows)
    )
    with page.expect_download() as download:
        page.click("#drive-html")
    assert "<svg" in download.value.path().read_text(encoding="utf-8")
    page.get_by_label("Side by side", exact=True).click()
    page.wait_for_selector("#steered .gen")
    assert not page.locator("#drive").is_visible()


def test_an_empty_prompt_is_one_sentence(visit) -> None:
    visit.page.fill("#prompt textarea", "")
    visit.page.get_by_label("Drive", exact=True).click()
    visit.page.click("#drive-go")
    visit.page.wait_for_selector("#drive-status .note.error")
    assert "empty" in visit.page.inner_text("#drive-status")
