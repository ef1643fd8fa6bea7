"""The full map of the Words tab in a real browser."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lmsteer_core import LanguageModel, Steer
from lmsteer_core.analysis.word_plane import principal_plane, word_shifts
from lmsteer_core.ui.tabs.words.full_map_message import plane_message

LOCATE = "async ([word, side]) => (await window.lmsteer).wordMap.locate(word, side)"
STATUS = "document.querySelector('#full-map .selection [role=status]').innerText"


@pytest.fixture(scope="module")
def full(visit_at) -> Iterator:
    """A page whose link opens the full map."""
    visit = visit_at(1280, 900, "/#tab=words&words.steer=sentiment&words.full=1")
    for side in ("left", "right"):
        visit.page.wait_for_selector(f"#full-map [data-map={side}] figcaption >> text=→")
    visit.page.locator("#full-map").scroll_into_view_if_needed()
    yield visit
    complaints = list(visit.complaints)
    visit.page.context.close()
    assert complaints == []


def located(visit, word: str, side: str = "left") -> list[float]:
    """Bring the maps into sight; return where a word is in the window."""
    visit.page.evaluate("document.querySelector('#full-map').scrollIntoView()")
    return visit.page.evaluate(LOCATE, [word, side])


def set_epsilon(visit, value: str) -> None:
    visit.page.fill("#full-map-epsilon input[type=number]", value)
    visit.page.keyboard.press("Tab")


def choose(visit, label: str, option: str) -> None:
    visit.page.get_by_label(label, exact=True).click()
    visit.page.get_by_role("option", name=option, exact=True).click()


def status_says(visit, script: str) -> None:
    visit.page.wait_for_function(f"(text => {script})({STATUS})")


def lit(side: str = "left") -> str:
    return f"#full-map [data-map={side}] .name.lit"


def draw_around(visit, word: str, reach: float = 40) -> None:
    """Draw a lasso around a word's point on the left map."""
    x, y = located(visit, word)
    visit.page.mouse.move(x - reach, y - reach)
    visit.page.mouse.down()
    for dx, dy in ((1, -1), (1, 1), (-1, 1), (-1, -1)):
        visit.page.mouse.move(x + reach * dx, y + reach * dy, steps=3)
    visit.page.mouse.up()


def test_the_browser_puts_words_where_the_steer_does(full, lm: LanguageModel, steer: Steer) -> None:
    plane = principal_plane(lm, steer)
    message = plane_message("key", steer.card.name, plane, word_shifts(lm, steer))
    shown = full.page.evaluate(
        """async message => {
            const { parsePlane, pointAt } = await import("./modules/word_map_data.js");
            const plane = parsePlane(message);
            const all = [...plane.style.keys()];
            return [-3, 0, 1.7].map(epsilon => all.map(i => pointAt(plane, i, epsilon)));
        }""",
        message,
    )
    for epsilon, points in zip((-3, 0, 1.7), shown, strict=True):
        expected = plane.positions + epsilon * plane.moves
        torch.testing.assert_close(torch.tensor(points), expected, atol=2e-3, rtol=0)


def test_epsilon_moves_words_and_asks_nobody(full) -> None:
    set_epsilon(full, "0")
    full.page.wait_for_timeout(800)
    stage = full.page.locator("#full-map [data-map=left] .stage")
    before, picture = located(full, "wonderful"), stage.screenshot()
    n_requests = len(full.requests)
    set_epsilon(full, "3")
    full.page.wait_for_timeout(800)
    assert located(full, "wonderful")[0] > before[0] + 20
    assert stage.screenshot() != picture
    assert full.requests[n_requests:] == []
    assert full.page.input_value("#words-epsilon input[type=number]") == "3"


def test_a_lasso_makes_a_list_that_both_maps_share_and_files_hold(full, tmp_path: Path) -> None:
    choose(full, "A drag", "selects words")
    right = full.page.locator("#full-map [data-map=right] .stage")
    picture = right.screenshot()
    draw_around(full, "wonderful")
    full.page.wait_for_selector("#full-map .selection li >> text=wonderful")
    names = full.page.locator("#full-map .selection li").all_inner_texts()
    assert 1 <= len(names) < 200
    status_says(full, "text.includes(' of ') && text.includes('logits')")
    assert right.screenshot() != picture
    files = {}
    for kind in ("csv", "json"):
        with full.page.expect_download() as download:
            full.page.click(f"#full-map [data-save={kind}]")
        files[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[kind])
    rows = list(csv.DictReader(files["csv"].read_text(encoding="utf-8").splitlines()))
    assert [row["word"] for row in rows] == names
    held = json.loads(files["json"].read_text(encoding="utf-8"))
    assert held["steer"] == "sentiment"
    assert [row["word"] for row in held["words"]] == names
    assert float(rows[0]["map1_dx"]) == held["words"][0]["map1_dx"]
    full.page.click("#full-map [data-clear]")
    status_says(full, "text.startsWith('No word')")
    assert full.page.is_disabled("#full-map [data-save=csv]")
    choose(full, "A drag", "moves the map")


