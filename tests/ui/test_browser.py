"""What a visitor does, in a real browser; the `visit` fixture also fails on any outside request."""

import math
import re

import pytest
from markupsafe import Markup

from lmsteer_core.generation.live_row import Token
from lmsteer_core.ui.markup.tokens import Continuation
from lmsteer_core.ui.page.live_view import LivePanel, LiveView
from lmsteer_core.ui.tabs.steer.drive_markup import DrivenText

SLIDER = "#steer-sentiment input[type=range]"
NUMBER = "#steer-sentiment input[type=number]"


@pytest.fixture
def steer(shared):
    """The module's page on the Steer tab; every test sets what it needs."""
    shared.page.get_by_role("tab", name="Steer", exact=True).click()
    return shared


def epsilon(visit) -> float:
    return float(visit.page.input_value(NUMBER))


def test_the_page_opens_with_a_finished_example_and_its_first_change(visit) -> None:
    assert visit.text("baseline").startswith("My life is")
    assert visit.text("steered") != visit.text("baseline")
    assert "sentiment +1.5" in visit.page.inner_text("#status")
    marks = visit.page.locator(".first-change")  # the first token that differs, in both columns
    assert marks.count() == 2
    assert marks.nth(0).inner_text() != marks.nth(1).inner_text()


def test_generation_streams_token_by_token_into_both_columns(steer) -> None:
    steer.page.fill("#prompt textarea", "The first snow")
    steer.page.evaluate(
        """() => {
            window.seen = {baseline: new Set(), steered: new Set()};
            for (const id of ['baseline', 'steered'])
                new MutationObserver(() => window.seen[id].add(
                    document.querySelector(`#${id} .gen`)?.innerText)).observe(
                    document.querySelector(`#${id}`),
                    {childList: true, subtree: true, characterData: true});
        }"""
    )
    steer.generate()
    seen = steer.page.evaluate("() => [window.seen.baseline.size, window.seen.steered.size]")
    assert min(seen) > 5


def test_a_moving_slider_leaves_the_baseline_and_the_old_text_until_it_is_overtaken(steer) -> None:
    baseline, steered = steer.text("baseline"), steer.text("steered")
    steer.page.evaluate(
        """() => {
            window.shown = {baseline: [], steered: []};
            for (const id of ['baseline', 'steered'])
                new MutationObserver(() => window.shown[id].push(
                    document.querySelector(`#${id} .gen`)?.textContent ?? '')).observe(
                    document.querySelector(`#${id}`), {childList: true, subtree: true});
        }"""
    )
    for value in ("1", "0.6", "0.2", "-0.4"):
        steer.page.locator(SLIDER).fill(value)
        steer.page.wait_for_timeout(250)
    steer.page.wait_for_function(
        "document.querySelector('#status').innerText.match(/sentiment −0.4.*tokens.s/)"
    )
    shown = steer.page.evaluate("window.shown")
    assert set(shown["baseline"]) <= {baseline}
    assert min(map(len, shown["steered"])) > len("The first snow") + 20
    assert steer.text("steered") != steered
    assert steer.page.locator(".gen .old").count() == 0
    steer.page.locator(SLIDER).fill("1.5")
    steer.page.fill("#prompt textarea", "My life is")
    steer.generate()


def test_what_is_appended_on_the_page_is_what_the_server_draws(steer) -> None:
    text, driven = Continuation("a <b> & "), DrivenText("p", [], limit=3)
    view = LiveView(
        [
            LivePanel("baseline", [text], Markup().join),
            LivePanel("steered", [driven], Markup().join),
        ],
        "status",
        number=10**6,
    )
    sent: dict = {}
    words = [" <i>x</i>", "", " 🍲", "\n", ' "quoted" & so', " on", "!"]
    for i, word in enumerate(words):
        token = Token(i, word, math.log(0.3), math.log(0.1 + 0.1 * i), {"joy": float(i - 3)})
        text.add(token)
        driven.add(token)
        text.first_change = 4 if i > 4 else None
        if news := view.news(sent):  # a token without a character is none
            steer.page.evaluate("async news => (await window.lmsteer).live.showNews(news)", news)
    view.is_over = True
    steer.page.evaluate("async news => (await window.lmsteer).live.showNews(news)", view.news(sent))
    same = """([id, html]) => {
        const drawn = document.createElement('div');
        drawn.innerHTML = html;
        const stop = / tabindex="0" role="button" aria-haspopup="dialog"/;  // the Tab stop
        const onPage = document.querySelector(`#${id} .prose`).innerHTML;
        return [onPage.replace(stop, ''), drawn.innerHTML];
    }"""
    for elem_id, html in zip(("baseline", "steered"), view.html(), strict=True):
        on_page, drawn = steer.page.evaluate(same, [elem_id, str(html)])
        assert on_page == drawn
    steer.page.reload()
    steer.page.wait_for_selector("#status .note")


