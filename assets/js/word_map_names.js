/** The names on the full map, as elements over it: words, and clusters as buttons that select them. */

import { clamp } from "./shared.js";
import { fitting, pointAt } from "./word_map_data.js";

/** @typedef {import("./word_map_data.js").Point} Point */
/** @typedef {import("./word_map_data.js").Box} Box */

/**
 * A name and where it is wanted.
 *
 * @typedef {object} Name
 * @property {string} key
 * @property {string} text
 * @property {"lit" | "pin" | "chosen" | "cluster"} kind
 * @property {Point} at
 * @property {number} [cluster] Which one, if it names a cluster.
 */

const N_CHOSEN = 12;
const HEIGHT = 22; // pixels

/**
 * Return the names at ε, those first that must not be covered.
 *
 * @param {import("./word_map_view.js").State} state
 * @param {import("./word_map_data.js").Plane} plane
 * @param {number[][]} clusterPlaces x, y, Δx and Δy of each.
 * @returns {Name[]} With places in the plane's units.
 */
export function wantedNames(state, plane, clusterPlaces) {
  const { vocabulary, epsilon, lit, pinned, selected, hasNames } = state;
  /** @type {(i: number, kind: Name["kind"]) => Name} */
  const named = (i, kind) => {
    const sign = plane.style[i] < 0 ? "−" : "+";
    const shift = plane.steer ? ` ${sign}${Math.abs(plane.style[i]).toFixed(2)}` : "";
    const text = `${vocabulary.words[i]}${kind === "lit" ? shift : ""}`;
    return { key: `${kind} ${text}`, text, kind, at: pointAt(plane, i, epsilon) };
  };
  const strongest = selected.size
    ? plane.order.filter((i) => selected.has(i)).slice(-N_CHOSEN)
    : [];
  return [
    ...(lit < 0 ? [] : [named(lit, "lit")]),
    ...pinned.filter((i) => i !== lit).map((i) => named(i, "pin")),
    ...[...strongest]
      .reverse()
      .filter((i) => i !== lit && !pinned.includes(i))
      .map((i) => named(i, "chosen")),
    ...clusterPlaces.flatMap(([x, y, dx, dy], cluster) => {
      if (!hasNames) return [];
      const text = vocabulary.clusters[cluster];
      const at = /** @type {Point} */ ([x + epsilon * dx, y + epsilon * dy]);
      return [
        { key: `cluster ${cluster}`, text, kind: /** @type {const} */ ("cluster"), at, cluster },
      ];
    }),
  ];
}

/** The elements of a map's names. */
export class Names {
  #layer;
  /** @type {Map<string, { element: HTMLElement, width: number }>} */
  #known = new Map();

  /** @param {HTMLElement} layer What holds them. */
  constructor(layer) {
    this.#layer = layer;
  }

  /**
   * Show the names that lie on the map and do not cover each other; earlier ones take precedence.
   *
   * @param {Name[]} names With places in pixels.
   * @param {Point} size Of the map, in pixels.
   * @param {(cluster: number) => string} tint Returns a cluster's colour, or "".
   */
  show(names, [width, height], tint) {
    const inSight = names.filter(({ at: [x, y] }) => x >= 0 && x <= width && y >= 0 && y <= height);
    const elements = inSight.map((name) => this.#element(name));
    const boxes = inSight.map(({ at: [x, y], kind }, i) => {
      const left = clamp(x - elements[i].width / 2, 0, Math.max(0, width - elements[i].width));
      const above = kind === "cluster" ? 0.5 : 1.4; // a word's point stays in sight
      const top = clamp(y - HEIGHT * above, 0, height - HEIGHT);
      return /** @type {Box} */ ([left, top, left + elements[i].width, top + HEIGHT]);
    });
    const fits = fitting(boxes);
    const shown = new Set(inSight.filter((_, i) => fits[i]).map(({ key }) => key));
    const wanted = new Set(names.map(({ key }) => key));
    for (const [key, { element }] of this.#known) {
      if (!shown.has(key)) element.hidden = true;
      if (wanted.has(key) || element instanceof HTMLButtonElement) continue; // clusters stay few
      element.remove();
      this.#known.delete(key);
    }
    for (const [i, { key, cluster }] of inSight.entries()) {
      const { element } = elements[i];
      if (!shown.has(key)) continue;
      element.hidden = false;
      element.style.translate = `${boxes[i][0]}px ${boxes[i][1]}px`;
      const colour = cluster === undefined ? "" : tint(cluster);
      if (element.dataset.tint === colour) continue;
      element.style.borderColor = element.dataset.tint = colour;
    }
  }

  /** @param {Name} name */
  #element({ key, text, kind, cluster }) {
    const known = this.#known.get(key);
    if (known) return known;
    const element = document.createElement(kind === "cluster" ? "button" : "span");
    if (element instanceof HTMLButtonElement) {
      element.type = "button";
      element.title = `Select the words of the cluster ${text}`;
      element.dataset.cluster = String(cluster);
    }
    element.className = `name ${kind}`;
    element.textContent = text;
    element.dir = "auto";
    this.#layer.append(element);
    const added = { element, width: element.offsetWidth };
    this.#known.set(key, added);
    return added;
  }
}
