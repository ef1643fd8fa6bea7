/** Texts that grow: what the server's event stream says of new tokens, appended to the page. */

const PREFIX = ": lmsteer ";

/**
 * A token as the server's `Piece`: place, space before the word, classes, strength of the tint, tip,
 * word, surprise.
 *
 * @typedef {[number, string, string, string, string, string, string]} Piece
 */

/**
 * @typedef {object} TextNews
 * @property {number} text Which of the panel's texts.
 * @property {Piece[]} pieces What follows.
 * @property {number | null} limit Pieces to keep.
 * @property {number} [firstChange] Index of the token to mark.
 */

/**
 * @typedef {object} PanelNews
 * @property {string} id The panel's element.
 * @property {string} [html] Its beginning: it is built anew.
 * @property {boolean} [keepsOld] Whether its old text stays, dimmed, until the new one overtakes it.
 * @property {TextNews[]} texts
 */

/**
 * @typedef {object} News
 * @property {number} run Greater than that of every run before.
 * @property {PanelNews[]} panels
 * @property {{ id: string, html: string }} status
 * @property {boolean} isOver Whether nothing will be added.
 * @property {object} [about] Of what a run is kept by, once it is over.
 */

/**
 * Return a function that takes a stream's text in any portions and passes on the news in it.
 *
 * @param {(news: News) => void} show
 * @returns {(text: string) => void}
 */
export function newsReader(show) {
  let rest = "";
  return (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines)
      if (line.startsWith(PREFIX)) show(JSON.parse(line.slice(PREFIX.length)));
  };
}

/**
 * Return a `fetch` that shows the news in Gradio's event stream on its way.
 *
 * @param {typeof fetch} send
 * @param {(news: News) => void} show
 * @returns {typeof fetch}
 */
export function followed(send, show) {
  return async (input, options) => {
    const response = await send(input, options);
    const address = input instanceof Request ? input.url : String(input);
    if (!response.ok || !response.body || !address.includes("/queue/data?")) return response;
    const decoder = new TextDecoder();
    const read = newsReader(show);
    const reading = new TransformStream({
      transform(chunk, controller) {
        controller.enqueue(chunk);
        read(decoder.decode(chunk, { stream: true }));
      },
    });
    return new Response(response.body.pipeThrough(reading), response);
  };
}

/** A text of a panel: its tokens, behind which what is left of the old text may stand. */
class GrowingText {
  /** @param {Element} element */
  constructor(element) {
    this.element = element;
    /** @type {Map<number, Element>} By the token's index. */
    this.spans = new Map();
    this.nPieces = 0;
    /** @type {number | null} */
    this.firstChange = null;
    /** @type {HTMLElement | null} */
    this.old = null;
  }

  get prompt() {
    return this.element.querySelector(".prompt")?.textContent;
  }

  /** @param {Element} before A text over the same prompt. */
  keep(before) {
    const old = document.createElement("span");
    old.className = "old";
    old.setAttribute("aria-hidden", "true");
    const nodes = [...before.childNodes].filter(
      (node) => !(node instanceof Element && node.matches(".prompt, .old")),
    );
    old.append(...nodes, ...(before.querySelector(".old")?.childNodes ?? []));
    for (const marked of old.querySelectorAll(".first-change"))
      marked.classList.remove("first-change");
    this.element.append(old);
    this.old = old;
  }

  /** @param {Piece} piece */
  add([index, space, classes, strength, tip, word, surprise]) {
    const span = document.createElement("span");
    span.className = index === this.firstChange ? `${classes} first-change` : classes;
    span.setAttribute("style", `--t:${strength}${surprise && `;--s:${surprise}`}`);
    span.dataset.place = String(index);
    span.title = tip;
    span.textContent = word;
    this.spans.set(index, span);
    this.nPieces += 1;
    if (this.old) {
      this.old.before(space, span);
      removeFirstToken(this.old);
    } else this.element.append(...(space ? [space] : []), span);
  }

  /** @param {number} limit */
  shorten(limit) {
    for (; this.nPieces > limit; this.nPieces--) {
      const prompt = this.element.querySelector(".prompt");
      if (prompt) prompt.replaceWith("… ");
      const [ellipsis, ...others] = this.element.childNodes;
      for (const node of others) {
        node.remove();
        if (node instanceof Element) break;
      }
      if (!ellipsis) return;
    }
  }

  /** @param {number | null} index */
  mark(index) {
    if (index === this.firstChange) return;
    const { spans, firstChange } = this;
    if (firstChange !== null) spans.get(firstChange)?.classList.remove("first-change");
    if (index !== null) spans.get(index)?.classList.add("first-change");
    this.firstChange = index;
  }

  end() {
    this.old?.remove();
    this.old = null;
  }
}

/** @param {Element} text */
function removeFirstToken(text) {
  while (text.firstChild) {
    const node = text.firstChild;
    node.remove();
    if (node instanceof Element) return;
  }
}

/**
 * What a panel shows of its latest run.
 *
 * @typedef {object} Shown
 * @property {number} run
 * @property {ChildNode[]} nodes
 * @property {GrowingText[]} texts
 */

/** @type {Map<string, Shown>} By element id. */
const shownIn = new Map();

/**
 * Return what holds a panel's HTML.
 *
 * @param {string} id
 */
function holder(id) {
  return document.querySelector(`#${CSS.escape(id)} .prose`);
}

/**
 * @param {Element} panel
 * @param {number} run
 * @param {PanelNews} news
 * @returns {Shown}
 */
function begun(panel, run, { html, keepsOld }) {
  const before = [...panel.querySelectorAll(".gen")];
  panel.innerHTML = html ?? ""; // the server's markup, in which all text is escaped
  const texts = [...panel.querySelectorAll(".gen")].map((element) => new GrowingText(element));
  texts.forEach((text, i) => {
    const old = keepsOld ? before[i] : undefined;
    if (old && old.querySelector(".prompt")?.textContent === text.prompt) text.keep(old);
  });
  return { run, nodes: [...panel.childNodes], texts };
}

/**
 * @param {number} run
 * @param {PanelNews} news
 */
function showPanel(run, news) {
  const panel = holder(news.id);
  const latest = shownIn.get(news.id);
  if (!panel || (latest && latest.run > run)) return;
  let shown = latest;
  if (news.html !== undefined) {
    shown = begun(panel, run, news);
    shownIn.set(news.id, shown);
  }
  if (!shown || shown.run !== run) return;
  if (shown.nodes[0] && !panel.contains(shown.nodes[0])) panel.replaceChildren(...shown.nodes);
  for (const { text: i, pieces, limit, firstChange } of news.texts) {
    const text = shown.texts[i];
    text.mark(firstChange ?? null);
    for (const piece of pieces) text.add(piece);
    if (limit) text.shorten(limit);
  }
}

/**
 * Show what is new.
 *
 * @param {News} news
 */
export function showNews({ run, panels, status, isOver, about }) {
  for (const panel of panels) showPanel(run, panel);
  const line = holder(status.id);
  const latest = shownIn.get(status.id);
  if (line && !(latest && latest.run > run)) {
    shownIn.set(status.id, { run, nodes: [], texts: [] });
    line.innerHTML = status.html;
  }
  if (!isOver) return;
  for (const shown of shownIn.values())
    if (shown.run === run) for (const text of shown.texts) text.end();
  if (about) document.dispatchEvent(new CustomEvent("lmsteer:run", { detail: about }));
}
