"""Take the pictures of the tour anew, of a running app: `python docs/screenshots.py URL`."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
READY = {
    "New steer": "#train-make",
    "Next word": "#nextword-view-chart .nw-line",
    "Words": "#word-map .js-plotly-plot",
    "Highlight": "#highlighted span",
    "Compose": ".compose-plane rect",
    "Transfer": "#transfer-from",
    "Evidence": "iframe.report",
}
"""What each tab shows once it has something to show."""


def main(url: str) -> None:
    """Open the app, visit every tab but the first, and keep a picture of each."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox"],
        )
        page = browser.new_page(viewport={"width": 1200, "height": 860})
        page.goto(url)
        page.wait_for_timeout(20_000)  # the first example is written, and hidden tabs fill
        for tab, selector in READY.items():
            page.get_by_role("tab", name=tab, exact=True).click()
            page.wait_for_selector(selector, state="attached", timeout=120_000)
            page.wait_for_timeout(5_000)
            keep(page, tab.lower().replace(" ", "-"))
        browser.close()


def keep(page: Page, name: str) -> None:
    """Save what is seen, with few colours: a page of text needs no more, and the file is small."""
    IMAGES.mkdir(exist_ok=True)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(96).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
