// The Highlight tab: take a text from the Steer tab, save files, draw the tinted text as a picture.
window.lmsteerHighlight = (() => {
  const WIDTH = 1100, MARGIN = 32, LINE = 34, CHART = 300, SCALE = 2;
  const MOST_LINES = 220; // browsers refuse canvases taller than about 16,000 pixels
  const FONT = "20px system-ui, sans-serif", SMALL = "16px system-ui, sans-serif";
  const PIECE = /\n|[^\S\n]+|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|[^\s\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]{1,60}/gu;

  const generation = (panel) => document.querySelector(`#${panel} .gen`)?.textContent ?? "";

  const download = (name, blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };

  const save = (file) => {
    if (!file) return;
    const { name, text } = JSON.parse(file);
    download(name, new Blob([text], { type: name.endsWith(".csv") ? "text/csv" : "text/html" }));
  };

  // What is drawn, from top to bottom: {font, runs: [{text, side, strength}]}; no side is no tint.
  const content = () => {
    const plain = (element, font) => ({ font, runs: [{ text: element?.innerText.replace(/\n+/g, "\n") ?? "", side: "", strength: 0 }] });
    const texts = ["#highlighted", "#highlighted-second"].flatMap((id) => {
      const panel = document.querySelector(id);
      const gen = panel?.checkVisibility() && panel.querySelector(".gen");
      return gen ? [plain(panel.querySelector("h2"), SMALL), { font: FONT, runs: [...gen.childNodes].map(run) }] : [];
    });
    const gap = { font: SMALL, runs: [] };
    const key = [...(document.querySelector("#highlight-legend .legend")?.childNodes ?? [])].map(run);
    return [...texts, gap, { font: SMALL, runs: key }, plain(document.querySelector("#highlight-summary"), SMALL)];
  };

  const run = (node) => ({
    text: node.textContent,
    side: ["plus", "minus"].find((side) => node.classList?.contains(side)) ?? "",
    strength: Number(node.style?.getPropertyValue("--t") || 0),
  });

  // Lines of pieces that know where they start; a word is never broken unless it is longer than a line.
  const wrapped = (pen, { font, runs }) => {
    pen.font = font;
    const lines = [[]];
    let x = 0;
    for (const { text, ...look } of runs)
      for (const piece of text.match(PIECE) ?? []) {
        const wide = piece === "\n" ? 0 : pen.measureText(piece).width;
        const isFull = x > 0 && x + wide > WIDTH - 2 * MARGIN;
        if (piece === "\n" || isFull) {
          lines.push([]);
          x = 0;
        }
        if (piece === "\n" || (isFull && !piece.trim())) continue;
        lines.at(-1).push({ ...look, font, text: piece, x, wide });
        x += wide;
      }
    return lines;
  };

  const draw = (pen, lines, colours) => {
    pen.textBaseline = "middle";
    lines.forEach((line, i) => {
      const middle = MARGIN + LINE * (i + 0.5);
      for (const { side, strength, font, text, x, wide } of line) {
        const left = MARGIN + x;
        if (side) {
          pen.globalAlpha = strength * 0.55;
          pen.fillStyle = pen.strokeStyle = colours[side];
          pen.fillRect(left, middle - 14, wide, 28);
          pen.globalAlpha = strength;
          pen.lineWidth = 2;
          pen.setLineDash(side === "minus" ? [5, 3] : []);
          pen.beginPath();
          pen.moveTo(left, middle + 13);
          pen.lineTo(left + wide, middle + 13);
          pen.stroke();
        }
        pen.globalAlpha = 1;
        pen.fillStyle = colours.text;
        pen.font = font;
        pen.fillText(text, left, middle);
      }
    });
  };

  // The posterior as plotly draws it, which the page has loaded by then.
  const chartImage = async () => {
    const chart = document.querySelector("#posterior .js-plotly-plot");
    if (!window.Plotly || !chart) return null;
    const size = { format: "png", width: WIDTH - 2 * MARGIN, height: CHART, scale: SCALE };
    const image = new Image();
    image.src = await window.Plotly.toImage(chart, size);
    await image.decode();
    return image;
  };

  const picture = async () => {
    if (!document.querySelector("#highlighted .gen")) return;
    const look = getComputedStyle(document.body);
    const colours = {
      text: look.getPropertyValue("--body-text-color"),
      ground: look.getPropertyValue("--block-background-fill"),
      plus: look.getPropertyValue("--plus"),
      minus: look.getPropertyValue("--minus"),
    };
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d");
    const lines = content().flatMap((part) => wrapped(pen, part));
    const shown = lines.slice(0, MOST_LINES);
    if (shown.length < lines.length)
      shown.push([{ text: "… the saved HTML holds the rest", font: SMALL, side: "", strength: 0, x: 0, wide: 0 }]);
    const chart = await chartImage();
    const top = shown.length * LINE + 2 * MARGIN;
    canvas.width = WIDTH * SCALE;
    canvas.height = (top + (chart ? CHART : 0)) * SCALE;
    pen.scale(SCALE, SCALE);
    pen.fillStyle = colours.ground;
    pen.fillRect(0, 0, WIDTH, canvas.height);
    draw(pen, shown, colours);
    if (chart) pen.drawImage(chart, MARGIN, top - MARGIN / 2, WIDTH - 2 * MARGIN, CHART);
    canvas.toBlob((blob) => download("highlight.png", blob), "image/png");
  };

  return { generation, picture, save };
})();
