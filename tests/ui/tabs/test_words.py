"""The Words tab in a real browser, and its HTML and figures alone."""

import re
from collections.abc import Iterator

import pytest
import torch

from lmsteer_core.analysis.dimensions import Dimension, Place
from lmsteer_core.steers.card import SteerCard
from lmsteer_core.ui.colours import POSITIVE
from lmsteer_core.ui.figures.spectrum import spectrum
from lmsteer_core.ui.figures.word_map import word_map
from lmsteer_core.ui.markup.dimensions import dimension_table
from lmsteer_core.ui.tabs.words import markup
from lmsteer_core.ui.tabs.words.lens import N_DIMS

CHART = "document.querySelector('#word-map .js-plotly-plot')"
NOTES = f"{CHART}?.layout.annotations"


@pytest.fixture(scope="module")
def words(visit_at) -> Iterator:
    """A page on the Words tab; each test begins with a preset."""
    visit = visit_at(1280, 900)
    visit.page.get_by_role("tab", name="Words", exact=True).click()
    visit.page.wait_for_selector("#dimensions tbody tr")
    visit.page.wait_for_function(f"{NOTES}?.length")
    yield visit
    complaints = list(visit.complaints)
    visit.page.context.close()
    assert complaints == []


def preset(visit, name: str, steer: str) -> None:
    visit.page.get_by_role("button", name=name).click()
    visit.page.wait_for_function(f"{CHART}?.layout.meta.startsWith('{steer} ') && {NOTES}?.length")


def find(visit, text: str) -> None:
    visit.page.fill("#words-pins textarea", text)
    visit.page.click("#words-find")


def problem_says(visit, text: str) -> None:
    visit.page.wait_for_function(
        "text => document.querySelector('#words-problem').innerText.includes(text)", arg=text
    )


def places_say(visit, script: str) -> None:
    visit.page.wait_for_function(
        f"(text => {script})(document.querySelector('#words-places').innerText)"
    )


def set_epsilon(visit, value: str) -> None:
    visit.page.fill("#words-epsilon input[type=number]", value)
    visit.page.keyboard.press("Tab")


def test_the_first_view_has_both_poles_a_spectrum_and_thousands_of_words(words) -> None:
    assert words.page.locator("#dimensions tbody tr").count() == N_DIMS
    assert "wonderful" in words.page.inner_text("#dimensions tbody tr:first-child td.plus")
    assert words.page.evaluate(f"{CHART}.data[0].type") == "scattergl"
    assert words.page.evaluate(f"{CHART}.data[0].x.length") > 5000
    words.page.wait_for_selector("#spectrum .js-plotly-plot .bars path", state="attached")
    rows = words.page.locator("#dimensions tbody tr").all()
    sums = [int(row.locator(".num").nth(1).inner_text().rstrip("%")) for row in rows]
    assert sums == sorted(sums)
    assert 50 < sums[0] < 90 < sums[-1] < 100  # a few dimensions hold the style, not all of it


def test_the_overlap_of_steers_is_symmetric_with_one_on_the_diagonal(words) -> None:
    rows = words.page.locator("#words-overlap tbody tr").all()
    cells = [
        [cell.replace("−", "-") for cell in row.locator("td").all_inner_texts()] for row in rows
    ]
    assert len(cells) >= 9
    for a, row in enumerate(cells):
        assert float(row[a]) == 1
        assert row == [other[a] for other in cells]
    assert "nearest to each other" in words.page.inner_text("#words-overlap")


def test_the_slider_moves_words_and_arrows_without_a_request(words) -> None:
    preset(words, "Sea and office", "pirate")
    words.page.wait_for_timeout(500)
    before = len(words.requests)
    at = f"(() => {{ const [a] = {NOTES}; return [a.x, a.ax, a.showarrow]; }})()"
    set_epsilon(words, "0")
    words.page.wait_for_function(f"!{NOTES}[0].showarrow")
    x, tail, _ = words.page.evaluate(at)
    assert x == tail
    base = words.page.evaluate(f"{CHART}.data[0].customdata")
    assert words.page.evaluate(f"{CHART}.data[0].x") == [place[0] for place in base]
    set_epsilon(words, "3")
    words.page.wait_for_function(f"{NOTES}[0].showarrow")
    x, tail, _ = words.page.evaluate(at)
    assert x > tail + 0.1  # the ship gains
    assert words.page.evaluate(f"{NOTES}[0].arrowcolor") == POSITIVE
    moved = words.page.evaluate(f"{CHART}.data[0].x")
    assert moved == pytest.approx([place[0] + 3 * place[2] for place in base])
    assert words.requests[before:] == []


