"""How fast the Steer tab's two columns are written on the page, against the engine alone.

    python -m benchmarks.browser [--port N] [--repeats N] [--decoder NAME]

Serves the app in this process and opens it in headless Chromium on the same machine. Baseline and
steered text of each length are written by the engine without a page, then by the page, from the
click to the last token; both take turns. The prompt has a space more each time: else the page
would keep its baseline. The renderer's CPU time is Chromium's own count.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import statistics
import sys
import time
from collections import deque

from playwright.sync_api import Browser, Page, sync_playwright
from starlette.middleware import Middleware

from lmsteer_core.generation.generate import Row
from lmsteer_core.ui.app import build_app, launch_options
from lmsteer_core.ui.page.live_feed import FeedMiddleware
from lmsteer_core.ui.page.modules import module_route
from lmsteer_core.ui.tabs.examples import DEFAULT_SAMPLING, EXAMPLE_EPSILON, EXAMPLE_PROMPTS
from lmsteer_core.workbench import Workbench

LENGTHS = (40, 100, 200)
PROMPT = EXAMPLE_PROMPTS[1]

_WRITE_JS = """() => new Promise(done => {
    const status = document.querySelector('#status');
    let isBegun = false;
    const observer = new MutationObserver(() => {
        const isOver = status.querySelector('.note[role=status]');
        if (!isOver) isBegun = true;
        else if (isBegun) { observer.disconnect(); done(performance.now() - clicked); }
    });
    observer.observe(status, {childList: true, subtree: true, attributes: true});
    const clicked = performance.now();
    document.querySelector('#generate').click();
})"""


def main() -> None:
    """Print steps/s of both, their ratio, and the renderer's CPU time a token."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=7897)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--decoder", choices=["auto", "torch"], default="auto")
    options = parser.parse_args()
    workbench = Workbench.open()
    if options.decoder == "auto":
        print(workbench.accelerate().result())
    demo = build_app(workbench).queue(max_size=200)
    demo.launch(
        server_port=options.port,
        prevent_thread_lock=True,
        quiet=True,
        app_kwargs={"routes": [module_route()], "middleware": [Middleware(FeedMiddleware)]},
        **launch_options(),
    )
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.set_default_timeout(120_000)
        page.goto(f"http://127.0.0.1:{options.port}")
        page.wait_for_selector("#status .note")
        page.get_by_role("button", name="Sampling").click()
        _measure(workbench, browser, page, options.repeats)
        browser.close()
    sys.stdout.flush()
    os._exit(0)  # gradio's thread would wait for the next request


def _measure(workbench: Workbench, browser: Browser, page: Page, repeats: int) -> None:
    _on_page(page, LENGTHS[0], PROMPT)  # the first text also loads scripts
    cpu: dict[int, float] = {}
    for length in LENGTHS:
        ratios, rates, cpus = [], [], []
        for i in range(repeats):
            prompt = PROMPT + " " * (i + length % 7 + 1)
            alone = _by_engine(workbench, length, prompt)
            before = _renderer_seconds(browser)
            shown = _on_page(page, length, prompt)
            cpus.append(_renderer_seconds(browser) - before)
            rates.append((length / shown, length / alone))
            ratios.append(alone / shown)
        cpu[length] = statistics.median(cpus)
        on_page, by_engine = (statistics.median(each) for each in zip(*rates, strict=True))
        print(
            f"{length} tokens, steps/s on the page / engine alone: {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f}–{max(ratios):.2f}; target ≥ 0.85; {on_page:.1f} and "
            f"{by_engine:.1f}); renderer {1000 * cpu[length] / length:.1f} ms of CPU a token"
        )
    short, middle, long = LENGTHS
    first, last = (1000 * (cpu[b] - cpu[a]) / (b - a) for a, b in ((short, middle), (middle, long)))
    print(
        f"renderer's CPU for each token more: {first:.1f} ms from {short} to {middle} tokens, "
        f"{last:.1f} ms from {middle} to {long}"
    )


def _by_engine(workbench: Workbench, length: int, prompt: str) -> float:
    """Return the seconds of both texts without a page; SystemExit if one ends early."""
    sampling = dataclasses.replace(DEFAULT_SAMPLING, max_new_tokens=length)
    rows = [Row(prompt), Row(prompt, {workbench.names[0]: EXAMPLE_EPSILON})]
    start = time.perf_counter()
    steps = workbench.stream(rows, sampling)
    (last,) = deque(steps, maxlen=1)
    if None in last:
        raise SystemExit(f"A text of {prompt!r} ended before {length} tokens: take another.")
    return time.perf_counter() - start


def _on_page(page: Page, length: int, prompt: str) -> float:
    """Return the seconds from the click to the end of both texts."""
    page.get_by_label("number input for New tokens").fill(str(length))
    page.fill("#prompt textarea", prompt)
    page.keyboard.press("Tab")
    page.wait_for_timeout(500)
    milliseconds: float = page.evaluate(_WRITE_JS)
    return milliseconds / 1000


def _renderer_seconds(browser: Browser) -> float:
    """Return the CPU time of Chromium's renderers so far."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return float(sum(p["cpuTime"] for p in processes if p["type"] == "renderer"))


if __name__ == "__main__":
    main()
