/** The Highlight tab: take a text from the Steer tab, and draw the tinted text as a picture. */

import { download } from "./shared.js";

/**
 * A stretch of text with its tint.
 *
 * @typedef {object} Run
 * @property {string} text
 * @property {string} side "plus" or "minus"; "" is no tint.
 * @property {number} strength Of the tint, in [0, 1].
 */

/**
 * Runs that flow on over lines, in one font.
 *
 * @typedef {{ font: string, runs: Run[] }} Part
 */

/**
 * A piece of a run on a line, in pixels from the line's start.
 *
 * @typedef {Run & { font: string, x: number, width: number }} Piece
 */

const WIDTH = 1100;
const MARGIN = 32;
const LINE_HEIGHT = 34;
const CHART_HEIGHT = 300;
const SCALE = 2;
const MAX_LINES = 220; // browsers refuse canvases taller than about 16,000 pixels
const FONT = "20px system-ui, sans-serif";
const SMALL_FONT = "16px system-ui, sans-serif";
/** Where a line may be broken: at spaces, between characters of unspaced scripts, in very long words. */
const PIECE =
  /\n|[^\S\n]+|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|[^\s\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]{1,60}/gu;

/**
 * Break a part into lines; a word is never broken unless it is longer than a line.
 *
 * @param {Part} part
 * @param {(text: string, font: string) => number} measure Returns a text's width.
 * @param {number} maxWidth
 * @returns {Piece[][]}
 */
export function wrapped({ font, runs }, measure, maxWidth) {
  /** @type {Piece[][]} */
  const lines = [[]];
  let x = 0;
  for (const { text, ...tint } of runs)
    for (const piece of text.match(PIECE) ?? []) {
      const isBreak = piece === "\n";
      const width = isBreak ? 0 : measure(piece, font);
      const isFull = x > 0 && x + width > maxWidth;
      if (isBreak || isFull) {
        lines.push([]);
        x = 0;
      }
      if (isBreak || (isFull && !piece.trim())) continue;
      lines[lines.length - 1].push({ ...tint, font, text: piece, x, width });
      x += width;
    }
  return lines;
}

/**
 * Return the first lines, and one that says so if there are more than a picture can hold.
 *
 * @param {Piece[][]} lines
 * @param {number} maxLines
 */
export function cutToFit(lines, maxLines) {
  if (lines.length <= maxLines) return lines;
  const note = "… the saved HTML holds the rest";
  return [
    ...lines.slice(0, maxLines),
    [{ text: note, font: SMALL_FONT, side: "", strength: 0, x: 0, width: 0 }],
  ];
}

/**
 * Return the text of a panel of the Steer tab.
 *
 * @param {string} panel Element id.
 * @param {string} otherwise What to return where nothing is written.
 */
export function generation(panel, otherwise) {
  return document.querySelector(`#${panel} .gen`)?.textContent || otherwise;
}

/**
 * Return a piece of tinted text: a node of `tinted` in HTML.
 *
 * @param {Node} node
 * @returns {Run}
 */
function runOf(node) {
  const element = node instanceof HTMLElement ? node : null;
  return {
    text: node.textContent ?? "",
    side: ["plus", "minus"].find((side) => element?.classList.contains(side)) ?? "",
    strength: Number(element?.style.getPropertyValue("--t") || 0),
  };
}

/**
 * Return an element's text as a part without tint.
 *
 * @param {HTMLElement | null | undefined} element
 * @returns {Part}
 */
function plainPart(element) {
  // biome-ignore lint/performance/useDomNodeTextContent: lines end where the page breaks them
  const text = element?.innerText.replace(/\n+/g, "\n") ?? "";
  return { font: SMALL_FONT, runs: [{ text, side: "", strength: 0 }] };
}

/**
 * Return what is drawn, from top to bottom.
 *
 * @returns {Part[]}
 */
