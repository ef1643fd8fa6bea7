"""The Compose tab in a real browser, and the HTML it is made of."""

import dataclasses
import re
from typing import Any

import pytest
from playwright.sync_api import Page

from lmsteer_core import SteerCard
from lmsteer_core.ui.figures.plane import Heat, cells, colour_bar
from lmsteer_core.ui.markup.format import percent
from lmsteer_core.ui.tabs.compose.markup import pad_html
from lmsteer_core.ui.tabs.compose.setting import COARSE_GRID, Setting
from lmsteer_core.ui.tabs.examples import PLANE_EXAMPLES

PLANE = ".compose-plane"
NUMBERS = "#compose-across input[type=number]", "#compose-up input[type=number]"


@dataclasses.dataclass(frozen=True)
class Named:
    """A steer as far as the pad looks at it."""

    card: SteerCard

    @property
    def name(self) -> str:
        return self.card.name


def setting(*, notice: str = "", negative: str = "sad", is_unlocked: bool = False) -> Setting:
    first: Any = Named(SteerCard("mood", negative, "glad", "tiny", epsilon_range=(-3.0, 1.5)))
    second: Any = Named(SteerCard("tone", "rude", "clean", "tiny", notice=notice))
    return Setting("Hi", first, second, (), is_unlocked)


def test_the_pad_names_the_four_cases_and_escapes_them() -> None:
    html = pad_html(setting(negative="<script>sad"), (1.0, -0.5))
    for case in ("(+, +)</b> glad and clean", "(−, −)</b> &lt;script&gt;sad and rude"):
        assert case in html
    assert "<script" not in html
    assert "left:0.00%;right:25.00%;bottom:0.00%;top:0.00%" in html


def test_only_a_notice_locks_a_pole_until_it_is_unlocked() -> None:
    locked = setting(notice="Careful.")
    assert (locked.lows(), locked.is_locked(-1, 0), locked.is_locked(0, -0.1)) == (
        (-3.0, 0.0),
        False,
        True,
    )
    assert 'class="locked up"' in pad_html(locked, (0, 0))
    for free in (setting(), setting(notice="Careful.", is_unlocked=True)):
        assert not free.is_locked(-3, -3)
        assert 'class="locked' not in pad_html(free, (0, 0))


def test_cells_lie_where_their_epsilon_is_and_tell_their_sign() -> None:
    values: list[list[float | None]] = [[None, -2.0], [1.0, 0.0]]
    labels = [["locked", "−2.00"], ["<b>", "0.00"]]
    drawn = cells(Heat("style", [-1.5, 1.5], values, labels, is_signed=True))
    assert drawn.count("<rect") == 3
    assert '<rect class="minus" style="--t:1.00" x="0" y="0" width="3" height="3"/>' in drawn
    assert '<rect class="plus" style="--t:0.50" x="-3" y="-3"' in drawn
    assert "−2.00" in drawn and "&lt;b&gt;" in drawn
    fine = cells(Heat("p", [0.0, 0.25], [[0.0, 0.0]] * 2, [["0 %"] * 2] * 2))
    assert 'class="plain" style="--t:0.00"' in fine and "<text" not in fine
    assert "P(“&lt;i&gt;”)" in colour_bar(Heat("P(“<i>”)", [0.0], [[0.1]], [["10 %"]]), "0", "10 %")


def test_coarse_cells_cover_the_plane() -> None:
    assert COARSE_GRID[0] - 0.6 == pytest.approx(-3) and COARSE_GRID[-1] + 0.6 == pytest.approx(3)
    assert {b - a for a, b in zip(COARSE_GRID, COARSE_GRID[1:], strict=False)} == {1.2}


@pytest.mark.parametrize(
    ("p", "text"), [(0.5, "50 %"), (0.0321, "3.2 %"), (0.00012, "0.012 %"), (1e-9, "< 0.01 %")]
)
def test_probabilities_are_written_in_percent(p: float, text: str) -> None:
    assert percent(p) == text.replace(" ", "\u00a0")


def opened(visit) -> Page:
    tab = visit.page.get_by_role("tab", name="Compose")
    if tab.is_visible():
        tab.click()
    else:  # on a phone the last tabs are in a menu
        visit.page.locator(".overflow-menu > button").click()
        visit.page.locator(".overflow-dropdown button", has_text="Compose").click()
    visit.page.wait_for_selector(f"{PLANE} rect")
    return visit.page


