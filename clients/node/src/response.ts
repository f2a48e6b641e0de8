/** From the API's messages to what the caller gets. */

import { InternalError, statusName, TextsRefusedError } from "./errors.js";
import type { Alignment__Output } from "./generated/attendant/v1/Alignment.js";
import type { DecodingOptions__Output } from "./generated/attendant/v1/DecodingOptions.js";
import type { EarlyStopping__Output } from "./generated/attendant/v1/EarlyStopping.js";
import type { Hypothesis__Output } from "./generated/attendant/v1/Hypothesis.js";
import type { Model__Output } from "./generated/attendant/v1/Model.js";
import type { TranslateResponse__Output } from "./generated/attendant/v1/TranslateResponse.js";
import type { TranslateStreamResponse__Output } from "./generated/attendant/v1/TranslateStreamResponse.js";
import type { Translation__Output } from "./generated/attendant/v1/Translation.js";
import type { Model, ModelDefaults, ModelState } from "./model.js";
import type { EarlyStopping } from "./options.js";
import { spansIn } from "./spans.js";
import type {
  Alignment,
  FinishReason,
  Hypothesis,
  Refusal,
  TranslatedSentence,
  Translation,
  TranslationPart,
} from "./translation.js";

type Seed = number | bigint | undefined;

const FINISH_REASONS: Readonly<Record<string, FinishReason>> = {
  FINISH_REASON_STOP: "stop",
  FINISH_REASON_LENGTH: "length",
  FINISH_REASON_EMPTY: "empty",
  FINISH_REASON_LOOP: "loop",
  FINISH_REASON_DEADLINE: "deadline",
  FINISH_REASON_REFUSED: "refused",
};
const MODEL_STATES: Readonly<Record<string, ModelState>> = {
  MODEL_STATE_AVAILABLE: "available",
  MODEL_STATE_LOADING: "loading",
  MODEL_STATE_READY: "ready",
  MODEL_STATE_FAILED: "failed",
  MODEL_STATE_UNLOADED: "unloaded",
};
const EARLY_STOPPING: Readonly<Partial<Record<EarlyStopping__Output, EarlyStopping>>> = {
  EARLY_STOPPING_PATIENCE: "patience",
  EARLY_STOPPING_HEURISTIC: "heuristic",
  EARLY_STOPPING_NEVER: "never",
};

/**
 * Reads the translations of `texts`.
 *
 * @throws InternalError unless there is one for each text, TextsRefusedError if some were wrong.
 */
export function parseResponse(
  response: TranslateResponse__Output,
  texts: readonly string[],
): Translation[] {
  const { length } = response.translations;
  if (length !== texts.length) {
    throw new InternalError(`the server answered ${length} translations for ${texts.length} texts`);
  }
  const seed = parseSeed(response.seed);
  const translations = response.translations.map((message, i) =>
    parseTranslation(message, texts[i] ?? "", seed),
  );
  if (translations.some(({ refusal }) => refusal)) throw new TextsRefusedError(translations);
  return translations;
}

/** Reads one message of the stream of `text`. */
export function parsePart(
  { text: part, translation, seed }: TranslateStreamResponse__Output,
  text: string,
): TranslationPart {
  if (!translation) return { text: part };
  return { text: part, translation: parseTranslation(translation, text, parseSeed(seed)) };
}

/** Reads what the server says of a model. */
export function parseModel({ state, defaults, evidence, ...model }: Model__Output): Model {
  return {
    ...model,
    state: MODEL_STATES[state] ?? "unknown",
    defaults: defaults ? parseDefaults(defaults) : {},
    evidence,
  };
}

function parseDefaults(defaults: DecodingOptions__Output): ModelDefaults {
  const { earlyStopping, sampling: _, suppressedTokens: __, ...numbers } = defaults;
  const rule = EARLY_STOPPING[earlyStopping];
  return { ...numbers, ...(rule && { earlyStopping: rule }) };
}

/** A seed comes as decimal digits: numbers hold those that the server picks, not all that can be. */
function parseSeed(digits: string | undefined): Seed {
  if (digits === undefined) return undefined;
  const seed = Number(digits);
  return Number.isSafeInteger(seed) ? seed : BigInt(digits);
}

function parseTranslation(message: Translation__Output, source: string, seed: Seed): Translation {
  const refusal = parseRefusal(message);
  return {
    text: message.text,
    finishReason: parseFinishReason(message.finishReason),
    sourceTokens: message.sourceTokens,
    targetTokens: message.targetTokens,
    hypotheses: message.hypotheses.map(parseHypothesis),
    sentences: parseSentences(message, source, seed),
    ...(seed !== undefined && { seed }),
    ...(refusal && { refusal }),
  };
}

function parseRefusal({ status }: Translation__Output): Refusal | undefined {
  return status ? { ...status, code: statusName(status.code) } : undefined;
}

function parseSentences(
  { text, sentences }: Translation__Output,
  source: string,
  seed: Seed,
): TranslatedSentence[] {
  if (sentences.length === 0) return [];
  const [inSource, inTarget] = [spansIn(source), spansIn(text)];
  return sentences.map(({ source: from, target: to, translation, isPart }) => {
    if (!from || !to || !translation) throw new InternalError("a sentence came without its place");
    const span = inSource(from);
    return {
      source: span,
      target: inTarget(to),
      translation: parseTranslation(translation, source.slice(...span), seed),
      isPart,
    };
  });
}

function parseHypothesis(message: Hypothesis__Output): Hypothesis {
  const { score, logProbability, alignment } = message;
  return {
    text: message.text,
    finishReason: parseFinishReason(message.finishReason),
    tokens: message.tokens,
    ...(score !== undefined && { score }),
    ...(logProbability !== undefined && { logProbability }),
    ...(alignment && { alignment: parseAlignment(alignment) }),
  };
}

function parseAlignment({
  sourceTokens,
  targetTokens,
  links,
  words,
}: Alignment__Output): Alignment {
  return { sourceTokens, targetTokens, links, words };
}

/** By name, or by number where the server is newer than the name. */
function parseFinishReason(reason: string | number): FinishReason {
  return FINISH_REASONS[reason] ?? "unknown";
}
