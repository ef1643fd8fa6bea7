"""Everything is a link: each tab's state survives a reload, and a bad link restores what it can."""

from __future__ import annotations

from urllib.parse import parse_qsl

from playwright.sync_api import Page

STATE = {
    "prompt": "The old harbour",
    "steer.sentiment": "-1",
    "steer.pirate": "1.2",
    "temperature": "0.8",
    "top_p": "0.9",
    "tokens": "20",
    "seed": "7",
    "axis": "pirate",
    "continuum": "formality",
    "lines": "7",
}
"""Of the Steer tab; of the others below, each with another value than the one it opens with."""

OTHERS = {
    "train.mode": "Examples",
    "train.more": "Kind words.\nThank you.\nPlease.",
    "train.less": "Go away.\nNo.\nStop it.",
    "train.name": "kindly",
    "nextword.prompt": "We sail at",
    "nextword.follow": "dawn",
    "nextword.steer": "pirate",
    "nextword.e": "-1.2",
    "nextword.log": "1",
    "nextword.held1": "sentiment",
    "nextword.e1": "0.7",
    "words.steer": "pirate",
    "words.reading": "PCA of W e",
    "words.raw": "1",
    "words.e": "1.1",
    "words.across": "2",
    "words.up": "3",
    "words.pins": "ship, rum",
    "highlight.text": "Oh my lovely <b>boat</b> & crew.",
    "highlight.compare": "1",
    "highlight.second": "The meeting is at noon.",
    "highlight.steer": "pirate",
    "highlight.unit": "sentences",
    "highlight.read": "log P₊ − log P₋",
    "highlight.spans": "3",
    "highlight.length": "9",
    "compose.prompt": "The crew",
    "compose.across": "pirate",
    "compose.up": "formality",
    "compose.e1": "1.1",
    "compose.e2": "-1.4",
    "compose.third": "sentiment",
    "compose.e3": "0.5",
    "compose.seed": "9",
    "compose.map": "None",
    "transfer.by": "ridge",
    "transfer.prompt": "Once more",
    "transfer.e": "1.5",
}
TABS = ("Steer", "New steer", "Next word", "Words", "Highlight", "Compose", "Transfer")
FIELDS = """() => [...document.querySelectorAll('input, textarea')]
    .filter((field) => field.type !== 'radio' || field.checked)
    .map((field) => field.type === 'checkbox' ? String(field.checked) : field.value)"""


def address(page: Page) -> dict[str, str]:
    return dict(parse_qsl(page.evaluate("location.hash.slice(1)"), keep_blank_values=True))


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def test_the_state_of_every_tab_survives_a_reload(open_link) -> None:
    page = open_link(tab="highlight", **STATE, **OTHERS).page
    page.wait_for_function("document.querySelector('#highlighted')?.innerText.includes('boat')")
    assert page.locator("#link-notice .note").count() == 0
    state = {**STATE, **OTHERS, "transfer.by": "A map between the embeddings, H⁻ W H"}  # its label
    ticked = {key for key, value in state.items() if value == "1"}
    unseen = {"transfer.prompt", "transfer.e"}  # until a steer is carried
    called = {"nextword.follow", "words.across", "words.up"}  # by more than the value
    texts = {state[key] for key in state.keys() - ticked - unseen - called}
    for _ in range(2):
        fields = set(page.evaluate(FIELDS))
        for tab in TABS:
            open_tab(page, tab)
            folded = page.locator(".label-wrap:not(.open):visible")
            while folded.count():
                folded.first.click()
            page.wait_for_timeout(300)
            fields |= set(page.evaluate(FIELDS))
            if tab == "Next word":
                assert page.locator("#nextword-follow").get_by_text("dawn").count() == 1
            if tab == "Words":
                page.wait_for_function(
                    f"['2 · − ', '3 · − '].every((a) => ({FIELDS})().some((b) => b.startsWith(a)))"
                )
        assert texts <= fields
        page.wait_for_function("location.hash.includes('tab=transfer')")
        assert {"tab": "transfer", **STATE, **OTHERS}.items() <= address(page).items()
        page.reload()
        page.wait_for_selector("#transfer-go")


def test_a_link_opens_drive_and_leaves_it_to_its_button(open_link) -> None:
    page = open_link().page
    page.get_by_label("Drive", exact=True).check()
    page.wait_for_function("location.hash.includes('view=Drive')")
    page.reload()
    page.wait_for_selector("#drive-go")
    assert not page.is_visible("#generate")
    assert page.inner_text("#drive-status") == ""


def test_what_one_does_is_in_the_address_and_a_reload_writes_the_same_text(open_link) -> None:
    visit = open_link()
    page = visit.page
    assert page.evaluate("location.hash") == ""
    page.fill("#prompt textarea", "The first <i>snow</i> & ice")
    page.locator("#steer-sentiment input[type=range]").fill("-1.1")
    visit.generate()
    page.wait_for_function("location.hash.includes('steer.sentiment=-1.1')")
    here = address(page)
    assert here == {
        "v": "1",
        "prompt": "The first <i>snow</i> & ice",
        "steer.sentiment": "-1.1",
        "model": here["model"],
    }
    written = visit.text("baseline"), visit.text("steered")
    page.reload()
    page.wait_for_function(
        "document.querySelector('#status')?.innerText.match(/sentiment −1.1.*tokens.s/)"
    )
    assert (visit.text("baseline"), visit.text("steered")) == written
    page.locator("#steer-sentiment input[type=range]").fill("1.5")
    page.fill("#prompt textarea", "My life is")
    page.wait_for_function("location.hash === ''")


def test_a_link_put_into_an_open_page_is_opened(open_link) -> None:
    page = open_link().page
    page.evaluate("location.hash = 'tab=words&words.pins=moon'")
    page.wait_for_function("document.querySelector('#words-pins textarea')?.value === 'moon'")
    assert page.get_by_role("tab", name="Words").get_attribute("aria-selected") == "true"


def test_a_bad_link_restores_what_it_can_and_says_what_it_could_not(open_link) -> None:
    visit = open_link(
        v="1",
        tab="nowhere",
        prompt="<img src=x onerror='hacked=1'>",
        seed="7",
        **{
            "steer.sentiment": "NaN",
            "steer.<b>mine</b>": "2",
            "words.steer": "gone",
            "highlight.text": "x" * 100_000,
        },
    )
    page = visit.page
    notice = page.inner_text("#link-notice")
    for sentence in ("cut off", "“nowhere”", "“NaN”", "“<b>mine</b>”, “gone”", "50,000"):
        assert sentence in notice
    visit.wait_until_done()
    assert visit.text("baseline").startswith("<img src=x onerror='hacked=1'>")
    assert page.evaluate("window.hacked") is None
    assert page.locator("#link-notice b").count() == 0
    assert page.input_value("#steer-sentiment input[type=number]") == "1.5"
    page.wait_for_function("location.hash.includes('steer.')")
    assert address(page)["steer.<b>mine</b>"] == "2"  # it counts once the steer is there
    assert "steer.sentiment" not in address(page)
