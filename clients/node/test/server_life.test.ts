/** A server that is not there yet, comes, goes and comes back. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, UnavailableError } from "attendant";

import { freePort, startServer } from "./server.js";

const EN_DE = { sourceLanguage: "en", targetLanguage: "de" } as const;

test("nobody there is an UnavailableError, and not serving", async () => {
  using client = new Client(`127.0.0.1:${await freePort()}`, { retries: false });
  await assert.rejects(client.translate("A dog.", EN_DE), (error) => {
    assert.ok(error instanceof UnavailableError);
    assert.equal(error.code, "UNAVAILABLE");
    return true;
  });
  await assert.rejects(client.translateStream("A dog.", EN_DE).next(), UnavailableError);
  await assert.rejects(client.listModels(), UnavailableError);
  assert.equal(await client.isServing(), false);
  await assert.rejects(client.waitUntilServing({ timeoutMs: 200 }), {
    name: "UnavailableError",
    message: /^127\.0\.0\.1:\d+ was not serving within 200 ms$/,
  });
  const signal = AbortSignal.timeout(100);
  await assert.rejects(client.waitUntilServing({ signal }), { name: "TimeoutError" });
});

test("calls wait for a server that comes, and for one that comes back", async () => {
  const port = await freePort();
  const retries = { maxRetries: Infinity, longestPauseMs: 200 };
  using client = new Client(`127.0.0.1:${port}`, { retries, timeoutMs: 120_000 });
  const early = [client.translate("A dog.", EN_DE), client.translateStream("A dog.", EN_DE).next()];
  const waiting = client.waitUntilServing();

  const server = await startServer([], port);
  await waiting;
  assert.equal(await client.isServing(), true);
  const [first] = await Promise.all(early);
  await server.stop();
  assert.equal(await client.isServing(), false);

  const late = client.translate("A dog.", EN_DE);
  const again = await startServer([], port);
  assert.deepEqual(await late, first);
  await again.stop();
});
