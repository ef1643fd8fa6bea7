/**
 * The full map: all whole words on two maps with one selection. The server sends the words once and
 * each pair of axes once; ε, colours, the lasso and the files of a selection are the browser's.
 */

import { download, oncePerFrame, targetWithin } from "./shared.js";
import { csv, parsePlane, parseVocabulary, tableRows } from "./word_map_data.js";
import { corner, keep, release } from "./word_map_keep.js";
import { listClusters, listWords } from "./word_map_lists.js";
import { MapView } from "./word_map_view.js";
import { wordOf } from "./word_pointer.js";
import { epsilonNow, onMove, pinWord } from "./words.js";

const REST_MS = 200;
/** Texts and lists of words; a word of a label or a button is not meant. */
const TEXTS = ".gen, .nw-words, .snippets, .read, .spans, table, .inspector-lists, .selection li";
const SIDES = /** @type {const} */ (["left", "right"]);

/** @type {import("./word_map_view.js").State} */
const state = {
  vocabulary: {
    words: [],
    frequency: new Float32Array(),
    cluster: new Uint8Array(),
    clusters: [],
    index: new Map(),
  },
  epsilon: epsilonNow(),
  isMoving: false,
  colour: "Style",
  isLasso: false,
  hasDensity: true,
  hasNames: true,
  selected: new Set(),
  lit: -1,
  pinned: [],
};
/** @type {Map<string, MapView>} */
const views = new Map();
/** @type {Record<string, import("./word_map_data.js").Plane | null>} */
const planes = { left: null, right: null };
const sent = { vocabulary: "", left: "", right: "" };
let pins = "";

const drawSoon = oncePerFrame(() => {
  for (const view of views.values()) view.draw();
});
/** @type {ReturnType<typeof setTimeout>} */
let rest;

/** Draw the maps with the next frame, and once more when all has come to rest. */
function redraw() {
  state.isMoving = true;
  clearTimeout(rest);
  rest = setTimeout(() => {
    state.isMoving = false;
    if (devicePixelRatio > 1) drawSoon();
  }, REST_MS);
  drawSoon();
}

/** @type {import("./word_map_view.js").Actions} */
const actions = {
  select(words, isMore) {
    state.selected = new Set(isMore ? [...state.selected, ...words] : words);
    for (const view of views.values()) view.dress();
    listSelection();
  },
  light(word) {
    if (state.lit === word) return;
    state.lit = word;
    redraw();
  },
  pin: (word) => pinWord(state.vocabulary.words[word]),
  redraw,
};

/** Return the planes that are shown. */
function shownPlanes() {
  return SIDES.flatMap((side) => planes[side] ?? []);
}

/** Return the selected words that are shown, those first that the steer moves most. */
function chosen() {
  const [plane] = shownPlanes();
  return plane ? [...plane.order].reverse().filter((i) => state.selected.has(i)) : [];
}

/** List the selected words. */
function listSelection() {
  listWords(state.vocabulary, chosen(), shownPlanes()[0]);
}

/** List the selected words, and the clusters. */
function list() {
  listSelection();
  listClusters(state.vocabulary, state.colour);
}

/**
 * Save the selection as a file.
 *
 * @param {string} kind "csv" or "json".
 */
function save(kind) {
  const rows = tableRows(chosen(), state.vocabulary, shownPlanes());
  const axes = shownPlanes().map(({ titles }) => titles);
  const steer = shownPlanes()[0]?.steer ?? "";
  const text =
    kind === "csv" ? csv(rows) : JSON.stringify({ steer, axes, words: rows }, undefined, 1);
  const type = kind === "csv" ? "text/csv" : "application/json";
  download(`words.${kind}`, new Blob([text], { type: `${type};charset=utf-8` }));
}

/** Find the maps on the page, which Gradio may have built anew, and the pinned words. */
function attach() {
  for (const side of SIDES) {
    const figure = document.querySelector(`#full-map [data-map=${side}]`);
    if (!(figure instanceof HTMLElement)) continue;
    const plane = planes[side];
    figure.hidden = !plane;
    if (!plane) continue;
    let view = views.get(side);
    if (side === "left") corner()?.remove(); // Gradio has built its place anew
    if (view?.figure !== figure) {
      view = new MapView(figure, state, actions);
      views.set(side, view);
      new ResizeObserver(redraw).observe(view.stage);
      list();
    }
    if (view.plane !== plane) view.show(plane);
  }
  const table = document.querySelector("#words-places [data-pins]");
  const found = table instanceof HTMLElement ? (table.dataset.pins ?? "") : "";
  if (found === pins || !state.vocabulary.words.length) return;
  pins = found;
  /** @type {[string, ...number[]][]} */
  const pinned = found ? JSON.parse(found) : [];
  state.pinned = pinned.flatMap(([word]) => state.vocabulary.index.get(word) ?? []);
  redraw();
}

