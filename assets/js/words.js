/** The word map: ε moves every point and the arrows of pinned words, without asking the server. */

import { clamp, enter, oncePerFrame, targetWithin } from "./shared.js";

/**
 * Where a word is at ε = 0, and what ε = 1 adds: x, y, Δx, Δy.
 *
 * @typedef {[number, number, number, number]} Place
 */

/**
 * A pinned word: its text, its place, and its logit shift at ε = 1.
 *
 * @typedef {[string, number, number, number, number, number]} Pin
 */

/** @typedef {[number, number]} Range */

/**
 * The colours of the poles, as the style sheet has them.
 *
 * @typedef {[minus: string, plus: string]} Colours
 */

/**
 * Return where a word is at ε.
 *
 * @param {Place} place
 * @param {number} epsilon
 * @returns {[number, number]}
 */
export function positionAt([x, y, dx, dy], epsilon) {
  return [x + epsilon * dx, y + epsilon * dy];
}

/**
 * Return Plotly's annotation for a pinned word's arrow, from where the word was at ε = 0.
 *
 * @param {Pin} pin
 * @param {number} epsilon
 * @param {Colours} colours
 */
export function pinArrow([, x, y, dx, dy, shift], epsilon, [minus, plus]) {
  const [toX, toY] = positionAt([x, y, dx, dy], epsilon);
  const references = { xref: "x", yref: "y", axref: "x", ayref: "y" };
  const look = { arrowhead: 2, arrowwidth: 2.5, arrowcolor: shift < 0 ? minus : plus };
  const showarrow = epsilon !== 0;
  return { x: toX, y: toY, ax: x, ay: y, text: "", showarrow, ...references, ...look };
}

/**
 * Return Plotly's annotation for a pinned word's text, above where the word is.
 *
 * @param {Pin} pin
 * @param {number} epsilon
 */
export function pinLabel([word, x, y, dx, dy], epsilon) {
  const [toX, toY] = positionAt([x, y, dx, dy], epsilon);
  const text = `<b>${word.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</b>`;
  const look = { font: { size: 16 }, bgcolor: "rgba(128,138,153,0.28)", borderpad: 1 };
  return { x: toX, y: toY, text, showarrow: false, yshift: 15, ...look };
}

/**
 * Return an axis's range after a turn of the wheel.
 *
 * @param {Range} range
 * @param {number} share Where on the axis the pointer is, in [0, 1]: this point stays in its place.
 * @param {number} deltaY Of the wheel event; away from the visitor, negative, brings the map nearer.
 * @returns {Range}
 */
export function zoomed([low, high], share, deltaY) {
  const factor = Math.exp(clamp(deltaY / 200, -0.4, 0.4));
  const fixed = low + share * (high - low);
  return [fixed + (low - fixed) * factor, fixed + (high - fixed) * factor];
}

/**
 * Return a comma-separated list of words with one more.
 *
 * @param {string} list
 * @param {string} word
 */
export function withWord(list, word) {
  const words = list.trim();
  return words ? `${words.replace(/,$/, "")}, ${word}` : word;
}

const SETTLED_MS = 600;

let epsilon = 2;
let touched = Number.NEGATIVE_INFINITY;
/** @type {number | null} */
let told = null;
/** @type {((epsilon: number) => void)[]} */
const followers = [];
let isDrawing = false;
/** @type {{ layout?: PlotlyLayout, state?: string }} */
let drawn = {};
/** @type {WeakSet<PlotlyChart>} */
const listening = new WeakSet();

