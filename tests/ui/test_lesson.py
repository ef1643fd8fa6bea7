"""The lesson drives the real widgets, by the keyboard alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page

from lmsteer_core import LanguageModel, Workbench
from lmsteer_core.steers.steer import steer_hidden

TEXTS = """() => [...document.querySelectorAll('input, textarea')].map((field) => field.value)"""
SLIDERS = {
    "nextword.e": "#nextword-epsilon",
    "steer.sentiment": "#steer-sentiment",
    "words.e": "#words-epsilon",
}
ROOT = Path(__file__).parents[2]
PAGES = ROOT / "assets/js/lesson_pages.js"


def wait_for_page(page: Page, number: int, stop: dict) -> None:
    """Wait until a page of the lesson shows what it tells of."""
    page.wait_for_function(
        "n => document.querySelector('.lesson header')?.innerText.startsWith(`${n} of`)", arg=number
    )
    page.wait_for_function(
        "look => document.querySelector(look)?.checkVisibility()", arg=stop["look"]
    )
    typed = [
        text for key, text in stop["state"].items() if re.search("prompt|text|pins|tive$", key)
    ]
    page.wait_for_function(
        f"typed => {{ const texts = ({TEXTS})(); return typed.every((t) => texts.includes(t)); }}",
        arg=typed,
    )
    for key, slider in SLIDERS.items():
        if key in stop["state"]:
            page.wait_for_function(
                "([number, epsilon]) => document.querySelector(number).value === epsilon",
                arg=[f"{slider} input[type=number]", stop["state"][key]],
            )
    assert page.locator("#link-notice .note").count() == 0


def test_the_whole_lesson_is_walked_by_keyboard(visit) -> None:
    page = visit.page
    pages = page.evaluate("import('./modules/lesson_pages.js').then((module) => module.PAGES)")
    page.focus("button[data-lesson]")
    page.keyboard.press("Enter")
    for number, each in enumerate(pages, start=1):
        wait_for_page(page, number, each["stop"])
        assert page.evaluate("document.activeElement.innerText") == each["title"]
        assert f"lesson={number}" in page.url
        page.keyboard.press("ArrowRight" if number % 2 else "Space")
    page.wait_for_function("document.querySelector('.lesson progress').value === 42")
    page.keyboard.press("ArrowLeft")
    wait_for_page(page, 11, pages[10]["stop"])
    page.get_by_role("button", name=pages[10]["more"]["label"]).click()
    wait_for_page(page, 11, pages[10]["more"]["stop"])
    page.focus("#prompt textarea")
    for key in ("ArrowRight", "Space", "Escape"):
        page.keyboard.press(key)
    wait_for_page(page, 11, {"look": "#prompt", "state": {}})
    page.focus(".lesson h2")
    page.keyboard.press("Escape")
    page.wait_for_selector(".lesson", state="detached")
    assert "lesson" not in page.url
    assert page.evaluate("document.activeElement.innerText") == "Lesson"


def test_a_page_opens_by_its_address_with_notes_and_folds_on_a_phone(visit_at) -> None:
    page = visit_at(390, 844, "/?lesson=6&notes=1").page
    page.wait_for_selector("#compose-pad", state="visible")
    assert page.is_visible(".lesson .for-lecturer")
    height = "document.querySelector('.lesson').getBoundingClientRect().height"
    assert page.evaluate(height) < 844 / 2
    page.click(".lesson [data-turn=fold]")
    assert page.evaluate(height) < 844 / 5
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.context.close()


def test_the_plan_links_to_every_page() -> None:
    plan = (ROOT / "docs/lecture/plan.md").read_text(encoding="utf-8")
    linked = re.findall(r"7860/\?lesson=(\d+)\)", plan)
    assert sorted(map(int, linked)) == [*range(1, 13)]
    assert "7860/#" not in plan


@pytest.mark.model
def test_the_numbers_of_the_lesson_are_the_models(lm: LanguageModel) -> None:
    with Workbench(lm) as workbench:
        steer = workbench.steers["sentiment"]
    told = PAGES.read_text(encoding="utf-8")
    hidden = lm.hidden_states([lm.encode("The movie was absolutely")[0]])[0][-1:].double()
    factors = steer.left.double(), steer.right.double()
    for word in ("stunning", "terrible", "the"):
        embedding = lm.output_embedding[lm.token_ids(f" {word}")[0]].double()
        unsteered, steered = (
            float(steer_hidden(hidden, *factors, torch.tensor(epsilon).double())[0] @ embedding)
            for epsilon in (0.0, 1.0)
        )
        assert f"<tr><td>{word}<td>{unsteered:.2f}<td>" in told
        assert re.search(f"“{word}” (has )?{steered:.2f}", told.replace('" +\n      "', ""))
