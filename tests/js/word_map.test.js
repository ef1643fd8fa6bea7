import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bounds,
  clusterPlaces,
  csv,
  density,
  fitting,
  isInside,
  nearest,
  parsePlane,
  parseVocabulary,
  pointAt,
  tableRows,
  unpacked,
  wordsInside,
} from "../../assets/js/word_map_data.js";
import { ticks } from "../../assets/js/word_map_ground.js";
import { looks, parseColour } from "../../assets/js/word_map_look.js";
import { paint, stamp } from "../../assets/js/word_map_points.js";
import { wordAround } from "../../assets/js/word_pointer.js";

/** @typedef {import("../../assets/js/word_map_data.js").Point} Point */

const HIDDEN = 0xffff;
const STEPS = HIDDEN - 1;

/** @type {(codes: number[], low?: number, high?: number) => { low: number, high: number, codes: string }} */
const packed = (codes, low = 0, high = 1) => ({
  low,
  high,
  codes: Buffer.from(new Uint16Array(codes).buffer).toString("base64"),
});

const WORDS = parseVocabulary(
  JSON.stringify({
    words: ["Warm", "warm", 'say "hi"', "cold"],
    frequency: packed([0, STEPS, STEPS, 0], -6, -2),
    cluster: Buffer.from([0, 0, 1, 1]).toString("base64"),
    clusters: ["warm", "cold, ice"],
  }),
);

const PLANE = parsePlane(
  JSON.stringify({
    key: "joy",
    steer: "joy",
    titles: ["across", "up"],
    columns: [
      packed([0, STEPS, HIDDEN, STEPS / 2], -1, 1), // −1, 1, -, 0
      packed([0, 0, HIDDEN, STEPS], 0, 1),
      packed([0, 0, HIDDEN, STEPS], 0, 0.5), // only the last moves
      packed([0, 0, HIDDEN, STEPS], 0, -1),
    ],
    style: packed([STEPS, STEPS / 2, HIDDEN, 0], -2, 1),
  }),
);

test("a packed column has its ends, its steps and what is not shown", () => {
  const [low, high, middle, hidden] = unpacked(packed([0, STEPS, STEPS / 2, HIDDEN], -2, 6));
  assert.deepEqual([low, high, middle], [-2, 6, 2]);
  assert.ok(Number.isNaN(hidden));
});

test("a word moves in proportion to ε", () => {
  const points = [-2, 0, 2].map((epsilon) => pointAt(PLANE, 3, epsilon));
  assert.deepEqual(points, [
    [-1, 3],
    [0, 1],
    [1, -1],
  ]);
});

test("a hidden word is nowhere, and what moves most lies on top", () => {
  assert.deepEqual([...PLANE.order], [1, 0, 3]);
  assert.ok(!bounds(PLANE, 3).some(Number.isNaN));
  const all = wordsInside(PLANE, 0, [
    [-9, -9],
    [9, -9],
    [9, 9],
    [-9, 9],
  ]);
  assert.deepEqual(all, [3, 0, 1]);
});

test("what is seen holds every word at every ε", () => {
  const [left, bottom, right, top] = bounds(PLANE, 3);
  for (const i of PLANE.order)
    for (const epsilon of [-3, 0, 3]) {
      const [x, y] = pointAt(PLANE, i, epsilon);
      assert.ok(left < x && x < right && bottom < y && y < top);
    }
});

test("a word is found by its spelling, and in another case", () => {
  assert.deepEqual([WORDS.index.get("Warm"), WORDS.index.get("warm")], [0, 1]);
  assert.equal(WORDS.index.get("WARM".toLowerCase()), 1);
  assert.equal(WORDS.index.get("hot"), undefined);
});

test("the nearest word is found where ε has put it, within reach alone", () => {
  assert.equal(nearest(PLANE, 2, [0.95, -0.95], [0.2, 0.2]), 3);
  assert.equal(nearest(PLANE, 0, [0.95, -0.95], [0.2, 0.2]), -1);
  assert.equal(nearest(PLANE, 0, [0.95, 0], [0.2, 0.2]), 1);
});

test("an outline holds what lies in it, in its bays not", () => {
  /** @type {Point[]} */
  const horseshoe = [
    [0, 0],
    [3, 0],
    [3, 3],
    [2, 3],
    [2, 1],
    [1, 1],
    [1, 3],
    [0, 3],
  ];
  assert.ok(isInside([0.5, 2], horseshoe) && isInside([2.5, 2], horseshoe));
  assert.ok(!isInside([1.5, 2], horseshoe) && !isInside([4, 1], horseshoe));
});

test("a lasso takes words where ε has put them", () => {
  /** @type {Point[]} */
  const corner = [
    [0.5, -1.5],
    [1.5, -1.5],
    [1.5, -0.5],
    [0.5, -0.5],
  ];
  assert.deepEqual(wordsInside(PLANE, 2, corner), [3]);
  assert.deepEqual(wordsInside(PLANE, 0, corner), []);
});

