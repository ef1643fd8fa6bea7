"""The Next word view in a real browser, on its own tab and on the Steer tab."""

from __future__ import annotations

import json

import pytest

from lmsteer_core.ui.tabs.examples import NEXT_WORD_EXAMPLES
from lmsteer_core.ui.tabs.next_word.chart import shown_token

AXIS = "#nextword-epsilon input[type=range]"
VIEW = "#nextword-view .nw-now"
CARD = "#steer-next .nw-now"
SENTIMENT = "#steer-sentiment input[type=range]"


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" sea", "sea"),
        (" 7", "7"),
        ("sea", "“sea”"),
        ("'m", "“'m”"),
        (" ", "“␣”"),
        ("\n\n", "“⏎⏎”"),
        (" ,", "“␣,”"),
        ("人", "人"),
        (" <b>", "“␣<b>”"),
        ("", "“”"),
    ],
)
def test_what_is_not_a_word_is_quoted_with_its_spaces_visible(token: str, shown: str) -> None:
    assert shown_token(token) == shown


def open_tab(visit) -> None:
    visit.page.get_by_role("tab", name="Next word").click()
    visit.page.wait_for_selector("#nextword-view-chart .nw-line", state="attached")


def data(visit, now: str = VIEW) -> dict:
    return json.loads(visit.page.get_attribute(now, "data-next"))


def wait_for_data(visit, before: dict, now: str, timeout: int = 60_000) -> dict:
    """Wait until other curves than those of `before` have come."""
    visit.page.wait_for_function(
        "([now, before]) => document.querySelector(now).dataset.next !== before",
        arg=[now, json.dumps(before, ensure_ascii=False, separators=(",", ":"))],
        timeout=timeout,
    )
    came = data(visit, now)
    assert came != before
    return came


def wait_for_curves(visit, before: dict, now: str = VIEW, timeout: int = 60_000) -> dict:
    """Wait until other curves than those of `before` have come and are drawn."""
    came = wait_for_data(visit, before, now, timeout)
    n_words = len(came["words"])
    visit.page.wait_for_function(
        "([now, n]) => document.querySelectorAll(`${now} li`).length === n + 1", arg=[now, n_words]
    )
    visit.page.wait_for_function(
        "([id, n]) => document.querySelectorAll(`#${id}-chart .nw-line circle`).length === n",
        arg=[came["view"], n_words],
    )
    return came


def readout(visit, now: str = VIEW) -> dict[str, str]:
    """Return the words beside the chart with their probabilities."""
    rows = visit.page.eval_on_selector_all(
        f"{now} li:not(.rest)",
        "rows => rows.map(row => ['.word', '.p'].map(part => row.querySelector(part).textContent))",
    )
    return dict(rows)


def line_at(visit, chart: str) -> float:
    return float(visit.page.get_attribute(f"#{chart} .nw-line line", "x1"))


def move(visit, slider: str, epsilon: float) -> None:
    """Set a slider as a drag does."""
    visit.page.eval_on_selector(
        slider,
        "(slider, epsilon) => { slider.value = epsilon; for (const type of ['input', 'change']) "
        "slider.dispatchEvent(new Event(type, {bubbles: true})); }",
        epsilon,
    )


def percent(p: float) -> str:
    if p < 1e-5:
        return "< 0.001 %"
    return f"{100 * p:.1f} %" if p >= 0.00995 else f"{float(f'{100 * p:.2g}'):g} %"


def test_the_slider_moves_line_words_and_lists_without_a_request(shared) -> None:
    open_tab(shared)
    page = shared.page
    page.wait_for_timeout(500)
    n_requests = len(shared.requests)
    at_one, held = line_at(shared, "nextword-view-chart"), data(shared)

    page.focus(AXIS)
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    assert page.inner_text(f"{VIEW} .nw-at") == "At ε = +0.5"
    assert line_at(shared, "nextword-view-chart") < at_one
    for epsilon in (-1.3, 2.0, 0.0):
        move(shared, AXIS, epsilon)
        place = held["epsilons"].index(epsilon)
        exact = {word["text"]: percent(word["p"][place]) for word in held["words"]}
        assert readout(shared) == exact
        shown = page.locator(".nw-lists[data-of=nextword-view] section")
        side = abs(epsilon) or 2.0
        for column, at in zip(range(3), (-side, 0.0, side), strict=True):
            top = held["tops"][held["epsilons"].index(at)]
            assert shown.nth(column).locator(".word").all_inner_texts() == [text for text, _ in top]
    by_share = [word["p"][held["epsilons"].index(0.0)] for word in held["words"]]
    assert list(readout(shared).values()) == [percent(p) for p in sorted(by_share, reverse=True)]

    page.dblclick(AXIS)
    page.fill("#nextword-epsilon input[type=number]", "-2")
    page.keyboard.press("Tab")
    page.wait_for_function(f"document.querySelector('{VIEW} .nw-at').innerText === 'At ε = −2'")
    page.wait_for_timeout(600)
    assert len(shared.requests) == n_requests
    assert data(shared) == held


