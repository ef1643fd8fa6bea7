"""The Highlight tab: its HTML and files on their own, then every control in a real browser."""

import csv
import io
import re
from html import unescape
from pathlib import Path

import pytest

from lmsteer_core.analysis.evidence import Weighed
from lmsteer_core.analysis.spans import Span, Unit
from lmsteer_core.analysis.style_reading import BaseRate, StyleReading
from lmsteer_core.analysis.word_effects import WordEffect
from lmsteer_core.steers.card import SteerCard
from lmsteer_core.ui.figures.posterior import posterior_curves
from lmsteer_core.ui.tabs.highlight import markup as draw
from lmsteer_core.ui.tabs.highlight.analysis import ORDINARY, PAPER, Analysis, Shown
from lmsteer_core.ui.tabs.highlight.files import csv_of, html_of

POLES = ("<low>", "high")
MOOD, MANNER = (
    SteerCard("mood", *POLES, model_id="tiny"),
    SteerCard("manner", "gruff", "kind", "tiny"),
)
GRID = [-1.0, 0.0, 1.0]


def analysis(
    texts: list[str], values: list[float], *, other: list[float] | None = None, **more
) -> Analysis:
    """An analysis whose scores and evidence are the values; ordinary words spread by half a nat."""
    weighed = Weighed("mood", values, GRID, [0.1, 0.3, 0.6])
    n_words = sum(any(c.isalnum() for c in text) for text in texts)
    mood, manner = (
        StyleReading(name, scores, BaseRate(0.0, 0.5, 1.0), n_words)
        for name, scores in (("mood", values), ("manner", values if other is None else other))
    )
    return Analysis(texts, more.pop("cut", False), weighed, mood, (mood, manner))


def shown(*texts: Analysis) -> Shown:
    return Shown(MOOD, texts, (MOOD, MANNER))


HOSTILE = analysis(
    ["=1+1", ' "<script>"', ",\n", "-x", " 好", "🍲", ""], [0.0, 1.5, -2.0, 3.0, 0.5, 1.0, 2.0]
)


def test_a_text_is_escaped_and_whole() -> None:
    text = "".join(HOSTILE.token_texts)
    for kind in draw.KINDS:
        html = draw.highlighted(text, draw.units_of(HOSTILE, kind), POLES, kind)
        assert "&lt;script&gt;" in html
        assert "<script>" not in html
        assert "<low>" not in html
        assert unescape(re.sub("<[^>]*>", "", html)) == text


def test_a_character_of_several_tokens_is_one_unit_with_their_sum() -> None:
    assert draw.units_of(HOSTILE, "tokens", PAPER)[-1] == Unit("🍲", 21, 22, 3.0)
    assert draw.units_of(HOSTILE, "tokens", ORDINARY)[-1] == Unit("🍲", 21, 22, 6.0)
    html = draw.highlighted("🍲", [Unit("🍲", 0, 1, 3.0)], POLES, "tokens")
    assert 'title="+3.00 σ towards high"' in html
    html = draw.highlighted("🍲", [Unit("🍲", 0, 1, 3.0)], POLES, "tokens", PAPER)
    assert 'title="+3.00 nats towards high"' in html


def test_a_long_text_is_tinted_as_far_as_the_limit() -> None:
    found = [Unit("a", i, i + 1, 1.0) for i in range(50)]
    html = draw.highlighted("a" * 50, found, POLES, "tokens", limit=10)
    assert html.count("<span") == 10
    assert html.endswith(" …</div>")
    table = draw.units_table(found, "tokens", limit=20)
    assert table.count("<tr>") == 21
    assert "20 of 50 tokens" in table


def test_a_table_is_in_the_texts_order_or_the_strongest_first() -> None:
    found = [Unit("a", 0, 1, 1.0), Unit("\n", 1, 2, -3.0), Unit(" ", 2, 3, 2.0)]
    cells = re.compile(r"<td>(.*?)</td>")
    assert cells.findall(draw.units_table(found, "tokens")) == ["a", "⏎", "␣"]
    assert cells.findall(draw.units_table(found, "tokens", by_strength=True)) == ["⏎", "␣", "a"]


def test_weak_spans_are_not_listed() -> None:
    html = draw.spans_list([Span("<b>", 0, 1, -2.0), Span("weak", 1, 2, 0.5)], POLES, PAPER)
    assert "−2.00 nats" in html
    assert "&lt;b&gt;" in html
    assert "weak" not in html
    assert "No span" in draw.spans_list([], POLES)