function content() {
  const texts = ["#highlighted", "#highlighted-second"].flatMap((id) => {
    const panel = document.querySelector(id);
    const text = panel?.querySelector(".gen");
    if (!panel?.checkVisibility() || !text) return [];
    const runs = [...text.childNodes].map(runOf);
    return [plainPart(panel.querySelector("h2")), { font: FONT, runs }];
  });
  const gap = { font: SMALL_FONT, runs: [] };
  const legend = document.querySelector("#highlight-legend .legend");
  const key = { font: SMALL_FONT, runs: [...(legend?.childNodes ?? [])].map(runOf) };
  return [...texts, gap, key, plainPart(document.querySelector("#highlight-summary"))];
}

/**
 * Draw the tint of a piece: a ground, and a line below it, dashed for the − side.
 *
 * @param {CanvasRenderingContext2D} pen
 * @param {Piece} piece
 * @param {number} middle Height of the line's middle.
 * @param {string} colour
 */
function drawTint(pen, { side, strength, x, width }, middle, colour) {
  const left = MARGIN + x;
  pen.globalAlpha = strength * 0.55;
  pen.fillStyle = pen.strokeStyle = colour;
  pen.fillRect(left, middle - 14, width, 28);
  pen.globalAlpha = strength;
  pen.lineWidth = 2;
  pen.setLineDash(side === "minus" ? [5, 3] : []);
  pen.beginPath();
  pen.moveTo(left, middle + 13);
  pen.lineTo(left + width, middle + 13);
  pen.stroke();
  pen.globalAlpha = 1;
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Piece[][]} lines
 * @param {CSSStyleDeclaration} look Of the page, whose colours are taken.
 */
function drawLines(pen, lines, look) {
  pen.textBaseline = "middle";
  for (const [i, line] of lines.entries()) {
    const middle = MARGIN + LINE_HEIGHT * (i + 0.5);
    for (const piece of line) {
      if (piece.side) drawTint(pen, piece, middle, look.getPropertyValue(`--${piece.side}`));
      pen.fillStyle = look.getPropertyValue("--body-text-color");
      pen.font = piece.font;
      pen.fillText(piece.text, MARGIN + piece.x, middle);
    }
  }
}

/** Return the posterior as Plotly draws it, if there is one. */
async function chartImage() {
  /** @type {PlotlyChart | null} */
  const chart = document.querySelector("#posterior .js-plotly-plot");
  if (!window.Plotly || !chart) return null;
  const size = { format: "png", width: WIDTH - 2 * MARGIN, height: CHART_HEIGHT, scale: SCALE };
  const image = new Image();
  image.src = await window.Plotly.toImage(chart, size);
  await image.decode();
  return image;
}

/** Save the tinted text and its chart as a picture. */
export async function savePicture() {
  if (!document.querySelector("#highlighted .gen")) return;
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  if (!pen) return;
  /** @type {(text: string, font: string) => number} */
  const measure = (text, font) => {
    pen.font = font;
    return pen.measureText(text).width;
  };
  const lines = content().flatMap((part) => wrapped(part, measure, WIDTH - 2 * MARGIN));
  const shown = cutToFit(lines, MAX_LINES);
  const chart = await chartImage();
  const textHeight = shown.length * LINE_HEIGHT + 2 * MARGIN;
  canvas.width = WIDTH * SCALE;
  canvas.height = (textHeight + (chart ? CHART_HEIGHT : 0)) * SCALE;
  pen.scale(SCALE, SCALE);
  const look = getComputedStyle(document.body);
  pen.fillStyle = look.getPropertyValue("--block-background-fill");
  pen.fillRect(0, 0, WIDTH, canvas.height);
  drawLines(pen, shown, look);
  const chartTop = textHeight - MARGIN / 2;
  if (chart) pen.drawImage(chart, MARGIN, chartTop, WIDTH - 2 * MARGIN, CHART_HEIGHT);
  canvas.toBlob((blob) => blob && download("highlight.png", blob), "image/png");
}
