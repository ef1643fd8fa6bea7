import assert from "node:assert/strict";
import { test } from "node:test";
import { perplexity, step } from "../../assets/js/inspector.js";

test("perplexity is e to the mean surprise of the tokens", () => {
  const tokens = [1, 2, 6].map((surprise, place) => ({ place, surprise }));
  assert.equal(perplexity(tokens), Math.exp(3));
});

test("a character of several tokens counts as all of them", () => {
  const tokens = [
    { place: 2, surprise: 6 },
    { place: 3, surprise: 2 },
  ];
  assert.equal(perplexity(tokens), Math.exp(2));
});

test("what no model wrote has no surprise and does not count", () => {
  const tokens = [
    { place: 0, surprise: 3 },
    { place: 1, surprise: Number.NaN },
    { place: 2, surprise: 1 },
  ];
  assert.equal(perplexity(tokens), Math.exp(2));
  assert.equal(perplexity([]), null);
});

test("arrow keys stay within the text, and other keys are for others", () => {
  assert.equal(step("ArrowRight", 1, 3), 2);
  assert.equal(step("ArrowRight", 2, 3), 2);
  assert.equal(step("ArrowLeft", 0, 3), 0);
  assert.equal(step("Home", 2, 3), 0);
  assert.equal(step("End", 0, 3), 2);
  assert.equal(step("a", 1, 3), null);
});
