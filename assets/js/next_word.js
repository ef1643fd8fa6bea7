/**
 * The moving part of the Next word view: from the curves the server sent once, the line at the slider's
 * ε, the words at that ε, and the ranked lists at −ε, 0 and +ε. A slider on the axis asks the server
 * nothing.
 */

import { rankedLists, ranking, valueAt } from "./curves.js";
import {
  clamp,
  debounced,
  formatEpsilon,
  formatPercent,
  oncePerFrame,
  targetWithin,
} from "./shared.js";

/** @typedef {import("./curves.js").Curves} Curves */
/** @typedef {import("./curves.js").Word} Word */

const PAUSE_MS = 300;
const LEAST_PROBABILITY = 1e-6; // a logarithmic axis has no 0
/** @type {Record<string, string>} */
const DASHES = {
  solid: "",
  dash: "9 6",
  dot: "2.5 3.5",
  dashdot: "9 4 2.5 4",
  longdash: "15 7",
  longdashdot: "15 5 2.5 5",
};

/**
 * Make an HTML element.
 *
 * @param {string} tag
 * @param {string} className
 * @param {string} text
 */
function element(tag, className = "", text = "") {
  const created = document.createElement(tag);
  created.className = className;
  created.textContent = text;
  return created;
}

/**
 * Make an SVG element.
 *
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 */
function svg(tag, attributes) {
  const created = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, String(value));
  return created;
}

/**
 * Make one line of a list of words.
 *
 * @param {string} text
 * @param {number} probability
 * @param {Word} [word] Its curve, if there is one.
 */
function wordRow(text, probability, word) {
  const row = element("li", word?.side);
  row.style.setProperty("--p", probability.toFixed(4));
  if (word) {
    const swatch = svg("svg", { class: "swatch", width: 40, height: 10, "aria-hidden": "true" });
    const dashes = DASHES[word.dash] ?? word.dash;
    swatch.append(svg("line", { x1: 1, x2: 39, y1: 5, y2: 5, "stroke-dasharray": dashes }));
    row.append(swatch);
  }
  const name = element("span", "word", text);
  name.dir = "auto";
  if (word?.of) name.append(element("small", "", ` first token of “${word.of}”`));
  row.append(name, element("span", "p", formatPercent(probability)));
  return row;
}

/**
 * @param {Curves} curves
 * @returns {PlotlyChart | null}
 */
function chartOf(curves) {
  return document.querySelector(`#${curves.view}-chart .js-plotly-plot`);
}

/**
 * Draw the upright line and a dot on each curve.
 *
 * @param {Curves} curves
 * @param {number} epsilon Where the slider is.
 * @param {number} shown The nearest ε that the curves reach.
 */
function drawLine(curves, epsilon, shown) {
  const chart = chartOf(curves);
  const layout = chart?._fullLayout;
  if (!chart?.offsetWidth || !layout?.xaxis?.d2p || !layout.yaxis.d2p) return;
  const { width, height, xaxis, yaxis, _size: size } = layout;
  const x = xaxis._offset + layout.xaxis.d2p(shown);
  const line = svg("svg", { class: "nw-line", width, height, "aria-hidden": "true" });
  line.append(svg("line", { x1: x, x2: x, y1: size.t - 4, y2: size.t + size.h }));
  for (const word of curves.words) {
    const probability = Math.max(valueAt(curves.epsilons, word.p, shown), LEAST_PROBABILITY);
    const y = yaxis._offset + layout.yaxis.d2p(probability);
    line.append(svg("circle", { class: word.side, cx: x, cy: y, r: 5 }));
  }
  const label = svg("text", { x, y: size.t - 10, "text-anchor": "middle" });
  label.textContent = `ε = ${formatEpsilon(epsilon)}${epsilon > shown ? " →" : epsilon < shown ? " ←" : ""}`;
  line.append(label);
  chart.querySelector(":scope > .nw-line")?.remove();
  chart.append(line);
}

/**
 * List the words at ε.
 *
 * @param {HTMLElement} panel
 * @param {Curves} curves
 * @param {number} epsilon
 * @param {number} shown
 */
function drawWords(panel, curves, epsilon, shown) {
  const heading = element("p", "nw-at", `At ε = ${formatEpsilon(shown)}`);
  const beyond = ` (the slider, at ${formatEpsilon(epsilon)}, is beyond the curves)`;
  if (epsilon !== shown) heading.append(element("small", "", beyond));
  const { ranked, others } = ranking(curves, shown);
  const list = element("ol", "nw-words");
  list.setAttribute("aria-label", `Probabilities at ε = ${formatEpsilon(shown)}, likeliest first`);
  for (const { word, probability } of ranked) list.append(wordRow(word.text, probability, word));
  const rest = wordRow("all other words", others);
  rest.classList.add("rest");
  list.append(rest);
  panel.replaceChildren(heading, list);
}

/**
 * List the likeliest words at −ε, 0 and +ε, where the page has a place for them.
 *
 * @param {Curves} curves
 * @param {number} shown
 */
