/** What a pointer, a wheel and the keys do on a full map. */

/** @typedef {import("./word_map_data.js").Point} Point */
/** @typedef {import("./word_map_view.js").MapView} MapView */

const STILL = 4; // pixels that a click may move
const STEP = 40; // pixels, of an arrow key
const NEARER = -60; // of a wheel

/**
 * Let a map answer to its visitor.
 *
 * @param {MapView} view
 */
export function listen(view) {
  const { stage } = view;
  /** @type {Point[]} */
  let path = [];
  let isDown = false;

  /** @type {(event: MouseEvent) => Point} */
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button || !(event.target instanceof HTMLCanvasElement)) return;
    stage.setPointerCapture(event.pointerId);
    path = [at(event)];
    isDown = true;
  });
  stage.addEventListener("pointermove", (event) => {
    const here = at(event);
    if (!isDown) {
      const word = view.wordNear(here);
      if (word >= 0) view.actions.light(word);
      return;
    }
    const last = path[path.length - 1];
    path.push(here);
    if (view.state.isLasso) view.outline(path);
    else view.pan(here[0] - last[0], here[1] - last[1]);
    view.actions.redraw();
  });
  stage.addEventListener("pointerup", (event) => {
    if (!isDown) return;
    isDown = false;
    const isClick = path.every(([x, y]) => Math.hypot(x - path[0][0], y - path[0][1]) < STILL);
    const word = isClick ? view.wordNear(path[0]) : -1;
    if (word >= 0) view.actions.pin(word);
    else if (!isClick && view.state.isLasso) view.actions.select(view.enclosed(), event.shiftKey);
    view.outline([]);
  });
  stage.addEventListener("pointercancel", () => {
    isDown = false; // a finger scrolls the page instead
    view.outline([]);
  });
  stage.addEventListener("dblclick", () => {
    view.home();
    view.actions.redraw();
  });
  stage.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey) return; // else the wheel scrolls the page
      event.preventDefault();
      view.zoom(event.deltaY, at(event));
      view.actions.redraw();
    },
    { passive: false },
  );
  stage.addEventListener("keydown", (event) => press(view, event));
}

/**
 * @param {MapView} view
 * @param {KeyboardEvent} event
 */
function press(view, event) {
  /** @type {Record<string, () => void>} */
  const keys = {
    ArrowLeft: () => view.pan(STEP, 0),
    ArrowRight: () => view.pan(-STEP, 0),
    ArrowUp: () => view.pan(0, STEP),
    ArrowDown: () => view.pan(0, -STEP),
    "+": () => view.zoom(NEARER),
    "-": () => view.zoom(-NEARER),
    0: () => view.home(),
    Escape: () => view.actions.select([], false),
  };
  const act = event.target === view.stage ? keys[event.key] : undefined;
  if (!act) return;
  event.preventDefault();
  act();
  view.actions.redraw();
}
