/** The pad of the Compose tab: a point in the plane of two sliders, which hold the truth. */

import { clamp, enter, formatEpsilon, oncePerFrame, targetWithin } from "./shared.js";

/**
 * ε of the steer across and of the steer up.
 *
 * @typedef {[number, number]} Point
 */

/**
 * What the server says of the plane.
 *
 * @typedef {object} Facts
 * @property {[string, string]} names The steer across and the steer up.
 * @property {number} extent The plane reaches from −extent to extent.
 * @property {Point} low The lowest ε of each axis: 0 where the − pole is locked.
 * @property {Point} point Where the sliders stood.
 * @property {number[]} epsilons The map's grid, the same for both axes; empty without a map.
 * @property {string[][]} told What the map says at each cell, by row from the lowest ε up.
 * @property {string[][]} texts The text written at each cell; empty if none was.
 */

const STEPS_PER_UNIT = 10;
const STEP = 1 / STEPS_PER_UNIT;
const BIG_STEP = 0.5;
/** @type {Record<string, Point>} */
const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };

/**
 * Return where on the grid a value is nearest to.
 *
 * @param {number[]} grid
 * @param {number} value
 */
export function nearestIndex(grid, value) {
  const distances = grid.map((each) => Math.abs(each - value));
  return distances.indexOf(Math.min(...distances));
}

/**
 * Say in words where a point is and what the map shows there.
 *
 * @param {Facts} facts
 * @param {Point} point
 */
export function describe(facts, [x, y]) {
  const place = `${facts.names[0]} ${formatEpsilon(x)}, ${facts.names[1]} ${formatEpsilon(y)}`;
  if (!facts.epsilons.length) return place;
  const row = nearestIndex(facts.epsilons, y);
  const column = nearestIndex(facts.epsilons, x);
  const cell = `at (${[column, row].map((i) => formatEpsilon(facts.epsilons[i])).join(", ")})`;
  const text = facts.texts[row]?.[column]?.trim();
  return `${place} · ${cell} ${facts.told[row][column]}${text ? `: “${text}”` : ""}`;
}

/**
 * Return the nearest point that the pad can hold: within its limits, in steps.
 *
 * @param {Point} point
 * @param {Pick<Facts, "low" | "extent">} facts
 * @returns {Point}
 */
export function snapped(point, { low, extent }) {
  const [x, y] = point.map((epsilon, i) => {
    const nSteps = Math.round(clamp(epsilon, low[i], extent) * STEPS_PER_UNIT);
    return nSteps / STEPS_PER_UNIT; // 3 / 10 is 0.3, and 3 * 0.1 is not
  });
  return [x, y];
}

/**
 * Return the point under the pointer.
 *
 * @param {{ clientX: number, clientY: number }} pointer
 * @param {{ left: number, top: number, width: number, height: number }} box The plane on the screen.
 * @param {number} extent
 * @returns {Point}
 */
export function pointUnder({ clientX, clientY }, box, extent) {
  return [
    extent * ((2 * (clientX - box.left)) / box.width - 1),
    extent * (1 - (2 * (clientY - box.top)) / box.height),
  ];
}

/**
 * Return where the handle stands, in percent of the plane.
 *
 * @param {Point} point
 * @param {number} extent
 */
export function handlePosition([x, y], extent) {
  return { left: `${50 + (50 * x) / extent}%`, top: `${50 - (50 * y) / extent}%` };
}

/**
 * Return where a key moves a point.
 *
 * @param {Point} point
 * @param {{ key: string, shiftKey: boolean }} pressed
 * @returns {Point | null} Null for a key of no meaning here.
 */
export function movedByKey(point, { key, shiftKey }) {
  if (key === "Home") return [0, 0];
  const direction = DIRECTIONS[key];
  const step = shiftKey ? BIG_STEP : STEP;
  return direction ? [point[0] + step * direction[0], point[1] + step * direction[1]] : null;
}

/** @type {Point | null} */
let current = null;
let isHeld = false;
let isSending = false;

/** @returns {{ plane: HTMLElement, facts: Facts } | null} */
function pad() {
  /** @type {HTMLElement | null} */
  const plane = document.querySelector(".compose-plane");
  return plane && { plane, facts: JSON.parse(plane.dataset.facts ?? "") };
}

/**
 * Draw the point; the line below tells about it, or about where the pointer hovers.
 *
 * @param {Point | null} hovered
 */
export function show(hovered = null) {
  const shown = pad();
  if (!shown) return;
  const { plane, facts } = shown;
  current ??= facts.point;
  /** @type {HTMLElement | null} */
  const handle = plane.querySelector(".handle");
  const readout = document.querySelector(".compose-readout");
  if (!handle || !readout) return;
  const [across, up] = facts.names;
  Object.assign(handle.style, handlePosition(current, facts.extent));
  handle.setAttribute("aria-label", `Point of ${across} (left and right) and ${up} (up and down)`);
  handle.setAttribute("aria-valuemin", String(facts.low[0]));
  handle.setAttribute("aria-valuemax", String(facts.extent));
  handle.setAttribute("aria-valuenow", String(current[0]));
  handle.setAttribute("aria-valuetext", describe(facts, current));
  readout.textContent = describe(facts, hovered ?? current);
}

/**
 * Follow a slider that moved, by hand or by the server.
 *
 * @param {number | null} x
 * @param {number | null} y
 */
export function place(x, y) {
  if (isHeld || isSending) return;
  current = [x ?? 0, y ?? 0];
  show();
}

const sendSoon = oncePerFrame(() => {
  isSending = false;
  for (const [i, axis] of ["across", "up"].entries()) {
    const slider = document.querySelector(`#compose-${axis} input[type=range]`);
    if (!current || !(slider instanceof HTMLInputElement)) continue;
    if (Math.abs(Number(slider.value) - current[i]) >= STEP / 2) enter(slider, current[i]);
  }
});

/**
 * Move the point, and the sliders after it.
 *
 * @param {Point} point
 * @param {Facts} facts
 */
function move(point, facts) {
  current = snapped(point, facts);
  show();
  isSending = true;
  sendSoon();
}

/**
 * @param {PointerEvent} event
 * @param {(point: Point, facts: Facts) => void} action
 */
function withPointUnder(event, action) {
  const shown = pad();
  if (!shown) return;
  const { plane, facts } = shown;
  action(pointUnder(event, plane.getBoundingClientRect(), facts.extent), facts);
}

/** Listen to the pointer and the keys. */
export function start() {
  document.addEventListener("pointerdown", (event) => {
    /** @type {HTMLElement | null | undefined} */
    const handle = targetWithin(event, ".compose-plane")?.querySelector(".handle");
    if (event.button || !handle) return;
    event.preventDefault();
    isHeld = true;
    handle.focus({ preventScroll: true });
    withPointUnder(event, move);
  });
  document.addEventListener("pointermove", (event) => {
    if (isHeld) withPointUnder(event, move);
    else if (targetWithin(event, ".compose-plane")) withPointUnder(event, (point) => show(point));
  });
  const release = () => {
    isHeld = false;
  };
  document.addEventListener("pointerup", release);
  document.addEventListener("pointercancel", release);
  document.addEventListener("pointerout", (event) => {
    if (!isHeld && targetWithin(event, ".compose-plane")) show();
  });
  document.addEventListener("keydown", (event) => {
    const shown = targetWithin(event, ".compose-plane .handle") && pad();
    const point = shown && movedByKey(current ?? shown.facts.point, event);
    if (!point) return;
    event.preventDefault();
    move(point, shown.facts);
  });
}