def finished(page: Page, setting: str) -> None:
    page.wait_for_function(
        "(s) => new RegExp(s + "
        "'.*[.]$').test(document.querySelector('#compose-status')?.innerText)",
        arg=setting,
    )


def at(page: Page) -> tuple[float, ...]:
    return tuple(float(page.input_value(box)) for box in NUMBERS)


def write(page: Page, prompt: str) -> None:
    page.fill("#compose-prompt textarea", prompt)
    page.click("#compose-go")


def test_the_point_moves_by_mouse_keys_and_numbers(visit) -> None:
    page = opened(visit)
    first = PLANE_EXAMPLES[0]
    finished(page, f"{first.across} \\+{first.point[0]}")
    assert at(page) == first.point
    assert page.locator(f"{PLANE} rect").count() == 625
    assert re.search(r"\d\u00a0%", page.inner_text(".compose-readout"))
    box = page.locator(PLANE).bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 6, box["y"] + box["height"] / 6)
    assert f"{first.across} −2, {first.up} +2" in page.inner_text(".compose-readout")
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] * 2 / 3, steps=4)
    page.mouse.up()
    finished(page, f"{first.across} −1, {first.up} −1")
    assert at(page) == (-1, -1)
    handle = page.locator(f"{PLANE} .handle")
    assert handle.evaluate("(e) => e === document.activeElement")
    for key in ("ArrowRight", "Shift+ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    assert f"{first.across} −0.9, {first.up} −0.6" in (handle.get_attribute("aria-valuetext") or "")
    page.wait_for_function(f"Number(document.querySelector('{NUMBERS[1]}').value) === -0.6")
    page.fill(NUMBERS[0], "1.5")
    page.keyboard.press("Tab")
    page.wait_for_function(f"document.querySelector('{PLANE} .handle').style.left === '75%'")
    handle.focus()
    page.keyboard.press("Home")
    page.wait_for_function(
        "document.querySelector('#compose-status').innerText.includes('base model')"
    )
    assert page.inner_text("#compose-steered .gen") == page.inner_text("#compose-baseline .gen")


def test_presets_set_everything_and_offensive_poles_stay_locked(visit) -> None:
    page = opened(visit)
    locked = PLANE_EXAMPLES[-1]
    page.get_by_role("button", name=locked.label).click()
    page.wait_for_selector(f"{PLANE} .locked.up")
    finished(page, f"{locked.across} −2.5, {locked.up} \\+2")
    assert page.input_value("#compose-word textarea, #compose-word input") == locked.word
    assert locked.lesson[:30] in page.inner_text("#compose-told")
    assert "negative and clean" in page.inner_text(".compose-pad")
    assert "offensive" in page.inner_text("#compose-notice")
    assert page.locator(f"{PLANE} rect").count() == 13 * 25
    page.locator(f"{PLANE} .handle").focus()
    for _ in range(6):
        page.keyboard.press("Shift+ArrowDown")
    page.wait_for_function(f"Number(document.querySelector('{NUMBERS[1]}').value) === 0")
    page.check("#compose-unlock input")
    page.wait_for_selector(f"{PLANE} .locked.up", state="detached")
    page.wait_for_function(f"document.querySelectorAll('{PLANE} rect').length === 625")
    assert page.get_attribute("#compose-up input[type=range]", "min") == "-3"
    page.uncheck("#compose-unlock input")
    page.wait_for_selector(f"{PLANE} .locked.up")


def test_both_maps_tell_numbers_and_a_third_steer_can_be_held(visit) -> None:
    page = opened(visit)
    page.fill("#compose-word textarea, #compose-word input", "sesquipedalian")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "document.querySelector('#compose-map-status').innerText.includes('its first')"
    )
    page.get_by_role("button", name="The map's numbers as a table").click()
    page.wait_for_function("document.querySelectorAll('#compose-table tbody tr').length === 13")
    page.get_by_label("Style of the text").check()
    page.wait_for_function(
        "document.querySelector('#compose-map-status').innerText.includes('button')"
    )
    assert page.locator(f"{PLANE} rect").count() == 0
    page.click("#compose-score")
    page.wait_for_selector(f"{PLANE} text")
    assert page.locator(f"{PLANE} rect").count() == 25
    numbers = page.locator(f"{PLANE} text").all_text_contents()
    assert all(re.fullmatch(r"[+−]\d+\.\d\d", number) for number in numbers)
    assert float(numbers[12 - 2].replace("−", "-")) < float(numbers[12 + 2].replace("−", "-"))
    assert "“" in page.inner_text(".compose-readout")
    assert page.locator("#compose-table tbody tr").count() == 25
    assert "not an outside judge" in page.inner_text("#compose-map-status")
    page.locator("#compose-judge input").nth(1).check()
    page.wait_for_function(
        f"document.querySelector('#compose-key').innerText.includes('{PLANE_EXAMPLES[0].up}')"
    )
    assert page.locator(f"{PLANE} text").all_text_contents() != numbers
    page.get_by_role("button", name="A third steer").click()
    page.get_by_label("Third steer, held").click()
    page.get_by_role("option", name="pirate", exact=True).locator("visible=true").click()
    page.wait_for_selector("#compose-held input[type=number]")
    page.fill("#compose-held input[type=number]", "2")
    page.keyboard.press("Tab")
    finished(page, "pirate \\+2")
    assert page.locator(f"{PLANE} rect").count() == 0  # the style map was another setting's
    page.click("#compose-score")
    page.wait_for_function(
        "document.querySelector('#compose-map-status').innerText.includes('Writing')"
    )
    write(page, "My neighbour is a")  # ends the map of the prompt before
    page.wait_for_function(
        "document.querySelector('#compose-map-status').innerText.includes('button')"
    )
    assert page.locator(f"{PLANE} rect").count() == 0
    page.locator("#compose-kind").get_by_label("None").check()
    page.wait_for_selector("#compose-map-status .note", state="detached")


