"""What a visitor does, in a real browser; the `visit` fixture also fails on any outside request."""

import re

import pytest

SLIDER = "#steer-sentiment input[type=range]"
NUMBER = "#steer-sentiment input[type=number]"


def test_the_page_opens_with_a_finished_example(visit) -> None:
    assert visit.text("baseline").startswith("My life is")
    assert visit.text("steered") != visit.text("baseline")
    assert "sentiment +1.5" in visit.page.inner_text("#status")


def test_generation_streams_token_by_token_into_both_columns(visit) -> None:
    visit.page.evaluate(
        """() => {
            window.seen = {baseline: new Set(), steered: new Set()};
            for (const id of ['baseline', 'steered'])
                new MutationObserver(() => window.seen[id].add(
                    document.querySelector(`#${id} .gen`)?.innerText)).observe(
                    document.querySelector(`#${id}`), {childList: true, subtree: true, characterData: true});
        }"""
    )
    visit.generate()
    seen = visit.page.evaluate("() => [window.seen.baseline.size, window.seen.steered.size]")
    assert min(seen) > 5


def test_the_first_differing_token_is_marked_in_both_columns(visit) -> None:
    marks = visit.page.locator(".first-change")
    assert marks.count() == 2
    assert marks.nth(0).inner_text() != marks.nth(1).inner_text()


def test_dragging_a_slider_with_the_mouse_regenerates(visit) -> None:
    before = visit.text("steered")
    box = visit.page.locator(SLIDER).bounding_box()
    visit.page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2, steps=5)
    visit.page.mouse.up()
    visit.page.wait_for_function("document.querySelector('#status').innerText.match(/sentiment −.*tokens.s/)")
    assert visit.text("steered") != before


def test_arrow_keys_move_a_slider_and_regenerate(visit) -> None:
    visit.page.focus(SLIDER)
    for _ in range(3):
        visit.page.keyboard.press("ArrowLeft")
    visit.page.wait_for_function("document.querySelector('#status').innerText.match(/\\+1.2.*tokens.s/)")
    assert visit.page.input_value(NUMBER) == "1.2"


def test_a_double_click_returns_a_slider_to_zero(visit) -> None:
    visit.page.dblclick(SLIDER)
    visit.page.wait_for_function(
        "document.querySelector('#status').innerText.includes('Every slider is at 0')"
    )
    visit.wait_until_done()
    assert float(visit.page.input_value(NUMBER)) == 0
    assert visit.text("steered") == visit.text("baseline")
    assert visit.page.locator(".first-change").count() == 0


def test_the_reset_button_returns_every_slider_to_zero(visit) -> None:
    visit.page.click("#reset")
    visit.page.wait_for_function(
        "document.querySelector('#status').innerText.includes('Every slider is at 0')"
    )
    assert float(visit.page.input_value(NUMBER)) == 0


def test_stop_ends_a_running_generation(visit) -> None:
    visit.page.get_by_role("button", name="Sampling").click()
    visit.page.get_by_label("number input for New tokens").fill("200")
    visit.page.keyboard.press("Tab")
    visit.page.click("#generate")
    visit.page.wait_for_function("/^[1-9]\\d* tokens …/.test(document.querySelector('#status').innerText)")
    visit.page.click("#stop")
    visit.page.wait_for_function("document.querySelector('#status').innerText.includes('Stopped')")
    stopped = visit.text("steered")
    visit.page.wait_for_timeout(1500)
    assert visit.text("steered") == stopped
    assert "Stopped" in visit.page.inner_text("#status")


def test_a_newer_prompt_supersedes_the_running_one(visit) -> None:
    visit.page.click("#generate")
    visit.page.fill("#prompt textarea", "The old lighthouse")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_function(
        "document.querySelector('#steered').innerText.startsWith('The old lighthouse')"
    )
    visit.wait_until_done()
    visit.page.wait_for_timeout(800)
    assert visit.text("baseline").startswith("The old lighthouse")


@pytest.mark.parametrize(
    "prompt", ["<script>window.hacked = 1</script> and", "<img src=x onerror='hacked=1'> 🙂"]
)
def test_markup_in_a_prompt_is_shown_as_text(visit, prompt: str) -> None:
    visit.page.fill("#prompt textarea", prompt)
    visit.generate()
    assert visit.text("baseline").startswith(prompt)
    assert visit.text("steered").startswith(prompt)
    assert visit.page.evaluate("window.hacked") is None