def test_a_word_is_placed_on_every_dimension(words) -> None:
    preset(words, "Praise and blame", "sentiment")
    find(words, "HOUSE, wonderful")
    places_say(words, "text.includes('house') && text.includes('wonderful')")
    row = words.page.locator("#words-places tbody tr", has_text="wonderful")
    assert row.locator("td").count() == 1 + N_DIMS  # the logit shift comes first
    assert int(row.locator("td").nth(1).inner_text().split()[-1]) < 50  # its rank
    assert words.page.locator("#words-problem .note").count() == 0
    words.page.wait_for_function(f"{NOTES}.some(note => note.text === '<b>house</b>')")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("xqzzy", "'xqzzy'"),
        ("<script>window.hacked = 1</script>", "'<script>window.hacked = 1</script>'"),
        ("漂亮，😀", "'漂亮', '😀'"),
        ("word " * 20_000, "'word word"),
        ("word, " * 5 + ", ".join(f"w{i}" for i in range(20_000)), "at most 12"),
    ],
)
def test_words_that_are_not_there_are_one_sentence(words, text: str, told: str) -> None:
    find(words, text)
    problem_says(words, told)
    assert words.page.locator("#words-problem .note.error").count() == 1
    assert words.page.evaluate("window.hacked") is None


def test_no_word_at_all_unpins_all(words) -> None:
    preset(words, "Praise and blame", "sentiment")
    find(words, " ")
    words.page.wait_for_function(f"!{NOTES}?.length")
    assert words.page.locator("#words-places tr").count() == 0


def test_raw_tokens_and_other_readings_are_a_switch_away(words) -> None:
    preset(words, "Praise and blame", "sentiment")
    whole = words.page.inner_text("#dimensions tbody")
    words.page.check("#words-raw input")
    words.page.wait_for_function(
        "old => document.querySelector('#dimensions tbody').innerText !== old", arg=whole
    )
    find(words, "the")
    places_say(words, "text.includes('␣the')")
    words.page.wait_for_function("document.querySelectorAll('#words-places tbody tr').length === 2")
    words.page.uncheck("#words-raw input")
    words.page.wait_for_function(
        "old => document.querySelector('#dimensions tbody').innerText === old", arg=whole
    )
    assert words.page.locator("[data-try]").count() == N_DIMS
    words.page.get_by_label("PCA of W e").check()
    words.page.wait_for_selector("#words-about b >> text=PCA of W e")
    words.page.wait_for_function(
        "old => document.querySelector('#dimensions tbody').innerText !== old", arg=whole
    )
    assert words.page.locator("[data-try]").count() == N_DIMS


def test_a_click_pins_a_word_and_other_axes_keep_the_pins(words) -> None:
    preset(words, "Praise and blame", "sentiment")
    find(words, "")
    words.page.wait_for_function(f"!{NOTES}?.length")
    words.page.locator("#word-map").scroll_into_view_if_needed()
    spot = words.page.evaluate(f"""() => {{
        const chart = {CHART}, {{x, y}} = chart.data[0], i = x.indexOf(Math.max(...x));
        const box = chart.querySelector(".nsewdrag").getBoundingClientRect();
        const share = (range, value) => (value - range[0]) / (range[1] - range[0]);
        return [box.left + share(chart.layout.xaxis.range, x[i]) * box.width,
                box.bottom - share(chart.layout.yaxis.range, y[i]) * box.height,
                chart.data[0].text[i]];
    }}""")
    words.page.mouse.move(spot[0] - 3, spot[1])
    words.page.mouse.move(spot[0], spot[1])
    words.page.wait_for_selector("#word-map .hoverlayer .hovertext")
    words.page.wait_for_timeout(500)  # a click while the label is drawn is lost
    words.page.mouse.click(spot[0], spot[1])
    words.page.wait_for_function(f"{NOTES}?.length === 2")
    assert words.page.input_value("#words-pins textarea") == spot[2]
    low, high = words.page.evaluate(f"{CHART}.layout.xaxis.range")
    words.page.keyboard.down("Control")
    words.page.mouse.wheel(0, -200)
    words.page.keyboard.up("Control")
    words.page.wait_for_function(f"{CHART}.layout.xaxis.range[0] !== {low}")
    nearer = words.page.evaluate(f"{CHART}.layout.xaxis.range")
    assert low < nearer[0] < nearer[1] < high
    words.page.get_by_label("Across").click()
    words.page.get_by_role("option", name=re.compile("^3 · − ")).click()
    words.page.wait_for_function(f"{CHART}.layout.meta.endsWith(' 3 2') && {NOTES}?.length === 2")


