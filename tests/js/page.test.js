import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { keptToken, stamped } from "../../assets/js/page.js";

const server = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk) => {
    body += chunk;
  });
  request.on("end", () => {
    response.end(JSON.stringify({ method: request.method, headers: request.headers, body }));
  });
});
const fetchStamped = stamped(fetch, () => 12.5);
let url = "";

before(async () => {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  const address = server.address();
  if (address && typeof address === "object") url = `http://127.0.0.1:${address.port}/`;
});
after(() => server.close());

/**
 * @param {Parameters<typeof fetch>} request
 */
async function received(...request) {
  return (await fetchStamped(...request)).json();
}

test("a request of a bare address says when it was sent", async () => {
  for (const input of [url, new URL(url)])
    assert.equal((await received(input)).headers["x-asked-at"], "12.5");
});

test("a request keeps its method, body and headers", async () => {
  const options = { method: "POST", headers: { "x-own": "1" }, body: "text" };
  const { method, headers, body } = await received(url, options);
  assert.deepEqual([method, body], ["POST", "text"]);
  assert.deepEqual([headers["x-own"], headers["x-asked-at"]], ["1", "12.5"]);
});

test("a Request object keeps its method, body and headers", async () => {
  const options = { method: "POST", headers: { "x-own": "1", accept: "text/csv" }, body: "text" };
  const { method, headers, body } = await received(new Request(url, options));
  assert.deepEqual([method, body], ["POST", "text"]);
  assert.deepEqual([headers["x-own"], headers.accept], ["1", "text/csv"]);
  assert.equal(headers["x-asked-at"], "12.5");
});

test("headers in the options replace those of a Request object, as in fetch itself", async () => {
  const request = new Request(url, { headers: { "x-first": "1" } });
  const { headers } = await received(request, { headers: { "x-second": "2" } });
  assert.deepEqual([headers["x-first"], headers["x-second"]], [undefined, "2"]);
  assert.equal(headers["x-asked-at"], "12.5");
});

test("what the caller passed is left as it was", async () => {
  const request = new Request(url, { headers: { "x-own": "1" } });
  const options = { headers: { "x-own": "2" } };
  await received(request);
  await received(url, options);
  assert.equal(request.headers.has("x-asked-at"), false);
  assert.deepEqual(options, { headers: { "x-own": "2" } });
});

/** @param {Map<string, string>} kept */
function storageOf(kept) {
  return {
    getItem: (/** @type {string} */ key) => kept.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => void kept.set(key, value),
  };
}

test("a page that is loaded anew in its tab has the same token, another tab another", () => {
  const [tab, otherTab] = [storageOf(new Map()), storageOf(new Map())];
  /** @type {(storage: ReturnType<typeof storageOf>, drawn: string) => string} */
  const load = (storage, drawn) =>
    keptToken(
      () => storage,
      () => drawn,
    );
  assert.deepEqual([load(tab, "a"), load(tab, "b"), load(otherTab, "c")], ["a", "a", "c"]);
});

test("a page whose frame forbids storage still has a token", () => {
  const forbidden = () => {
    throw new Error("forbidden");
  };
  const drawn = keptToken(forbidden, () => "a");
  assert.equal(drawn, "a");
});
