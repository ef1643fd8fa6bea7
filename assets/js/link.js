/** The page's state in the address: what differs from a page that was just opened, as a query. */

import { token } from "./page.js";
import { debounced, targetWithin } from "./shared.js";

const VERSION = "1";
const PAUSE_MS = 300;
export const FIRST_TAB = "steer";
const TOLD_MS = 2500;

/** What the fragment holds besides `v` and `model`. */
let parts = new URLSearchParams();
/** @type {string | null} Null until the link that the page was opened with is restored. */
let model = null;
/** @type {(string | null)[]} Names of the steers in the page's slots. */
let slots = [];

/**
 * Return the texts that stand for a widget's value in a link.
 *
 * @param {unknown} value
 * @returns {string[]}
 */
export function encoded(value) {
  if (Array.isArray(value)) return value.length ? value.map(String) : [""];
  if (typeof value === "boolean") return [value ? "1" : "0"];
  return [value === null || value === undefined ? "" : String(value)];
}

/**
 * Return the parts of a link with a widget's value, which stands there only if it differs from what
 * the page opens with.
 *
 * @param {URLSearchParams} old
 * @param {string} key
 * @param {unknown} opening
 * @param {unknown} value
 */
export function withValue(old, key, opening, value) {
  const next = new URLSearchParams(old);
  const texts = encoded(value);
  next.delete(key);
  if (JSON.stringify(texts) !== JSON.stringify(encoded(opening)))
    for (const text of texts) next.append(key, text);
  return next;
}

/**
 * Return the part of a state that one view shows.
 *
 * @param {URLSearchParams} all
 */
export function viewOf(all) {
  const tab = all.get("tab") ?? FIRST_TAB;
  const shown = [...all].filter(([key]) => key === "tab" || tabOf(key) === tab);
  return new URLSearchParams(shown);
}

/**
 * Return the fragment of a link: its version first and its model last, so that a link that was cut
 * off can be told.
 *
 * @param {URLSearchParams} state
 * @param {string} ofModel
 */
export function fragmentOf(state, ofModel) {
  const tab = state.getAll("tab").map((value) => ["tab", value]);
  const others = [...state].filter(([key]) => key !== "tab");
  return new URLSearchParams([["v", VERSION], ...tab, ...others, ["model", ofModel]]).toString();
}

/** @param {string} key Those of the Steer tab have no prefix, or "steer." before a steer's name. */
function tabOf(key) {
  return key.includes(".") ? key.split(".")[0] : FIRST_TAB;
}

/** Return what the server must know of a page that opens: its token and its fragment. */
export function opened() {
  return [token(), location.hash.slice(1)];
}

/**
 * Go on from what could be restored of the link.
 *
 * @param {string} ofModel
 * @param {string} kept The parts of the fragment that hold.
 */
export function restored(ofModel, kept) {
  parts = new URLSearchParams(kept ?? "");
  model = ofModel;
  writeSoon();
}

/**
 * Keep what a widget holds.
 *
 * @param {string} key
 * @param {unknown} opening
 * @param {unknown} value
 */
export function keep(key, opening, value) {
  if (model === null) return;
  parts = withValue(parts, key, opening, value);
  writeSoon();
}

/**
 * Keep ε of one of the page's own steers.
 *
 * @param {number} i Its slot.
 * @param {unknown} value
 */
export function keepSlot(i, value) {
  if (slots[i]) keep(`steer.${slots[i]}`, 0, value);
}

/**
 * Learn which steers are in the page's slots; a steer that went takes its ε along.
 *
 * @param {string} json
 */
export function nameSlots(json) {
  /** @type {(string | null)[]} */
  const names = JSON.parse(json);
  for (const name of slots) if (name && !names.includes(name)) parts.delete(`steer.${name}`);
  slots = names;
  writeSoon();
}

/** Return the address of the current view alone. */
export function viewAddress() {
  const address = new URL(location.href);
  address.hash = fragmentOf(viewOf(parts), model ?? "");
  return address.href;
}

const pause = debounced(() => PAUSE_MS);

async function writeSoon() {
  await pause(null);
  if (model === null) return;
  const fragment = parts.size ? `#${fragmentOf(parts, model)}` : "";
  if (fragment !== location.hash)
    history.replaceState(history.state, "", `${location.pathname}${location.search}${fragment}`);
  if (document.body.dataset.share) ask();
}

/** Have the open panel filled for the view as it stands. */
function ask() {
  document.getElementById(`share-${document.body.dataset.share}-ask`)?.click();
}

/**
 * Put a text on the clipboard, also where a page without https may not use the newer way.
 *
 * @param {string} text
 */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

/** @param {Event} event */
async function copyCode(event) {
  const button = targetWithin(event, "[data-copy]");
  const code = button?.closest("figure")?.querySelector("code")?.textContent;
  if (!button || !code) return;
  await copy(code);
  button.textContent = "Copied";
  setTimeout(() => {
    button.textContent = "Copy";
  }, TOLD_MS);
}

/** @param {Event} event */
async function share(event) {
  const button = targetWithin(event, "button[data-share]");
  if (!button) return;
  if (button.dataset.share === "link") {
    await copy(viewAddress());
    const told = document.querySelector(".masthead .copied");
    if (!told) return;
    told.textContent = "Copied";
    setTimeout(() => {
      told.textContent = "";
    }, TOLD_MS);
    return;
  }
  const isOpen = button.getAttribute("aria-expanded") === "true";
  for (const each of document.querySelectorAll("[data-share][aria-expanded]"))
    each.setAttribute("aria-expanded", String(each === button && !isOpen));
  if (isOpen) delete document.body.dataset.share;
  else {
    document.body.dataset.share = button.dataset.share;
    ask();
  }
}

/** Open a link that is put into the address of a page that is open already. */
export function start() {
  addEventListener("hashchange", () => location.reload());
  document.addEventListener("click", share);
  document.addEventListener("click", copyCode);
}
