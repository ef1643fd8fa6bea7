"""How often the maps of words follow ε in a browser without a graphics card.

    python -m benchmarks.word_map [--seconds S] [--repeats N]

Opens headless Chromium with software rendering and moves ε with every frame: on the full map, alone
and two side by side with names and density; on a plotly chart of the same words drawn as the map of
everyday words is; and on WebGL 2 with a shader that moves the points, which is how the full map
would be drawn if a graphics card were sure to be there. All take turns in one page, and each is
told as a ratio to plotly. A `paint` is the arithmetic of one map alone, without the browser's part.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import plotly
from playwright.sync_api import Page, Route, sync_playwright

from lmsteer_core.analysis.word_plane import WordPlane
from lmsteer_core.resources import ASSETS
from lmsteer_core.ui.figures.word_map import word_map
from lmsteer_core.ui.tabs.words.full_map import MAPS
from lmsteer_core.ui.tabs.words.full_map_message import plane_message, words_message
from lmsteer_core.workbench import Workbench

ADDRESS = "http://maps.test/"
_PLOTLY = Path(plotly.__file__).parent / "package_data/plotly.min.js"
_STYLE = """<style>body { margin: 0; --plus: #2f7fd0; --minus: #d9741a; --body-text-color: #111;
--background-fill-primary: #fff; } #plotly, #webgl { width: 590px; height: 446px; }</style>"""

_RATE_JS = """async ([name, seconds]) => {
    const move = window.contestants[name];
    for (const element of document.body.children) element.hidden = !move.shows.includes(element.id);
    await move.ready?.();
    for (let i = 0; i < 5; i++) await move(0.1 * i);
    const begin = performance.now();
    let n = 0;
    while (performance.now() - begin < 1000 * seconds) {
        await move(3 * Math.sin(n++ / 15));
        await new Promise(requestAnimationFrame);
    }
    return n / (performance.now() - begin) * 1000;
}"""

_PREPARE_JS = """async ([words, left, right, figure]) => {
    const { move, start } = await import("./modules/words.js");
    const wordMap = await import("./modules/word_map.js");
    const { Points, paint } = await import("./modules/word_map_points.js");
    const { parsePlane, bounds } = await import("./modules/word_map_data.js");
    start(); wordMap.start();
    const frame = () => new Promise(requestAnimationFrame);
    const full = second => Object.assign(async epsilon => move(epsilon), {
        shows: ["full-map"],
        ready: async () => { wordMap.show(words, left, second); await frame(); await frame(); },
    });
    const { data, layout } = figure, places = data[0].customdata;
    const chart = document.getElementById("plotly");
    await Plotly.newPlot(chart, data, {...layout, width: 590, height: 446});
    const plot = epsilon => Plotly.restyle(chart, {
        x: [places.map(([x, , dx]) => x + epsilon * dx)],
        y: [places.map(([, y, , dy]) => y + epsilon * dy)],
    }, [0]);
    const plane = parsePlane(left), box = bounds(plane, 3);
    const gl = shader(document.getElementById("webgl"), plane.places, box);
    window.contestants = {
        "full map": full(""),
        "two full maps": full(right),
        "plotly": Object.assign(plot, { shows: ["plotly"] }),
        "WebGL 2": Object.assign(async epsilon => gl(epsilon), { shows: ["webgl"] }),
    };
    const n = plane.style.length, pixels = new Uint32Array(590 * 446);
    const dots = { places: plane.places, order: plane.order };
    dots.colours = new Uint8Array(4 * n).fill(99);
    dots.looks = new Uint8Array(2 * n).map((_, i) => i % 2 ? 0 : 5);
    window.paint = () => paint(pixels, 590, dots, 3 * Math.random(), box, 1);
}"""

_SHADER_JS = """function shader(canvas, places, [left, bottom, right, top]) {
    canvas.width = 590; canvas.height = 446;
    const gl = canvas.getContext("webgl2"), program = gl.createProgram();
    const sources = [[gl.VERTEX_SHADER, `#version 300 es
        in vec4 place; uniform float epsilon; uniform vec4 box;
        void main() { gl_PointSize = 5.0; gl_Position = vec4(
            2.0 * (place.xy + epsilon * place.zw - box.xy) / (box.zw - box.xy) - 1.0, 0, 1); }`],
        [gl.FRAGMENT_SHADER, `#version 300 es
        precision mediump float; out vec4 pixel;
        void main() { vec2 at = 2.0 * gl_PointCoord - 1.0; if (dot(at, at) > 1.0) discard;
            pixel = vec4(0.1, 0.2, 0.4, 0.5); }`]];
    for (const [type, source] of sources) {
        const made = gl.createShader(type);
        gl.shaderSource(made, source); gl.compileShader(made); gl.attachShader(program, made);
    }
    gl.linkProgram(program); gl.useProgram(program); gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, places, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0); gl.vertexAttribPointer(0, 4, gl.FLOAT, false, 0, 0);
    gl.uniform4f(gl.getUniformLocation(program, "box"), left, bottom, right, top);
    const at = gl.getUniformLocation(program, "epsilon");
    return epsilon => { gl.clear(gl.COLOR_BUFFER_BIT); gl.uniform1f(at, epsilon);
        gl.drawArrays(gl.POINTS, 0, places.length / 4); };
}"""

_PAINT_JS = """() => {
    const times = Array.from({ length: 50 }, () => {
        const begin = performance.now(); window.paint(); return performance.now() - begin;
    }).sort((a, b) => a - b);
    return times[25];
}"""


def main() -> None:
    """Print updates/s of each and their ratios to plotly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    words, left, right, figure = _messages()
    sizes = ", ".join(f"{len(message) / 1e3:.0f} kB" for message in (words, left, right))
    n_words = len(json.loads(words)["words"])
    print(f"{n_words:,} words; the page is sent {sizes} (the words, then each map)")
    path = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.route("**/*", _answer)
        page.goto(ADDRESS)
        page.evaluate(_PREPARE_JS, [words, left, right, json.loads(figure)])
        _report(page, options.seconds, options.repeats)
        browser.close()


def _messages() -> tuple[str, str, str, str]:
    with Workbench.open() as workbench:
        steer = workbench.steer(workbench.names[0])
        words, probability = workbench.whole_words()
        shifts = workbench.word_shifts(steer, unlock=True)
        mapped = workbench.word_map(steer, unlock=True)
        positions, moves = mapped.positions[:, :2], mapped.moves[:, :2]
        titles = ("dimension 1", "dimension 2")
        dimensions = WordPlane(titles, positions, moves)
        principal = workbench.principal_plane(steer)
        places = positions.tolist(), moves.tolist()
        chart = word_map(words, places[0], places[1], shifts.tolist(), titles, "all")
        return (
            words_message(words, probability, workbench.word_clusters()),
            plane_message("dimensions", steer.name, dimensions, shifts),
            plane_message("principal", steer.name, principal, shifts),
            chart.to_json(),
        )


def _answer(route: Route) -> None:
    name = route.request.url.removeprefix(ADDRESS)
    if name.startswith("modules/"):
        route.fulfill(path=ASSETS / "js" / name.removeprefix("modules/"))
    elif name == "plotly.js":
        route.fulfill(path=_PLOTLY)
    elif name:
        route.fulfill(status=404)
    else:
        style = (ASSETS / "words.css").read_text(encoding="utf-8")
        html = f"""<!doctype html><meta charset="utf-8"><style>{style}</style>{_STYLE}
            <div id="full-map">{MAPS}</div><div id="plotly"></div><canvas id="webgl"></canvas>
            <script>{_SHADER_JS}</script><script src="plotly.js"></script>"""
        route.fulfill(body=html, content_type="text/html")


def _report(page: Page, seconds: float, repeats: int) -> None:
    names: list[str] = page.evaluate("Object.keys(window.contestants)")
    rates: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            rates[name].append(page.evaluate(_RATE_JS, [name, seconds]))
    for name, values in rates.items():
        ratios = [ours / plot for ours, plot in zip(values, rates["plotly"], strict=True)]
        print(f"{name:14s} {_range(values)} updates/s, {_range(ratios)} times plotly's")
    print(f"one paint of all words: {page.evaluate(_PAINT_JS):.1f} ms")


def _range(values: list[Any]) -> str:
    return f"{statistics.mean(values):.1f} ({min(values):.1f}–{max(values):.1f})"


if __name__ == "__main__":
    main()