def test_the_line_stays_at_its_epsilon_through_resizing_and_the_theme(shared) -> None:
    open_tab(shared)
    move(shared, AXIS, 1)
    shared.page.click(".mode")
    shared.page.set_viewport_size({"width": 900, "height": 800})
    place = """() => {
        const layout = document.querySelector("#nextword-view-chart .js-plotly-plot")._fullLayout;
        const line = document.querySelector("#nextword-view-chart .nw-line line");
        const x1 = Number(line.getAttribute("x1"));
        return Math.abs(x1 - layout.xaxis._offset - layout.xaxis.d2p(1)) < 1
            && Math.abs(line.closest("svg").getAttribute("width") - layout.width) < 1
            && layout.width < 700;
    }"""
    shared.page.wait_for_function(place)
    shared.page.click(".mode")
    shared.page.set_viewport_size({"width": 1280, "height": 900})


def test_words_can_be_added_and_a_long_one_is_followed_by_its_first_token(shared) -> None:
    open_tab(shared)
    page, before = shared.page, data(shared)
    page.get_by_label("Add a word").fill("sesquipedalian")
    page.keyboard.press("Enter")
    came = wait_for_curves(shared, before)
    long = next(word for word in came["words"] if word["of"])
    assert (long["text"], long["of"]) == ("s…", "sesquipedalian")
    assert "several tokens" in page.inner_text("#nextword-view-status")
    assert "first token of “sesquipedalian”" in page.inner_text(VIEW)

    page.get_by_label("Add a word").fill("<script>alert(1)</script>")
    page.keyboard.press("Enter")
    came = wait_for_curves(shared, came)
    assert "<script>alert(1)</script>" in page.inner_text("#nextword-view-status")
    page.get_by_label("Add a word").fill("boring")
    page.keyboard.press("Enter")
    came = wait_for_curves(shared, came)
    assert {"terrible", "boring"} <= set(readout(shared))

    page.check("#nextword-log input")
    page.wait_for_function(
        "document.querySelector('#nextword-view-chart "
        ".js-plotly-plot')._fullLayout.yaxis.type === 'log'"
    )
    move(shared, AXIS, -1)
    assert data(shared) == came


def test_presets_show_what_they_tell(shared) -> None:
    open_tab(shared)
    came = data(shared)
    for preset in [*NEXT_WORD_EXAMPLES[1:], NEXT_WORD_EXAMPLES[0]]:
        shared.page.get_by_role("button", name=preset.label, exact=True).click()
        came = wait_for_curves(shared, came)
        assert shared.page.input_value("#nextword-prompt textarea") == preset.prompt
        shared.page.wait_for_function(
            "told => document.querySelector('#nextword-told').innerText.trim() === told",
            arg=preset.lesson,
        )
        assert shared.page.locator("#nextword-epsilon").get_by_text(f"ε of {preset.steer}").count()
        assert set(preset.follow) <= {word["text"] for word in came["words"]}
        status = shared.page.locator("#nextword-view-status")
        assert ("Held: " in status.inner_text()) == bool(preset.held)
        p = {word["text"]: word["p"] for word in came["words"]}
        assert max(abs(row[-1] - row[0]) for row in p.values()) > 0.2  # the effect is plain to see


def test_any_prompt_is_read_or_refused_in_one_sentence(shared) -> None:
    open_tab(shared)
    page, came = shared.page, data(shared)
    page.fill("#nextword-prompt textarea", "   ")
    page.wait_for_selector("#nextword-view-status .note.error")
    assert "empty" in page.inner_text("#nextword-view-status")
    assert page.inner_text("#nextword-told").strip() == ""
    assert data(shared) == came
    for prompt in ("天气很好，我们 🙂", "I", "<script>window.hacked = 1</script>"):
        page.fill("#nextword-prompt textarea", prompt)
        came = wait_for_curves(shared, came)
        assert not page.locator("#nextword-view-status .note.error").count()
    assert page.evaluate("window.hacked") is None


def choose(visit, label: str, name: str, within: str = "body") -> None:
    visit.page.locator(within).get_by_label(label, exact=True).locator("visible=true").click()
    visit.page.get_by_role("option", name=name, exact=True).click()


