/** What several views need: numbers as text, waiting, fields and files. */

/**
 * Format ε with its sign, a real minus, and at most two decimals: "+1.5", "0", "−3".
 *
 * @param {number} epsilon
 */
export function formatEpsilon(epsilon) {
  const size = Math.round(100 * Math.abs(epsilon)) / 100;
  return size ? `${epsilon > 0 ? "+" : "−"}${size}` : "0";
}

/**
 * Format a probability in percent, with two digits where one decimal would lose it.
 *
 * @param {number} p In [0, 1].
 */
export function formatPercent(p) {
  if (p < 1e-5) return "< 0.001 %";
  return `${p < 0.00995 ? Number((100 * p).toPrecision(2)) : (100 * p).toFixed(1)} %`;
}

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high At least `low`.
 */
export function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

/**
 * Return a function that calls `action` with the next frame, once however often it is called before.
 *
 * @param {() => void} action
 * @param {(callback: () => void) => unknown} nextFrame
 * @returns {() => void}
 */
export function oncePerFrame(action, nextFrame = (callback) => requestAnimationFrame(callback)) {
  let isWaiting = false;
  return () => {
    if (isWaiting) return;
    isWaiting = true;
    nextFrame(() => {
      isWaiting = false;
      action();
    });
  };
}

/**
 * Return a function that resolves to its argument after a pause without another call; the promises of
 * calls that were superseded never settle, so that Gradio drops their events.
 *
 * @template T
 * @param {() => number} pause Milliseconds, asked at every call.
 * @returns {(values: T) => Promise<T>}
 */
export function debounced(pause) {
  let nCalls = 0;
  return (values) => {
    const call = ++nCalls;
    return new Promise((resolve) => {
      setTimeout(() => {
        if (call === nCalls) resolve(values);
      }, pause());
    });
  };
}

/**
 * Return the element around an event's target that a selector matches.
 *
 * @param {Event} event
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
export function targetWithin(event, selector) {
  return event.target instanceof Element ? event.target.closest(selector) : null;
}

/**
 * Put a value into a field as a visitor would, so that Gradio hears of it.
 *
 * @param {HTMLInputElement | HTMLTextAreaElement} field
 * @param {string | number} value
 */
export function enter(field, value) {
  field.value = String(value);
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/**
 * Let the browser save a file.
 *
 * @param {string} name
 * @param {Blob} content
 */
export function download(name, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/**
 * Return a file that the server wrote as JSON.
 *
 * @param {string} json `{"name": …, "text": …}`.
 * @returns {{ name: string, content: Blob }}
 */
export function parseFile(json) {
  const { name, text } = JSON.parse(json);
  const type = name.endsWith(".csv") ? "text/csv" : "text/html";
  return { name, content: new Blob([text], { type }) };
}