function drawLists(curves, shown) {
  const box = document.querySelector(`.nw-lists[data-of="${curves.view}"]`);
  if (!box) return;
  const columns = rankedLists(curves, shown).map(({ side, epsilon, title, top }) => {
    const heading = element("h3", "", `ε = ${formatEpsilon(epsilon)}`);
    heading.append(element("small", "", ` ${title}`));
    const list = top ? element("ol", "nw-words") : element("p", "", "This pole is locked.");
    for (const [text, probability] of top ?? []) list.append(wordRow(text, probability));
    const column = element("section", side);
    column.append(heading, list);
    return column;
  });
  box.replaceChildren(...columns);
}

/** @type {WeakMap<HTMLElement, { json: string, curves: Curves }>} */
const parsed = new WeakMap();

/**
 * Return the curves that a panel holds, parsed once.
 *
 * @param {HTMLElement} panel
 */
function curvesOf(panel) {
  const json = panel.dataset.next ?? "";
  const known = parsed.get(panel);
  if (known?.json === json) return known.curves;
  const curves = /** @type {Curves} */ (JSON.parse(json));
  parsed.set(panel, { json, curves });
  return curves;
}

/** @returns {NodeListOf<HTMLElement>} */
function panels() {
  return document.querySelectorAll(".nw-now[data-next]");
}

/**
 * Return a slider's value, from its number box or, where that is empty, its range.
 *
 * @param {string} id
 */
function sliderValue(id) {
  for (const type of ["number", "range"]) {
    /** @type {HTMLInputElement | null | undefined} */
    const field = document.getElementById(id)?.querySelector(`input[type=${type}]`);
    if (field?.value) return Number(field.value);
  }
}

/** @type {WeakMap<HTMLElement, { state: string, curves: Curves }>} */
const drawn = new WeakMap();

/**
 * Draw a panel and its chart's line, unless they are drawn already.
 *
 * @param {HTMLElement} panel
 * @param {number} epsilon
 */
function draw(panel, epsilon) {
  const curves = curvesOf(panel);
  const chart = chartOf(curves);
  const { width, height, _size: size, yaxis } = chart?._fullLayout ?? {};
  const hasLine = Boolean(chart?.querySelector(":scope > .nw-line"));
  const axis = [yaxis?.type, yaxis?.range, chart?.offsetWidth, hasLine];
  const state = [epsilon, width, height, size?.l, size?.w, ...axis].join();
  const last = drawn.get(panel);
  if (last?.state === state && last.curves === curves) return;
  const { epsilons } = curves;
  const shown = clamp(epsilon, epsilons[0], epsilons[epsilons.length - 1]);
  drawLine(curves, epsilon, shown);
  drawWords(panel, curves, epsilon, shown);
  drawLists(curves, shown);
  drawn.set(panel, { state, curves });
}

/** @type {Map<string, { state: string, timer: ReturnType<typeof setTimeout> }>} */
const asked = new Map();

/**
 * Ask for new curves once the sliders that are held have come to rest somewhere else.
 *
 * @param {Curves} curves
 */
function askIfMoved({ ask, slider, held, unlock, unlocked }) {
  if (!ask) return;
  /** @type {HTMLInputElement | null} */
  const box = document.querySelector(`#${unlock} input`);
  const isUnlocked = box?.checked ?? unlocked;
  const values = Object.entries(held).map(([id, epsilon]) => sliderValue(id) ?? epsilon);
  const state = JSON.stringify([slider, values, isUnlocked]);
  const waiting = asked.get(ask);
  if (state === JSON.stringify([slider, Object.values(held), unlocked])) {
    clearTimeout(waiting?.timer);
    asked.delete(ask);
  } else if (waiting?.state !== state) {
    clearTimeout(waiting?.timer);
    const timer = setTimeout(() => document.getElementById(ask)?.click(), PAUSE_MS);
    asked.set(ask, { state, timer });
  }
}

const refreshSoon = oncePerFrame(() => {
  for (const panel of panels()) {
    const curves = curvesOf(panel);
    draw(panel, sliderValue(curves.slider) ?? 0);
    askIfMoved(curves);
  }
});

/** @type {Map<string, (values: unknown[]) => Promise<unknown[]>>} */
const pauses = new Map();

/**
 * Let an event through once its widgets have come to rest.
 *
 * @param {string} view Events of one view supersede each other.
 * @param {unknown[]} values
 */
export function pause(view, ...values) {
  const settled = pauses.get(view) ?? debounced(() => PAUSE_MS);
  pauses.set(view, settled);
  return settled(values);
}

/** Follow the sliders; and the page, which new curves, a chart, a tab or a button may change. */
export function start() {
  document.addEventListener("input", (event) => {
    const field = event.target;
    if (field instanceof HTMLInputElement && Number.isFinite(Number(field.value)))
      for (const panel of panels())
        if (targetWithin(event, `[id="${curvesOf(panel).slider}"]`))
          draw(panel, Number(field.value));
    refreshSoon();
  });
  new MutationObserver(refreshSoon).observe(document.body, {
    childList: true,
    subtree: true,
    attributes: true,
    attributeFilter: ["style", "data-next"],
  });
  refreshSoon();
}
