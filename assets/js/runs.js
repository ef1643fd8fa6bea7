/**
 * The runs of this page: every text that was written to its end, kept in the browser alone. Branches
 * hang on the run that they left.
 */

import { download, enter, targetWithin } from "./shared.js";

const KEY = "lmsteer-runs";
const MAX_RUNS = 200;
const MAX_TOKENS = 5_000;
const REOPEN_MS = 700; // behind what the sliders ask for when they are set
const FILE_KIND = "lmsteer-runs";

/**
 * A token as it was shown: space, word, classes, strength of its tint, surprise.
 *
 * @typedef {[string, string, string, string, string]} KeptToken
 */

/**
 * What the server says of a run that has ended.
 *
 * @typedef {object} About
 * @property {string} model
 * @property {string} prompt
 * @property {Record<string, number>} epsilons By steer name.
 * @property {{ temperature: number, top_p: number, max_new_tokens: number, seed: number }} sampling
 * @property {number[]} begin Token ids that a branch begins with, behind the prompt.
 */

/**
 * @typedef {About & {
 *   id: string,
 *   parent: string | null,
 *   at: string,
 *   baseline: KeptToken[],
 *   steered: KeptToken[],
 *   star: boolean,
 *   note: string,
 * }} Run
 */

/**
 * Return runs with another one before them; of too many the oldest without a star go.
 *
 * @param {Run[]} runs The newest first.
 * @param {Run} run
 * @param {number} most
 * @returns {Run[]}
 */
export function kept(runs, run, most = MAX_RUNS) {
  const all = [run, ...runs];
  for (let i = all.length - 1; i > 0 && all.length > most; i--) if (!all[i].star) all.splice(i, 1);
  return all;
}

/**
 * Return runs as a tree: the newest first, and behind each its branches, one level deeper.
 *
 * @param {Run[]} runs
 * @returns {{ run: Run, depth: number }[]}
 */
export function tree(runs) {
  const ids = new Set(runs.map((run) => run.id));
  /** @type {(parent: string | null, depth: number) => { run: Run, depth: number }[]} */
  const below = (parent, depth) =>
    runs
      .filter((run) => (run.parent && ids.has(run.parent) ? run.parent : null) === parent)
      .flatMap((run) => [{ run, depth }, ...below(run.id, depth + 1)]);
  return below(null, 0);
}

/** @type {(value: unknown, most: number) => boolean} */
const isText = (value, most) => typeof value === "string" && value.length <= most;

/** @param {unknown} tokens */
function areTokens(tokens) {
  return (
    Array.isArray(tokens) &&
    tokens.length <= MAX_TOKENS &&
    tokens.every(
      (token) => Array.isArray(token) && token.length === 5 && token.every((x) => isText(x, 500)),
    )
  );
}

/** @param {any} run */
function isRun(run) {
  const { epsilons, sampling, begin, parent } = run ?? {};
  const numbers = [
    ...Object.values(epsilons ?? { "": "" }),
    ...Object.values(sampling ?? { "": "" }),
  ];
  return (
    [run.id, run.at, run.model].every((text) => isText(text, 200)) &&
    isText(run.prompt, 200_000) &&
    isText(run.note, 5_000) &&
    (parent === null || (isText(parent, 200) && parent !== run.id)) &&
    typeof run.star === "boolean" &&
    numbers.every(Number.isFinite) &&
    ["temperature", "top_p", "max_new_tokens", "seed"].every((name) => name in sampling) &&
    Array.isArray(begin) &&
    begin.every(Number.isSafeInteger) &&
    areTokens(run.baseline) &&
    areTokens(run.steered)
  );
}

/**
 * Return the runs of a file.
 *
 * @param {string} text
 * @returns {Run[]}
 * @throws {Error} With one sentence, if it holds none.
 */
export function parseRuns(text) {
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error("That file is not JSON: choose one that was exported here.");
  }
  if (content?.kind !== FILE_KIND || !Array.isArray(content.runs) || !content.runs.every(isRun))
    throw new Error("That file holds no runs: choose one that was exported here.");
  return acyclic(content.runs.slice(0, MAX_RUNS));
}

/**
 * Return runs of which none is its own ancestor.
 *
 * @param {Run[]} runs
 * @returns {Run[]}
 */
function acyclic(runs) {
  const shown = new Set(tree(runs).map(({ run }) => run.id));
  return runs.map((run) => (shown.has(run.id) ? run : { ...run, parent: null }));
}