def test_keys_select_a_cluster_and_what_is_in_sight(full) -> None:
    full.page.click("#full-map .clusters summary")
    name = full.page.locator("#full-map .clusters button").first
    name.focus()
    full.page.keyboard.press("Enter")
    count = name.inner_text().rsplit("(", 1)[1].rstrip(")")
    status_says(full, f"text.startsWith('{count} of ')")
    full.page.click("#full-map .clusters summary")
    full.page.focus("#full-map [data-map=left] .stage")
    for _ in range(12):
        full.page.keyboard.press("+")
    full.page.click("#full-map [data-sight]")
    status_says(full, f"!text.startsWith('{count} of ')")
    full.page.focus("#full-map [data-map=left] .stage")
    full.page.keyboard.press("0")
    full.page.keyboard.press("Escape")
    status_says(full, "text.startsWith('No word')")


def test_a_word_that_is_pointed_at_lights_up_on_both_maps(full) -> None:
    x, y = located(full, "wonderful")
    full.page.mouse.move(x - 1, y)
    full.page.mouse.move(x, y)
    full.page.wait_for_selector(lit())
    left, right = (full.page.inner_text(lit(side)) for side in ("left", "right"))
    assert left == right
    assert full.page.locator("#full-map .spot:visible").count() == 2


def test_a_click_pins_a_word_on_all_maps(full) -> None:
    set_epsilon(full, "3")
    full.page.wait_for_timeout(800)
    x, y = located(full, "wonderful")
    full.page.fill("#words-pins textarea", "")
    full.page.mouse.click(x, y)
    full.page.wait_for_function("document.querySelector('#words-pins textarea').value")
    pinned = full.page.input_value("#words-pins textarea")
    full.page.mouse.move(x, y - 500)  # a pinned word that is pointed at has one name
    for side in ("left", "right"):
        named = f"#full-map [data-map={side}] .name:is(.pin, .lit) >> text={pinned}"
        full.page.wait_for_selector(named, state="attached")


def test_a_word_on_another_tab_lights_up_here(full) -> None:
    full.page.get_by_role("tab", name="Next word", exact=True).click()
    full.page.locator(".nw-words:visible .word", has_text="stunning").first.hover()
    full.page.get_by_role("tab", name="Words", exact=True).click()
    full.page.locator("#full-map").scroll_into_view_if_needed()
    full.page.wait_for_selector(f"{lit()} >> text=stunning")


def test_a_map_can_be_kept_in_sight_and_lights_up_at_once(full) -> None:
    full.page.click("#full-map [data-keep]")
    full.page.get_by_role("tab", name="Next word", exact=True).click()
    full.page.locator(".nw-words:visible .word", has_text="terrible").first.hover()
    full.page.wait_for_selector(".kept-map .name.lit >> text=terrible")
    full.page.click(".kept-map [data-release]")
    full.page.wait_for_selector(".kept-map", state="detached")
    full.page.get_by_role("tab", name="Words", exact=True).click()
    full.page.wait_for_selector("#full-map [data-map=left] .stage")


def test_colours_axes_and_the_second_map_are_a_choice_away(full) -> None:
    stage = full.page.locator("#full-map [data-map=left] .stage")
    pictures = set()
    for colour in ("Frequency", "Cluster", "Style"):
        choose(full, "Colour", colour)
        full.page.wait_for_timeout(600)
        pictures.add(stage.screenshot())
    assert len(pictures) == 3
    choose(full, "Beside it", "No second map")
    full.page.wait_for_selector("#full-map [data-map=right]", state="hidden")
    choose(full, "Axes", "Principal axes of all words")
    full.page.wait_for_selector("#full-map [data-map=left] figcaption >> text=principal axis 1")
    choose(full, "Axes", "The steer's dimensions")
    choose(full, "Beside it", "Principal axes of all words")
    full.page.wait_for_selector("#full-map [data-map=right]", state="visible")


def test_another_steer_keeps_the_selection(full) -> None:
    choose(full, "A drag", "selects words")
    draw_around(full, "wonderful")
    full.page.wait_for_selector("#full-map .selection li >> text=wonderful")
    count = full.page.evaluate(STATUS).split(" of ")[0]
    before = full.page.inner_text("#full-map [data-map=left] figcaption")
    full.page.click("#words-steer input")
    full.page.get_by_role("option", name="formality", exact=True).click()
    full.page.wait_for_function(
        "old => document.querySelector('#full-map [data-map=left] figcaption').innerText !== old",
        arg=before,
    )
    status_says(full, f"text.startsWith('{count} of ')")


def test_both_maps_fit_a_phone(visit_at) -> None:
    visit = visit_at(390, 844, "/#tab=words&words.full=1")
    visit.page.wait_for_selector("#full-map [data-map=right] figcaption >> text=→")
    visit.page.locator("#full-map [data-keep]").scroll_into_view_if_needed()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.page.context.close()
    assert visit.complaints == []