test("the density counts each word that is seen once", () => {
  const counts = density(PLANE, 0, [-20, -20, 20, 20], 40, 40);
  const total = counts.reduce((a, b) => a + b, 0);
  assert.ok(Math.abs(total - PLANE.order.length) < 1e-3);
  const where = counts.indexOf(Math.max(...counts));
  assert.ok([18, 19, 20].includes(Math.floor(where / 40)));
  assert.equal(density(PLANE, 0, [5, 5, 6, 6], 40, 40).some(Boolean), false);
});

test("a cluster lies at the medians of its shown words", () => {
  const [warm, cold] = clusterPlaces(PLANE, WORDS);
  assert.deepEqual(warm.slice(0, 2), [1, 0]);
  assert.deepEqual(cold, [0, 1, 0.5, -1]);
});

test("of names that would cover each other the first is shown", () => {
  const shown = fitting([
    [0, 0, 10, 10],
    [5, 5, 15, 15],
    [10, 0, 20, 10],
    [12, 12, 14, 14],
  ]);
  assert.deepEqual(shown, [true, false, true, true]);
});

test("a table has a line for each word, with quotes where they are needed", () => {
  const [header, first, second, rest] = csv(tableRows([3, 2], WORDS, [PLANE])).split("\r\n");
  assert.equal(header, "word,cluster,probability,logit_shift,map1_x,map1_y,map1_dx,map1_dy");
  assert.equal(first, 'cold,"cold, ice",0.000001,-2,0,1,0.5,-1');
  assert.ok(second.startsWith('"say ""hi""","cold, ice",0.01,'));
  assert.equal(rest, "");
});

test("numbers on an axis are round, rising and few", () => {
  assert.deepEqual(ticks(-1.1, 2.2, 4), [-1, 0, 1, 2]);
  assert.deepEqual(ticks(0.0012, 0.0038, 4), [0.002, 0.003]);
  for (const high of [0.001, 0.7, 3, 99, 12345]) assert.ok(ticks(-high, high, 6).length <= 7);
});

const THEME = { isDark: false, plus: parseColour(" #2f7fd0"), minus: parseColour("#d9741a") };

test("the sign of a strong style is told by colour and shape", () => {
  const { colours, looks: look } = looks(WORDS, PLANE, "Style", THEME, new Set());
  assert.deepEqual([...colours.slice(12, 15)], THEME.minus);
  assert.deepEqual([look[1], look[3], look[7]], [1, 2, 2]);
  const { looks: round } = looks(WORDS, PLANE, "Cluster", THEME, new Set());
  assert.deepEqual([round[1], round[7]], [0, 0]);
});

test("selected words lie on top, and the others are faint", () => {
  const { colours, order } = looks(WORDS, PLANE, "Frequency", THEME, new Set([0, 2]));
  assert.deepEqual([...order], [1, 3, 0]);
  assert.equal(colours[3], 255);
  assert.ok(colours[7] < 80 && colours[15] < 80);
});

test("a point is painted where its word is at ε, and not beyond the edge", () => {
  const size = 60;
  const pixels = new Uint32Array(size * size);
  const dots = {
    places: Float32Array.from([0, 0, 0.5, 0, 9, 9, 0, 0]),
    colours: Uint8Array.from([255, 0, 0, 255, 0, 255, 0, 255]),
    looks: Uint8Array.from([5, 0, 5, 0]),
    order: Uint32Array.from([0, 1]),
  };
  for (const epsilon of [-1, 0, 1]) {
    paint(pixels, size, dots, epsilon, [-1, -1, 1, 1], 1);
    const middle = 30 * size + 30 + epsilon * 15;
    assert.equal(pixels[middle] >>> 0, 0xff0000ff);
    const covered = pixels.filter((pixel) => pixel >>> 24).length;
    assert.ok(covered >= 16 && covered <= 25);
  }
});

test("what is painted over what shines through", () => {
  const pixels = new Uint32Array(81);
  const dots = {
    places: new Float32Array(8),
    colours: Uint8Array.from([0, 0, 0, 255, 200, 100, 50, 128]),
    looks: Uint8Array.from([3, 0, 3, 0]),
    order: Uint32Array.from([0, 1]),
  };
  paint(pixels, 9, dots, 0, [-1, -1, 1, 1], 1);
  const [red, green, blue, opacity] = new Uint8Array(pixels.slice(40, 41).buffer);
  assert.equal(opacity, 255);
  for (const [value, half] of [
    [red, 100],
    [green, 50],
    [blue, 25],
  ])
    assert.ok(Math.abs(value - half) <= 2);
});

test("a triangle is wide at one end, a disc is round", () => {
  /** @type {(shape: number, row: number) => number} */
  const width = (shape, row) => stamp(9, shape).y.filter((y) => y === row).length;
  assert.ok(width(1, 3) > width(1, -3) && width(2, 3) < width(2, -3));
  assert.equal(width(0, 3), width(0, -3));
});

test("a word ends where its letters and the signs on them end", () => {
  /** @type {(text: string, offset: number) => string} */
  const word = (text, offset) => text.slice(...(wordAround(text, offset) ?? [0, 0]));
  assert.equal(word("so, wonderful!", 7), "wonderful");
  assert.equal(word("so, wonderful!", 4), "wonderful");
  assert.equal(word("यह हिन्दी है", 5), "हिन्दी");
  assert.equal(word("1 + 2", 2), "");
});