/**
 * Return the index of the first token in which two texts differ, or −1.
 *
 * @param {KeptToken[]} a
 * @param {KeptToken[]} b
 */
export function firstDifference(a, b) {
  const n = Math.max(a.length, b.length);
  for (let i = 0; i < n; i++) if (a[i]?.[0] !== b[i]?.[0] || a[i]?.[1] !== b[i]?.[1]) return i;
  return -1;
}

/**
 * Return whether two runs are one: written with the same setting, to the same texts.
 *
 * @param {Omit<Run, "id" | "parent" | "at" | "star" | "note">} a
 * @param {Omit<Run, "id" | "parent" | "at" | "star" | "note">} b
 */
export function isSame(a, b) {
  const [one, other] = [a, b].map(
    ({ model, prompt, epsilons, sampling, begin, baseline, steered }) => [
      model,
      prompt,
      Object.entries(epsilons).sort(),
      Object.entries(sampling).sort(),
      begin,
      [baseline, steered].map((tokens) => tokens.map(([space, word]) => space + word)),
    ],
  );
  return JSON.stringify(one) === JSON.stringify(other);
}

/** @type {Run[]} */
let runs = [];
/** Run by the ids of the columns that show it. */
/** @type {Map<string, string>} */
const shownIn = new Map();
/** @type {string | null} */
let branchOf = null;
/** @type {Set<string>} */
const compared = new Set();

function store() {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(runs));
  } catch {} // a frame may forbid storage, or it is full: the page still holds them
  drawCount();
}

function load() {
  try {
    runs = parseRuns(`{"kind":"${FILE_KIND}","runs":${sessionStorage.getItem(KEY) ?? "[]"}}`);
  } catch {
    runs = [];
  }
}

/**
 * @param {string} panel Element id.
 * @returns {KeptToken[]}
 */
function tokensIn(panel) {
  /** @type {NodeListOf<HTMLElement>} */
  const spans = document.querySelectorAll(`#${CSS.escape(panel)} .gen .tok[data-place]`);
  return [...spans]
    .filter((span) => !span.closest(".old"))
    .map((span) => {
      const before = span.previousSibling;
      const space = before?.nodeType === Node.TEXT_NODE ? (before.textContent ?? "") : "";
      const { style, className } = span;
      const classes = className.replace(/ ?(first-change|inspected)/g, "");
      return [
        space,
        span.textContent,
        classes,
        style.getPropertyValue("--t"),
        style.getPropertyValue("--s"),
      ];
    });
}

/**
 * Keep a run that has ended.
 *
 * @param {About & { columns: [string, string] }} about
 */
