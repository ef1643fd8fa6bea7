import assert from "node:assert/strict";
import { test } from "node:test";
import { cutToFit, wrapped } from "../../assets/js/highlight.js";

/** @typedef {import("../../assets/js/highlight.js").Run} Run */

/** @type {(text: string, side?: string) => Run} */
const run = (text, side = "") => ({ text, side, strength: side ? 0.5 : 0 });
/** @type {(runs: Run[], maxWidth?: number) => ReturnType<typeof wrapped>} */
const wrap = (runs, maxWidth = 10) => wrapped({ font: "f", runs }, (text) => text.length, maxWidth);
/** @type {(lines: ReturnType<typeof wrapped>) => string[]} */
const texts = (lines) => lines.map((line) => line.map((piece) => piece.text).join(""));

test("lines are broken at spaces, which are not carried over", () => {
  assert.deepEqual(texts(wrap([run("the lighthouse stood")])), ["the ", "lighthouse", "stood"]);
});

test("no line is wider than it may be, and pieces follow each other", () => {
  for (const line of wrap([run("a few short words, then some more"), run(" and on", "plus")]))
    for (const [i, { x, width }] of line.entries()) {
      assert.ok(x + width <= 10);
      assert.equal(x, i ? line[i - 1].x + line[i - 1].width : 0);
    }
});

test("a text's own line ends are kept, empty lines too", () => {
  assert.deepEqual(texts(wrap([run("one\n\ntwo")])), ["one", "", "two"]);
});

test("unspaced scripts may be broken at every character", () => {
  assert.deepEqual(texts(wrap([run("今日はとてもいい天気です")])), [
    "今日はとてもいい天気",
    "です",
  ]);
});

test("a word longer than a line is broken", () => {
  const [first, second] = texts(wrap([run("x".repeat(70))], 60));
  assert.deepEqual([first.length, second.length], [60, 10]);
});

test("pieces keep the tint of their run over a line's end", () => {
  const lines = wrap([run("plain "), run("tinted over", "minus")]);
  const sides = lines.map((line) => line.map(({ text, side, strength }) => [text, side, strength]));
  assert.deepEqual(sides, [
    [
      ["plain", "", 0],
      [" ", "", 0],
    ],
    [
      ["tinted", "minus", 0.5],
      [" ", "minus", 0.5],
    ],
    [["over", "minus", 0.5]],
  ]);
});

test("a text without words is one empty line", () => {
  assert.deepEqual(wrap([]), [[]]);
});

test("a picture that is too long ends with a line that says so", () => {
  const lines = wrap([run("1\n2\n3\n4")]);
  assert.equal(cutToFit(lines, 4), lines);
  assert.deepEqual(texts(cutToFit(lines, 2)), ["1", "2", "… the saved HTML holds the rest"]);
});
