// The pad of the Compose tab: a point in the plane of two sliders, which hold the truth.
window.lmsteerCompose = (() => {
  const STEP = 0.1, BIG_STEP = 0.5;
  const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
  let point = null;
  let isHeld = false;
  let waiting = false;

  const plane = () => document.querySelector(".compose-plane");
  const factsOf = (element) => JSON.parse(element.dataset.facts);
  const slider = (axis) => document.querySelector(`#compose-${axis} input[type=range]`);
  const signed = (e) => (e > 0 ? "+" : e < 0 ? "−" : "") + Math.abs(e).toFixed(2).replace(/\.?0+$/, "");
  const nearest = (grid, e) =>
    grid.reduce((best, g, i) => (Math.abs(g - e) < Math.abs(grid[best] - e) ? i : best), 0);

  const told = (facts, [x, y]) => {
    const here = `${facts.names[0]} ${signed(x)}, ${facts.names[1]} ${signed(y)}`;
    if (!facts.epsilons.length) return here;
    const i = nearest(facts.epsilons, y), j = nearest(facts.epsilons, x);
    const cell = `at (${signed(facts.epsilons[j])}, ${signed(facts.epsilons[i])})`;
    const text = facts.texts.length && facts.texts[i][j] ? `: “${facts.texts[i][j].trim()}”` : "";
    return `${here} · ${cell} ${facts.told[i][j]}${text}`;
  };

  // Draws the point; the line below tells about it, or about where the pointer hovers.
  const show = (hovered = null) => {
    const element = plane();
    if (!element) return;
    const facts = factsOf(element);
    point ??= facts.point;
    const handle = element.querySelector(".handle");
    handle.style.left = `${50 + (50 * point[0]) / facts.extent}%`;
    handle.style.top = `${50 - (50 * point[1]) / facts.extent}%`;
    handle.setAttribute("aria-label",
      `Point of ${facts.names[0]} (left and right) and ${facts.names[1]} (up and down)`);
    handle.setAttribute("aria-valuemin", facts.low[0]);
    handle.setAttribute("aria-valuemax", facts.extent);
    handle.setAttribute("aria-valuenow", point[0]);
    handle.setAttribute("aria-valuetext", told(facts, point));
    document.querySelector(".compose-readout").textContent = told(facts, hovered ?? point);
  };

  const send = () => {
    waiting = false;
    ["across", "up"].forEach((axis, i) => {
      const input = slider(axis);
      if (Math.abs(Number(input.value) - point[i]) < STEP / 2) return;
      input.value = point[i];
      input.dispatchEvent(new Event("input", { bubbles: true }));
    });
  };

  const move = (to) => {
    const { low, extent } = factsOf(plane());
    point = to.map((e, i) => Math.round(Math.min(extent, Math.max(low[i], e)) / STEP) / Math.round(1 / STEP));
    show();
    if (!waiting) requestAnimationFrame(send);
    waiting = true;
  };

  // A slider moved, by hand or by the server.
  const place = (x, y) => {
    if (isHeld || waiting) return;
    point = [x ?? 0, y ?? 0];
    show();
  };

  const under = (event) => {
    const box = plane().getBoundingClientRect(), { extent } = factsOf(plane());
    return [
      extent * ((2 * (event.clientX - box.left)) / box.width - 1),
      extent * (1 - (2 * (event.clientY - box.top)) / box.height),
    ];
  };

  document.addEventListener("pointerdown", (event) => {
    if (event.button || !event.target.closest?.(".compose-plane")) return;
    event.preventDefault();
    isHeld = true;
    plane().querySelector(".handle").focus({ preventScroll: true });
    move(under(event));
  });
  document.addEventListener("pointermove", (event) => {
    if (isHeld) move(under(event));
    else if (event.target.closest?.(".compose-plane")) show(under(event));
  });
  for (const end of ["pointerup", "pointercancel"])
    document.addEventListener(end, () => { isHeld = false; });
  document.addEventListener("pointerout", (event) => {
    if (!isHeld && event.target.closest?.(".compose-plane")) show();
  });
  document.addEventListener("keydown", (event) => {
    if (!event.target.matches?.(".compose-plane .handle")) return;
    const way = KEYS[event.key];
    if (!way && event.key !== "Home") return;
    event.preventDefault();
    const step = event.shiftKey ? BIG_STEP : STEP;
    move(way ? point.map((e, i) => e + step * way[i]) : [0, 0]);
  });

  return { show, place };
})();