def test_the_continuum_reads_from_one_pole_to_the_other(steer) -> None:
    steer.page.click("#show-continuum")
    steer.page.wait_for_function("document.querySelectorAll('#continuum li').length === 9")
    steer.page.wait_for_function(
        "document.querySelectorAll('#continuum .gen')[4].innerText.length > 60"
    )
    epsilons = [
        e.replace("−", "-") for e in steer.page.locator("#continuum .eps").all_inner_texts()
    ]
    assert [float(e) for e in epsilons] == sorted(float(e) for e in epsilons)
    ends = -float(epsilons[0]), float(epsilons[-1])
    assert 0 < min(ends) <= max(ends) == 3  # the pole that goes farther ends at 3


def test_an_offensive_pole_stays_locked_until_unlocked(steer) -> None:
    slider = steer.page.locator("#steer-detoxification input[type=range]")
    assert slider.get_attribute("min") == "0"
    steer.page.check("#unlock input")
    steer.page.wait_for_function(
        "document.querySelector('#steer-detoxification input[type=range]').min === '-5'"
    )
    assert steer.page.locator(".note.warning").count() >= 1
    steer.page.uncheck("#unlock input")
    steer.page.wait_for_function(
        "document.querySelector('#steer-detoxification input[type=range]').min === '0'"
    )


def test_arrow_keys_move_a_slider_and_regenerate(steer) -> None:
    assert epsilon(steer) == 1.5
    steer.page.focus(SLIDER)
    for _ in range(3):
        steer.page.keyboard.press("ArrowLeft")
    steer.page.wait_for_function(
        "document.querySelector('#status').innerText.match(/\\+1.2.*tokens.s/)"
    )
    assert steer.page.input_value(NUMBER) == "1.2"


def test_the_reset_button_returns_every_slider_to_zero(steer) -> None:
    assert epsilon(steer) != 0
    steer.page.click("#reset")
    steer.page.wait_for_function(
        "document.querySelector('#status').innerText.includes('Every slider is at 0')"
    )
    assert epsilon(steer) == 0


def test_dragging_a_slider_with_the_mouse_regenerates(steer) -> None:
    before = steer.text("steered")
    steer.page.locator(SLIDER).scroll_into_view_if_needed()
    box = steer.page.locator(SLIDER).bounding_box()
    steer.page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
    steer.page.mouse.down()
    steer.page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2, steps=5)
    steer.page.mouse.up()
    steer.page.wait_for_function(
        "document.querySelector('#status').innerText.match(/sentiment −.*tokens.s/)"
    )
    assert steer.text("steered") != before


def test_a_double_click_returns_a_slider_to_zero(steer) -> None:
    assert epsilon(steer) != 0
    steer.page.dblclick(SLIDER)
    steer.page.wait_for_function(
        "document.querySelector('#status').innerText.includes('Every slider is at 0')"
    )
    steer.wait_until_done()
    assert epsilon(steer) == 0
    assert steer.text("steered") == steer.text("baseline")
    assert steer.page.locator(".first-change").count() == 0


def test_the_words_tab_lists_words_and_draws_both_charts(steer) -> None:
    steer.page.get_by_role("tab", name="Words").click()
    steer.page.wait_for_selector("#dimensions tbody tr")
    assert re.search(r"wonderful|beautiful|joy|love", steer.page.inner_text("#dimensions"))
    steer.page.wait_for_selector("#spectrum .js-plotly-plot .bars path", state="attached")
    points = "document.querySelector('#word-map .js-plotly-plot')?.data[0].x.length"
    steer.page.wait_for_function(f"{points} > 5000")
    steer.page.get_by_label("PCA of W e").check()
    steer.page.wait_for_function(
        "document.querySelector('#words-about').innerText.includes('principal axes of the moves')"
    )
    assert "dimension 1" in steer.page.inner_text("#word-map")


