/** What all tabs share: the theme, the sliders, the width of charts, and when a request was sent. */

import { followed, showNews } from "./live.js";
import { debounced, download, enter, oncePerFrame, parseFile, targetWithin } from "./shared.js";

const PACE_MS = 250;
const DRIVE_MS = 120;
const THEME_KEY = "lmsteer-theme";
const TOKEN_KEY = "lmsteer-page";

let sentAt = 0;

/** @type {(values: unknown[]) => Promise<unknown[]>} */
const latest = debounced(() => {
  const isDriving = document.querySelector("#drive")?.checkVisibility();
  return Math.max(0, sentAt + (isDriving ? DRIVE_MS : PACE_MS) - performance.now());
});

/**
 * Let a slider's events through while it moves, but not more often than a text can follow.
 *
 * @param {unknown[]} values
 */
export async function pace(...values) {
  const sent = await latest(values);
  sentAt = performance.now();
  return sent;
}

/**
 * Return a `fetch` whose requests say when they were sent, so that the server knows the latest,
 * whatever the order in which it begins them.
 *
 * @param {typeof fetch} send
 * @param {() => number} now Milliseconds since the page was opened.
 * @returns {typeof fetch}
 */
export function stamped(send, now) {
  return (input, options) => {
    // As in `fetch` itself, headers in the options replace those of a Request.
    const headers = new Headers(
      options?.headers ?? (input instanceof Request ? input.headers : {}),
    );
    headers.set("x-asked-at", String(now()));
    return send(input, { ...options, headers });
  };
}

/**
 * Return the token by which the server finds a page again: its tab keeps it when the page is loaded
 * anew.
 *
 * @param {() => Pick<Storage, "getItem" | "setItem">} open Returns the tab's storage, or throws.
 * @param {() => string} draw Returns a token that nobody can guess.
 */
export function keptToken(open, draw) {
  const drawn = draw();
  try {
    const storage = open();
    const kept = storage.getItem(TOKEN_KEY) ?? drawn;
    storage.setItem(TOKEN_KEY, kept);
    return kept;
  } catch {
    return drawn; // a frame may forbid storage
  }
}

function randomToken() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Return this page's token. */
export function token() {
  return keptToken(() => sessionStorage, randomToken);
}

/**
 * Save a file that the server sent.
 *
 * @param {string} json See `parseFile`; empty for none.
 */
export function save(json) {
  if (!json) return;
  const { name, content } = parseFile(json);
  download(name, content);
}

/** @param {boolean} isDark */
function applyTheme(isDark) {
  document.body.classList.toggle("dark", isDark);
}

/** @param {Event} event */
function toggleTheme(event) {
  if (!targetWithin(event, ".masthead .mode")) return;
  const isDark = !document.body.classList.contains("dark");
  applyTheme(isDark);
  localStorage.setItem(THEME_KEY, isDark ? "dark" : "light");
}

/** Apply the theme chosen earlier, once the page is built: until then Gradio sets the system's. */
export function restoreTheme() {
  const chosen = localStorage.getItem(THEME_KEY);
  if (chosen) applyTheme(chosen === "dark");
}

/** Plotly gives a chart that comes while its tab is hidden a width of its own. */
function fitCharts() {
  /** @type {NodeListOf<PlotlyChart>} */
  const charts = document.querySelectorAll(".js-plotly-plot");
  for (const chart of charts)
    if (chart.offsetWidth && chart._fullLayout && chart.offsetWidth !== chart._fullLayout.width)
      window.Plotly?.Plots.resize(chart);
}

/** @param {Event} event */
function resetSlider(event) {
  const slider = targetWithin(event, ".steer-slider input[type=range]");
  if (!(slider instanceof HTMLInputElement)) return;
  enter(slider, 0);
  slider.dispatchEvent(new Event("change", { bubbles: true }));
  slider.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
}

/**
 * Hold back an emptied number box of a slider: it means nothing yet, and Gradio would send it as null.
 *
 * @param {Event} event
 */
function ignoreEmptied(event) {
  const box = targetWithin(event, "input[type=number]");
  if (!(box instanceof HTMLInputElement) || box.value !== "") return;
  if (box.closest(".block")?.querySelector("input[type=range]")) event.stopImmediatePropagation();
}

/** @param {Event} event */
function openTab(event) {
  const name = targetWithin(event, "[data-open-tab]")?.dataset.openTab;
  if (!name) return;
  /** @type {NodeListOf<HTMLElement>} */
  const tabs = document.querySelectorAll("[role=tab]");
  [...tabs].find((tab) => tab.textContent.trim() === name)?.click();
}

/** Listen to the page. */
export function start() {
  window.fetch = followed(
    stamped(window.fetch, () => performance.now()),
    showNews,
  );
  new MutationObserver(oncePerFrame(fitCharts)).observe(document.documentElement, {
    subtree: true,
    attributes: true,
    attributeFilter: ["aria-selected"],
  });
  document.addEventListener("click", openTab);
  document.addEventListener("click", toggleTheme);
  document.addEventListener("dblclick", resetSlider);
  document.addEventListener("input", ignoreEmptied, true);
}