def test_any_prompt_is_survived(visit) -> None:
    page = opened(visit)
    finished(page, "")
    before = page.inner_text("#compose-steered")
    write(page, "   ")
    page.wait_for_selector("#compose-status .note.error")
    assert "empty" in page.inner_text("#compose-status")
    assert PLANE_EXAMPLES[0].lesson not in page.inner_text("#compose-told")
    assert page.inner_text("#compose-steered") == before
    assert page.locator(f"{PLANE} rect").count() == 625
    for prompt in (
        "<script>window.hacked = 1</script><img src=x onerror='hacked=1'>",
        "今天天气很好 🙂🎉",
        "a",
    ):
        write(page, prompt)
        page.wait_for_function(
            "(p) => document.querySelector('#compose-steered .gen').innerText.startsWith(p)",
            arg=prompt,
        )
    assert page.evaluate("window.hacked") is None
    page.fill("#compose-word textarea, #compose-word input", "<b>天🙂")
    write(page, "word " * 20_000)
    page.wait_for_function(
        "document.querySelector('#compose-map-status').innerText.includes('last 1000')"
    )
    page.wait_for_function(
        "document.querySelector('#compose-steered').innerText.includes('word word')"
    )
    finished(page, "")
    page.get_by_role("button", name="A third steer").click()
    page.fill("#compose-seed input", "")
    page.click("#compose-go")
    page.wait_for_function(
        "document.querySelector('#compose-status').innerText.includes('seed is empty')"
    )
    page.get_by_label("Up: ε₂").click()
    page.get_by_role("option", name=PLANE_EXAMPLES[0].across, exact=True).click()
    page.wait_for_function(
        "document.querySelector('#compose-status').innerText.includes('different steers')"
    )


def test_compose_fits_a_phone_in_either_theme(visit_at) -> None:
    phone = visit_at(390, 844, has_touch=True)
    page = opened(phone)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for _ in range(2):
        assert page.evaluate(overflow) <= 0
        page.click(".mode")
    page.locator(PLANE).scroll_into_view_if_needed()
    box = page.locator(PLANE).bounding_box()
    assert box
    assert box["width"] > 250 and box["width"] == pytest.approx(box["height"], abs=1)
    assert page.locator(PLANE).evaluate("(e) => getComputedStyle(e).touchAction") == "none"
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
    page.wait_for_function(f"Number(document.querySelector('{NUMBERS[1]}').value) === 1")
    assert at(page) == pytest.approx((0, 1), abs=0.1)
    phone.page.context.close()