def test_a_profile_has_a_row_for_every_steer_and_text() -> None:
    one = draw.profile_table(shown(HOSTILE))
    assert one.count("<tr") == 3
    assert "&lt;low&gt; ↔ high" in one
    assert "+6.0" in one and "+3.0" in one and "99.7 %" in one
    assert draw.profile_table(shown(HOSTILE, HOSTILE)).count("<tr") == 5
    assert (
        draw.profile_table(Shown(MOOD, (Analysis(["a"], False, HOSTILE.weighed, HOSTILE.style),)))
        == ""
    )


def test_a_summary_tells_what_is_seen() -> None:
    (one,) = draw.summary(shown(HOSTILE))
    assert "Reads as high, more clearly than 99.7 %" in one
    assert "likeliest ε is +1 (the end of the grid)" in one
    assert "6.0 nats towards high" in one
    ordinary = draw.summary(shown(analysis(["a"], [0.5])))[0]
    assert "Reads like ordinary text: 0.5 σ towards high, where up to 2 σ are common" in ordinary
    assert "no word in it" in draw.summary(shown(analysis(["?"], [0.0])))[0]
    assert "first 1 tokens" in draw.summary(shown(analysis(["a"], [0.0], cut=True)))[0]
    *_, differ = draw.summary(shown(HOSTILE, analysis(["a", "b"], [0.0, -3.0])))
    assert differ == "The first text speaks more for high (+3.0 σ against −2.1 σ)."
    assert draw.summary(shown(HOSTILE, HOSTILE))[2] == "Both texts speak equally."


def test_each_word_has_what_it_does_itself_and_to_later_words() -> None:
    negated = [WordEffect("<not>", 0.25, -2.0), WordEffect("good", 1.0, 0.0)]
    html = draw.effects_tables(shown(HOSTILE, HOSTILE), [negated, [WordEffect("a", 1.0, 0.2)]])
    assert html.count("<h3>") == 2
    assert (
        "by <b>&lt;not&gt;</b>: it moves them 4.0 σ towards &lt;low&gt;, and adds 0.5 σ towards "
        "high itself" in html
    )
    cells = re.findall(r'<td class="num (\w+)">([^<]+)</td>', html)
    assert cells[:3] == [("plus", "+0.5"), ("minus", "−4.0"), ("minus", "−3.5")]
    assert "the others would read the same" in html


def test_neutral_text_has_a_flat_profile() -> None:
    flat = draw.profile_table(shown(analysis(["a", "b"], [0.1, -0.1])))
    widths = [float(w) for w in re.findall(r"width:([0-9.]+)%", flat)]
    assert max(widths) < 1


def test_a_csv_holds_every_token_of_every_text_and_no_formula() -> None:
    short = analysis(["a", "b", "c"], [0.0, 1.0, 2.0], other=[0.0, 5.0, 1.0])
    raw = csv_of(shown(HOSTILE, short))
    rows = list(csv.DictReader(io.StringIO(raw.removeprefix("\ufeff"), newline="")))
    assert list(rows[0]) == [
        "document",
        "index",
        "start",
        "end",
        "text",
        "mood",
        "manner",
        PAPER.name,
    ]
    first, second = ([r for r in rows if r["document"] == d] for d in "12")
    assert sum(float(r["mood"]) for r in first) == pytest.approx(6.0)
    text = "".join(HOSTILE.token_texts)
    for row in first:
        assert row["text"].removeprefix("'") == text[int(row["start"]) : int(row["end"])]
        assert row["text"][:1] not in tuple("=+-@")
    assert [r["manner"] for r in second] == ["0.000000", "5.000000", "1.000000"]
    assert [r[PAPER.name] for r in second] == ["0.000000", "1.000000", "2.000000"]


def test_a_saved_page_stands_alone() -> None:
    page = html_of(shown(HOSTILE, HOSTILE), "words", 5, 24, ORDINARY)
    assert "<script" not in page
    assert "<low>" not in page
    assert not re.search(r"\s(src|href)=|url\(|https?:", page)
    assert "default-src 'none'" in page
    assert page.count("<svg") == 2
    assert "manner" in page


