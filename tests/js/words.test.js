import assert from "node:assert/strict";
import { test } from "node:test";
import { pinArrow, pinLabel, positionAt, withWord, zoomed } from "../../assets/js/words.js";

/** @type {[string, string]} */
const COLOURS = ["orange", "blue"];

test("a word moves in proportion to ε", () => {
  const positions = [0, 1, -2].map((epsilon) => positionAt([1, 2, 0.5, -1], epsilon));
  assert.deepEqual(positions, [
    [1, 2],
    [1.5, 1],
    [0, 4],
  ]);
});

test("an arrow leads from where a pinned word was at ε = 0 to where it is", () => {
  const arrow = pinArrow(["cosy", 1, 2, 0.5, -1, 0.3], 2, COLOURS);
  assert.deepEqual([arrow.ax, arrow.ay, arrow.x, arrow.y], [1, 2, 2, 0]);
  const label = pinLabel(["cosy", 1, 2, 0.5, -1, 0.3], 2);
  assert.deepEqual([label.x, label.y, label.text], [2, 0, "<b>cosy</b>"]);
});

test("an arrow has the colour of the side that the word gains on, and none is drawn at 0", () => {
  /** @type {(shift: number, epsilon: number) => ReturnType<typeof pinArrow>} */
  const arrow = (shift, epsilon) => pinArrow(["cosy", 0, 0, 1, 1, shift], epsilon, COLOURS);
  assert.deepEqual([arrow(0.3, 1).arrowcolor, arrow(-0.3, 1).arrowcolor], ["blue", "orange"]);
  assert.deepEqual([arrow(0.3, 1).showarrow, arrow(0.3, 0).showarrow], [true, false]);
});

test("markup in a word is shown as text", () => {
  const label = pinLabel(["<img src=x>&lt;", 0, 0, 1, 1, 1], 1);
  assert.equal(label.text, "<b>&lt;img src=x>&amp;lt;</b>");
});

test("zooming keeps the point under the pointer in its place", () => {
  for (const deltaY of [-80, -10, 30, 500]) {
    const [low, high] = zoomed([-2, 6], 0.25, deltaY);
    assert.ok(Math.abs(low + 0.25 * (high - low) - 0) < 1e-12);
  }
});

test("the wheel brings the map nearer or farther, by no more than half as far again", () => {
  /** @type {(deltaY: number) => number} */
  const width = (deltaY) => zoomed([0, 1], 0.5, deltaY)[1] - zoomed([0, 1], 0.5, deltaY)[0];
  assert.ok(width(-20) < 1 && width(20) > 1);
  assert.equal(width(-1e4), width(-1e3));
  assert.ok(width(1e4) < 1.5);
});

test("a word joins a list, whatever the list ends with", () => {
  const lists = ["", "  ", "warm", "warm,", " warm, cold "].map((list) => withWord(list, "cosy"));
  assert.deepEqual(lists, ["cosy", "cosy", "warm, cosy", "warm, cosy", "warm, cold, cosy"]);
});
