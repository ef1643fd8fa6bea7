/** One full map on the page: its points, axes and names, and what a pointer and the keys do to it. */

import { clamp } from "./shared.js";
import { bounds, clusterPlaces, nearest, pointAt, wordsInside } from "./word_map_data.js";
import { drawArrow, drawAxes, drawDensity, drawOutline } from "./word_map_ground.js";
import { listen } from "./word_map_input.js";
import { clusterColour, looks, parseColour } from "./word_map_look.js";
import { Names, wantedNames } from "./word_map_names.js";
import { Points } from "./word_map_points.js";
import { zoomed } from "./words.js";

/** @typedef {import("./word_map_data.js").Point} Point */
/** @typedef {import("./word_map_data.js").Box} Box */
/** @typedef {import("./word_map_data.js").Plane} Plane */
/** @typedef {import("./word_map_look.js").Theme} Theme */

/**
 * What both maps show.
 *
 * @typedef {object} State
 * @property {import("./word_map_data.js").Vocabulary} vocabulary
 * @property {number} epsilon
 * @property {boolean} isMoving Whether what is shown changes from frame to frame.
 * @property {import("./word_map_look.js").ColourBy} colour
 * @property {boolean} isLasso Whether a drag selects words; else it moves the map.
 * @property {boolean} hasDensity
 * @property {boolean} hasNames Whether clusters are named.
 * @property {Set<number>} selected
 * @property {number} lit The word that is pointed at anywhere on the page, or −1.
 * @property {number[]} pinned
 */

/**
 * What a visitor does on a map.
 *
 * @typedef {object} Actions
 * @property {(words: number[], isMore: boolean) => void} select
 * @property {(word: number) => void} light
 * @property {(word: number) => void} pin
 * @property {() => void} redraw
 */

const EXTENT = 3; // as far as ε goes
const REACH = 14; // pixels, of a pointer

/** A map with its canvases. */
export class MapView {
  /** @type {Plane | undefined} */
  #plane;
  /** @type {Box} */
  #box = [-1, -1, 1, 1];
  /** @type {Point[]} */
  #outline = [];
  /** @type {number[][]} */
  #clusters = [];
  #names;
  #points;
  /** @type {Theme} */
  #theme = { isDark: false, plus: [47, 127, 208], minus: [217, 116, 26] };

  /**
   * @param {HTMLElement} figure
   * @param {State} state
   * @param {Actions} actions
   */
  constructor(figure, state, actions) {
    this.figure = figure;
    this.state = state;
    this.actions = actions;
    const find = (/** @type {string} */ selector) => {
      const found = figure.querySelector(selector);
      if (!(found instanceof HTMLElement)) throw new Error(`A map has no ${selector}.`);
      return found;
    };
    this.stage = find(".stage");
    this.spot = find(".spot");
    this.#names = new Names(find(".names"));
    this.caption = find("figcaption");
    this.#points = new Points(/** @type {HTMLCanvasElement} */ (find("canvas")));
    listen(this);
  }

  /** @returns {Plane | undefined} */
  get plane() {
    return this.#plane;
  }

  /**
   * Show a plane; what is seen stays where the axes do.
   *
   * @param {Plane} plane
   */
  show(plane) {
    const isNew = this.#plane?.key !== plane.key;
    this.#plane = plane;
    this.#clusters = clusterPlaces(plane, this.state.vocabulary);
    this.#points.set({ places: plane.places });
    const [across, up] = plane.titles;
    const axes = across === up ? across : `→ ${across} · ↑ ${up}`;
    this.caption.textContent = axes;
    this.stage.setAttribute("aria-label", `Map of ${plane.order.length} words: ${axes}`);
    if (isNew) this.home();
    this.dress();
  }

  /** Colour the points anew. */
  dress() {
    if (!this.#plane) return;
    const style = getComputedStyle(this.stage);
    const isDark = document.body.classList.contains("dark");
    this.#theme = {
      isDark,
      plus: parseColour(style.getPropertyValue("--plus")),
      minus: parseColour(style.getPropertyValue("--minus")),
    };
    const { vocabulary, colour, selected } = this.state;
    this.#points.set(looks(vocabulary, this.#plane, colour, this.#theme, selected));
    this.draw();
  }