def test_an_empty_prompt_is_one_sentence_and_loses_nothing(visit) -> None:
    before = visit.text("steered")
    visit.page.fill("#prompt textarea", "   ")
    visit.page.click("#generate")
    visit.page.wait_for_selector("#status .note.error")
    assert "empty" in visit.page.inner_text("#status")
    assert visit.text("steered") == before
    visit.page.fill("#prompt textarea", "The garden")
    visit.page.click("#generate")
    visit.wait_until_done()
    assert visit.text("baseline").startswith("The garden")


def test_a_huge_prompt_is_cut_with_a_visible_note(visit) -> None:
    visit.page.get_by_role("button", name="Sampling").click()
    visit.page.get_by_label("number input for New tokens").fill("1")
    visit.page.fill("#prompt textarea", "word " * 20_000)
    visit.page.click("#generate")
    visit.page.wait_for_function(
        "document.querySelector('#status').innerText.includes('The prompt was cut')", timeout=400_000
    )


def test_the_continuum_reads_from_one_pole_to_the_other(visit) -> None:
    visit.page.click("#show-continuum")
    visit.page.wait_for_function("document.querySelectorAll('#continuum li').length === 9")
    visit.page.wait_for_function("document.querySelectorAll('#continuum .gen')[4].innerText.length > 60")
    epsilons = [e.replace("−", "-") for e in visit.page.locator("#continuum .eps").all_inner_texts()]
    assert [float(e) for e in epsilons] == sorted(float(e) for e in epsilons)
    ends = -float(epsilons[0]), float(epsilons[-1])
    assert 0 < min(ends) <= max(ends) == 3  # the pole that goes farther ends at 3


def test_an_offensive_pole_stays_locked_until_unlocked(visit) -> None:
    slider = visit.page.locator("#steer-detoxification input[type=range]")
    assert slider.get_attribute("min") == "0"
    visit.page.check("#unlock input")
    visit.page.wait_for_function(
        "document.querySelector('#steer-detoxification input[type=range]').min === '-5'"
    )
    assert visit.page.locator(".note.warning").count() >= 1


def test_the_words_tab_lists_words_and_draws_both_charts(visit) -> None:
    visit.page.get_by_role("tab", name="Words").click()
    visit.page.wait_for_selector("#dimensions tbody tr")
    assert re.search(r"wonderful|beautiful|joy|love", visit.page.inner_text("#dimensions"))
    visit.page.wait_for_selector("#spectrum .js-plotly-plot .bars path", state="attached")
    points = "document.querySelector('#word-map .js-plotly-plot')?.data[0].x.length"
    visit.page.wait_for_function(f"{points} > 5000")
    visit.page.get_by_label("PCA of W e").check()
    visit.page.wait_for_function("document.querySelector('#word-map').innerText.includes('component 1')")


def test_offensive_words_are_behind_a_notice(visit) -> None:
    visit.page.get_by_role("tab", name="Words").click()
    visit.page.wait_for_selector("#dimensions tbody tr")
    visit.page.get_by_label("Steer", exact=True).locator("visible=true").click()
    visit.page.get_by_role("option", name="detoxification").click()
    visit.page.wait_for_function("!document.querySelector('#dimensions tbody tr')")
    box = visit.page.get_by_label("Show offensive words (for research)")
    box.check()
    visit.page.wait_for_selector("#dimensions tbody tr")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_a_phone(visit_at, scheme: str) -> None:
    phone = visit_at(390, 844, color_scheme=scheme)
    for tab in ("Steer", "New steer", "Next word", "Words", "Highlight", "Compose"):
        phone.page.get_by_role("tab", name=tab, exact=True).click()
        phone.page.wait_for_timeout(500)
        overflow = phone.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, tab
    phone.page.context.close()


def test_the_theme_button_switches_between_light_and_dark(visit) -> None:
    dark = "document.body.classList.contains('dark')"
    before = visit.page.evaluate(dark)
    visit.page.click(".mode")
    assert visit.page.evaluate(dark) is not before
    visit.page.reload()
    visit.page.wait_for_function(f"{dark} === {str(not before).lower()}")
