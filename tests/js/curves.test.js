import assert from "node:assert/strict";
import { test } from "node:test";
import { rankedLists, ranking, valueAt } from "../../assets/js/curves.js";

const GRID = Array.from({ length: 61 }, (_, i) => (i - 30) / 10); // −3 to 3, as the server's
/** @type {(text: string, p: number[], of?: string) => import("../../assets/js/curves.js").Word} */
const word = (text, p, of = "") => ({ text, p, of, side: "plus", dash: "solid" });

test("a curve is exact on every point of its grid", () => {
  const values = GRID.map((epsilon) => Math.exp(epsilon) / 100);
  for (const [i, epsilon] of GRID.entries())
    assert.equal(valueAt(GRID, values, epsilon), values[i]);
});

test("between two points a curve is straight", () => {
  assert.ok(Math.abs(valueAt([-1, 0, 1], [0.1, 0.3, 0.9], 0.25) - 0.45) < 1e-12);
});

test("beyond its grid a curve holds its end", () => {
  assert.equal(valueAt([-1, 0, 1], [0.1, 0.3, 0.9], -5), 0.1);
  assert.equal(valueAt([-1, 0, 1], [0.1, 0.3, 0.9], 5), 0.9);
});

test("words are ranked anew at each ε", () => {
  const curves = { epsilons: [0, 1], words: [word("cold", [0.6, 0.1]), word("warm", [0.2, 0.7])] };
  const texts = [0, 1].map((epsilon) =>
    ranking(curves, epsilon).ranked.map((each) => each.word.text),
  );
  assert.deepEqual(texts, [
    ["cold", "warm"],
    ["warm", "cold"],
  ]);
});

test("the others are what the words leave, without first tokens, and never below 0", () => {
  const words = [word("warm", [0.5, 0.9]), word("won", [0.4, 0.05], "wonderful")];
  assert.equal(ranking({ epsilons: [0, 1], words }, 0).others, 0.5);
  const rounded = [word("a", [0.6, 0.6]), word("b", [0.401, 0.401])];
  assert.equal(ranking({ epsilons: [0, 1], words: rounded }, 0).others, 0);
});

const LISTS = {
  epsilons: [-2, -1, 0, 1, 2],
  tops: ["a", "b", "c", "d", "e"].map(
    /** @returns {[string, number][]} */
    (text) => [[text, 0.5]],
  ),
  /** @type {[string, string]} */
  poles: ["cold", "warm"],
  isHeld: false,
};
/** @type {(epsilon: number, lists?: typeof LISTS) => unknown[]} */
const shown = (epsilon, lists = LISTS) =>
  rankedLists(lists, epsilon).map(({ epsilon: at, top }) => [at, top?.[0][0]]);

test("three lists stand at −ε, 0 and +ε, whichever side the slider is on", () => {
  const expected = [
    [-1, "b"],
    [0, "c"],
    [1, "d"],
  ];
  assert.deepEqual(shown(1), expected);
  assert.deepEqual(shown(-1), expected);
});

test("the lists of a slider at 0 stand at ±2", () => {
  assert.deepEqual(shown(0.4), [
    [-2, "a"],
    [0, "c"],
    [2, "e"],
  ]);
});

test("a locked pole has no list", () => {
  const locked = { ...LISTS, epsilons: [0, 1, 2], tops: LISTS.tops.slice(2) };
  assert.deepEqual(shown(2, locked), [
    [-2, undefined],
    [0, "c"],
    [2, "e"],
  ]);
});

test("the middle list says whether other steers are held", () => {
  const titles = [false, true].map((isHeld) => rankedLists({ ...LISTS, isHeld }, 1)[1].title);
  assert.deepEqual(titles, ["the model as it is", "what is held, alone"]);
});
