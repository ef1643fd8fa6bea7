import assert from "node:assert/strict";
import { test } from "node:test";
import {
  describe,
  handlePosition,
  movedByKey,
  nearestIndex,
  pointUnder,
  snapped,
} from "../../assets/js/compose.js";

const BOX = { left: 100, top: 50, width: 300, height: 200 };
/** @type {import("../../assets/js/compose.js").Facts} */
const FACTS = {
  names: ["sentiment", "formality"],
  extent: 3,
  low: [-3, -3],
  point: [0, 0],
  epsilons: [],
  told: [],
  texts: [],
};
const MAP = {
  ...FACTS,
  epsilons: [-2, 0, 2],
  told: ["a", "b", "c"].map((row) => [1, 2, 3].map((column) => `${row}${column}`)),
};

test("the nearest cell of the grid is the first of two that are as near", () => {
  const nearest = [-9, -1.1, -1, 0.9, 9].map((value) => nearestIndex([-2, 0, 2], value));
  assert.deepEqual(nearest, [0, 0, 0, 1, 2]);
});

test("the plane's corners and middle are the ends and zeros of both axes", () => {
  /** @type {(clientX: number, clientY: number) => number[]} */
  const at = (clientX, clientY) => pointUnder({ clientX, clientY }, BOX, 3);
  assert.deepEqual(at(100, 50), [-3, 3]);
  assert.deepEqual(at(400, 250), [3, -3]);
  assert.deepEqual(at(250, 150), [0, 0]);
});

test("the handle stands where the pointer put it", () => {
  for (const [x, y] of [
    [-3, 3],
    [1.5, -0.6],
    [0, 0],
  ]) {
    const { left, top } = handlePosition([x, y], 3);
    const clientX = BOX.left + (BOX.width * Number.parseFloat(left)) / 100;
    const clientY = BOX.top + (BOX.height * Number.parseFloat(top)) / 100;
    const [atX, atY] = pointUnder({ clientX, clientY }, BOX, 3);
    assert.ok(Math.abs(atX - x) < 1e-9 && Math.abs(atY - y) < 1e-9);
  }
});

test("a point is held in steps of a tenth, exactly", () => {
  assert.deepEqual(snapped([0.31, -1.249], FACTS), [0.3, -1.2]);
});

test("a point stays on the plane and out of a locked pole", () => {
  assert.deepEqual(snapped([7, -7], FACTS), [3, -3]);
  assert.deepEqual(snapped([-1, -1], { extent: 3, low: [0, -3] }), [0, -1]);
});

test("arrow keys move a tenth, with Shift a half; Home goes to zero; others do nothing", () => {
  /** @type {(key: string, shiftKey?: boolean) => number[] | null} */
  const moved = (key, shiftKey = false) => movedByKey([1, 1], { key, shiftKey });
  assert.deepEqual(moved("ArrowLeft"), [0.9, 1]);
  assert.deepEqual(moved("ArrowUp"), [1, 1.1]);
  assert.deepEqual(moved("ArrowRight", true), [1.5, 1]);
  assert.deepEqual(moved("ArrowDown", true), [1, 0.5]);
  assert.deepEqual(moved("Home"), [0, 0]);
  assert.equal(moved("Tab"), null);
});

test("without a map a point is two strengths", () => {
  assert.equal(describe(FACTS, [1.5, -0.25]), "sentiment +1.5, formality −0.25");
});

test("a map adds its nearest cell, by the row of the steer up and the column of the steer across", () => {
  assert.equal(describe(MAP, [1.8, -0.9]), "sentiment +1.8, formality −0.9 · at (+2, 0) b3");
});

test("a written text is quoted without the spaces around it", () => {
  const texts = MAP.told.map((row) => row.map((cell) => ` text ${cell}\n`));
  assert.equal(
    describe({ ...MAP, texts }, [-2, 2]),
    "sentiment −2, formality +2 · at (−2, +2) c1: “text c1”",
  );
});
