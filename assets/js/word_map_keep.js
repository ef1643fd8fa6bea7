/** Keep a full map in sight in a corner of the page while other tabs are read. */

const CORNER = "kept-map";

/** Return the corner that holds a map, or null. */
export function corner() {
  return document.querySelector(`.${CORNER}`);
}

/**
 * Put a map into the corner.
 *
 * @param {HTMLElement} figure
 */
export function keep(figure) {
  const aside = document.createElement("aside");
  aside.className = CORNER;
  aside.setAttribute("aria-label", "Map of words");
  const close = document.createElement("button");
  close.type = "button";
  close.className = "try";
  close.dataset.release = "";
  close.textContent = "Put the map back";
  aside.append(figure, close);
  document.body.append(aside);
}

/** Put the map back where it was, if its place is still there. */
export function release() {
  const figure = corner()?.querySelector("figure");
  if (figure) document.querySelector("#full-map .full-maps")?.prepend(figure);
  corner()?.remove();
}
