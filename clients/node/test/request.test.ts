/** What is sent, and what is refused before it is. */

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Options } from "attendant";

import { buildRequest, buildStreamRequest } from "../dist/request.js";
import { spansIn } from "../dist/spans.js";

const EN_DE = { sourceLanguage: "en", targetLanguage: "de" } as const;

test("what is left to the server is not sent", () => {
  assert.deepEqual(buildRequest(["A dog."], EN_DE), {
    model: "",
    sourceLanguage: "en",
    targetLanguage: "de",
    options: { suppressedTokens: [] },
    partialAtDeadline: false,
    output: { scores: false, alignment: false },
    texts: ["A dog."],
    targetPrefixes: [],
    splitSentences: false,
  });
  const undefinedOptions = { beamSize: undefined, sampling: undefined, priority: undefined };
  assert.deepEqual(
    buildRequest(["A dog."], { ...EN_DE, model: undefined, options: undefinedOptions }),
    buildRequest(["A dog."], EN_DE),
  );
});

test("what is said is sent, each under its name", () => {
  const same = {
    maxTargetTokens: 1,
    minTargetTokens: 2,
    maxLengthRatio: 3.5,
    minLengthRatio: 4.5,
    beamSize: 5,
    numHypotheses: 6,
    lengthPenalty: 0,
    patience: 8.5,
    numAlternatives: 9,
    noRepeatNgramSize: 10,
    repetitionPenalty: 11.5,
    loopGuard: 0,
    suppressedTokens: ["<unk>"],
  };
  const request = buildRequest(["A dog.", "A cat."], {
    ...EN_DE,
    model: "m",
    options: {
      ...same,
      earlyStopping: "never",
      sampling: { temperature: 0.5, topK: 3, topP: 0.9, seed: 7 },
      targetPrefix: "Ein",
      splitSentences: true,
      priority: "bulk",
      partialAtDeadline: true,
      scores: true,
      alignment: true,
    },
  });
  assert.deepEqual(request, {
    model: "m",
    sourceLanguage: "en",
    targetLanguage: "de",
    options: {
      ...same,
      earlyStopping: "EARLY_STOPPING_NEVER",
      sampling: { temperature: 0.5, topK: 3, topP: 0.9, seed: "7" },
    },
    priority: "PRIORITY_BULK",
    partialAtDeadline: true,
    output: { scores: true, alignment: true },
    texts: ["A dog.", "A cat."],
    targetPrefixes: ["Ein", "Ein"],
    splitSentences: true,
  });
  const { text, targetPrefix } = buildStreamRequest("A dog.", {
    ...EN_DE,
    options: { targetPrefix: "Ein" },
  });
  assert.deepEqual([text, targetPrefix], ["A dog.", "Ein"]);
});

test("values that protobuf would bend are refused, with their names", () => {
  const refused: [unknown, RegExp][] = [
    [{ beamSize: 1.5 }, /^InvalidRequestError: options\.beamSize: cannot be 1\.5$/],
    [{ beamSize: -1 }, /options\.beamSize: cannot be -1/],
    [{ beamSize: "4" }, /options\.beamSize: cannot be 4/],
    [{ loopGuard: 2 ** 32 }, /options\.loopGuard: cannot be 4294967296/],
    [{ lengthPenalty: "1" }, /options\.lengthPenalty: cannot be 1/],
    [{ sampling: { topK: NaN } }, /options\.sampling\.topK: cannot be NaN/],
    [{ sampling: { seed: -1n } }, /options\.sampling\.seed: cannot be -1/],
    [{ sampling: { seed: 2n ** 64n } }, /options\.sampling\.seed: cannot be 18446744073709551616/],
    [{ sampling: { seed: 2 ** 53 } }, /options\.sampling\.seed: cannot be 9007199254740992/],
    [{ sampling: { top_k: 3 } }, /^TypeError: options\.sampling: there is no top_k/],
    [{ sampling: true }, /^TypeError: options\.sampling: must be an object/],
    [{ earlyStopping: "toString" }, /options\.earlyStopping: cannot be toString/],
    [{ suppressedTokens: "<unk>" }, /options\.suppressedTokens: must be an array/],
    [{ suppressedTokens: [7] }, /options\.suppressedTokens\[0\]: must be a string/],
    [{ targetPrefix: ["\ud800"] }, /targetPrefix\[0\]: not valid Unicode at character 0/],
    ["fast", /^TypeError: options: must be an object/],
  ];
  for (const [options, message] of refused) {
    const direction = { ...EN_DE, options: options as Options };
    assert.throws(() => buildRequest(["A dog."], direction), message);
  }
});

test("texts are strings that UTF-8 can hold", () => {
  assert.throws(() => buildRequest(["fine", "half \udc00"], EN_DE), {
    name: "InvalidRequestError",
    field: "texts[1]",
    message: "texts[1]: not valid Unicode at character 5",
  });
  assert.throws(
    () => buildRequest([7 as unknown as string], EN_DE),
    /texts\[0\]: must be a string/,
  );
  assert.throws(() => buildStreamRequest("\ud83d", EN_DE), /^InvalidRequestError: text: not valid/);
});

test("a stream has one text, and no pages", () => {
  const stream = (options: Options) => () => buildStreamRequest("A dog.", { ...EN_DE, options });
  assert.throws(stream({ targetPrefix: ["Ein"] }), /options\.targetPrefix: a stream has one text/);
  assert.throws(stream({ splitSentences: true }), /options\.splitSentences: a text that is split/);
});

test("code points become places in the string", () => {
  const text = "a😀b🚲c";
  const span = spansIn(text);
  const all = [...text];
  for (let start = 0; start <= all.length; start++) {
    for (let end = start; end <= all.length; end++) {
      const expected = all.slice(start, end).join("");
      assert.equal(text.slice(...span({ start, end })), expected);
    }
  }
  assert.deepEqual(spansIn("abc")({ start: 1, end: 3 }), [1, 3]);
});