def test_a_dimension_becomes_a_slider_until_it_is_removed(words) -> None:
    preset(words, "Praise and blame", "sentiment")
    for i in range(4):
        words.page.click(f"#dimensions [data-try='{i}']")
        words.page.wait_for_selector(f"#words-tried >> text=sentiment-dimension-{i + 1}")
    words.page.click("#dimensions [data-try='4']")
    words.page.wait_for_selector("#words-tried .note.error >> text=holds 4 steers")
    words.page.wait_for_selector("#words-overlap th[scope=row] >> text=sentiment-dimension-4")
    words.page.click("#dimensions [data-try='0']")  # it is there already, and stays one
    words.page.click("#words-tried [data-open-tab]")
    words.page.wait_for_function(
        "document.querySelector('#own-1-box').innerText.includes('sentiment-dimension-1')"
    )
    assert "wonderful" in words.page.inner_text("#own-1-box .poles .plus")
    words.page.get_by_role("tab", name="New steer").click()
    words.page.wait_for_function(
        "document.querySelector('#train-own input')?.value === 'sentiment-dimension-1'"
    )
    words.page.click("#train-remove")
    words.page.get_by_role("tab", name="Words", exact=True).click()
    words.page.wait_for_function(
        "!document.querySelector('#words-overlap').innerText.includes('sentiment-dimension-1')"
    )
    assert "sentiment-dimension-4" in words.page.inner_text("#words-overlap")


def test_a_dimension_opens_a_page_that_reads_a_text(words) -> None:
    preset(words, "Praise and blame", "sentiment")
    words.page.click("#dimensions [data-look='1']")
    words.page.wait_for_selector("#dimension-page h2 >> text=Dimension 2")
    words.page.wait_for_selector("#dimension-page .snippets li")
    words.page.fill("#dimension-text textarea", "The <i>soup</i> was lovely, the room was not.")
    words.page.click("#dimension-read")
    words.page.wait_for_selector("#dimension-page .read .tok")
    assert words.page.inner_text("#dimension-page .read").startswith("The <i>soup</i>")


def test_a_word_shows_its_neighbours_or_one_sentence(words) -> None:
    preset(words, "Praise and blame", "sentiment")
    for typed, told in (("xqzzy", "'xqzzy'"), ("हिन्दी", "हिन्दी"), ("", "empty")):
        words.page.fill("#neighbours-word input, #neighbours-word textarea", typed)
        words.page.click("#neighbours-show")
        words.page.wait_for_function(
            "told => document.querySelector('#neighbours .note.error')?.innerText.includes(told)",
            arg=told,
        )
    words.page.fill("#neighbours-word input, #neighbours-word textarea", "Monday")
    words.page.click("#neighbours-show")
    words.page.wait_for_selector("#neighbours th >> text=Tuesday")


def test_a_locked_pole_shows_none_of_its_words(words) -> None:
    preset(words, "Praise and blame", "sentiment")
    words.page.click("#words-steer input")
    words.page.get_by_role("option", name="detoxification").click()
    words.page.wait_for_selector("#words-about .note.warning")
    lowest = f"Math.min(...{CHART}.data[0].marker.color)"
    words.page.wait_for_function(f"{CHART}?.data?.length && {lowest} >= 0")
    minus = "document.querySelector('#dimensions tbody td.minus')?.innerText"
    words.page.wait_for_function(f"{minus} === ''")
    assert words.page.inner_text("#dimensions tbody tr:first-child td.plus")
    words.page.check("#words-unlock input")
    words.page.wait_for_function(f"{lowest} < 0 && {minus}")


def test_html_escapes_words_and_names() -> None:
    evil = "<b>&'\""
    found = [Dimension(1.0, 0.5, [evil], ["a"]), Dimension(0.5, 0.25, ["b"], [evil])]
    table = dimension_table(found, (evil, "good"), can_open=True)
    place = Place(evil, [0.5, -0.25], [1, 9], 9)
    places = markup.place_table([place], [0.1], [0.5, 0.5])
    pins = markup.pins(evil, [evil], [[0.1, 0.2, 0.3, 0.4, 0.5]])
    cosines = markup.overlap_table([evil, "b"], torch.tensor([[1.0, -0.3], [-0.3, 1.0]]))
    card = SteerCard(evil, evil, "good", "tiny")
    tried, about = markup.tried(card), markup.about(card, 4, "Divergence", evil)
    for html in (table, places, pins, cosines, tried, about):
        assert "<b>&'" not in html
        assert "&lt;b&gt;&amp;" in html
    assert table.count("data-try") == 2
    assert ">75%<" in table
    assert "−0.30" in cosines
    assert markup.place_table([], [], []) == ""


def test_figures_hold_what_they_are_given() -> None:
    bars, line = spectrum([3.0, 1.0]).data
    assert list(line.y) == pytest.approx([0.9, 1.0])
    assert list(bars.text) == ["90%", "10%"]
    figure = word_map(
        ["<b>", "plain"],
        [(0.0, 1.0), (2.0, 3.0)],
        [(1.0, 0.0), (0.0, 0.0)],
        [-1.0, 0.1],
        ("x", "y"),
        "key",
    )
    (points,) = figure.data
    assert list(points.text) == ["plain", "&lt;b&gt;"]  # the strongest on top
    assert list(points.marker.symbol) == ["circle", "triangle-down"]
    assert figure.layout.meta == "key"
    low, high = figure.layout.xaxis.range
    assert low < -3  # where ε = −3 takes the first word
    assert high > 3
