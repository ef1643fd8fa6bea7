/**
 * The page's modules, started. The head imports this one as `window.lmsteer`, a promise, through which
 * the scripts of Gradio's events call the functions of a view: `(await window.lmsteer).compose.show()`.
 */

import * as compose from "./compose.js";
import * as highlight from "./highlight.js";
import * as inspector from "./inspector.js";
import * as lesson from "./lesson.js";
import * as link from "./link.js";
import * as live from "./live.js";
import * as nextWord from "./next_word.js";
import * as page from "./page.js";
import * as runs from "./runs.js";
import * as wordMap from "./word_map.js";
import * as words from "./words.js";

for (const view of [page, link, compose, inspector, nextWord, runs, words, wordMap, lesson])
  view.start();

export { compose, highlight, inspector, lesson, link, live, nextWord, page, wordMap, words };
