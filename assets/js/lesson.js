/** The lesson: one card beside the widgets, whose pages set them as a link would. */

import { PAGES } from "./lesson_pages.js";
import * as link from "./link.js";
import { targetWithin } from "./shared.js";

/** @typedef {import("./lesson_pages.js").Stop} Stop */

const PARAMETER = "lesson";
/** What takes keys for itself. */
const TYPING =
  "input, textarea, select, [contenteditable], [role=slider], [role=tab], [role=listbox]";
const PRESSED_BY_SPACE = "button, a, summary, [role=button]";

/** The page that is shown, from 1; 0 while the card is closed. */
let shown = 0;
/** @type {Stop | null} What the widgets are being set to. */
let stop = null;
/** @type {Stop | null} What stays in sight until the visitor scrolls or uses a widget. */
let aim = null;
/** @type {ResizeObserver | null} */
let grown = null;
/** @type {string | null} The button that is to be pressed once it is there. */
let toPress = null;
/** @type {HTMLElement | null} */
let card = null;

/**
 * Return the page that an address asks for: 0 for none, the first for what is no page.
 *
 * @param {string} search
 */
export function pageNumber(search) {
  const asked = new URLSearchParams(search).get(PARAMETER);
  if (asked === null) return 0;
  return /^\d{1,2}$/.test(asked) && PAGES[Number(asked) - 1] ? Number(asked) : 1;
}

/**
 * Return the page that a key leads to: 0 leaves the lesson.
 *
 * @param {string} key
 * @param {number} page
 */
export function pageAfter(key, page) {
  if (key === "Escape") return 0;
  const step = { ArrowRight: 1, " ": 1, ArrowLeft: -1 }[key] ?? 0;
  return Math.min(Math.max(page + step, 1), PAGES.length);
}

/**
 * Return the fragment of a link to a state.
 *
 * @param {Stop} of
 */
export function fragmentOf({ tab, state }) {
  return new URLSearchParams({ tab, ...state }).toString();
}

/** Return the fragment that the server sets the widgets by. */
export function fragment() {
  return stop ? fragmentOf(stop) : "";
}

/** Bring what the page is about into sight, once the widgets are set. */
export function turned() {
  if (!stop) return;
  aim = stop;
  toPress = stop.press ?? null;
  stop = null;
  align();
  const app = document.querySelector(".gradio-container");
  if (!app) return;
  grown ??= new ResizeObserver(align);
  grown.observe(app);
}

/** Gradio builds a tab when it is first shown, and charts and texts move what stands below them. */
function align() {
  if (aim) document.querySelector(aim.look)?.scrollIntoView({ block: "start" });
  const button = toPress && document.querySelector(toPress);
  if (!(button instanceof HTMLElement)) return;
  toPress = null;
  button.click();
}

/** The visitor looks elsewhere. */
function release() {
  aim = null;
}

/** @param {Stop} next */
function visit(next) {
  stop = next;
  link.keep("tab", link.FIRST_TAB, next.tab);
  document.getElementById(`turn-${next.tab}`)?.click();
}

/**
 * Put into the address which page is shown.
 *
 * @param {string} [hash]
 */
function write(hash = location.hash) {
  const address = new URL(location.href);
  if (shown) address.searchParams.set(PARAMETER, String(shown));
  else address.searchParams.delete(PARAMETER);
  address.hash = hash;
  history.replaceState(history.state, "", address);
}

/** @param {number} number */
function show(number) {
  const page = PAGES[number - 1];
  shown = number;
  document.body.classList.toggle("in-lesson", Boolean(page));
  if (!page) {
    card?.remove();
    card = null;
    const opener = document.querySelector("button[data-lesson]");
    if (opener instanceof HTMLElement) opener.focus();
    return;
  }
  const isFolded = card?.classList.contains("folded");
  if (!card) {
    card = document.createElement("aside");
    card.className = "lesson";
    card.setAttribute("aria-label", "Lesson");
    document.body.append(card);
  }
  const minutes = PAGES.map((each) => each.minutes);
  const total = minutes.reduce((a, b) => a + b);
  const before = minutes.slice(0, number - 1).reduce((a, b) => a + b, 0);
  card.classList.toggle("folded", Boolean(isFolded));
  card.innerHTML = `
    <header>
      <span>${number} of ${PAGES.length} · minute ${before} of ${total}</span>
      <button type="button" data-turn="fold" aria-expanded="${!isFolded}">Text</button>
      <button type="button" data-turn="leave" aria-label="Leave the lesson">×</button>
      <progress max="${total}" value="${before}" aria-label="Minutes"></progress>
    </header>
    <div class="text">
      <h2 tabindex="-1">${page.title}</h2>
      ${page.text}
      <p class="action"><b>Do</b> ${page.action}</p>
      ${page.more ? `<p><button type="button" data-turn="more">${page.more.label}</button></p>` : ""}
      <p class="question"><b>Ask</b> ${page.question}</p>
      <p class="for-lecturer"><b>Note</b> ${page.note}</p>
    </div>
    <footer>
      <button type="button" data-turn="back" ${number === 1 ? "disabled" : ""}>← Back</button>
      <button type="button" data-turn="next" class="primary" ${number === PAGES.length ? "disabled" : ""}>Next →</button>
    </footer>`;
  card.querySelector("h2")?.focus({ preventScroll: true });
}

/** @param {number} number */
function turn(number) {
  if (number === shown) return;
  show(number);
  write();
  const page = PAGES[number - 1];
  if (page) visit(page.stop);
}

/** @param {Event} event */
function press(event) {
  if (targetWithin(event, "[data-lesson]")) return turn(shown || 1);
  const button = targetWithin(event, ".lesson [data-turn]");
  const more = PAGES[shown - 1]?.more;
  switch (button?.dataset.turn) {
    case "next":
      return turn(pageAfter("ArrowRight", shown));
    case "back":
      return turn(pageAfter("ArrowLeft", shown));
    case "leave":
      return turn(0);
    case "more":
      return more && visit(more.stop);
    case "fold":
      button?.setAttribute("aria-expanded", String(!card?.classList.toggle("folded")));
  }
}

/** @param {KeyboardEvent} event */
function key(event) {
  if (!shown || event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
  if (targetWithin(event, `${TYPING}, dialog, [role=dialog]`)) return;
  if (event.key === " " && targetWithin(event, PRESSED_BY_SPACE)) return;
  const next = pageAfter(event.key, shown);
  if (next === shown) return;
  event.preventDefault();
  turn(next);
}

/** Open the page that the address asks for; the state that a link brings along stays. */
export function start() {
  document.addEventListener("click", press);
  document.addEventListener("keydown", key);
  for (const each of ["wheel", "touchmove", "pointerdown", "keydown"])
    document.addEventListener(each, release, { capture: true, passive: true });
  const narrow = matchMedia("(max-width: 1023px)");
  const place = () => document.body.classList.toggle("lesson-below", narrow.matches);
  narrow.addEventListener("change", place);
  place();
  const asked = new URLSearchParams(location.search);
  for (const each of ["present", "notes"])
    document.body.classList.toggle(each, asked.get(each) === "1");
  const page = PAGES[pageNumber(location.search) - 1];
  if (!page) return;
  show(pageNumber(location.search));
  const isNew = !location.hash;
  if (isNew) stop = page.stop;
  write(isNew ? fragmentOf(page.stop) : location.hash);
}