def test_a_posterior_names_its_peak_and_tells_two_texts_apart() -> None:
    figure = posterior_curves(GRID, {"a": ([0.1, 0.3, 0.6], 1.0), "b": ([0.6, 0.3, 0.1], -1.0)})
    assert [note.text for note in figure.layout.annotations] == ["<b>a: ε +1</b>", "<b>b: ε −1</b>"]
    assert len({trace.line.dash for trace in figure.data}) == 2
    flat = posterior_curves(GRID, {"": ([1 / 3] * 3, 0.0)})
    assert flat.layout.annotations[0].text == "<b>every ε alike</b>"


# --- in the browser

DONE = (
    "document.querySelector('#highlight-profile tbody tr') "
    "&& !document.querySelector('#highlight-status .bar')"
)
HUGE = "The boats came in, and nobody was happy. " * 2_500  # 20,000 words


class Tab:
    """The Highlight tab of an open page."""

    def __init__(self, visit) -> None:
        self.page = visit.page
        self.page.get_by_role("tab", name="Highlight").click()
        self.page.wait_for_function(DONE)

    def highlight(self, text: str) -> None:
        self.page.fill("#highlight-text textarea", text)
        self.page.click("#highlight-go")

    def wait_for(self, text: str, panel: str = "highlighted") -> None:
        self.page.wait_for_function(
            "([id, text]) => document.getElementById(id)?.innerText.includes(text)",
            arg=[panel, text],
        )

    def choose(self, group: str, label: str) -> None:
        self.page.locator(group).get_by_label(label).check()

    def saved(self, kind: str, folder: Path) -> bytes:
        with self.page.expect_download() as waiting:
            self.page.click(f"#highlight-{kind}")
        assert waiting.value.suggested_filename.endswith(f".{kind}")
        waiting.value.save_as(folder / kind)
        return (folder / kind).read_bytes()


@pytest.fixture
def tab(shared) -> Tab:
    return Tab(shared)


def test_the_example_can_be_read_in_tokens_words_and_sentences(visit) -> None:
    visit.page.wait_for_timeout(10_000)  # its results come while the tab is hidden
    tab, page = Tab(visit), visit.page
    wonderful = page.locator("#highlighted .tok", has_text="wonderful,")
    assert "plus" in (wonderful.get_attribute("class") or "")
    assert re.fullmatch(r"\+\d+\.\d\d σ towards positive", wonderful.get_attribute("title") or "")
    assert page.inner_text("#highlight-seen").startswith("Complaint first")
    assert page.locator("#highlight-profile tbody tr").count() >= 9
    page.wait_for_function(  # gradio draws a chart once it is in sight
        "() => { const at = document.querySelector('#posterior'); at.scrollIntoView(); "
        "return at.querySelectorAll('.js-line').length > 0; }"
    )
    tab.choose("#highlight-unit", "sentences")
    page.wait_for_function("document.querySelectorAll('#highlighted .tok').length === 3")
    tab.choose("#highlight-unit", "tokens")
    page.wait_for_function("document.querySelectorAll('#highlighted .tok').length > 40")
    page.get_by_role("button", name="Numbers").click()
    tab.choose("#highlight-order", "strongest first")
    page.wait_for_function(
        "document.querySelector('#highlight-table tbody tr').innerText.includes('wonderful')"
    )
    assert "+" in page.locator("#highlight-table tbody tr .num").nth(1).inner_text()
    page.get_by_label("number input for Spans at most").fill("1")
    page.keyboard.press("Tab")
    page.wait_for_function("document.querySelectorAll('#spans li').length === 1")
    page.get_by_label("number input for Tokens at most").fill("1")
    page.keyboard.press("Tab")
    tab.wait_for("positive: wonderful", "spans")
    tab.choose("#highlight-measure", PAPER.name)
    tab.wait_for("55 times likelier", "highlight-legend")
    wonderful = page.locator("#highlighted .tok", has_text="wonderful").first
    assert "nats towards positive" in (wonderful.get_attribute("title") or "")
    tab.choose("#highlight-steer", "shakespeare")
    tab.wait_for("Early Modern English", "highlight-legend")


def test_a_book_can_be_stopped_and_does_not_freeze_the_page(tab: Tab) -> None:
    tab.highlight(HUGE)
    tab.wait_for("Reading", "highlight-status")
    tab.choose("#highlight-unit", "sentences")  # the page answers while it is read
    tab.page.wait_for_function("document.querySelectorAll('#highlighted .tok').length === 3")
    tab.page.click("#highlight-stop")
    tab.wait_for("Stopped.", "highlight-status")
    tab.highlight(HUGE)
    tab.highlight("A newer, shorter text.")
    tab.wait_for("A newer, shorter text.")