function keep({ columns, ...about }) {
  const [baseline, steered] = columns.map(tokensIn);
  if (!steered.length) return;
  const written = { ...about, baseline, steered };
  let run = runs.find((other) => isSame(other, written));
  if (!run) {
    const id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`;
    const parent = about.begin.length ? branchOf : null;
    const at = new Date().toISOString();
    run = { ...written, id, parent, at, star: false, note: "" };
    runs = kept(runs, run);
  }
  for (const column of columns) shownIn.set(column, run.id);
  store();
  draw();
}

/**
 * Note which run the next branch leaves.
 *
 * @param {string} panel Element id of the text that it leaves.
 */
export function leave(panel) {
  branchOf = shownIn.get(panel) ?? null;
}

/**
 * Return an element with attributes and content; text is never markup.
 *
 * @param {string} name
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} content
 */
function element(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

/**
 * @param {Run} run
 * @param {"baseline" | "steered"} column
 * @param {number} [mark] Index of a token to frame.
 */
function textOf(run, column, mark) {
  const text = element(
    "div",
    { class: "gen", dir: "auto" },
    element("span", { class: "prompt" }, run.prompt),
  );
  for (const [i, [space, word, classes, t, s]] of run[column].entries()) {
    const span = element("span", { class: i === mark ? `${classes} first-change` : classes }, word);
    span.style.setProperty("--t", t);
    if (s) span.style.setProperty("--s", s);
    text.append(space, span);
  }
  return text;
}

/** @param {Run} run */
function settingOf({ epsilons, sampling }) {
  const moved = Object.entries(epsilons).map(
    ([name, epsilon]) => `${name} ${epsilon > 0 ? "+" : "−"}${Math.abs(epsilon)}`,
  );
  return `${moved.join(", ") || "every ε at 0"} · seed ${sampling.seed} · temperature ${sampling.temperature}`;
}

/** @param {Run} run */
function columnsOf(run) {
  return element(
    "div",
    { class: "runs-columns" },
    element("div", {}, element("h4", {}, "Baseline"), textOf(run, "baseline")),
    element("div", {}, element("h4", {}, "Steered"), textOf(run, "steered")),
  );
}

/** @param {{ run: Run, depth: number }} line */
function lineOf({ run, depth }) {
  const id = { "data-run": run.id };
  const label = `${run.prompt.slice(-60)} (${settingOf(run)})`;
  const star = element(
    "button",
    {
      type: "button",
      "data-runs": "star",
      "aria-pressed": String(run.star),
      "aria-label": `Star ${label}`,
      ...id,
    },
    run.star ? "★" : "☆",
  );
  const compare = element("input", { type: "checkbox", "data-runs": "compare", ...id });
  if (compare instanceof HTMLInputElement) compare.checked = compared.has(run.id);
  const note = element("input", {
    type: "text",
    "data-runs": "note",
    placeholder: "Note",
    "aria-label": `Note on ${label}`,
    maxlength: "1000",
    value: run.note,
    ...id,
  });
  const start = run.steered.map(([space, word]) => space + word).join("");
  const line = element(
    "li",
    { style: `--depth: ${Math.min(depth, 6)}` },
    element(
      "p",
      { class: "runs-head" },
      star,
      element("b", {}, run.prompt.slice(-60)),
      ` ${settingOf(run)} `,
      element("time", { datetime: run.at }, new Date(run.at).toLocaleTimeString()),
    ),
    element(
      "details",
      {},
      element("summary", {}, `${depth ? "↳ " : ""}${start.slice(0, 90)} …`),
      columnsOf(run),
    ),
    element(
      "p",
      { class: "runs-actions" },
      note,
      element("label", {}, compare, " Compare"),
      element("button", { type: "button", "data-runs": "reopen", ...id }, "Reopen"),
      element(
        "button",
        { type: "button", "data-runs": "delete", "aria-label": `Delete ${label}`, ...id },
        "Delete",
      ),
    ),
  );
  return line;
}

function comparison() {
  const pair = runs.filter((run) => compared.has(run.id));
  if (pair.length !== 2) return "";
  const [a, b] = pair;
  const mark = firstDifference(a.steered, b.steered);
  const sides = pair.map((run) =>
    element("div", {}, element("h4", {}, settingOf(run)), textOf(run, "steered", mark)),
  );
  return element(
    "section",
    { "aria-label": "Two runs compared" },
    element("h3", {}, "Two steered texts, framed where they part"),
    element("div", { class: "runs-columns" }, ...sides),
  );
}

/** @returns {HTMLElement} */
function drawer() {
  const there = document.querySelector("#runs");
  if (there instanceof HTMLElement) return there;
  const made = element("aside", {
    id: "runs",
    role: "dialog",
    "aria-label": "Runs",
    tabindex: "-1",
  });
  made.hidden = true;
  made.append(
    element(
      "div",
      { class: "inspector-bar" },
      element("h2", {}, "Runs"),
      element("button", { type: "button", "data-runs": "export" }, "Export"),
      element("button", { type: "button", "data-runs": "import" }, "Import"),
      element("button", { type: "button", "data-runs": "close", "aria-label": "Close" }, "×"),
    ),
    element("p", { class: "runs-status", role: "status" }),
    element("div", { class: "runs-body" }),
  );
  // Gradio lets rules for narrow screens hold only within.
  (document.querySelector(".gradio-container .contain") ?? document.body).append(made);
  return made;
}

/** @param {string} text */
function tell(text) {
  const line = drawer().querySelector(".runs-status");
  if (line) line.textContent = text;
}

function drawCount() {
  for (const count of document.querySelectorAll(".runs-open span"))
    count.textContent = String(runs.length);
}

function draw() {
  const aside = drawer();
  if (aside.hidden) return;
  const body = aside.querySelector(".runs-body");
  const list = element("ol", {}, ...tree(runs).map(lineOf));
  const none =
    "Every text that is written to its end is kept here, in this browser tab alone; export keeps them for longer.";
  body?.replaceChildren(comparison(), runs.length ? list : element("p", {}, none));
}

/** @param {boolean} isOpen */
function toggle(isOpen) {
  const aside = drawer();
  if (aside.hidden === !isOpen) return;
  aside.hidden = !isOpen;
  tell("");
  draw();
  /** @type {HTMLElement | null} */
  const button = document.querySelector(".runs-open");
  (isOpen ? aside : button)?.focus();
}

/** Let the visitor choose a file and add its runs. */
function importFile() {
  const input = element("input", { type: "file", accept: ".json,application/json" });
  if (!(input instanceof HTMLInputElement)) return;
  input.addEventListener("change", async () => {
    try {
      const found = parseRuns((await input.files?.[0]?.text()) ?? "");
      const known = new Set(runs.map((run) => run.id));
      const added = found.filter((run) => !known.has(run.id));
      runs = acyclic([...runs, ...added].slice(0, MAX_RUNS));
      store();
      draw();
      tell(`${added.length} runs were added, ${found.length - added.length} were here already.`);
    } catch (error) {
      tell(error instanceof Error ? error.message : String(error));
    }
  });
  input.click();
}

/**
 * Set the prompt and the sliders as they stood, and let the run be written again from what it says.
 *
 * @param {Run} run
 */
function reopen({ model, prompt, epsilons, sampling, begin, parent }) {
  const here = document.querySelector(".masthead .model b")?.textContent;
  if (here !== model) {
    tell(
      `That run is of ${model}; this is ${here}. Its texts can be read here, not written again.`,
    );
    return;
  }
  branchOf = parent;
  toggle(false);
  /** @type {NodeListOf<HTMLElement>} */
  const tabs = document.querySelectorAll("[role=tab]");
  tabs[0]?.click();
  /** @type {HTMLTextAreaElement | null} */
  const field = document.querySelector("#prompt textarea");
  if (field) enter(field, prompt);
  for (const box of document.querySelectorAll(".steer-slider")) {
    const slider = box.querySelector("input[type=range]");
    const name = box.querySelector("[data-testid=block-info], label span")?.textContent?.trim();
    if (slider instanceof HTMLInputElement && name) {
      const value = epsilons[name] ?? 0;
      if (Number(slider.value) !== value) enter(slider, value);
    }
  }
  /** @type {HTMLTextAreaElement | null} */
  const request = document.querySelector("#steer-reopen textarea");
  if (!request) return;
  setTimeout(() => {
    enter(request, JSON.stringify({ prompt, epsilons, sampling, begin }));
    setTimeout(() => document.getElementById("steer-reopen-go")?.click());
  }, REOPEN_MS);
}

/** @type {Record<string, (run: Run) => void>} */
const ON_RUN = {
  star: (run) => {
    run.star = !run.star;
  },
  compare: ({ id }) => {
    if (!compared.delete(id)) compared.add(id);
    while (compared.size > 2) compared.delete([...compared][0]);
  },
  delete: ({ id }) => {
    runs = runs.filter((run) => run.id !== id);
    compared.delete(id);
  },
};

/** @param {Event} event */
function press(event) {
  if (targetWithin(event, ".runs-open")) toggle(true);
  const button = targetWithin(event, "[data-runs]");
  const action = button?.dataset.runs;
  if (!action || action === "note") return;
  if (action === "close") toggle(false);
  if (action === "import") importFile();
  if (action === "export") {
    const text = JSON.stringify({ kind: FILE_KIND, version: 1, runs }, null, 1);
    download("lmsteer-runs.json", new Blob([text], { type: "application/json" }));
  }
  const run = runs.find(({ id }) => id === button.dataset.run);
  if (!run) return;
  if (action === "reopen") reopen(run);
  if (!ON_RUN[action]) return;
  ON_RUN[action](run);
  store();
  draw();
  /** @type {HTMLElement | null} */
  const again = document.querySelector(`[data-runs="${action}"][data-run="${CSS.escape(run.id)}"]`);
  (again ?? drawer()).focus({ preventScroll: true }); // the list was drawn anew
  if (action === "compare" && compared.size === 2)
    document.querySelector(".runs-body")?.scrollTo(0, 0);
}

/** @param {Event} event */
function write(event) {
  const field = targetWithin(event, "[data-runs=note]");
  const run = runs.find(({ id }) => id === field?.dataset.run);
  if (!run || !(field instanceof HTMLInputElement)) return;
  run.note = field.value;
  store();
}

/** Listen to the page. */
export function start() {
  load();
  document.addEventListener("click", press);
  document.addEventListener("input", write);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") toggle(false);
  });
  document.addEventListener("lmsteer:run", (event) => {
    if (event instanceof CustomEvent) keep(event.detail);
  });
  const count = new MutationObserver(() => {
    if (!document.querySelector(".runs-open")) return;
    count.disconnect();
    drawCount();
  });
  count.observe(document.documentElement, { subtree: true, childList: true });
}
