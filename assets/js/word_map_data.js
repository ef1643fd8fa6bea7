/**
 * The words of the full map as arrays: where each is at an ε, which is near, which lie in an outline,
 * how densely they lie, and a table of them. Nothing here touches the page.
 */

/**
 * A column of numbers as the server packs it: 16 bits each, from `low` to `high` in equal steps.
 *
 * @typedef {{ low: number, high: number, codes: string }} PackedColumn
 */

/**
 * The words, the same for every steer.
 *
 * @typedef {object} Vocabulary
 * @property {string[]} words
 * @property {Float32Array} frequency The decimal logarithm of each word's probability in ordinary text.
 * @property {Uint8Array} cluster Each word's cluster.
 * @property {string[]} clusters Their names.
 * @property {Map<string, number>} index Words by their spelling, and by their lower case.
 */

/**
 * The words on two axes.
 *
 * @typedef {object} Plane
 * @property {string} key Tells it from others.
 * @property {string} steer The steer that moves the words, or "".
 * @property {[string, string]} titles Of the axes.
 * @property {Float32Array} places x, y at ε = 0 and Δx, Δy of ε = 1, for each word in turn; not a number
 *   for words that are not shown.
 * @property {Float32Array} style Each word's logit shift at ε = 1, in nats.
 * @property {Uint32Array} order The words that are shown, those that the steer moves most at the end.
 */

/** @typedef {[left: number, bottom: number, right: number, top: number]} Box In the plane's units. */

/** @typedef {[x: number, y: number]} Point */

const NOT_SHOWN = 0xffff;

/**
 * @param {string} base64
 * @returns {Uint8Array<ArrayBuffer>}
 */
function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/**
 * Return a packed column's numbers.
 *
 * @param {PackedColumn} column
 */
export function unpacked({ low, high, codes }) {
  const view = new DataView(bytes(codes).buffer);
  const step = (high - low) / (NOT_SHOWN - 1);
  return Float32Array.from({ length: view.byteLength / 2 }, (_, i) => {
    const code = view.getUint16(2 * i, true);
    return code === NOT_SHOWN ? Number.NaN : low + step * code;
  });
}

/**
 * Return the words that the server sent.
 *
 * @param {string} json
 * @returns {Vocabulary}
 */
export function parseVocabulary(json) {
  const { words, frequency, cluster, clusters } = JSON.parse(json);
  /** @type {Map<string, number>} */
  const index = new Map();
  for (const [i, word] of words.entries())
    if (!index.has(word.toLowerCase())) index.set(word.toLowerCase(), i);
  for (const [i, word] of words.entries()) index.set(word, i);
  return { words, frequency: unpacked(frequency), cluster: bytes(cluster), clusters, index };
}

/**
 * Return a plane that the server sent.
 *
 * @param {string} json
 * @returns {Plane}
 */
export function parsePlane(json) {
  const { key, steer, titles, columns, style } = JSON.parse(json);
  const shift = unpacked(style);
  const places = new Float32Array(4 * shift.length);
  for (const [c, column] of columns.entries())
    for (const [i, value] of unpacked(column).entries()) places[4 * i + c] = value;
  const order = Uint32Array.from(shift.keys())
    .filter((i) => !Number.isNaN(places[4 * i]))
    .sort((a, b) => Math.abs(shift[a]) - Math.abs(shift[b]));
  return { key, steer, titles, places, style: shift, order };
}

/**
 * Return where a word is at ε.
 *
 * @param {Plane} plane
 * @param {number} i
 * @param {number} epsilon
 * @returns {Point}
 */
export function pointAt({ places }, i, epsilon) {
  const at = 4 * i;
  return [places[at] + epsilon * places[at + 2], places[at + 1] + epsilon * places[at + 3]];
}

/**
 * Return what holds every word for ε from −extent to extent, with a margin.
 *
 * @param {Plane} plane
 * @param {number} extent
 * @returns {Box}
 */
export function bounds(plane, extent) {
  /** @type {Box} */
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const i of plane.order)
    for (const epsilon of [-extent, 0, extent]) {
      const [x, y] = pointAt(plane, i, epsilon);
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x);
      box[3] = Math.max(box[3], y);
    }
  if (!plane.order.length) return [-1, -1, 1, 1];
  const [x, y] = [0.04 * (box[2] - box[0]) || 1, 0.04 * (box[3] - box[1]) || 1];
  return [box[0] - x, box[1] - y, box[2] + x, box[3] + y];
}

/**
 * Return the word nearest to a point, or −1 if none is within reach.
 *
 * @param {Plane} plane
 * @param {number} epsilon
 * @param {Point} point
 * @param {Point} reach Half the axes of the ellipse that is looked into, in the plane's units.
 */
export function nearest(plane, epsilon, [x, y], [reachX, reachY]) {
  let found = -1;
  let least = 1;
  for (const i of plane.order) {
    const [atX, atY] = pointAt(plane, i, epsilon);
    const distance = ((atX - x) / reachX) ** 2 + ((atY - y) / reachY) ** 2;
    if (distance > least) continue; // of equals the last lies on top
    least = distance;
    found = i;
  }
  return found;
}