def test_odd_texts_are_shown_as_they_are(tab: Tab) -> None:
    for text in (
        "<script>window.hacked = 1</script> & <b>",
        "我们昨天去了公园，天气很好👍🏽，孩子们很开心。",
    ):
        tab.highlight(text)
        tab.wait_for(text)
        assert "likeliest ε" in tab.page.inner_text("#highlight-summary")
    assert tab.page.evaluate("window.hacked") is None
    assert tab.page.inner_text("#highlight-seen").strip() == ""  # what an example taught
    tab.highlight("?!")
    tab.wait_for("There is no word in it", "highlight-summary")
    tab.highlight("word")
    tab.wait_for("Reads like ordinary text", "highlight-summary")
    tab.highlight("  \n ")
    tab.wait_for("The text is empty", "highlight-status")
    assert tab.page.inner_text("#highlighted").strip() == "word"


def test_what_is_shown_can_be_saved(tab: Tab, tmp_path: Path) -> None:
    text = "=cmd, -a “wonderful” <script>day</script>\n+1 好"
    tab.highlight(text)
    tab.wait_for("“wonderful” <script>")
    tab.page.wait_for_function(DONE)
    rows = list(
        csv.DictReader(io.StringIO(tab.saved("csv", tmp_path).decode("utf-8-sig"), newline=""))
    )
    said = re.search(r"([+−][\d.]+) nats\)", tab.page.inner_text("#highlight-summary"))
    assert said
    total = float(said[1].replace("−", "-"))
    assert sum(float(row["sentiment"]) for row in rows) == pytest.approx(total, abs=0.06)
    assert {"detoxification", "shakespeare"} <= rows[0].keys()
    saved = tab.saved("html", tmp_path).decode()
    assert "<script" not in saved
    assert "&lt;script&gt;day" in saved
    picture = tab.saved("png", tmp_path)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) > 5_000


def test_two_texts_are_compared(tab: Tab) -> None:
    page = tab.page
    page.get_by_role("button", name="Irony and plain words").click()
    tab.wait_for("The first text speaks more for positive", "highlight-summary")
    tab.wait_for("stood in the rain for four", "highlighted-second")
    page.wait_for_function("document.querySelectorAll('#highlight-profile .which').length >= 18")
    assert page.locator("#posterior .js-line").count() == 2
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    page.set_viewport_size({"width": 1280, "height": 900})
    page.fill("#highlight-second textarea", "")
    page.click("#highlight-go")
    tab.wait_for("The second text is empty", "highlight-status")
    page.uncheck("#highlight-compare input")
    page.wait_for_function("!document.querySelector('#highlighted-second .gen')?.checkVisibility()")
    page.wait_for_selector("#highlight-second textarea", state="hidden")


def test_each_word_is_taken_apart_on_demand(tab: Tab) -> None:
    tab.highlight("The view was not <i>good</i>")
    tab.wait_for("not <i>good</i>")
    tab.page.wait_for_function(DONE)
    tab.page.click("#highlight-split")
    tab.wait_for("on later words", "highlight-effects")
    rows = tab.page.locator("#highlight-effects tbody tr")
    assert [rows.nth(i).locator("td").nth(1).inner_text() for i in (3, 4)] == [
        "not",
        "<i>good</i>",
    ]
    assert rows.nth(4).locator("td").nth(3).inner_text() == "0.0"  # nothing comes after it
    tab.highlight("word " * 150)
    tab.wait_for("word word")
    tab.page.wait_for_function(DONE)
    assert tab.page.inner_text("#highlight-effects").strip() == ""  # it was the other text's
    tab.page.click("#highlight-split")
    tab.wait_for("150 words is too long", "highlight-status")


def test_the_current_generation_is_taken_with_one_click(tab: Tab) -> None:
    page = tab.page
    page.click("#highlight-take")
    steered = page.text_content("#steered .gen") or ""
    tab.wait_for(steered[:40])
    assert page.input_value("#highlight-text textarea") == steered
    page.check("#highlight-compare input")
    page.click("#highlight-take-2")
    tab.wait_for((page.text_content("#baseline .gen") or "")[:40], "highlighted-second")
