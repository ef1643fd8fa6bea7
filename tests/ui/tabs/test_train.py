"""A steer of one's own, in a real browser; it is trained once and looked at by several tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

SLIDER = "#steer-own-1 input[type=number]"
MORE, LESS = "a sailor's rough tale of storms and ships", "a dull memo on office rules"


def open_tab(visit) -> None:
    visit.page.get_by_role("tab", name="New steer").click()
    visit.page.wait_for_selector("#train-make")


def status_says(visit, pattern: str) -> None:
    visit.page.wait_for_function(
        "pattern => RegExp(pattern).test(document.querySelector('#train-status').innerText)",
        arg=pattern,
        timeout=240_000,
    )


def describe(visit, more: str = MORE, less: str = LESS, name: str = "sailor") -> None:
    visit.page.fill("#train-positive textarea", more)
    visit.page.fill("#train-negative textarea", less)
    visit.page.fill("#train-name input", name)


@pytest.fixture(scope="module")
def made(visit_at) -> Iterator:
    """A page that has made a steer of two descriptions."""
    visit = visit_at(1280, 900)
    open_tab(visit)
    describe(visit)
    visit.page.wait_for_function(
        "document.querySelector('#train-understood').innerText.includes('sailor')"
    )
    visit.page.click("#train-make")
    visit.page.wait_for_selector("#train-status [role=progressbar]")
    status_says(visit, "is made|rror")
    yield visit
    complaints = list(visit.complaints)
    visit.page.context.close()
    assert complaints == []


@pytest.fixture
def form(shared):
    """A page that has made nothing; its form is filled in again and again."""
    open_tab(shared)
    return shared


def test_a_made_steer_shows_its_words_its_strength_and_both_ends(made) -> None:
    assert "sailor is made" in made.page.inner_text("#train-status")
    made.page.wait_for_selector("#train-words tbody tr")
    made.page.wait_for_selector("#train-curve .js-plotly-plot .points path", state="attached")
    made.page.wait_for_function("document.querySelectorAll('#train-sample li').length === 3")
    epsilons = made.page.locator("#train-sample .eps").all_inner_texts()
    assert epsilons[1] == "0"
    assert epsilons[0].startswith("−")
    assert "3" in epsilons[0] + epsilons[2]


def test_its_slider_is_on_the_steer_tab_and_changes_the_text(made) -> None:
    made.page.click("#train-open")
    made.page.wait_for_selector(SLIDER)
    assert "sailor" in made.page.inner_text("#own-1-box")
    assert "dull memo" in made.page.inner_text("#own-1-box .poles .minus")
    before = made.text("steered")
    made.page.fill(SLIDER, "2")
    made.page.keyboard.press("Tab")
    made.page.wait_for_function(
        "document.querySelector('#status').innerText.match(/sailor \\+2.*tokens.s/)"
    )
    assert made.text("steered") != before


def test_its_track_is_shaded_by_its_own_limits(made) -> None:
    made.page.get_by_role("tab", name="Steer", exact=True).click()
    track = (
        "getComputedStyle(document.querySelector('#{} "
        "input[type=range]')).getPropertyValue('--useful-high')"
    )
    shipped = float(made.page.evaluate(track.format("steer-sentiment")))
    assert 0 < shipped <= 3
    low, high = (
        float(made.page.evaluate(track.format("steer-own-1").replace("high", end)))
        for end in ("low", "high")
    )
    assert low < 0 < high
    assert max(-low, high) == pytest.approx(3, abs=0.01)


def test_it_can_be_chosen_on_every_other_tab(made) -> None:
    made.page.get_by_role("tab", name="Steer", exact=True).click()
    made.page.click("#continuum-steer input")
    assert made.page.get_by_role("option", name="sailor").count() == 1
    made.page.keyboard.press("Escape")
    made.page.get_by_role("tab", name="Words").click()
    made.page.click("#words-steer input")
    made.page.get_by_role("option", name="sailor").click()
    made.page.wait_for_function(
        "document.querySelector('#dimensions').innerText.includes('dull memo')"
    )
    made.page.get_by_role("tab", name="Highlight").click()
    made.page.locator("#highlight-steer").get_by_label("sailor").check()
    made.page.wait_for_function(
        "document.querySelector('#highlighted .tok[title*=memo], #highlighted .tok[title*=sailor]')"
    )


def test_an_emptied_number_box_means_nothing_yet(made) -> None:
    made.page.get_by_role("tab", name="Steer", exact=True).click()
    made.page.fill(SLIDER, "")
    made.page.wait_for_timeout(600)
    assert made.page.locator(".toast-body").count() == 0
    assert "sailor +2" in made.page.inner_text("#status")


def test_a_download_is_another_visitors_upload_and_only_then_their_steer(
    made, form, tmp_path: Path
) -> None:
    open_tab(made)
    with made.page.expect_download() as download:
        made.page.click("#train-download")
    kept = tmp_path / download.value.suggested_filename
    download.value.save_as(kept)
    assert kept.name == "sailor.zip"

    form.page.get_by_role("tab", name="Steer", exact=True).click()
    assert not form.page.locator("#own-1-box").is_visible()
    open_tab(form)
    form.page.get_by_role("button", name="Or upload a steer").click()
    (tmp_path / "notes.zip").write_text("just a note")
    form.page.set_input_files("#train-upload input[type=file]", tmp_path / "notes.zip")
    status_says(form, "not a zip")
    form.page.set_input_files("#train-upload input[type=file]", kept)
    status_says(form, "sailor is here")
    form.page.wait_for_selector("#train-words tbody tr")

    form.page.click("#train-remove")
    status_says(form, "removed")
    form.page.get_by_role("tab", name="Steer", exact=True).click()
    form.page.wait_for_function("!document.querySelector('#own-1-box')?.checkVisibility()")
    assert made.page.locator("#train-own input").input_value() == "sailor"


def test_cancel_stops_the_work_and_keeps_what_was_typed(form) -> None:
    describe(form)
    form.page.click("#train-make")
    form.page.wait_for_selector("#train-status [role=progressbar]")
    form.page.click("#train-cancel")
    status_says(form, "Cancelled")
    assert form.page.input_value("#train-positive textarea") == MORE
    assert not form.page.locator("#train-results").is_visible()
    form.page.click("#train-make")  # the one place for trainings is free again
    status_says(form, r"\d %|\d%")
    assert "Waiting" not in form.page.inner_text("#train-status")
    form.page.click("#train-cancel")
    status_says(form, "Cancelled")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"more": "", "less": LESS}, "empty"),
        ({"more": LESS, "less": LESS}, "the same"),
        ({"more": "storm " * 5000}, "too long"),
        ({"name": "sentiment"}, "already here"),
        ({"name": "<script>hacked=1</script>"}, "name is 1–64"),
    ],
)
def test_a_mistake_is_one_sentence_and_loses_nothing(
    form, typed: dict[str, str], told: str
) -> None:
    describe(form, **typed)
    form.page.click("#train-make")
    status_says(form, told)
    assert form.page.locator("#train-status .note.error").count() == 1
    assert form.page.input_value("#train-negative textarea") == LESS
    assert form.page.evaluate("window.hacked") is None


def test_too_few_examples_are_one_sentence_and_stay(form) -> None:
    form.page.get_by_label("Examples", exact=True).check()
    form.page.fill(
        "#train-more textarea", "Ahoy there!\nThe <script>hacked=1</script> storm is near."
    )
    form.page.fill("#train-less textarea", "See the form.\nSign it.\nSend it.")
    form.page.wait_for_selector("#train-understood .note.error")
    form.page.get_by_label("Descriptions", exact=True).check()
    form.page.get_by_label("Examples", exact=True).check()
    assert "Ahoy" in form.page.input_value("#train-more textarea")
    assert form.page.evaluate("window.hacked") is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            b"text,label\n" + b"".join(b"text %d,%d\n" % (i, i % 2 * 2 - 1) for i in range(1500)),
            "1,500 texts",
        ),
        (b"review,stars\ngood,5\n", "columns text and label"),
        (b"text,label\ngood,1\nfine,1\n", "Both poles"),
        (b"text,label\ngood,7\n", "from −1 to 1"),
        (bytes(range(256)), "UTF-8"),
        (b"text,label\ngo\0od,1\n", "NUL"),
    ],
)
def test_a_file_is_understood_or_its_mistake_told(
    form, tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    form.page.get_by_label("Labelled file").check()
    form.page.wait_for_selector("#train-file input[type=file]", state="attached")
    form.page.set_input_files("#train-file input[type=file]", tmp_path / "rows.csv")
    form.page.wait_for_function(
        "told => document.querySelector('#train-understood').innerText.includes(told)", arg=told
    )
    form.page.get_by_label("Clear").locator("visible=true").click()