/**
 * Return whether a point lies in an outline, by how often a ray from it crosses it.
 *
 * @param {Point} point
 * @param {Point[]} outline
 */
export function isInside([x, y], outline) {
  let inside = false;
  for (const [i, [x1, y1]] of outline.entries()) {
    const [x2, y2] = outline[(i + 1) % outline.length];
    if (y1 > y !== y2 > y && x < x1 + ((y - y1) / (y2 - y1)) * (x2 - x1)) inside = !inside;
  }
  return inside;
}

/**
 * Return the words in an outline at ε, those first that the steer moves most.
 *
 * @param {Plane} plane
 * @param {number} epsilon
 * @param {Point[]} outline In the plane's units.
 */
export function wordsInside(plane, epsilon, outline) {
  return [...plane.order].filter((i) => isInside(pointAt(plane, i, epsilon), outline)).reverse();
}

/**
 * Return how many words lie in each cell of a grid at ε, smoothed, row by row from the top.
 *
 * @param {Plane} plane
 * @param {number} epsilon
 * @param {Box} box What the grid covers.
 * @param {number} width Cells across.
 * @param {number} height Cells up.
 */
export function density(plane, epsilon, [left, bottom, right, top], width, height) {
  const counts = new Float32Array(width * height);
  const { places, order } = plane;
  const [perX, perY] = [width / (right - left), height / (top - bottom)];
  for (const i of order) {
    const at = 4 * i;
    const column = Math.floor((places[at] + epsilon * places[at + 2] - left) * perX);
    const row = Math.floor((top - places[at + 1] - epsilon * places[at + 3]) * perY);
    if (column >= 0 && column < width && row >= 0 && row < height) counts[row * width + column]++;
  }
  smooth(counts, width, height, 1, width);
  smooth(counts, height, width, width, 1);
  return counts;
}

/**
 * Replace each cell by a weighted mean of five along one direction, twice.
 *
 * @param {Float32Array} cells
 * @param {number} length Cells along it.
 * @param {number} lines
 * @param {number} step From a cell to the next one.
 * @param {number} across From a line to the next one.
 */
function smooth(cells, length, lines, step, across) {
  for (let round = 0; round < 2; round++)
    for (let line = 0; line < lines; line++) {
      let [before, last] = [0, 0];
      for (let k = 0, at = line * across; k < length; k++, at += step) {
        const here = cells[at];
        const next = k + 1 < length ? cells[at + step] : 0;
        const after = k + 2 < length ? cells[at + 2 * step] : 0;
        cells[at] = (before + 4 * last + 6 * here + 4 * next + after) / 16;
        [before, last] = [last, here];
      }
    }
}

/**
 * Return where each cluster's words lie: the medians of x, y, Δx and Δy of those that are shown.
 *
 * @param {Plane} plane
 * @param {Vocabulary} vocabulary
 */
export function clusterPlaces({ places, order }, { cluster, clusters }) {
  /** @type {number[][]} */
  const members = clusters.map(() => []);
  for (const i of order) members[cluster[i]].push(i);
  return members.map((some) =>
    [0, 1, 2, 3].map((c) => {
      const values = Float32Array.from(some, (i) => places[4 * i + c]).sort();
      return values.length ? values[values.length >> 1] : Number.NaN;
    }),
  );
}

/**
 * Return which boxes can be shown without one lying on another; earlier ones take precedence.
 *
 * @param {Box[]} boxes
 */
export function fitting(boxes) {
  /** @type {Box[]} */
  const taken = [];
  return boxes.map((box) => {
    const isFree = taken.every(
      (other) =>
        box[0] >= other[2] || box[2] <= other[0] || box[1] >= other[3] || box[3] <= other[1],
    );
    if (isFree) taken.push(box);
    return isFree;
  });
}

/**
 * Return words as rows of a table, with where they are on each plane.
 *
 * @param {number[]} chosen
 * @param {Vocabulary} vocabulary
 * @param {Plane[]} planes
 * @returns {Record<string, string | number>[]}
 */
export function tableRows(chosen, vocabulary, planes) {
  const digits = (/** @type {number} */ value) => Number(value.toPrecision(5));
  return chosen.map((i) => ({
    word: vocabulary.words[i],
    cluster: vocabulary.clusters[vocabulary.cluster[i]],
    probability: Number((10 ** vocabulary.frequency[i]).toPrecision(3)),
    logit_shift: digits(planes[0].style[i]),
    ...Object.fromEntries(
      planes.flatMap(({ places }, p) =>
        ["x", "y", "dx", "dy"].map((name, c) => [`map${p + 1}_${name}`, digits(places[4 * i + c])]),
      ),
    ),
  }));
}

/**
 * Return rows as comma-separated values, quoted where need be.
 *
 * @param {Record<string, string | number>[]} rows All with the same names.
 */
export function csv(rows) {
  const quoted = (/** @type {string | number} */ value) =>
    /[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
  const names = Object.keys(rows[0] ?? {});
  return [names, ...rows.map((row) => names.map((name) => row[name]))]
    .map((line) => `${line.map(quoted).join(",")}\r\n`)
    .join("");
}
