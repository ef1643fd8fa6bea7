/** What the points of the full map look like: colours, sizes and shapes by style, frequency or cluster. */

import { clamp } from "./shared.js";

/** @typedef {import("./word_map_data.js").Vocabulary} Vocabulary */
/** @typedef {import("./word_map_data.js").Plane} Plane */
/** @typedef {[red: number, green: number, blue: number]} Colour 0 to 255. */
/** @typedef {"Style" | "Frequency" | "Cluster"} ColourBy */

/**
 * The colours of a theme.
 *
 * @typedef {object} Theme
 * @property {boolean} isDark
 * @property {Colour} plus
 * @property {Colour} minus
 */

const SMALLEST = 3;
const LARGEST = 8;
const STRONG = 0.5; // of a full colour; from here on the shape tells the sign too
const FULL = 0.998; // the share of words that the steer moves less than a full colour says

/**
 * @param {Colour} from
 * @param {Colour} to
 * @param {number} share
 * @returns {Colour}
 */
function mixed(from, to, share) {
  const [red, green, blue] = from.map((value, c) => value + share * (to[c] - value));
  return [red, green, blue];
}

/**
 * Return a colour of the style sheet.
 *
 * @param {string} hex As "#2f7fd0".
 * @returns {Colour}
 */
export function parseColour(hex) {
  const value = Number.parseInt(hex.trim().slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/**
 * Return a cluster's colour: neighbours in number are far apart in hue.
 *
 * @param {number} cluster
 * @param {boolean} isDark
 * @returns {Colour}
 */
export function clusterColour(cluster, isDark) {
  const hue = (cluster * 137.5) % 360;
  const lightness = (isDark ? 0.68 : 0.42) + (cluster % 2 ? 0.06 : -0.04);
  const reach = 0.75 * Math.min(lightness, 1 - lightness);
  const [red, green, blue] = [0, 8, 4].map((n) => {
    const k = (n + hue / 30) % 12;
    return 255 * (lightness - reach * clamp(Math.min(k - 3, 9 - k), -1, 1));
  });
  return [red, green, blue];
}

/**
 * Return how strong each word's style is, from −1 to 1.
 *
 * @param {Plane} plane
 */
export function strengths({ style, order }) {
  const full = Math.abs(style[order[Math.floor(FULL * (order.length - 1))]] ?? 0) || 1;
  return style.map((shift) => clamp(shift / full, -1, 1));
}

/**
 * Return how frequent each word is, from 0 to 1, on a logarithmic scale.
 *
 * @param {Float32Array} frequency
 */
export function frequencies(frequency) {
  const rising = Float32Array.from(frequency).sort();
  const low = rising[0];
  const high = rising[Math.floor(FULL * (rising.length - 1))];
  return frequency.map((value) => clamp((value - low) / (high - low || 1), 0, 1));
}

/**
 * Return what each point looks like.
 *
 * @param {Vocabulary} vocabulary
 * @param {Plane} plane
 * @param {ColourBy} by
 * @param {Theme} theme
 * @param {Set<number>} selected Where any word is selected the others are faint.
 * @returns {Omit<import("./word_map_points.js").Dots, "places">}
 */
export function looks(vocabulary, plane, by, theme, selected) {
  const n = vocabulary.words.length;
  const colours = new Uint8Array(4 * n);
  const look = new Uint8Array(2 * n);
  const share = by === "Frequency" ? frequencies(vocabulary.frequency) : strengths(plane);
  /** @type {Colour} */
  const grey = theme.isDark ? [118, 126, 140] : [140, 147, 160];
  /** @type {Colour} */
  const frequent = theme.isDark ? [238, 190, 255] : [88, 24, 138];
  for (const i of plane.order) {
    const strength = Math.abs(share[i]);
    const colour =
      by === "Cluster"
        ? clusterColour(vocabulary.cluster[i], theme.isDark)
        : mixed(
            grey,
            by === "Frequency" ? frequent : share[i] > 0 ? theme.plus : theme.minus,
            strength,
          );
    const opacity = by === "Cluster" ? 0.75 : 0.4 + 0.55 * strength;
    const isSelected = selected.has(i);
    colours.set(colour, 4 * i);
    colours[4 * i + 3] = 255 * (selected.size ? (isSelected ? 1 : 0.3 * opacity) : opacity);
    const size = by === "Cluster" ? 0.3 : strength;
    look[2 * i] = SMALLEST + (LARGEST - SMALLEST) * size + (isSelected ? 2 : 0);
    look[2 * i + 1] = by === "Style" && strength >= STRONG ? (share[i] > 0 ? 1 : 2) : 0;
  }
  const rest = plane.order.filter((i) => !selected.has(i));
  const top = plane.order.filter((i) => selected.has(i));
  const order = new Uint32Array(rest.length + top.length);
  order.set(rest);
  order.set(top, rest.length);
  return { colours, looks: look, order };
}
