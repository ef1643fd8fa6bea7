/** The word under the pointer, in whatever text of the page it stands. */

const WORD = /[\p{L}\p{M}]+/gu;

/**
 * Return where the word around a place in a text begins and ends, or null.
 *
 * @param {string} text
 * @param {number} offset
 * @returns {[start: number, end: number] | null}
 */
export function wordAround(text, offset) {
  for (const { index, 0: word } of text.matchAll(WORD))
    if (index <= offset && offset <= index + word.length) return [index, index + word.length];
  return null;
}

/**
 * Return a text node and a place in it, under a point of the window.
 *
 * @param {number} x
 * @param {number} y
 * @returns {{ node: Node, offset: number } | null}
 */
function caretAt(x, y) {
  if (document.caretPositionFromPoint) {
    const caret = document.caretPositionFromPoint(x, y);
    return caret && { node: caret.offsetNode, offset: caret.offset };
  }
  const range = document.caretRangeFromPoint?.(x, y); // Safari
  return range ? { node: range.startContainer, offset: range.startOffset } : null;
}

/**
 * Return the word that an event points at, or "": the word under the pointer, or an element's only one.
 *
 * @param {PointerEvent} event
 */
export function wordOf({ target, clientX: x, clientY: y }) {
  const text = target instanceof Element ? (target.textContent ?? "").trim() : "";
  if (wordAround(text, 0)?.[1] === text.length) return text;
  const caret = caretAt(x, y);
  if (!(caret?.node instanceof Text)) return "";
  const found = wordAround(caret.node.data, caret.offset);
  if (!found) return "";
  const range = document.createRange();
  range.setStart(caret.node, found[0]);
  range.setEnd(caret.node, found[1]);
  const isUnder = [...range.getClientRects()].some(
    (box) => x >= box.left && x <= box.right && y >= box.top && y <= box.bottom,
  );
  return isUnder ? String(range) : ""; // a caret is found beside a line too
}
