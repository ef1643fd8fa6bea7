import assert from "node:assert/strict";
import { test } from "node:test";
import { followed, newsReader } from "../../assets/js/live.js";

const NEWS = [1, 2].map((run) => ({
  run,
  panels: [],
  status: { id: "status", html: "é" },
  isOver: false,
}));
const STREAM = `data: {"msg":"a"}\n\n: lmsteer ${JSON.stringify(NEWS[0])}\n\n: ping\n\ndata: b\n\n: lmsteer ${JSON.stringify(NEWS[1])}\n\n`;

test("news are read whatever the portions they come in", () => {
  for (const size of [1, 7, STREAM.length]) {
    /** @type {unknown[]} */
    const seen = [];
    const read = newsReader((news) => seen.push(news));
    for (let i = 0; i < STREAM.length; i += size) read(STREAM.slice(i, i + size));
    assert.deepEqual(seen, NEWS);
  }
});

/** @param {string} address */
async function followStream(address) {
  /** @type {unknown[]} */
  const seen = [];
  const bytes = new TextEncoder().encode(STREAM);
  const body = new ReadableStream({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  const response = await followed(
    async () => new Response(body),
    (news) => seen.push(news),
  )(address);
  return { seen, text: await response.text() };
}

test("Gradio gets its event stream as it was sent, and the page the news in it", async () => {
  const { seen, text } = await followStream("http://localhost/api/queue/data?session_hash=a");
  assert.equal(text, STREAM);
  assert.deepEqual(seen, NEWS);
});

test("other answers are left alone", async () => {
  const { seen, text } = await followStream("http://localhost/file?queue/data");
  assert.equal(text, STREAM);
  assert.deepEqual(seen, []);
});
