/** What stands below the full map: the selected words, the clusters, and what the colours mean. */

import { clusterColour } from "./word_map_look.js";

/** @typedef {import("./word_map_data.js").Vocabulary} Vocabulary */
/** @typedef {import("./word_map_look.js").ColourBy} ColourBy */

const N_LISTED = 200;
/** @type {Record<import("./word_map_look.js").ColourBy, string>} */
const LEGENDS = {
  Style: "▲ blue gains with +ε, ▼ orange loses, grey hardly changes.",
  Frequency: "Large and strong: frequent in ordinary text; small and grey: rare.",
  Cluster: "Each colour is a cluster of words whose output embeddings point the same way.",
};

/** @param {number} n */
function count(n) {
  return n.toLocaleString("en");
}

/**
 * @param {string} text
 * @param {DOMStringMap} data
 */
function button(text, data) {
  const made = document.createElement("button");
  made.type = "button";
  made.dir = "auto";
  made.textContent = text;
  Object.assign(made.dataset, data);
  return made;
}

/**
 * List the selected words, and tell their number and how ε moves them.
 *
 * @param {Vocabulary} vocabulary
 * @param {number[]} words
 * @param {import("./word_map_data.js").Plane} [plane]
 */
export function listWords(vocabulary, words, plane) {
  const panel = document.querySelector("#full-map .selection");
  if (!panel) return;
  const mean = words.reduce((sum, i) => sum + (plane?.style[i] ?? 0), 0) / (words.length || 1);
  const shift = `; ε = 1 moves their logits by ${mean.toFixed(3).replace("-", "−")} on average`;
  const rest =
    words.length > N_LISTED ? ` The first ${N_LISTED} are listed; the files hold all.` : "";
  const number = `${count(words.length)} of ${count(vocabulary.words.length)} words`;
  const told = words.length
    ? `${number}${plane?.steer ? shift : ""}.${rest}`
    : "No word is selected. Draw around some, or choose the name of a cluster.";
  const status = panel.querySelector("[role=status]");
  if (status) status.textContent = told;
  /** @type {NodeListOf<HTMLButtonElement>} */
  const buttons = panel.querySelectorAll("button[data-save], button[data-clear]");
  for (const each of buttons) each.disabled = !words.length;
  const items = words.slice(0, N_LISTED).map((i) => {
    const item = document.createElement("li");
    item.append(button(vocabulary.words[i], { pin: String(i) }));
    return item;
  });
  panel.querySelector("ol")?.replaceChildren(...items);
}

/**
 * List the clusters, for those whose names do not fit on a map, and say what the colours mean.
 *
 * @param {Vocabulary} vocabulary
 * @param {ColourBy} colour
 */
export function listClusters({ cluster, clusters }, colour) {
  const legend = document.querySelector("#full-map .legend b");
  if (legend) legend.textContent = LEGENDS[colour];
  const counts = clusters.map(() => 0);
  for (const c of cluster) counts[c]++;
  const isDark = document.body.classList.contains("dark");
  const names = clusters.map((name, c) => {
    const made = button(`${name} (${count(counts[c])})`, { cluster: String(c) });
    if (colour === "Cluster") made.style.borderColor = `rgb(${clusterColour(c, isDark)})`;
    return made;
  });
  document.querySelector("#full-map .clusters p")?.replaceChildren(...names);
}