def test_other_steers_are_held_and_an_offensive_pole_stays_locked(shared) -> None:
    open_tab(shared)
    page, before = shared.page, data(shared)
    page.get_by_role("button", name="Hold other steers").click()
    choose(shared, "Held steer 1", "pirate")
    move(shared, "#held-1 input[type=range]", 2)
    held = wait_for_curves(shared, before)
    assert "Held: pirate at +2" in page.inner_text("#nextword-view-status")
    assert "what is held, alone" in page.inner_text(".nw-lists[data-of=nextword-view] .zero")
    choose(shared, "Held steer 1", "sentiment")
    page.wait_for_selector("#nextword-view-status .note.error")
    assert "on the axis" in page.inner_text("#nextword-view-status")
    assert data(shared) == held
    choose(shared, "Held steer 1", "none")
    held = wait_for_curves(shared, held)
    choose(shared, "Steer on the axis", "detoxification", "#nextword-steer")
    locked = wait_for_curves(shared, held)
    assert locked["epsilons"][0] == 0
    assert page.get_attribute(AXIS, "min") == "0"
    assert "locked" in page.inner_text(".nw-lists[data-of=nextword-view] .minus")
    page.check("#nextword-unlock input")
    assert wait_for_curves(shared, locked)["epsilons"][0] == -3
    assert page.locator("#nextword-notice .note.warning").count()


def test_the_card_follows_the_steer_tabs_slider_and_asks_only_for_the_others(shared) -> None:
    page = shared.page
    page.get_by_role("tab", name="Steer", exact=True).click()
    page.wait_for_selector("#steer-next-chart .nw-line", state="attached")
    before, line = data(shared, CARD), line_at(shared, "steer-next-chart")
    assert page.inner_text(f"{CARD} .nw-at") == "At ε = +1.5"
    move(shared, SENTIMENT, -2)
    assert page.inner_text(f"{CARD} .nw-at") == "At ε = −2"  # at once, before any text is generated
    assert line_at(shared, "steer-next-chart") < line
    shared.page.wait_for_function(
        "document.querySelector('#status').innerText.match(/sentiment −2.*tokens.s/)"
    )
    assert data(shared, CARD) == before

    move(shared, SENTIMENT, 4.5)
    assert "beyond the curves" in page.inner_text(CARD)
    page.click("#reset")
    page.wait_for_function(f"document.querySelector('{CARD} .nw-at').innerText === 'At ε = 0'")

    move(shared, "#steer-pirate input[type=range]", 2)
    came = wait_for_curves(shared, before, CARD)
    assert "Held: pirate at +2" in page.inner_text("#steer-next-status")
    page.fill("#prompt textarea", "Every morning I go to the")
    came = wait_for_curves(shared, came, CARD)
    choose(shared, "Steer on the axis", "pirate", "#steer-next-axis")
    came = wait_for_curves(shared, came, CARD)
    assert came["slider"] == "steer-pirate"
    page.wait_for_function(f"document.querySelector('{CARD} .nw-at').innerText === 'At ε = +2'")
    page.fill("#prompt textarea", "")
    page.wait_for_selector("#steer-next-status .note.error")
    assert data(shared, CARD) == came


def test_a_long_prompt_is_read_from_its_end_with_a_visible_note(shared) -> None:
    page = shared.page
    page.get_by_role("tab", name="Steer", exact=True).click()
    before = data(shared, CARD)
    page.fill("#prompt textarea", "word " * 500)
    page.click("#generate")
    wait_for_data(shared, before, CARD)
    assert "last 2000 characters" in page.inner_text("#steer-next-status")


def test_the_view_fits_a_phone(visit_at) -> None:
    phone = visit_at(390, 844, color_scheme="dark")
    fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    phone.page.wait_for_selector("#steer-next-chart .nw-line", state="attached")
    phone.page.wait_for_function(fits)
    open_tab(phone)
    phone.page.wait_for_timeout(500)
    assert phone.page.evaluate(fits)
    before = data(phone, CARD)
    phone.page.eval_on_selector(  # a chart that comes while its tab is hidden
        "#prompt textarea",
        "box => { box.value = 'The sea'; box.dispatchEvent(new Event('input', {bubbles: true})); }",
    )
    wait_for_data(phone, before, CARD)
    phone.page.get_by_role("tab", name="Steer", exact=True).click()
    phone.page.wait_for_selector("#steer-next-chart .nw-line", state="attached")
    phone.page.wait_for_function(fits)
    assert phone.complaints == []
    phone.page.context.close()