const attachSoon = oncePerFrame(attach);

/**
 * Show what the server sent: the words, and a plane for either map.
 *
 * @param {string} vocabulary
 * @param {string} left
 * @param {string} right Empty for one map alone.
 */
export function show(vocabulary, left, right) {
  if (!vocabulary) return;
  if (vocabulary !== sent.vocabulary) {
    state.vocabulary = parseVocabulary(vocabulary);
    state.selected = new Set();
    state.lit = -1;
    pins = "";
  }
  if (left !== sent.left) planes.left = left ? parsePlane(left) : null;
  if (right !== sent.right) planes.right = right ? parsePlane(right) : null;
  Object.assign(sent, { vocabulary, left, right });
  attach();
  list();
}

/**
 * Set what does not need the server.
 *
 * @param {import("./word_map_look.js").ColourBy} colour
 * @param {string} drag "Select" or "Move".
 * @param {string[]} extras Of "Density" and "Cluster names".
 */
export function set(colour, drag, extras) {
  state.colour = colour;
  state.isLasso = drag === "Select";
  state.hasDensity = extras.includes("Density");
  state.hasNames = extras.includes("Cluster names");
  const box = document.querySelector("#full-map .full-maps");
  if (box instanceof HTMLElement) box.dataset.drag = drag;
  for (const view of views.values()) view.dress();
  list();
}

/**
 * Return where a word is on a map, in pixels of the window, or null.
 *
 * @param {string} word
 * @param {"left" | "right"} side
 */
export function locate(word, side = "left") {
  const i = state.vocabulary.index.get(word) ?? -1;
  const view = views.get(side);
  if (!view || i < 0) return null;
  const { left, top } = view.stage.getBoundingClientRect();
  const [x, y] = view.pixelsOf(i);
  return [left + x, top + y];
}

/**
 * Light up a word that is pointed at.
 *
 * @param {string} word
 */
function light(word) {
  const { index } = state.vocabulary;
  const i = index.get(word) ?? index.get(word.toLowerCase());
  if (i !== undefined) actions.light(i);
}

/** @param {Event} event */
function click(event) {
  const data = targetWithin(event, ":is(#full-map, .kept-map) button")?.dataset;
  if (!data) return;
  const { cluster } = state.vocabulary;
  if (data.cluster !== undefined) {
    const isMore = event instanceof MouseEvent && event.shiftKey;
    const members = [...cluster.keys()].filter((i) => cluster[i] === Number(data.cluster));
    actions.select(members, isMore);
  } else if (data.pin) actions.pin(Number(data.pin));
  else if (data.save) save(data.save);
  else if (data.sight !== undefined) actions.select(views.get("left")?.enclosed() ?? [], false);
  else if (data.clear !== undefined) actions.select([], false);
  else if (data.release !== undefined) release();
  else if (data.keep !== undefined) {
    const figure = views.get("left")?.figure;
    if (figure && !corner()) keep(figure);
  }
}

/** Follow ε, the pointer and the theme; and the page, which Gradio builds as its tabs are opened. */
export function start() {
  onMove((epsilon) => {
    state.epsilon = epsilon;
    redraw();
  });
  /** @type {PointerEvent | null} */
  let pointer = null;
  const lightSoon = oncePerFrame(() => {
    if (pointer && state.vocabulary.words.length) light(wordOf(pointer));
  });
  const follow = (/** @type {PointerEvent} */ event) => {
    if (!targetWithin(event, TEXTS)) return;
    pointer = event;
    lightSoon();
  };
  document.addEventListener("pointermove", follow);
  document.addEventListener("pointerdown", follow);
  document.addEventListener("focusin", (event) => {
    const text = targetWithin(event, ".tok, [data-pin]")?.textContent;
    if (text) light(text.trim());
  });
  document.addEventListener("click", click);
  new MutationObserver(attachSoon).observe(document, { childList: true, subtree: true });
  const dress = oncePerFrame(() => {
    for (const view of views.values()) view.dress();
  });
  new MutationObserver(dress).observe(document.body, {
    attributes: true,
    attributeFilter: ["class"],
  });
}
