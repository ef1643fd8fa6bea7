import assert from "node:assert/strict";
import { test } from "node:test";
import { firstDifference, isSame, kept, parseRuns, tree } from "../../assets/js/runs.js";

/** @typedef {import("../../assets/js/runs.js").Run} Run */
/** @typedef {import("../../assets/js/runs.js").KeptToken} KeptToken */

/** @type {KeptToken[]} */
const TOKENS = [
  [" ", "one", "tok", "0.00", "1.20"],
  [" ", "two", "tok plus", "0.30", "2.00"],
];

/**
 * @param {string} id
 * @param {Partial<Run>} more
 * @returns {Run}
 */
function run(id, more = {}) {
  return {
    id,
    parent: null,
    at: "2026-01-01T00:00:00.000Z",
    model: "tiny",
    prompt: "My life is",
    epsilons: { joy: 1.5 },
    sampling: { temperature: 0.9, top_p: 0.95, max_new_tokens: 40, seed: 3 },
    begin: [],
    baseline: TOKENS,
    steered: TOKENS,
    star: false,
    note: "",
    ...more,
  };
}

/** @param {unknown} runs */
const file = (runs) => JSON.stringify({ kind: "lmsteer-runs", version: 1, runs });

test("branches stand behind the run that they left, the newest first", () => {
  const runs = [run("d", { parent: "b" }), run("c"), run("b", { parent: "a" }), run("a")];
  const shown = tree(runs).map((line) => [line.run.id, line.depth]);
  assert.deepEqual(shown, [
    ["c", 0],
    ["a", 0],
    ["b", 1],
    ["d", 2],
  ]);
});

test("a branch whose run was deleted stands for itself", () => {
  assert.deepEqual(
    tree([run("b", { parent: "gone" })]).map((line) => line.depth),
    [0],
  );
});

test("of too many runs the oldest without a star go", () => {
  const runs = [run("c"), run("b"), run("a", { star: true })];
  assert.deepEqual(
    kept(runs, run("d"), 3).map(({ id }) => id),
    ["d", "c", "a"],
  );
});

test("a file is read as it was written", () => {
  const runs = [run("b", { parent: "a", begin: [1, 2], note: "<b>" }), run("a", { star: true })];
  assert.deepEqual(parseRuns(file(runs)), runs);
  assert.deepEqual(parseRuns(file([])), []);
});

test("a file that holds no runs is refused in one sentence", () => {
  for (const text of ["", "{", "[]", "null", '{"kind":"other","runs":[]}', file(null), file([1])])
    assert.throws(() => parseRuns(text), /^Error: That file .*: choose one/);
  const wrong = [
    { id: 1 },
    { prompt: null },
    { epsilons: { joy: null } },
    { epsilons: null },
    { sampling: { seed: 1 } },
    { begin: [1.5] },
    { begin: "1" },
    { steered: [["a"]] },
    { baseline: [[1, 2, 3, 4, 5]] },
    { star: "yes" },
    { note: 3 },
    { parent: "a" },
  ];
  for (const more of wrong)
    assert.throws(() => parseRuns(file([{ ...run("a"), ...more }])), /holds no runs/);
});

test("runs that name each other as parents are all shown", () => {
  const runs = parseRuns(file([run("a", { parent: "b" }), run("b", { parent: "a" })]));
  assert.equal(tree(runs).length, 2);
});

test("two texts part at their first other token, or where one ends", () => {
  assert.equal(firstDifference(TOKENS, TOKENS), -1);
  assert.equal(firstDifference(TOKENS, TOKENS.slice(0, 1)), 1);
  assert.equal(firstDifference(TOKENS, [[" ", "other", "tok", "0", ""]]), 0);
});

test("a run that is written again is the same, and one with another setting is not", () => {
  const again = run("b", { star: true, epsilons: { joy: 1.5 } });
  assert.ok(isSame(run("a"), again));
  assert.ok(!isSame(run("a"), { ...again, epsilons: { joy: 2 } }));
  assert.ok(!isSame(run("a"), { ...again, begin: [1] }));
  assert.ok(!isSame(run("a"), { ...again, steered: TOKENS.slice(0, 1) }));
});
