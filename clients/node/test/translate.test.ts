/** Texts to translations, by a real server. */

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { after, before, test } from "node:test";

import {
  Client,
  DeadlineError,
  InvalidRequestError,
  NotFoundError,
  TextsRefusedError,
  type Translation,
} from "attendant";

import { type RunningServer, startServer } from "./server.js";

const EN_DE = { sourceLanguage: "en", targetLanguage: "de" } as const;
const TEXT = "A little girl in a red dress is playing with a dog in the park.";
const TEXTS = ["Two dogs are playing.", TEXT, "", "A man is riding a bicycle."];

let server: RunningServer;
let client: Client;

before(async () => {
  server = await startServer();
  client = new Client(server.target);
});

after(async () => {
  client.close();
  await server.stop();
});

test("a text comes back as one translation", async () => {
  const translation: Translation = await client.translate("Two dogs are playing.", EN_DE);
  assert.match(translation.text, /^Zwei Hunde /);
  assert.deepEqual(translation, {
    text: translation.text,
    finishReason: "stop",
    sourceTokens: translation.sourceTokens,
    targetTokens: translation.targetTokens,
    hypotheses: [],
    sentences: [],
  });
  assert.ok(translation.sourceTokens > 4 && translation.targetTokens > 4);
});

test("several texts come back in their order, as one by one", async () => {
  const together: Translation[] = await client.translate(TEXTS, EN_DE);
  const alone = await Promise.all(TEXTS.map((text) => client.translate(text, EN_DE)));
  assert.deepEqual(together, alone);
  assert.equal(together[2]?.finishReason, "empty");
  assert.equal(new Set(together.map(({ text }) => text)).size, TEXTS.length);
});

test("a list without texts is answered without a call", async () => {
  const closed = new Client(server.target);
  closed.close();
  assert.deepEqual(await closed.translate([], EN_DE), []);
});

test("a beam answers hypotheses with scores and alignments", async () => {
  const options = { beamSize: 4, numHypotheses: 3, scores: true, alignment: true };
  const { text, hypotheses, sourceTokens } = await client.translate(TEXT, { ...EN_DE, options });
  assert.equal(hypotheses.length, 3);
  assert.equal(hypotheses[0]?.text, text);
  const scores = hypotheses.map(({ score = NaN }) => score);
  assert.deepEqual(
    scores,
    scores.toSorted((a, b) => b - a),
  );
  for (const { tokens, alignment, logProbability } of hypotheses) {
    assert.equal(tokens.at(-1)?.piece, "</s>");
    assert.equal(alignment?.sourceTokens.length, sourceTokens);
    assert.equal(alignment?.links.length, tokens.length - 1);
    assert.match(alignment?.words ?? "", /^0-0 /);
    const sum = tokens.reduce((total, token) => total + token.logProbability, 0);
    assert.ok(Math.abs(sum - (logProbability ?? NaN)) < 1e-3);
  }
});

test("a seed gives the same again, also one beyond the numbers that JavaScript keeps apart", async () => {
  const sampled = (seed?: number | bigint) =>
    client.translate(TEXT, { ...EN_DE, options: { sampling: { temperature: 2, seed } } });
  const picked = await sampled();
  assert.equal(typeof picked.seed, "number");
  assert.deepEqual(await sampled(picked.seed), picked);
  const large = 2n ** 64n - 1n;
  const first = await sampled(large);
  assert.equal(first.seed, large);
  assert.deepEqual(await sampled(large), first);
  assert.notEqual((await sampled(large - 1n)).text, first.text);
});

test("prefixes, limits and priorities are kept", async () => {
  const options = { targetPrefix: ["Ein Hund", ""], priority: "bulk", maxTargetTokens: 4 } as const;
  const found = await client.translate([TEXT, TEXT], { ...EN_DE, options });
  assert.match(found[0]?.text ?? "", /^Ein Hund/);
  assert.deepEqual(
    found.map(({ finishReason, targetTokens }) => [finishReason, targetTokens]),
    [
      ["length", 4],
      ["length", 4],
    ],
  );
  const same = await client.translate([TEXT, TEXT], { ...EN_DE, options: { targetPrefix: "Ein" } });
  assert.ok(same.every(({ text }) => text.startsWith("Ein")));
});

test("a page says where its sentences lie, as ranges of the strings", async () => {
  const page = "🚲 Two dogs run.\n\n- 😀😀 A man sleeps.";
  const options = { splitSentences: true };
  const { text, sentences } = await client.translate(page, { ...EN_DE, options });
  assert.deepEqual(
    sentences.map(({ source }) => page.slice(...source)).map((part) => part.replace(/^\W+/u, "")),
    ["Two dogs run.", "A man sleeps."],
  );
  for (const { target, translation, isPart } of sentences) {
    assert.equal(text.slice(...target), translation.text);
    assert.equal(isPart, false);
  }
  assert.match(text, /\n\n- /);
});

test("a text that is wrong keeps no others back", async () => {
  const alone = await client.translate("A dog.", EN_DE);
  await assert.rejects(client.translate(["A dog.", "\u0007"], EN_DE), (error) => {
    assert.ok(error instanceof TextsRefusedError && error instanceof InvalidRequestError);
    assert.equal(error.name, "TextsRefusedError");
    assert.equal(error.field, "texts[1]");
    assert.match(error.message, /^texts\[1\]: control character U\+0007/);
    const [good, bad] = error.translations;
    assert.deepEqual(good, alone);
    assert.equal(bad?.finishReason, "refused");
    const { code, field } = bad?.refusal ?? {};
    assert.deepEqual([code, field, bad?.text], ["INVALID_ARGUMENT", "texts[1]", ""]);
    return true;
  });
});

