import assert from "node:assert/strict";
import { test } from "node:test";
import { fragmentOf, viewOf, withValue } from "../../assets/js/link.js";

const none = new URLSearchParams();

test("only what differs from the opening stands in a link", () => {
  assert.equal(withValue(none, "seed", 3, 3).toString(), "");
  assert.equal(withValue(none, "seed", 3, 4).toString(), "seed=4");
  assert.equal(
    withValue(new URLSearchParams("seed=4&prompt=a"), "seed", 3, 3).toString(),
    "prompt=a",
  );
  assert.equal(withValue(none, "raw", false, true).toString(), "raw=1");
  assert.equal(withValue(none, "prompt", "My life is", "").toString(), "prompt=");
  assert.equal(withValue(none, "steer", null, null).toString(), "");
});

test("a list is a part for each of its words, and an empty one is told from none", () => {
  assert.equal(
    withValue(none, "follow", ["a"], ["b, c", "d"]).toString(),
    "follow=b%2C+c&follow=d",
  );
  assert.equal(withValue(none, "follow", ["a"], []).toString(), "follow=");
  assert.equal(withValue(none, "follow", [], []).toString(), "");
});

test("a link names its version first, then the tab, and its model last", () => {
  const state = new URLSearchParams("prompt=%3Cb%3E+%26&tab=words");
  assert.equal(
    fragmentOf(state, "org/model"),
    "v=1&tab=words&prompt=%3Cb%3E+%26&model=org%2Fmodel",
  );
});

test("the link of a view leaves out what other tabs hold", () => {
  const all = new URLSearchParams("tab=words&prompt=a&steer.joy=1&words.pins=ship&compose.e1=2");
  assert.equal(viewOf(all).toString(), "tab=words&words.pins=ship");
  all.delete("tab");
  assert.equal(viewOf(all).toString(), "prompt=a&steer.joy=1");
});
