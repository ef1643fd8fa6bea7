"""The drawer of the runs that a page keeps, in a browser."""

from __future__ import annotations

import json
from pathlib import Path


def test_runs_are_kept_compared_exported_and_imported(visit, tmp_path: Path) -> None:
    page = visit.page
    page.fill("#prompt textarea", "The <b> kitchen was")
    visit.generate()
    first = visit.text("steered")
    page.locator("#steered .tok[data-place]").nth(2).click()
    page.wait_for_selector("#inspector:not([aria-busy=true]) .inspector-lists button")
    page.locator(".inspector-lists tr:not([aria-current]) button").first.click()
    page.wait_for_function("document.querySelector('#status').innerText.includes('A branch')")
    branch = visit.text("steered")
    page.get_by_role("button", name="Runs 2").click()
    lines = page.locator("#runs li")
    assert lines.count() == 2
    assert "The <b> kitchen was" in lines.nth(0).inner_text()
    assert lines.nth(1).locator("summary").inner_text().startswith("↳")

    lines.nth(1).get_by_role("button", name="Star").click()
    lines.nth(1).get_by_label("Note").fill("the better one")
    for line in lines.all():
        line.get_by_label("Compare").check()
    sides = page.locator("#runs section .gen")
    assert [side.inner_text() for side in sides.all()] == [branch, first]
    assert page.locator("#runs section .first-change").count() == 2

    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    path = tmp_path / "runs.json"
    download.value.save_as(path)
    assert [run["note"] for run in json.loads(path.read_text())["runs"]] == ["the better one", ""]

    for name in ("Delete", "Delete"):
        lines.first.get_by_role("button", name=name).click()
    assert lines.count() == 0
    for file, status in ((Path(__file__), "not JSON"), (path, "2 runs were added")):
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Import").click()
        chooser.value.set_files(file)
        page.locator(".runs-status").get_by_text(status).wait_for()
    assert lines.nth(1).get_by_label("Note").input_value() == "the better one"
    assert lines.nth(1).get_by_role("button", name="Star").get_attribute("aria-pressed") == "true"

    page.fill("#prompt textarea", "Something else")
    lines.nth(1).get_by_role("button", name="Reopen").click()
    page.wait_for_function(
        "text => document.querySelector('#steered .gen').innerText === text", arg=branch
    )
    assert page.input_value("#prompt textarea") == "The <b> kitchen was"
    page.reload()
    page.get_by_role("button", name="Runs 2").wait_for()


def test_the_drawer_closes_by_escape_and_gives_the_focus_back(visit) -> None:
    page = visit.page
    button = page.locator(".runs-open")
    button.focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog", name="Runs").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#runs").is_hidden()
    assert button.evaluate("button => button === document.activeElement")
