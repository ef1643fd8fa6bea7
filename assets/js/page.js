window.lmsteer = (() => {
  const PAUSE_MS = 250, DRIVE_MS = 120;
  let latest = 0, sent = 0;

  // A slider sends one value after a short pause; values it passed on the way are never sent. While a
  // text is driven it sends on the way too, but not more often than tokens come.
  const debounce = (values) => {
    const mine = ++latest;
    const isDriving = document.querySelector("#drive")?.checkVisibility();
    const pause = isDriving ? Math.max(0, sent + DRIVE_MS - performance.now()) : PAUSE_MS;
    return new Promise((resolve) =>
      setTimeout(() => {
        if (mine !== latest) return;
        sent = performance.now();
        resolve(values);
      }, pause));
  };

  // Every request says when it was sent, so that the server knows the latest whatever order it begins them in.
  const send = window.fetch;
  window.fetch = (url, options = {}) => {
    const headers = new Headers(options.headers);
    headers.set("x-asked-at", performance.now());
    return send(url, { ...options, headers });
  };

  const applyTheme = (dark) => document.body.classList.toggle("dark", dark);

  const toggleTheme = () => {
    const dark = !document.body.classList.contains("dark");
    applyTheme(dark);
    localStorage.setItem("lmsteer-theme", dark ? "dark" : "light");
  };

  // Called once the page is built: until then gradio sets the system's preference itself.
  const restoreTheme = () => {
    const chosen = localStorage.getItem("lmsteer-theme");
    if (chosen) applyTheme(chosen === "dark");
  };

  // Plotly gives a chart that comes while its tab is hidden a width of its own.
  const fitCharts = () => {
    for (const chart of document.querySelectorAll(".js-plotly-plot"))
      if (chart.offsetWidth && chart._fullLayout && chart.offsetWidth !== chart._fullLayout.width)
        window.Plotly.Plots.resize(chart);
  };
  new MutationObserver(() => requestAnimationFrame(fitCharts)).observe(document.documentElement, {
    subtree: true, attributes: true, attributeFilter: ["aria-selected"],
  });

  document.addEventListener("dblclick", (event) => {
    const slider = event.target;
    if (!slider.matches?.(".steer-slider input[type=range]")) return;
    slider.value = 0;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    slider.dispatchEvent(new Event("change", { bubbles: true }));
    slider.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
  });

  // An emptied number box of a slider means nothing yet; gradio would send it as null.
  document.addEventListener("input", (event) => {
    const box = event.target;
    if (box.type === "number" && box.value === "" && box.closest(".block")?.querySelector("input[type=range]"))
      event.stopImmediatePropagation();
  }, true);

  return { debounce, restoreTheme, toggleTheme };
})();
