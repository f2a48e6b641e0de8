/** What a server of another version, or one that is wrong, may answer; and what a client ends. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { test, type TestContext } from "node:test";

import {
  type CallOptions,
  CancelledError,
  Client,
  type ClientOptions,
  DeadlineError,
  InternalError,
} from "attendant";

import type { TranslationServiceHandlers } from "../dist/generated/attendant/v1/TranslationService.js";
import { startFake, translationMessage } from "./fake_server.js";

const EN_DE = { sourceLanguage: "en", targetLanguage: "de" } as const;

async function clientOf(
  t: TestContext,
  handlers: Partial<TranslationServiceHandlers>,
  options: ClientOptions = {},
) {
  const server = await startFake(handlers);
  const client = new Client(server.target, { retries: false, ...options });
  t.after(() => {
    client.close();
    server.stop();
  });
  return client;
}

test("names that are newer than the client are unknown", async (t) => {
  const reason = { ...translationMessage("Hallo"), finishReason: 99 as never };
  const client = await clientOf(t, {
    Translate: (_, callback) => callback(null, { translations: [reason] }),
    GetModel: (_, callback) => callback(null, { model: { name: "m", state: 99 as never } }),
  });
  assert.equal((await client.translate("Hello", EN_DE)).finishReason, "unknown");
  const { state, defaults, languages } = await client.getModel("m");
  assert.deepEqual([state, defaults, languages], ["unknown", {}, []]);
});

test("answers that do not fit the request are the server's fault", async (t) => {
  const client = await clientOf(t, {
    Translate: (_, callback) => callback(null, { translations: [] }),
    TranslateStream: (call) => {
      call.write({ text: "Hal" });
      call.end();
    },
    GetModel: (_, callback) => callback(null, {}),
  });
  await assert.rejects(client.translate("Hello", EN_DE), {
    name: "InternalError",
    code: "INTERNAL",
    message: "the server answered 0 translations for 1 texts",
  });
  await assert.rejects(async () => {
    for await (const _ of client.translateStream("Hello", EN_DE));
  }, /ended the stream without the translation/);
  await assert.rejects(client.getModel(), InternalError);
});

// A call that goes on at the server must not be ended by a deadline there: there is none, and the
// test's own time is short.
const SOON = { timeout: 20_000 };

test("a call that is ended here is ended there, while the client goes on", SOON, async (t) => {
  const cancelled: Promise<unknown>[] = [];
  let abort = new AbortController();
  const handlers: Partial<TranslationServiceHandlers> = {
    Translate: (call) => {
      cancelled.push(once(call, "cancelled"));
      abort.abort();
    },
    TranslateStream: (call) => {
      cancelled.push(once(call, "cancelled"));
      call.write({ text: "Hal" });
    },
  };
  const client = await clientOf(t, handlers, { timeoutMs: Infinity });
  const ended = async (number: number) => {
    assert.equal(cancelled.length, number);
    await cancelled.at(-1);
    abort = new AbortController();
  };
  const translateStream = async (how: CallOptions, received: () => void) => {
    for await (const _ of client.translateStream("Hello", { ...EN_DE, ...how })) received();
  };

  const { signal } = abort;
  await assert.rejects(client.translate("Hello", { ...EN_DE, signal }), { name: "AbortError" });
  await ended(1);
  for await (const _ of client.translateStream("Hello", EN_DE)) break;
  await ended(2);
  const stop = () => abort.abort("enough");
  await assert.rejects(translateStream({ signal: abort.signal }, stop), (e) => e === "enough");
  await ended(3);
  await assert.rejects(client.translate("Hello", { ...EN_DE, timeoutMs: 500 }), DeadlineError);
  await ended(4);
  await assert.rejects(
    translateStream({ timeoutMs: 500 }, () => {}),
    DeadlineError,
  );
  await ended(5);
});

test("close() ends all calls, at the server too", SOON, async (t) => {
  const cancelled: Promise<unknown>[] = [];
  const handlers: Partial<TranslationServiceHandlers> = {
    Translate: (call) => void cancelled.push(once(call, "cancelled")),
    TranslateStream: (call) => {
      cancelled.push(once(call, "cancelled"));
      call.write({ text: "Hal" });
    },
  };
  const client = await clientOf(t, handlers, { timeoutMs: Infinity });
  const running = client.translate("Hello", EN_DE);
  const parts = client.translateStream("Hello", EN_DE);
  assert.deepEqual(await parts.next(), { done: false, value: { text: "Hal" } });
  const closed = [
    assert.rejects(running, CancelledError),
    assert.rejects(parts.next(), CancelledError),
  ];
  client.close();
  await Promise.all(closed);
  assert.equal((await Promise.all(cancelled)).length, 2);
  await assert.rejects(client.translate("Hello", EN_DE), CancelledError);
});

test("every call has a deadline, 30 s where nothing is said, and Infinity is none", async (t) => {
  const deadlines: unknown[] = [];
  const client = await clientOf(t, {
    Translate: (call, callback) => {
      deadlines.push(call.getDeadline());
      callback(null, { translations: [translationMessage("Hallo")] });
    },
  });
  const before = Date.now();
  await client.translate("Hello", EN_DE);
  await client.translate("Hello", { ...EN_DE, timeoutMs: 90_000 });
  await client.translate("Hello", { ...EN_DE, timeoutMs: Infinity });
  const [usual, own, none] = deadlines.map((deadline) => Number(deadline) - before);
  assert.ok(usual !== undefined && usual > 25_000 && usual < 60_000);
  assert.ok(own !== undefined && own > 85_000 && own < 120_000);
  assert.equal(none, Infinity);
});

test("a message over the size limit is a wrong request, and no full queue", async (t) => {
  const client = await clientOf(t, {
    Translate: (_, callback) =>
      callback(null, { translations: [translationMessage("x".repeat(5 << 20))] }),
  });
  await assert.rejects(client.translate("Hello", EN_DE), {
    name: "InvalidRequestError",
    code: "RESOURCE_EXHAUSTED",
  });
});

test("a client is closed by using, and closing it twice is nothing", async (t) => {
  const client = await clientOf(t, {});
  {
    using closed = client;
    assert.ok(closed);
  }
  client.close();
  await assert.rejects(client.listModels(), CancelledError);
  await assert.rejects(client.isServing(), CancelledError);
  await assert.rejects(client.waitUntilServing(), CancelledError);
  await assert.rejects(client.translateStream("Hello", EN_DE).next(), CancelledError);
});