test("a text that is wrong by itself fails the call", async () => {
  await assert.rejects(client.translate("\u0007", EN_DE), {
    name: "InvalidRequestError",
    code: "INVALID_ARGUMENT",
    field: "texts[0]",
  });
});

test("an option that is refused is named", async () => {
  await assert.rejects(client.translate(TEXT, { ...EN_DE, options: { beamSize: 17 } }), {
    name: "InvalidRequestError",
    field: "options.beam_size",
    message: "options.beam_size: it is 17, 1 to 16 is allowed",
  });
});

test("a language and a model that do not exist are named, with those that do", async () => {
  await assert.rejects(client.translate(TEXT, { ...EN_DE, targetLanguage: "xx" }), (error) => {
    assert.ok(error instanceof NotFoundError);
    assert.match(error.message, /^target_language: .*xx.*it has .*de/);
    assert.deepEqual([error.code, error.field], ["NOT_FOUND", "target_language"]);
    assert.match(`${error.stack}`, /^NotFoundError: target_language.*translate\.test/s);
    return true;
  });
  await assert.rejects(client.getModel("nobody"), { name: "NotFoundError", field: "model" });
});

test("models tell what they can", async () => {
  const [model, ...others] = await client.listModels();
  assert.ok(model);
  assert.deepEqual(others, []);
  assert.deepEqual(await client.getModel(), model);
  assert.deepEqual(await client.getModel(model.name), model);
  assert.deepEqual([model.name, model.state, model.reason], ["multi30k", "ready", ""]);
  assert.ok(model.languages.includes("en") && model.directions.includes("en-de"));
  assert.ok(model.maxTokens > 0 && model.maxHypotheses > 0);
  assert.deepEqual([model.defaults.beamSize, model.defaults.earlyStopping], [1, "patience"]);
  assert.ok(model.evidence.every(({ bleu, numSentences }) => bleu > 20 && numSentences > 0));
  const named = await client.translate("A dog.", { ...EN_DE, model: model.name });
  assert.deepEqual(named, await client.translate("A dog.", EN_DE));
});

test("a deadline ends a call that takes longer", async () => {
  const many = Array.from({ length: 200 }, (_, i) => `${TEXT} ${i}`);
  const options = { beamSize: 16 };
  await assert.rejects(client.translate(many, { ...EN_DE, options, timeoutMs: 20 }), DeadlineError);
});

test("a signal ends a call at once, with its reason, and the client goes on", async () => {
  const many = Array.from({ length: 200 }, (_, i) => `${TEXT} ${i}`);
  const abort = new AbortController();
  const call = client.translate(many, {
    ...EN_DE,
    options: { beamSize: 16 },
    signal: abort.signal,
  });
  setTimeout(() => abort.abort(), 20);
  await assert.rejects(call, (error) => error === abort.signal.reason);
  assert.equal(abort.signal.reason.name, "AbortError");
  const before = AbortSignal.abort("never mind");
  await assert.rejects(
    client.translate(TEXT, { ...EN_DE, signal: before }),
    (e) => e === "never mind",
  );
  assert.ok((await client.translate("A dog.", EN_DE)).text);
});

test("what is streamed, joined, is what translate answers", async () => {
  for (const options of [{}, { beamSize: 3, scores: true }, { targetPrefix: "Ein" }]) {
    const whole = await client.translate(TEXT, { ...EN_DE, options });
    const parts = [];
    for await (const part of client.translateStream(TEXT, { ...EN_DE, options })) parts.push(part);
    assert.equal(parts.map(({ text }) => text).join(""), whole.text);
    assert.deepEqual(parts.at(-1)?.translation, whole);
    assert.ok(parts.slice(0, -1).every(({ translation }) => translation === undefined));
    assert.ok(parts.length > 2);
  }
});

test("a stream can be left early, and refused", async () => {
  for await (const { text } of client.translateStream(TEXT, EN_DE)) {
    assert.ok(text);
    break;
  }
  const refused = client.translateStream(TEXT, { ...EN_DE, targetLanguage: "xx" });
  await assert.rejects(refused.next(), NotFoundError);
  assert.ok((await client.translate("A dog.", EN_DE)).text);
});

test("many calls at a time share one client and one signal, and leave nothing behind", async () => {
  const warnings: Error[] = [];
  const warn = (warning: Error) => warnings.push(warning);
  process.on("warning", warn);
  const { signal } = new AbortController();
  const texts = Array.from({ length: 100 }, (_, i) => `${i} dogs are playing.`);
  const found = await Promise.all(
    texts.map((text) => client.translate(text, { ...EN_DE, signal })),
  );
  assert.deepEqual(found, await client.translate(texts, EN_DE));
  process.off("warning", warn);
  assert.deepEqual(warnings, []);
  assert.deepEqual(getEventListeners(signal, "abort"), []);
});

test("the types know what is missing or misspelt, and so does the client", async () => {
  // @ts-expect-error: the language to translate into is missing
  await assert.rejects(client.translate(TEXT, { sourceLanguage: "en" }), /targetLanguage: must be/);
  // @ts-expect-error: no such option
  await assert.rejects(client.translate(TEXT, { ...EN_DE, options: { beam_size: 4 } }), TypeError);
  // @ts-expect-error: no such priority
  const call = client.translate(TEXT, { ...EN_DE, options: { priority: "high" } });
  await assert.rejects(call, {
    field: "options.priority",
    message: "options.priority: cannot be high",
  });
});
