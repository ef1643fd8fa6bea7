/** Curves of the next word's probability over ε, as the server sends them. */

import { clamp } from "./shared.js";

/**
 * @typedef {object} Word
 * @property {string} text
 * @property {string} side "plus" or "minus": towards which end the word gains.
 * @property {string} dash Plotly's name of the dash pattern of its curve.
 * @property {number[]} p Probability at each ε of the grid.
 * @property {string} of The word that was asked for, if `text` is only its first token.
 */

/**
 * What the server says of one chart.
 *
 * @typedef {object} Curves
 * @property {string} view Element id of the view.
 * @property {string} slider Element id of the slider that the line follows.
 * @property {number[]} epsilons The grid, equally spaced.
 * @property {Word[]} words
 * @property {[string, number][][]} tops The likeliest words with their probability, at each ε of the grid.
 * @property {[string, string]} poles
 * @property {boolean} isHeld Whether other steers are held while this one moves.
 * @property {string} [ask] Element id of the button that asks for new curves.
 * @property {Record<string, number>} held ε of the held steers, by element id of their slider.
 * @property {string} unlock Element id of the box that unlocks offensive poles.
 * @property {boolean} unlocked
 */

const EPSILON_AT_ZERO = 2; // a slider at 0 has no two sides; the lists then stand at ±2

/**
 * Return a curve's value at ε: exact on the grid, else on the straight line between two exact values.
 *
 * @param {number[]} grid Equally spaced, at least two.
 * @param {number[]} values
 * @param {number} epsilon Beyond the grid its end counts.
 */
export function valueAt(grid, values, epsilon) {
  const position = clamp((epsilon - grid[0]) / (grid[1] - grid[0]), 0, grid.length - 1);
  const nearest = Math.round(position);
  if (Math.abs(position - nearest) < 1e-6) return values[nearest];
  const below = Math.floor(position);
  const share = position - below;
  return (1 - share) * values[below] + share * values[below + 1];
}

/**
 * Return the words with their probability at ε, likeliest first, and that of all others together. A
 * first token counts all words that begin with it, so it is not taken from the others.
 *
 * @param {Pick<Curves, "epsilons" | "words">} curves
 * @param {number} epsilon
 */
export function ranking({ epsilons, words }, epsilon) {
  const ranked = words
    .map((word) => ({ word, probability: valueAt(epsilons, word.p, epsilon) }))
    .sort((a, b) => b.probability - a.probability);
  const whole = ranked.filter(({ word }) => !word.of);
  const others = 1 - whole.reduce((sum, { probability }) => sum + probability, 0);
  return { ranked, others: Math.max(others, 0) };
}

/**
 * Return the three lists at −ε, 0 and +ε.
 *
 * @param {Pick<Curves, "epsilons" | "tops" | "poles" | "isHeld">} curves
 * @param {number} epsilon
 * @returns {{ side: string, epsilon: number, title: string, top: [string, number][] | null }[]} `top`
 *   is null below the grid: the pole is locked there.
 */
export function rankedLists({ epsilons, tops, poles, isHeld }, epsilon) {
  const step = epsilons[1] - epsilons[0];
  const distance = Math.abs(epsilon) < step / 2 ? EPSILON_AT_ZERO : Math.abs(epsilon);
  const middle = isHeld ? "what is held, alone" : "the model as it is";
  return [
    { side: "minus", place: -distance, title: poles[0] },
    { side: "zero", place: 0, title: middle },
    { side: "plus", place: distance, title: poles[1] },
  ].map(({ side, place, title }) => {
    const nearest = Math.round((place - epsilons[0]) / step);
    const top = nearest < 0 ? null : tops[nearest];
    return { side, epsilon: epsilons[nearest] ?? place, title, top };
  });
}
