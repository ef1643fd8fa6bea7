/**
 * The drawer that opens on a token: a click, a tap, or arrow keys and Enter. The server is asked only
 * then, by the token's place in its panel; it holds the tokens themselves.
 */

import { leave } from "./runs.js";
import { enter, oncePerFrame, targetWithin } from "./shared.js";

const TOKEN = ".gen .tok[data-place]";
const TINT_KEY = "lmsteer-tint";

/**
 * A token as the server's `Place`.
 *
 * @typedef {object} Place
 * @property {string} panel
 * @property {number} text
 * @property {number} place
 * @property {string} word
 * @property {number} [choice] Id of a token to put there.
 */

/**
 * Return e to the mean surprise of a text's tokens, or null where none is known.
 *
 * @param {{ place: number, surprise: number }[]} tokens In their order; NaN is unknown. A character of
 *   several tokens stands at the place of its last one, with the sum of their surprises.
 */
export function perplexity(tokens) {
  let [sum, n, before] = [0, 0, -1];
  for (const { place, surprise } of tokens) {
    if (!Number.isNaN(surprise)) {
      sum += surprise;
      n += place - before;
    }
    before = place;
  }
  return n ? Math.exp(sum / n) : null;
}

/**
 * Return which token an arrow key goes to.
 *
 * @param {string} key
 * @param {number} at Index of the token that has the focus.
 * @param {number} n How many there are.
 * @returns {number | null} Null if the key is for somebody else.
 */
export function step(key, at, n) {
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: n - 1 }[key];
  return to === undefined ? null : Math.min(n - 1, Math.max(0, to));
}

/** @param {Element} text */
function tokensOf(text) {
  /** @type {NodeListOf<HTMLElement>} */
  const tokens = text.querySelectorAll(".tok[data-place]");
  return [...tokens].filter((token) => !token.closest(".old"));
}

/**
 * Return where a token stands.
 *
 * @param {HTMLElement} token
 * @returns {Place | null}
 */
function placeOf(token) {
  const text = token.closest(".gen");
  const panel = text?.closest(".block[id]");
  if (!text || !panel) return null;
  return {
    panel: panel.id,
    text: [...panel.querySelectorAll(".gen")].indexOf(text),
    place: Number(token.dataset.place),
    word: token.textContent,
  };
}

/**
 * Return the token that stands in a place now.
 *
 * @param {Place} place
 * @returns {HTMLElement | null}
 */
function tokenAt({ panel, text, place }) {
  const element = document.querySelectorAll(`#${CSS.escape(panel)} .gen`)[text];
  if (!element) return null;
  const tokens = tokensOf(element);
  return tokens.find((token) => Number(token.dataset.place) === place) ?? tokens[0] ?? null;
}

/** Let one token of each text be a Tab stop, and a button while it is. */
function rove() {
  for (const text of document.querySelectorAll(".gen")) {
    const tokens = tokensOf(text);
    if (tokens.length && !tokens.some((token) => token.tabIndex === 0)) makeStop(tokens[0]);
  }
}

/** @param {HTMLElement} token */
function makeStop(token) {
  for (const other of token.closest(".gen")?.querySelectorAll(".tok[tabindex]") ?? [])
    for (const name of ["tabindex", "role", "aria-haspopup"]) other.removeAttribute(name);
  token.tabIndex = 0;
  token.setAttribute("role", "button");
  token.setAttribute("aria-haspopup", "dialog");
}

/** Write each column's perplexity into its head. */
function measure() {
  for (const card of document.querySelectorAll(".card")) {
    const text = card.querySelector(".gen");
    const head = card.querySelector(".card-title h2");
    if (!text || !head) continue;
    const found = perplexity(
      tokensOf(text).map((token) => ({
        place: Number(token.dataset.place),
        surprise: Number.parseFloat(token.style.getPropertyValue("--s")),
      })),
    );
    const shown = found === null ? "" : `perplexity ${found.toPrecision(3)}`;
    let label = head.querySelector("small");
    if (!label) {
      label = document.createElement("small");
      label.title =
        "e to the mean surprise, −log p, of the tokens under the unsteered model: the lower, the more fluent";
      head.append(" ", label);
    }
    if (label.textContent !== shown) label.textContent = shown;
  }
}

const refresh = oncePerFrame(() => {
  rove();
  measure();
  for (const choice of document.querySelectorAll(".tints input"))
    if (choice instanceof HTMLInputElement) choice.checked = choice.value === tint();
});

function tint() {
  return document.documentElement.dataset.tint ?? "steering";
}

/** @param {Event} event */
function chooseTint(event) {
  const choice = targetWithin(event, ".tints input");
  if (!(choice instanceof HTMLInputElement)) return;
  document.documentElement.dataset.tint = choice.value;
  try {
    localStorage.setItem(TINT_KEY, choice.value);
  } catch {} // a frame may forbid storage
  refresh();
}

/** What the drawer is open on. */
/** @type {Place | null} */
let open = null;