def test_offensive_words_are_behind_a_notice(steer) -> None:
    steer.page.get_by_role("tab", name="Words").click()
    steer.page.wait_for_selector("#dimensions tbody tr")
    steer.page.get_by_label("Steer", exact=True).locator("visible=true").click()
    steer.page.get_by_role("option", name="detoxification").click()
    minus = "document.querySelector('#dimensions tbody td.minus')?.innerText"
    steer.page.wait_for_selector("#words-about .note.warning")
    steer.page.wait_for_function(f"{minus} === ''")
    box = steer.page.get_by_label("Show offensive words (for research)")
    box.check()
    steer.page.wait_for_function(minus)


def test_stop_ends_a_running_generation(steer) -> None:
    # The model ends "My life is" by itself, which can come before Stop.
    steer.page.fill("#prompt textarea", "The new neighbours turned out to be")
    steer.page.get_by_role("button", name="Sampling").click()
    steer.page.get_by_label("number input for New tokens").fill("200")
    steer.page.keyboard.press("Tab")
    steer.page.click("#generate")
    steer.page.wait_for_function(
        "/^[1-9]\\d* tokens …/.test(document.querySelector('#status').innerText)"
    )
    steer.page.click("#stop")
    steer.page.wait_for_function("document.querySelector('#status').innerText.includes('Stopped')")
    stopped = steer.text("steered")
    steer.page.wait_for_timeout(1500)
    assert steer.text("steered") == stopped
    assert "Stopped" in steer.page.inner_text("#status")
    steer.page.get_by_label("number input for New tokens").fill("48")
    steer.page.keyboard.press("Tab")


def test_a_newer_prompt_supersedes_the_running_one(steer) -> None:
    steer.page.click("#generate")
    steer.page.fill("#prompt textarea", "The old lighthouse")
    steer.page.keyboard.press("Enter")
    steer.page.wait_for_function(
        "document.querySelector('#steered').innerText.startsWith('The old lighthouse')"
    )
    steer.wait_until_done()
    steer.page.wait_for_timeout(800)
    assert steer.text("baseline").startswith("The old lighthouse")


@pytest.mark.parametrize(
    "prompt", ["<script>window.hacked = 1</script> and", "<img src=x onerror='hacked=1'> 🙂"]
)
def test_markup_in_a_prompt_is_shown_as_text(steer, prompt: str) -> None:
    steer.page.fill("#prompt textarea", prompt)
    steer.generate()
    assert steer.text("baseline").startswith(prompt)
    assert steer.text("steered").startswith(prompt)
    assert steer.page.evaluate("window.hacked") is None


def test_an_empty_prompt_is_one_sentence_and_loses_nothing(steer) -> None:
    before = steer.text("steered")
    steer.page.fill("#prompt textarea", "   ")
    steer.page.click("#generate")
    steer.page.wait_for_selector("#status .note.error")
    assert "empty" in steer.page.inner_text("#status")
    assert steer.text("steered") == before
    steer.page.fill("#prompt textarea", "The garden")
    steer.page.click("#generate")
    steer.wait_until_done()
    assert steer.text("baseline").startswith("The garden")


def test_the_theme_button_switches_between_light_and_dark(steer) -> None:
    dark = "document.body.classList.contains('dark')"
    before = steer.page.evaluate(dark)
    steer.page.click(".mode")
    assert steer.page.evaluate(dark) is not before
    steer.page.reload()
    steer.page.wait_for_function(f"{dark} === {str(not before).lower()}")


TABS = (
    *("Steer", "New steer", "Next word", "Words"),
    *("Highlight", "Compose", "Transfer", "Evidence"),
)


def test_nothing_overflows_a_phone_or_a_tablet_in_either_theme(visit_at) -> None:
    visit = visit_at(390, 844)
    for _ in range(2):
        for tab in TABS:
            visit.page.get_by_role("tab", name=tab, exact=True).click()
            for width in (390, 650, 768):
                visit.page.set_viewport_size({"width": width, "height": 844})
                visit.page.wait_for_timeout(300)
                overflow = visit.page.evaluate(
                    "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                )
                assert overflow <= 0, (tab, width)
        visit.page.click(".mode")
    visit.page.context.close()
