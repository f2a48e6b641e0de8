/** When a call is made again: against a server that fails as it is told. */

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { status } from "@grpc/grpc-js";
import { Client, type ClientOptions, OverloadedError, UnavailableError } from "attendant";

import { pauseBefore, retryPolicy } from "../dist/retry.js";
import { failure, startFake, translationMessage } from "./fake_server.js";

const EN_DE = { sourceLanguage: "en", targetLanguage: "de" } as const;
const QUICK = { firstPauseMs: 1, longestPauseMs: 2 };

type Failure = ReturnType<typeof failure>;

/** A client of a server that fails with each of `failures` in turn, and then translates. */
async function failing(t: TestContext, failures: Failure[], options: ClientOptions = {}) {
  const calls: number[] = [];
  const server = await startFake({
    Translate: (_, callback) => {
      const answer = { translations: [translationMessage("Hallo")] };
      const error = failures[calls.push(performance.now()) - 1];
      if (error) callback(error);
      else callback(null, answer);
    },
  });
  const client = new Client(server.target, { retries: QUICK, ...options });
  t.after(() => {
    client.close();
    server.stop();
  });
  return { calls, client };
}

const away = failure(status.UNAVAILABLE, "the server is draining");

test("a server that is away for a moment is called again", async (t) => {
  const { calls, client } = await failing(t, [away, away, away]);
  assert.equal((await client.translate("Hello", EN_DE)).text, "Hallo");
  assert.equal(calls.length, 4);
});

test("retries are limited, and can be none", async (t) => {
  const limited = await failing(t, [away, away], { retries: { ...QUICK, maxRetries: 1 } });
  await assert.rejects(limited.client.translate("Hello", EN_DE), UnavailableError);
  assert.equal(limited.calls.length, 2);
  const none = await failing(t, [away], { retries: false });
  await assert.rejects(none.client.translate("Hello", EN_DE), UnavailableError);
  assert.equal(none.calls.length, 1);
});

test("a full server is called again when it says, and not before", async (t) => {
  const full = failure(status.RESOURCE_EXHAUSTED, "the queue is full", "60");
  const { calls, client } = await failing(t, [full, full]);
  assert.equal((await client.translate("Hello", EN_DE)).text, "Hallo");
  const [first = 0, second = 0, third = 0] = calls;
  // Timers count whole milliseconds, and may be early by one.
  assert.ok(second - first >= 59 && third - second >= 59);
});

test("without a hint, or with one beyond the deadline, the server's words come at once", async (t) => {
  for (const [hint, retryAfterMs] of [
    [undefined, undefined],
    ["60000", 60_000],
    ["-1", undefined],
  ] as const) {
    const full = failure(status.RESOURCE_EXHAUSTED, "the queue is full", hint);
    const { calls, client } = await failing(t, [full]);
    await assert.rejects(client.translate("Hello", EN_DE), (error) => {
      assert.ok(error instanceof OverloadedError);
      assert.deepEqual([error.message, error.retryAfterMs], ["the queue is full", retryAfterMs]);
      return true;
    });
    assert.equal(calls.length, 1);
  }
});

test("what waiting does not help is not called again", async (t) => {
  for (const code of [status.INVALID_ARGUMENT, status.NOT_FOUND, status.INTERNAL, status.UNKNOWN]) {
    const { calls, client } = await failing(t, [failure(code, "no", "1")]);
    await assert.rejects(client.translate("Hello", EN_DE), { message: "no" });
    assert.equal(calls.length, 1);
  }
});

test("a signal and close() end a pause", async (t) => {
  const slow = { firstPauseMs: 60_000, longestPauseMs: 60_000 };
  const { client, calls } = await failing(t, [away, away], { retries: slow, timeoutMs: Infinity });
  const called = async (number: number) => {
    while (calls.length < number) await sleep(5);
    await sleep(50); // for the answer to come back, and the pause to begin
  };
  const abort = new AbortController();
  const first = client.translate("Hello", { ...EN_DE, signal: abort.signal });
  const aborted = assert.rejects(first, { name: "AbortError" });
  await called(1);
  abort.abort();
  await aborted;
  const closed = assert.rejects(client.translate("Hello", EN_DE), {
    name: "CancelledError",
    message: "the client is closed",
  });
  await called(2);
  client.close();
  await closed;
});

test("a stream is made again until it has yielded, and never after", async (t) => {
  let numCalls = 0;
  const server = await startFake({
    TranslateStream: (call) => {
      numCalls += 1;
      if (numCalls > 1) call.write({ text: "Hal" });
      call.emit("error", away);
    },
  });
  const client = new Client(server.target, { retries: QUICK });
  t.after(() => {
    client.close();
    server.stop();
  });
  const parts: string[] = [];
  await assert.rejects(async () => {
    for await (const { text } of client.translateStream("Hello", EN_DE)) parts.push(text);
  }, UnavailableError);
  assert.deepEqual([parts, numCalls], [["Hal"], 2]);
});

test("pauses grow, are drawn, and end at the longest", () => {
  const policy = retryPolicy({ maxRetries: 20, firstPauseMs: 100, longestPauseMs: 1_000 });
  const gone = new UnavailableError("gone");
  for (const [numRetries, mostMs] of [
    [0, 100],
    [1, 200],
    [3, 800],
    [4, 1_000],
    [19, 1_000],
  ] as const) {
    const pauses = Array.from({ length: 200 }, () => pauseBefore(numRetries, gone, policy) ?? NaN);
    assert.ok(pauses.every((ms) => ms >= mostMs / 2 && ms <= mostMs));
    assert.ok(Math.max(...pauses) - Math.min(...pauses) > mostMs / 4);
  }
  assert.equal(pauseBefore(20, gone, policy), undefined);
  const full = new OverloadedError("full", undefined, undefined, 5_000);
  const pauses = Array.from({ length: 200 }, () => pauseBefore(0, full, policy) ?? NaN);
  assert.ok(pauses.every((ms) => ms >= 5_000 && ms <= 5_050));
});

test("retries that cannot be are refused", () => {
  assert.throws(() => retryPolicy({ maxRetries: -1 }), /^RangeError: retries\.maxRetries: must/);
  assert.throws(() => retryPolicy({ firstPauseMs: NaN }), RangeError);
  assert.throws(() => retryPolicy({ max: 1 } as object), /^TypeError: retries: there is no max$/);
});