/** @returns {HTMLElement} */
function drawer() {
  const there = document.querySelector("#inspector");
  if (there instanceof HTMLElement) return there;
  const made = document.createElement("aside");
  made.id = "inspector";
  made.hidden = true;
  made.tabIndex = -1;
  made.setAttribute("role", "dialog");
  made.setAttribute("aria-label", "Token inspector");
  made.innerHTML = `<div class="inspector-bar">
    <button type="button" data-inspector="before" aria-label="Token before">‹</button>
    <button type="button" data-inspector="after" aria-label="Token after">›</button>
    <button type="button" data-inspector="close" aria-label="Close">×</button></div>
    <p class="inspector-summary" role="status"></p><div class="inspector-body"></div>`;
  // Gradio lets rules for narrow screens hold only within.
  (document.querySelector(".gradio-container .contain") ?? document.body).append(made);
  return made;
}

/**
 * Send the server a token by a hidden field and its button.
 *
 * @param {string} id Of the field; its button's ends in "-go".
 * @param {Place} place
 */
function send(id, place) {
  /** @type {HTMLTextAreaElement | HTMLInputElement | null} */
  const field = document.querySelector(`#${CSS.escape(id)} :is(textarea, input)`);
  if (!field) return;
  enter(field, JSON.stringify(place));
  setTimeout(() => document.getElementById(`${id}-go`)?.click()); // once Gradio has heard of it
}

/** @param {HTMLElement} token */
function inspect(token) {
  const place = placeOf(token);
  if (!place) return;
  const aside = drawer();
  const wasOpen = !aside.hidden;
  for (const other of document.querySelectorAll(".tok.inspected"))
    other.classList.remove("inspected");
  token.classList.add("inspected");
  makeStop(token);
  open = place;
  if (!wasOpen) {
    const [left, width] = [token.getBoundingClientRect().left, aside.offsetWidth || 430];
    aside.dataset.side = left > width + 16 || left > innerWidth / 2 ? "left" : "right";
    aside.hidden = false;
    aside.focus({ preventScroll: true });
  }
  token.scrollIntoView({ block: "nearest" });
  aside.setAttribute("aria-busy", "true");
  send("inspector-message", place);
}

/** Close the drawer; the focus goes back to its token. */
function close() {
  const aside = drawer();
  if (aside.hidden) return;
  aside.hidden = true;
  for (const other of document.querySelectorAll(".tok.inspected"))
    other.classList.remove("inspected");
  if (open) tokenAt(open)?.focus();
  open = null;
}

/**
 * Show what the server answered of a token, if it is still the one that is open.
 *
 * @param {string} message
 * @param {string} html The server's markup, in which all text is escaped.
 */
export function show(message, html) {
  if (!open || message !== JSON.stringify(open)) return;
  const aside = drawer();
  const body = aside.querySelector(".inspector-body");
  if (!body) return;
  body.innerHTML = html;
  body.scrollTop = 0;
  const summary = aside.querySelector(".inspector-summary");
  const shift = body.querySelector(".inspector-parts .sum")?.textContent ?? "";
  if (summary)
    summary.textContent = `${body.querySelector("h2, .note")?.textContent ?? ""} ${shift}`;
  aside.setAttribute("aria-busy", "false");
}

/** @param {HTMLElement} button */
function goOn({ dataset: { branch, choice } }) {
  if (open) leave(open.panel);
  if (open && branch) send(branch, { ...open, choice: Number(choice) });
  close();
}

/** @param {number} by */
function move(by) {
  const token = open && tokenAt(open);
  const text = token?.closest(".gen");
  if (!token || !text) return;
  const next = tokensOf(text)[tokensOf(text).indexOf(token) + by];
  if (next) inspect(next);
}

/** @param {MouseEvent} event */
function press(event) {
  const button = targetWithin(event, "#inspector button");
  if (button) {
    if (button.dataset.branch) goOn(button);
    else if (button.dataset.inspector === "close") close();
    else move(button.dataset.inspector === "before" ? -1 : 1);
    return;
  }
  const token = targetWithin(event, TOKEN);
  const isSelecting = !getSelection()?.isCollapsed;
  if (token && !isSelecting && !token.closest(".old")) inspect(token);
}

/** @param {KeyboardEvent} event */
function type(event) {
  if (event.key === "Escape" && !drawer().hidden) {
    close();
    return;
  }
  const token = targetWithin(event, TOKEN);
  const text = token?.closest(".gen");
  if (!token || !text || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    inspect(token);
    return;
  }
  const tokens = tokensOf(text);
  const to = step(event.key, tokens.indexOf(token), tokens.length);
  if (to === null) return;
  event.preventDefault();
  makeStop(tokens[to]);
  tokens[to].focus();
}

/** Listen to the page. */
export function start() {
  try {
    document.documentElement.dataset.tint = localStorage.getItem(TINT_KEY) ?? "steering";
  } catch {} // a frame may forbid storage
  document.addEventListener("click", press);
  document.addEventListener("keydown", type);
  document.addEventListener("change", chooseTint);
  new MutationObserver(refresh).observe(document.documentElement, {
    subtree: true,
    childList: true,
  });
}
