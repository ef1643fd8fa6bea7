// The word map: ε moves every point and the arrows of pinned words, without asking the server.
window.lmsteerWords = (() => {
  const PLUS = "#2f7fd0", MINUS = "#d9741a";
  let epsilon = 2;
  let drawn = {}, busy = false;

  // A point's customdata is [x, y, Δx, Δy]: where the word is at ε = 0, and what ε = 1 adds.
  const moved = ([x, y, dx, dy]) => [x + epsilon * dx, y + epsilon * dy];

  const pinned = ([word, x, y, dx, dy, style]) => {
    const [toX, toY] = moved([x, y, dx, dy]);
    const color = style < 0 ? MINUS : PLUS;
    const text = word.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
    return [
      { x: toX, y: toY, ax: x, ay: y, xref: "x", yref: "y", axref: "x", ayref: "y", text: "",
        showarrow: epsilon !== 0, arrowhead: 2, arrowwidth: 2.5, arrowcolor: color },
      { x: toX, y: toY, text: `<b>${text}</b>`, showarrow: false, yshift: 15,
        font: { size: 16 }, bgcolor: "rgba(128,138,153,0.28)", borderpad: 1 },
    ];
  };

  const draw = async () => {
    const chart = document.querySelector("#word-map .js-plotly-plot");
    const pins = document.querySelector("#words-places [data-pins]")?.dataset;
    if (!chart?.data?.length || !pins || chart.layout.meta !== pins.map) return;
    const state = `${epsilon} ${pins.pins}`;
    if (busy || (drawn.layout === chart.layout && drawn.state === state)) return;
    busy = true;
    const [points] = chart.data;
    const places = points.customdata.map(moved);
    const coarse = matchMedia("(pointer: coarse)").matches;  // there a drag scrolls the page
    await window.Plotly.update(
      chart,
      { x: [places.map(([x]) => x)], y: [places.map(([, y]) => y)] },
      { annotations: JSON.parse(pins.pins).flatMap(pinned), dragmode: coarse ? false : "pan" },
      [0],
    );
    drawn = { layout: chart.layout, state };
    busy = false;
    soon();  // ε may have moved on
    if (!chart.dataset.heard) {
      chart.dataset.heard = "yes";
      chart.on("plotly_click", ({ points: [point] }) => pin(point));
      chart.addEventListener("wheel", zoom, { passive: false });
    }
  };

  const pin = (point) => {
    const box = document.querySelector("#words-pins textarea, #words-pins input");
    const word = new DOMParser().parseFromString(point.text, "text/html").body.textContent.trim();
    box.value = box.value.trim() ? `${box.value.trim().replace(/,$/, "")}, ${word}` : word;
    box.dispatchEvent(new Event("input", { bubbles: true }));
    setTimeout(() => document.querySelector("#words-find").click());
  };

  // A pinch is a wheel with Ctrl; without it the wheel scrolls the page.
  const zoom = (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    event.stopPropagation();
    const chart = event.currentTarget;
    const box = chart.querySelector(".nsewdrag").getBoundingClientRect();
    const factor = Math.exp(Math.max(-0.4, Math.min(0.4, event.deltaY / 200)));
    const around = ([low, high], share) => {
      const fixed = low + share * (high - low);
      return [fixed + (low - fixed) * factor, fixed + (high - fixed) * factor];
    };
    window.Plotly.relayout(chart, {
      "xaxis.range": around(chart.layout.xaxis.range, (event.clientX - box.left) / box.width),
      "yaxis.range": around(chart.layout.yaxis.range, (box.bottom - event.clientY) / box.height),
    });
  };

  let asked = false;
  const soon = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  };

  // Gradio builds the chart when its tab is opened and anew for other words; nothing else tells of it.
  new MutationObserver(soon).observe(document, { childList: true, subtree: true });

  document.addEventListener("click", (event) => {
    const name = event.target.closest?.("[data-open-tab]")?.dataset.openTab;
    if (name) [...document.querySelectorAll("[role=tab]")].find((tab) => tab.textContent.trim() === name)?.click();
  });

  const move = (value) => {
    if (typeof value !== "number" || !Number.isFinite(value)) return;
    epsilon = value;
    soon();
  };

  return { move };
})();
