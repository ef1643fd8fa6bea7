import assert from "node:assert/strict";
import { test } from "node:test";
import { fragmentOf, pageAfter, pageNumber } from "../../assets/js/lesson.js";
import { PAGES } from "../../assets/js/lesson_pages.js";

test("an address asks for a page, and for the first where there is no such page", () => {
  assert.equal(pageNumber("?lesson=3&notes=1"), 3);
  assert.equal(pageNumber(""), 0);
  for (const odd of ["", "0", "99", "-1", "1.5", "NaN", "<b>", "1e1", "123"])
    assert.equal(pageNumber(`?lesson=${encodeURIComponent(odd)}`), 1);
});

test("keys lead on and back, not beyond the ends, and out", () => {
  assert.equal(pageAfter("ArrowRight", 1), 2);
  assert.equal(pageAfter(" ", 11), 12);
  assert.equal(pageAfter("ArrowRight", 12), 12);
  assert.equal(pageAfter("ArrowLeft", 1), 1);
  assert.equal(pageAfter("ArrowLeft", 5), 4);
  assert.equal(pageAfter("a", 5), 5);
  assert.equal(pageAfter("Escape", 5), 0);
});

test("twelve pages take the 45 minutes of the plan, each with a question and a note", () => {
  assert.equal(PAGES.length, 12);
  assert.equal(
    PAGES.reduce((sum, page) => sum + page.minutes, 0),
    45,
  );
  for (const page of PAGES) assert.ok(page.question.endsWith("?") || page.question.includes("? "));
  for (const page of PAGES) assert.ok(page.note && page.action && page.title);
});

test("a state is a link's fragment", () => {
  const stop = { tab: "words", state: { "words.pins": "ship, rum" }, look: "#a" };
  assert.equal(fragmentOf(stop), "tab=words&words.pins=ship%2C+rum");
});