  /** Draw everything at ε. */
  draw() {
    if (!this.#plane) return;
    // A sharp screen has four times the pixels, which nobody sees of what moves.
    const ratio = this.state.isMoving ? 1 : clamp(devicePixelRatio, 1, 2);
    const pen = this.#points.draw(this.state.epsilon, this.#box, ratio);
    if (!pen) return;
    this.#drawAround(this.#plane, pen);
    this.#drawNames(this.#plane);
  }

  /**
   * Draw what lies below and above the points.
   *
   * @param {Plane} plane
   * @param {CanvasRenderingContext2D} pen
   */
  #drawAround(plane, pen) {
    const { clientWidth: width, clientHeight: height } = this.stage;
    const { epsilon, hasDensity, pinned } = this.state;
    const { isDark, plus, minus } = this.#theme;
    const ink = isDark ? "230, 235, 245" : "30, 36, 48";
    pen.globalCompositeOperation = "destination-over";
    drawAxes(pen, this.#box, [width, height], ink);
    if (hasDensity) drawDensity(pen, plane, epsilon, this.#box, [width, height], isDark);
    pen.globalCompositeOperation = "source-over";
    for (const i of pinned) {
      const [from, to] = [0, epsilon].map((at) => this.pixels(pointAt(plane, i, at)));
      drawArrow(pen, from, to, `rgb(${plane.style[i] < 0 ? minus : plus})`);
    }
    const outline = this.#outline.map((point) => this.pixels(point));
    drawOutline(pen, outline, ink);
  }

  /** @param {Plane} plane */
  #drawNames(plane) {
    const { clientWidth, clientHeight } = this.stage;
    const names = wantedNames(this.state, plane, this.#clusters);
    const placed = names.map((name) => ({ ...name, at: this.pixels(name.at) }));
    const tint = (/** @type {number} */ cluster) =>
      this.state.colour === "Cluster" ? `rgb(${clusterColour(cluster, this.#theme.isDark)})` : "";
    this.#names.show(placed, [clientWidth, clientHeight], tint);
    const { lit, epsilon } = this.state;
    const [x, y] = lit < 0 ? [Number.NaN, 0] : this.pixels(pointAt(plane, lit, epsilon));
    this.spot.hidden = Number.isNaN(x);
    this.spot.style.translate = `${x}px ${y}px`;
  }

  /** See every word, for every ε. */
  home() {
    if (this.#plane) this.#box = bounds(this.#plane, EXTENT);
  }

  /**
   * Zoom around a point.
   *
   * @param {number} deltaY As of a wheel: negative brings the map nearer.
   * @param {Point} [at] In pixels; else the middle.
   */
  zoom(deltaY, at) {
    const [x, y] = this.units(at ?? [this.stage.clientWidth / 2, this.stage.clientHeight / 2]);
    const [left, bottom, right, top] = this.#box;
    const across = zoomed([left, right], (x - left) / (right - left), deltaY);
    const up = zoomed([bottom, top], (y - bottom) / (top - bottom), deltaY);
    this.#box = [across[0], up[0], across[1], up[1]];
  }

  /**
   * Move what is seen by pixels.
   *
   * @param {number} x
   * @param {number} y
   */
  pan(x, y) {
    const [left, bottom, right, top] = this.#box;
    const dx = (-x * (right - left)) / this.stage.clientWidth;
    const dy = (y * (top - bottom)) / this.stage.clientHeight;
    this.#box = [left + dx, bottom + dy, right + dx, top + dy];
  }

  /**
   * Draw an outline, or none.
   *
   * @param {Point[]} pixels
   */
  outline(pixels) {
    this.#outline = pixels.map((point) => this.units(point));
    this.draw();
  }

  /** Return the words in the outline, or in sight where there is none. */
  enclosed() {
    const [left, bottom, right, top] = this.#box;
    /** @type {Point[]} */
    const sight = [
      [left, bottom],
      [right, bottom],
      [right, top],
      [left, top],
    ];
    const outline = this.#outline.length > 2 ? this.#outline : sight;
    return this.#plane ? wordsInside(this.#plane, this.state.epsilon, outline) : [];
  }

  /**
   * Return the word near to a point in pixels, or −1.
   *
   * @param {Point} pixels
   */
  wordNear(pixels) {
    const [left, bottom, right, top] = this.#box;
    /** @type {Point} */
    const reach = [
      (REACH * (right - left)) / this.stage.clientWidth,
      (REACH * (top - bottom)) / this.stage.clientHeight,
    ];
    return this.#plane ? nearest(this.#plane, this.state.epsilon, this.units(pixels), reach) : -1;
  }

  /**
   * Return where a word is, in pixels.
   *
   * @param {number} i
   * @returns {Point}
   */
  pixelsOf(i) {
    return this.#plane ? this.pixels(pointAt(this.#plane, i, this.state.epsilon)) : [0, 0];
  }

  /**
   * @param {Point} point In the plane's units.
   * @returns {Point} In pixels from the stage's top left.
   */
  pixels([x, y]) {
    const [left, bottom, right, top] = this.#box;
    const { clientWidth: width, clientHeight: height } = this.stage;
    return [((x - left) / (right - left)) * width, ((top - y) / (top - bottom)) * height];
  }

  /**
   * @param {Point} pixels
   * @returns {Point}
   */
  units([x, y]) {
    const [left, bottom, right, top] = this.#box;
    const { clientWidth: width, clientHeight: height } = this.stage;
    return [left + (x / width) * (right - left), top - (y / height) * (top - bottom)];
  }
}
