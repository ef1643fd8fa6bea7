/**
 * Many points on a canvas, blended pixel by pixel into an array. Without a
 * graphics card it is four times as fast as WebGL, and the same picture everywhere
 * (benchmarks/word_map.py).
 */

/**
 * Points as arrays, by their index.
 *
 * @typedef {object} Dots
 * @property {Float32Array} places x, y and Δx, Δy of ε = 1, of each in turn.
 * @property {Uint8Array} colours Red, green, blue and opacity of each in turn.
 * @property {Uint8Array} looks Diameter in CSS pixels and shape of each in turn: 0 disc, 1 ▲, 2 ▼.
 * @property {Uint32Array} order Which are drawn, the last ones on top.
 */

/**
 * What a shape covers: places around its middle and by how much of 256 each is covered.
 *
 * @typedef {{ reach: number, x: Int8Array, y: Int8Array, cover: Uint16Array }} Stamp
 */

const SUBPIXELS = 4;

/** @type {Stamp[]} */
const stamps = [];

/**
 * Return whether a point lies in a shape of radius 1; y grows downwards.
 *
 * @param {number} shape
 * @param {number} x
 * @param {number} y
 */
function isIn(shape, x, y) {
  if (shape === 0) return x * x + y * y <= 1;
  return Math.abs(y) <= 1 && Math.abs(x) <= 0.5 + 0.5 * (shape === 1 ? y : -y);
}

/**
 * Return what a shape of a diameter in pixels covers.
 *
 * @param {number} diameter
 * @param {number} shape
 */
export function stamp(diameter, shape) {
  const key = 4 * Math.round(4 * diameter) + shape;
  let found = stamps[key];
  if (found) return found;
  const radius = diameter / 2;
  const reach = Math.ceil(radius);
  const covered = [];
  for (let y = -reach; y <= reach; y++)
    for (let x = -reach; x <= reach; x++) {
      let hits = 0;
      for (let i = 0; i < SUBPIXELS ** 2; i++) {
        const dx = ((i % SUBPIXELS) + 0.5) / SUBPIXELS - 0.5;
        const dy = (Math.floor(i / SUBPIXELS) + 0.5) / SUBPIXELS - 0.5;
        if (isIn(shape, (x + dx) / radius, (y + dy) / radius)) hits++;
      }
      if (hits) covered.push([x, y, (256 * hits) / SUBPIXELS ** 2]);
    }
  found = {
    reach,
    x: Int8Array.from(covered, ([x]) => x),
    y: Int8Array.from(covered, ([, y]) => y),
    cover: Uint16Array.from(covered, ([, , cover]) => cover),
  };
  stamps[key] = found;
  return found;
}

/**
 * Blend points into pixels: red, green, blue and opacity from the lowest byte on, as canvases have them.
 *
 * @param {Uint32Array} pixels Row by row from the top; they are cleared first.
 * @param {number} width
 * @param {Dots} dots
 * @param {number} epsilon
 * @param {import("./word_map_data.js").Box} box What is seen.
 * @param {number} ratio Pixels of a CSS pixel.
 */
export function paint(pixels, width, dots, epsilon, [left, bottom, right, top], ratio) {
  const { places, colours, looks, order } = dots;
  const height = pixels.length / width;
  const [perX, perY] = [width / (right - left), height / (top - bottom)];
  pixels.fill(0);
  for (let j = 0; j < order.length; j++) {
    const i = order[j];
    const at = 4 * i;
    const column = Math.floor((places[at] + epsilon * places[at + 2] - left) * perX);
    const row = Math.floor((top - places[at + 1] - epsilon * places[at + 3]) * perY);
    const { reach, x, y, cover } = stamp(looks[2 * i] * ratio, looks[2 * i + 1]);
    if (column < reach || row < reach || column >= width - reach || row >= height - reach) continue;
    const red = colours[at];
    const green = colours[at + 1];
    const blue = colours[at + 2];
    const opacity = colours[at + 3];
    const middle = row * width + column;
    for (let k = 0; k < cover.length; k++) {
      const p = middle + y[k] * width + x[k];
      const below = pixels[p];
      const alpha = (opacity * cover[k]) >> 8;
      const under = below >>> 24;
      const sum = alpha + under - ((alpha * under * 257 + 257) >> 16);
      const share = alpha / (sum || 1);
      const r = below & 255;
      const g = (below >> 8) & 255;
      const b = (below >> 16) & 255;
      pixels[p] =
        (r + (red - r) * share) |
        ((g + (green - g) * share) << 8) |
        ((b + (blue - b) * share) << 16) |
        (sum << 24);
    }
  }
}

/** The points of one canvas. */
export class Points {
  #canvas;
  #pen;
  /** @type {ImageData | undefined} */
  #image;
  /** @type {Dots} */
  #dots = {
    places: new Float32Array(),
    colours: new Uint8Array(),
    looks: new Uint8Array(),
    order: new Uint32Array(),
  };

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#pen = canvas.getContext("2d");
  }

  /** @param {Partial<Dots>} dots What of them is new. */
  set(dots) {
    Object.assign(this.#dots, dots);
  }

  /**
   * Draw the points at ε on the cleared canvas.
   *
   * @param {number} epsilon
   * @param {import("./word_map_data.js").Box} box What is seen.
   * @param {number} ratio Pixels of a CSS pixel.
   * @returns {CanvasRenderingContext2D | null} What else can be drawn with, in CSS pixels.
   */
  draw(epsilon, box, ratio) {
    const canvas = this.#canvas;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (!width || !height || !this.#pen) return null;
    if (this.#image?.width !== width || this.#image.height !== height) {
      canvas.width = width;
      canvas.height = height;
      this.#image = this.#pen.createImageData(width, height);
    }
    const { data } = this.#image;
    paint(new Uint32Array(data.buffer), width, this.#dots, epsilon, box, ratio);
    this.#pen.putImageData(this.#image, 0, 0);
    this.#pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    return this.#pen;
  }
}
