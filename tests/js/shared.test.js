import assert from "node:assert/strict";
import { test } from "node:test";
import {
  clamp,
  debounced,
  formatEpsilon,
  formatPercent,
  oncePerFrame,
  parseFile,
} from "../../assets/js/shared.js";

test("ε has a sign, a real minus, and no more decimals than it needs", () => {
  const formatted = [1.5, -3, 0.25, -0.125, 10, 2.999].map(formatEpsilon);
  assert.deepEqual(formatted, ["+1.5", "−3", "+0.25", "−0.13", "+10", "+3"]);
});

test("ε that rounds to 0 has no sign", () => {
  assert.deepEqual([0, -0, 0.004, -0.004].map(formatEpsilon), ["0", "0", "0", "0"]);
});

test("both signs of ε round alike", () => {
  assert.equal(formatEpsilon(0.125).slice(1), formatEpsilon(-0.125).slice(1));
});

test("a probability has one decimal, a small one two digits, the smallest a bound", () => {
  const formatted = [1, 0.1234, 0.00995, 0.0012345, 0.00001, 0.0000099, 0].map(formatPercent);
  const expected = ["100.0 %", "12.3 %", "1.0 %", "0.12 %", "0.001 %", "< 0.001 %", "< 0.001 %"];
  assert.deepEqual(formatted, expected);
});

test("a value is kept between its limits", () => {
  assert.deepEqual(
    [-4, -3, 0.5, 3, 4].map((value) => clamp(value, -3, 3)),
    [-3, -3, 0.5, 3, 3],
  );
});

test("many calls before a frame are one, and the next frame takes a new one", () => {
  /** @type {(() => void)[]} */
  const frames = [];
  let nCalls = 0;
  const soon = oncePerFrame(
    () => nCalls++,
    (frame) => frames.push(frame),
  );
  soon();
  soon();
  assert.deepEqual([frames.length, nCalls], [1, 0]);
  frames[0]();
  assert.equal(nCalls, 1);
  soon();
  frames[1]();
  assert.equal(nCalls, 2);
});

test("an action may ask for the next frame itself", () => {
  /** @type {(() => void)[]} */
  const frames = [];
  const soon = oncePerFrame(
    () => soon(),
    (frame) => frames.push(frame),
  );
  soon();
  frames[0]();
  assert.equal(frames.length, 2);
});

test("of several calls only the last is answered", async () => {
  /** @type {(value: number) => Promise<number>} */
  const settled = debounced(() => 5);
  /** @type {number[]} */
  const answers = [];
  for (const value of [1, 2]) settled(value).then((answer) => answers.push(answer));
  answers.push(await settled(3));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(answers, [3]);
});

test("calls that come to rest between are all answered", async () => {
  const settled = debounced(() => 1);
  assert.deepEqual([await settled("a"), await settled("b")], ["a", "b"]);
});

test("two pauses do not supersede each other", async () => {
  const [first, second] = [debounced(() => 5), debounced(() => 5)];
  assert.deepEqual(await Promise.all([first("a"), second("b")]), ["a", "b"]);
});

test("a file keeps its text and has the type that its name says", async () => {
  const text = "wort,ε\n“Straße”,−1\n";
  for (const [name, type] of [
    ["table.csv", "text/csv"],
    ["page.html", "text/html"],
  ]) {
    const file = parseFile(JSON.stringify({ name, text }));
    assert.deepEqual([file.name, file.content.type], [name, type]);
    assert.equal(await file.content.text(), text);
  }
});