async function draw() {
  /** @type {PlotlyChart | null} */
  const chart = document.querySelector("#word-map .js-plotly-plot");
  /** @type {HTMLElement | null} */
  const table = document.querySelector("#words-places [data-pins]");
  const { map, pins } = table?.dataset ?? {};
  if (!window.Plotly || !chart?.data?.length || !pins || chart.layout.meta !== map) return;
  const { top, bottom } = chart.getBoundingClientRect();
  if (bottom < 0 || top > innerHeight) return; // drawn when it is scrolled to
  const state = `${epsilon} ${pins}`;
  if (isDrawing || (drawn.layout === chart.layout && drawn.state === state)) return;
  isDrawing = true;
  const positions = chart.data[0].customdata.map((place) => positionAt(place, epsilon));
  /** @type {Pin[]} */
  const pinned = JSON.parse(pins);
  const style = getComputedStyle(chart);
  /** @type {Colours} */
  const colours = [style.getPropertyValue("--minus"), style.getPropertyValue("--plus")];
  const isCoarse = matchMedia("(pointer: coarse)").matches; // there a drag scrolls the page
  await window.Plotly.update(
    chart,
    { x: [positions.map(([x]) => x)], y: [positions.map(([, y]) => y)] },
    {
      annotations: pinned.flatMap((each) => [
        pinArrow(each, epsilon, colours),
        pinLabel(each, epsilon),
      ]),
      dragmode: isCoarse ? false : "pan",
    },
    [0],
  );
  drawn = { layout: chart.layout, state };
  isDrawing = false;
  drawSoon(); // ε may have moved on
  if (listening.has(chart)) return;
  listening.add(chart);
  chart.on("plotly_click", ({ points: [point] }) => pin(point));
  chart.addEventListener("wheel", zoom, { passive: false });
}

const drawSoon = oncePerFrame(draw);

/**
 * Pin the word that was clicked.
 *
 * @param {PlotlyPoint} point
 */
function pin(point) {
  pinWord(new DOMParser().parseFromString(point.text, "text/html").body.textContent.trim());
}

/**
 * Pin a word, by the box of pinned words.
 *
 * @param {string} word
 */
export function pinWord(word) {
  /** @type {HTMLTextAreaElement | null} */
  const box = document.querySelector("#words-pins textarea, #words-pins input");
  if (!box) return;
  enter(box, withWord(box.value, word));
  setTimeout(() => document.getElementById("words-find")?.click());
}

/**
 * Zoom by a pinch, which is a wheel with Ctrl; without it the wheel scrolls the page.
 *
 * @param {WheelEvent} event
 */
function zoom(event) {
  const chart = /** @type {PlotlyChart} */ (event.currentTarget);
  const box = chart.querySelector(".nsewdrag")?.getBoundingClientRect();
  if (!event.ctrlKey || !box) return;
  event.preventDefault();
  event.stopPropagation();
  const { xaxis, yaxis } = chart.layout;
  window.Plotly?.relayout(chart, {
    "xaxis.range": zoomed(xaxis.range, (event.clientX - box.left) / box.width, event.deltaY),
    "yaxis.range": zoomed(yaxis.range, (box.bottom - event.clientY) / box.height, event.deltaY),
  });
}

/**
 * Move every word to where ε puts it, as Gradio tells it.
 *
 * @param {number | null} value Null while the slider's number box is empty.
 */
export function move(value) {
  // A slider in motion is followed by itself; Gradio tells where it was.
  const wait = touched + SETTLED_MS - performance.now();
  told = value;
  if (wait <= 0) follow(value);
  else setTimeout(() => told === value && move(value), wait);
}

/** @param {number | null} value */
function follow(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return;
  epsilon = value;
  drawSoon();
  for (const tell of followers) tell(epsilon);
}

/** Return ε of the maps. */
export function epsilonNow() {
  return epsilon;
}

/**
 * Call a function with every new ε.
 *
 * @param {(epsilon: number) => void} tell
 */
export function onMove(tell) {
  followers.push(tell);
}

/** Follow the slider, and watch the page: Gradio builds the chart when its tab is opened and anew for other words. */
export function start() {
  document.addEventListener("input", (event) => {
    const field = targetWithin(event, "#words-epsilon input, #full-map-epsilon input");
    if (!(field instanceof HTMLInputElement) || !field.value) return;
    touched = performance.now();
    follow(Number(field.value));
  });
  document.addEventListener("scroll", drawSoon, { passive: true, capture: true });
  new MutationObserver(drawSoon).observe(document, { childList: true, subtree: true });
  drawSoon();
}
