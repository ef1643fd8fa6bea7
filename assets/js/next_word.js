// The moving part of the Next word view: from the curves the server sent once, the line at the slider's ε,
// the words at that ε, and the ranked lists at −ε, 0 and +ε. A slider on the axis asks the server nothing.
window.lmsteerNextword = (() => {
  const PAUSE_MS = 300;
  const AT_ZERO = 2; // a slider at 0 has no two sides; the lists then stand at ±2
  const DASHES = {
    solid: "", dash: "9 6", dot: "2.5 3.5", dashdot: "9 4 2.5 4", longdash: "15 7", longdashdot: "15 5 2.5 5",
  };

  // -- what the page holds

  const parsed = new WeakMap();
  const dataOf = (now) => {
    const known = parsed.get(now);
    if (known?.json === now.dataset.next) return known.data;
    const data = JSON.parse(now.dataset.next);
    parsed.set(now, { json: now.dataset.next, data });
    return data;
  };

  const sliderValue = (id) => {
    const box = document.getElementById(id);
    const value = box?.querySelector("input[type=number]")?.value || box?.querySelector("input[type=range]")?.value;
    return value === undefined ? undefined : Number(value);
  };

  const views = () => document.querySelectorAll(".nw-now[data-next]");

  // -- small helpers

  const element = (tag, className, text = "") => {
    const made = document.createElement(tag);
    made.className = className;
    made.textContent = text;
    return made;
  };

  const svg = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };

  const signed = (epsilon) => {
    const rounded = Math.round(100 * epsilon) / 100;
    return rounded ? `${rounded > 0 ? "+" : "−"}${Math.abs(rounded)}` : "0";
  };

  const percent = (p) =>
    p >= 0.00995 ? `${(100 * p).toFixed(1)} %` : p >= 1e-5 ? `${Number((100 * p).toPrecision(2))} %` : "< 0.001 %";

  // Exact where ε is on the grid, else on the straight line between two exact values.
  const at = (grid, values, epsilon) => {
    const place = (epsilon - grid[0]) / (grid[1] - grid[0]);
    const below = Math.min(Math.max(Math.floor(place + 1e-6), 0), grid.length - 2);
    const share = Math.min(Math.max(place - below, 0), 1);
    return share < 1e-6 ? values[below] : values[below] + share * (values[below + 1] - values[below]);
  };

  // -- drawing

  const drawLine = (data, epsilon, shown) => {
    const plot = document.querySelector(`#${data.view}-chart .js-plotly-plot`);
    const layout = plot?._fullLayout;
    if (!layout?.xaxis?.d2p || !plot.offsetWidth) return;
    const { xaxis, yaxis, _size: size } = layout;
    const x = xaxis._offset + xaxis.d2p(shown);
    const line = svg("svg", { class: "nw-line", width: layout.width, height: layout.height, "aria-hidden": "true" });
    line.append(svg("line", { x1: x, x2: x, y1: size.t - 4, y2: size.t + size.h }));
    for (const word of data.words) {
      const y = yaxis._offset + yaxis.d2p(Math.max(at(data.epsilons, word.p, shown), 1e-6));
      line.append(svg("circle", { class: word.side, cx: x, cy: y, r: 5 }));
    }
    const label = svg("text", { x, y: size.t - 10, "text-anchor": "middle" });
    label.textContent = `ε = ${signed(epsilon)}${epsilon > shown ? " →" : epsilon < shown ? " ←" : ""}`;
    line.append(label);
    plot.querySelector(":scope > .nw-line")?.remove();
    plot.append(line);
  };

  const drawWords = (now, data, epsilon, shown) => {
    const heading = element("p", "nw-at", `At ε = ${signed(shown)}`);
    if (epsilon !== shown)
      heading.append(element("small", "", ` (the slider, at ${signed(epsilon)}, is beyond the curves)`));
    const rows = data.words
      .map((word) => ({ ...word, now: at(data.epsilons, word.p, shown) }))
      .sort((a, b) => b.now - a.now);
    const list = element("ol", "nw-words");
    list.setAttribute("aria-label", `Probabilities at ε = ${signed(shown)}, likeliest first`);
    for (const word of rows) list.append(wordRow(word.text, word.now, word));
    const rest = 1 - rows.filter((row) => !row.of).reduce((sum, row) => sum + row.now, 0);
    const others = wordRow("all other words", Math.max(rest, 0));
    others.classList.add("rest");
    list.append(others);
    now.replaceChildren(heading, list);
  };

  const wordRow = (text, p, word) => {
    const row = element("li", word?.side ?? "");
    row.style.setProperty("--p", p.toFixed(4));
    if (word) {
      const swatch = svg("svg", { class: "swatch", width: 40, height: 10, "aria-hidden": "true" });
      swatch.append(svg("line", { x1: 1, x2: 39, y1: 5, y2: 5, "stroke-dasharray": DASHES[word.dash] ?? word.dash }));
      row.append(swatch);
    }
    const name = element("span", "word", text);
    name.dir = "auto";
    if (word?.of) name.append(element("small", "", ` first token of “${word.of}”`));
    row.append(name, element("span", "p", percent(p)));
    return row;
  };

  const drawLists = (data, shown) => {
    const box = document.querySelector(`.nw-lists[data-of="${data.view}"]`);
    if (!box) return;
    const grid = data.epsilons;
    const step = grid[1] - grid[0];
    const side = Math.abs(shown) < step / 2 ? AT_ZERO : Math.abs(shown);
    const columns = [-side, 0, side].map((epsilon, i) => {
      const column = element("section", ["minus", "zero", "plus"][i]);
      const nearest = Math.round((epsilon - grid[0]) / step);
      const heading = element("h3", "", `ε = ${signed(grid[nearest] ?? epsilon)}`);
      heading.append(element("small", "", ` ${[data.poles[0], data.isHeld ? "what is held, alone" : "the model as it is", data.poles[1]][i]}`));
      column.append(heading);
      if (nearest < 0) column.append(element("p", "", "This pole is locked."));
      else {
        const list = element("ol", "nw-words");
        for (const [text, p] of data.tops[nearest]) list.append(wordRow(text, p));
        column.append(list);
      }
      return column;
    });
    box.replaceChildren(...columns);
  };

  const drawn = new WeakMap();
  const draw = (now, epsilon) => {
    const data = dataOf(now);
    const plot = document.querySelector(`#${data.view}-chart .js-plotly-plot`);
    const { width, height, _size: size, yaxis } = plot?._fullLayout ?? {};
    const hasLine = Boolean(plot?.querySelector(":scope > .nw-line"));
    const state = [now.dataset.next.length, epsilon, width, height, size?.l, size?.w, yaxis?.type, yaxis?.range, plot?.offsetWidth, hasLine].join();
    const last = drawn.get(now);
    if (last?.state === state && last.data === data) return;
    const { epsilons } = data;
    const shown = Math.min(Math.max(epsilon, epsilons[0]), epsilons[epsilons.length - 1]);
    drawLine(data, epsilon, shown);
    drawWords(now, data, epsilon, shown);
    drawLists(data, shown);
    drawn.set(now, { state, data });
  };

  // -- when to draw, and when to ask

  const asked = new Map();
  // Ask for new curves once the sliders that are held have come to rest somewhere else.
  const askIfMoved = (data) => {
    if (!data.ask) return;
    const held = Object.keys(data.held).map((id) => sliderValue(id) ?? data.held[id]);
    const unlocked = document.querySelector(`#${data.unlock} input`)?.checked ?? data.unlocked;
    const state = JSON.stringify([data.slider, held, unlocked]);
    const waiting = asked.get(data.ask);
    if (state === JSON.stringify([data.slider, Object.values(data.held), data.unlocked])) {
      clearTimeout(waiting?.timer);
      asked.delete(data.ask);
    } else if (waiting?.state !== state) {
      clearTimeout(waiting?.timer);
      const timer = setTimeout(() => document.getElementById(data.ask)?.click(), PAUSE_MS);
      asked.set(data.ask, { state, timer });
    }
  };

  const refresh = () => {
    for (const now of views()) {
      const data = dataOf(now);
      draw(now, sliderValue(data.slider) ?? 0);
      askIfMoved(data);
    }
  };

  document.addEventListener("input", (event) => {
    const value = Number(event.target.value);
    for (const now of views())
      if (event.target.closest?.(`[id="${dataOf(now).slider}"]`) && Number.isFinite(value)) draw(now, value);
    later();
  });

  let isComing = false;
  const later = () => {
    if (isComing) return;
    isComing = true;
    requestAnimationFrame(() => {
      isComing = false;
      refresh();
    });
  };

  // New curves, a chart drawn or resized, a tab opened, a slider set by a button: all of them change the page.
  const watch = () =>
    new MutationObserver(later).observe(document.body, {
      childList: true, subtree: true, attributes: true, attributeFilter: ["style", "data-next"],
    });
  if (document.body) watch();
  else document.addEventListener("DOMContentLoaded", watch);

  // -- events of gradio's own wait here until their widgets come to rest

  const latest = {};
  const pause = (name, values) => {
    const mine = (latest[name] = (latest[name] ?? 0) + 1);
    return new Promise((resolve) => setTimeout(() => mine === latest[name] && resolve(values), PAUSE_MS));
  };

  return { pause };
})();
