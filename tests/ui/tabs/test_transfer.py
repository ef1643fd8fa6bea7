"""A steer carried to a second model, in a real browser.

It is carried once and looked at by several tests.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def open_tab(visit) -> None:
    visit.page.get_by_role("tab", name="Transfer").click()
    visit.page.wait_for_function(
        "document.querySelector('#transfer-steer input').value === 'sentiment'"
    )


def choose(visit, box: str, name: str) -> None:
    visit.page.click(f"#{box} input")
    visit.page.get_by_role("option", name=name).click()


def status_says(visit, pattern: str) -> None:
    visit.page.wait_for_function(
        "pattern => RegExp(pattern).test(document.querySelector('#transfer-status').innerText)",
        arg=pattern,
        timeout=240_000,
    )


def test_the_tab_opens_with_what_to_expect(visit) -> None:
    open_tab(visit)
    assert "What to expect" in visit.page.inner_text("#transfer-about")


@pytest.fixture(scope="module")
def carried(visit_at) -> Iterator:
    """A page that has carried the sentiment steer to the tiny model."""
    visit = visit_at(1280, 900)
    open_tab(visit)
    assert visit.page.input_value("#transfer-to input")  # another model than the app's stands there
    choose(visit, "transfer-to", "tiny/random")
    visit.page.click("#transfer-go")
    visit.page.wait_for_selector("#transfer-status [role=progressbar]")
    status_says(visit, r"\.$")  # a progress line ends otherwise
    yield visit
    complaints = list(visit.complaints)
    visit.page.context.close()
    assert complaints == []


def test_the_report_tells_how_the_words_of_both_models_fit(carried) -> None:
    assert "sentiment is carried to tiny/random" in carried.page.inner_text("#transfer-status")
    told = carried.page.inner_text("#transfer-report")
    assert "share 4" in told
    assert "% of the variance" in told
    assert carried.page.locator("#transfer-report tbody tr").count() == 8
    carried.page.wait_for_selector("#transfer-curve .js-plotly-plot .points path", state="attached")


def test_one_prompt_is_written_on_both_models(carried) -> None:
    carried.page.fill("#transfer-prompt textarea", "The <b>bus</b> was")
    carried.page.click("#transfer-write")
    for side in ("source", "target"):
        carried.page.wait_for_function(
            "side => [...document.querySelectorAll(`#transfer-${side} .gen`)]"
            ".filter(line => /^The <b>bus<.b> was.{5}/s.test(line.innerText)).length === 3",
            arg=side,
        )
        assert carried.page.locator(f"#transfer-{side} .eps").all_inner_texts() == ["−2", "0", "+2"]


def test_the_download_is_a_steer_of_the_other_model(carried, tmp_path: Path) -> None:
    with carried.page.expect_download() as download:
        carried.page.click("#transfer-download")
    download.value.save_as(tmp_path / "kept.zip")
    card = zipfile.ZipFile(tmp_path / "kept.zip").read("card.json").decode()
    assert '"model_id": "tiny/random"' in card
    assert '"method": "transferred by behaviour"' in card


def test_one_model_twice_and_a_steer_there_is_not_are_one_sentence_each(shared) -> None:
    open_tab(shared)
    choose(shared, "transfer-to", "SmolLM2")
    shared.page.click("#transfer-go")
    status_says(shared, "two different models")
    choose(shared, "transfer-from", "tiny/random")
    status_says(shared, "no steers yet")
    shared.page.click("#transfer-go")
    status_says(shared, "Choose a steer")
    assert not shared.page.locator("#transfer-results").is_visible()
