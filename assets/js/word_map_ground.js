/** What lies below the points of the full map: density, axes, arrows and the outline of a lasso. */

import { density } from "./word_map_data.js";

/** @typedef {import("./word_map_data.js").Point} Point */
/** @typedef {import("./word_map_data.js").Box} Box */
/** @typedef {CanvasRenderingContext2D} Pen */

const CELL = 8; // pixels
const DENSEST = 120; // opacity of 255
const TICK_DISTANCE = 90; // pixels, at least
const cells = globalThis.document?.createElement("canvas");

/**
 * Shade the ground by how many words lie there.
 *
 * @param {Pen} pen
 * @param {import("./word_map_data.js").Plane} plane
 * @param {number} epsilon
 * @param {Box} box What is seen.
 * @param {Point} size In pixels.
 * @param {boolean} isDark
 */
export function drawDensity(pen, plane, epsilon, box, [width, height], isDark) {
  const [columns, rows] = [Math.ceil(width / CELL), Math.ceil(height / CELL)];
  const counts = density(plane, epsilon, box, columns, rows);
  const most = counts.reduce((a, b) => Math.max(a, b), 0) || 1;
  const image = new ImageData(columns, rows);
  const colour = isDark ? [150, 190, 255] : [40, 70, 120];
  for (const [i, count] of counts.entries()) {
    image.data.set(colour, 4 * i);
    image.data[4 * i + 3] = DENSEST * Math.sqrt(count / most);
  }
  cells.width = columns;
  cells.height = rows;
  cells.getContext("2d")?.putImageData(image, 0, 0);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(cells, 0, 0, width, height);
}

/**
 * Return round numbers on an axis.
 *
 * @param {number} low
 * @param {number} high
 * @param {number} most How many at most, two or more.
 */
export function ticks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, k) =>
    Number(((first + k) * step).toPrecision(6)),
  );
}

/**
 * Write numbers along two edges, and draw a line where an axis is 0.
 *
 * @param {Pen} pen
 * @param {Box} box What is seen.
 * @param {Point} size In pixels.
 * @param {string} ink Red, green and blue.
 */
export function drawAxes(pen, [left, bottom, right, top], [width, height], ink) {
  pen.font = "12px system-ui, sans-serif";
  pen.fillStyle = `rgba(${ink}, 0.75)`;
  pen.strokeStyle = `rgba(${ink}, 0.3)`;
  pen.lineWidth = 1;
  pen.textAlign = "center";
  for (const value of ticks(left, right, Math.max(2, width / TICK_DISTANCE))) {
    const x = ((value - left) / (right - left)) * width;
    if (x > 16 && x < width - 16) pen.fillText(String(value).replace("-", "−"), x, height - 5);
    if (value === 0) drawLine(pen, [x, 0], [x, height]);
  }
  pen.textAlign = "left";
  for (const value of ticks(bottom, top, Math.max(2, height / TICK_DISTANCE))) {
    const y = ((top - value) / (top - bottom)) * height;
    if (y > 16 && y < height - 20) pen.fillText(String(value).replace("-", "−"), 4, y - 3);
    if (value === 0) drawLine(pen, [0, y], [width, y]);
  }
}

/**
 * Draw where a word comes from.
 *
 * @param {Pen} pen
 * @param {Point} from
 * @param {Point} to
 * @param {string} colour
 */
export function drawArrow(pen, from, to, colour) {
  const [x, y] = to;
  if (!(Math.hypot(x - from[0], y - from[1]) > 3)) return;
  const angle = Math.atan2(y - from[1], x - from[0]);
  pen.strokeStyle = colour;
  pen.lineWidth = 2.5;
  drawLine(pen, from, to);
  for (const turn of [2.6, -2.6])
    drawLine(pen, to, [x + 9 * Math.cos(angle + turn), y + 9 * Math.sin(angle + turn)]);
}

/**
 * @param {Pen} pen
 * @param {Point[]} outline In pixels.
 * @param {string} ink
 */
export function drawOutline(pen, outline, ink) {
  if (outline.length < 2) return;
  pen.beginPath();
  for (const point of outline) pen.lineTo(...point);
  pen.closePath();
  pen.fillStyle = `rgba(${ink}, 0.1)`;
  pen.fill();
  pen.strokeStyle = `rgb(${ink})`;
  pen.lineWidth = 1.5;
  pen.stroke();
}

/**
 * @param {Pen} pen
 * @param {Point} from
 * @param {Point} to
 */
function drawLine(pen, from, to) {
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}
