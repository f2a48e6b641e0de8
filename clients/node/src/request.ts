/** From the caller's options to the API's messages. Sends nothing. */

import { InvalidRequestError } from "./errors.js";
import type { DecodingOptions } from "./generated/attendant/v1/DecodingOptions.js";
import type { EarlyStopping as EarlyStoppingName } from "./generated/attendant/v1/EarlyStopping.js";
import type { Priority as PriorityName } from "./generated/attendant/v1/Priority.js";
import type { Sampling as SamplingMessage } from "./generated/attendant/v1/Sampling.js";
import type { TranslateRequest } from "./generated/attendant/v1/TranslateRequest.js";
import type { TranslateStreamRequest } from "./generated/attendant/v1/TranslateStreamRequest.js";
import { checkNames, namesOf } from "./names.js";
import type { EarlyStopping, Options, Priority, Sampling } from "./options.js";

/** What a text is to be translated with, and from where to where. */
export interface Direction {
  readonly sourceLanguage: string;
  readonly targetLanguage: string;
  readonly model?: string | undefined;
  readonly options?: Options | undefined;
}

const OPTION_NAMES = namesOf<Options>({
  maxTargetTokens: true,
  minTargetTokens: true,
  maxLengthRatio: true,
  minLengthRatio: true,
  beamSize: true,
  numHypotheses: true,
  lengthPenalty: true,
  patience: true,
  earlyStopping: true,
  sampling: true,
  numAlternatives: true,
  noRepeatNgramSize: true,
  repetitionPenalty: true,
  loopGuard: true,
  suppressedTokens: true,
  targetPrefix: true,
  splitSentences: true,
  priority: true,
  partialAtDeadline: true,
  scores: true,
  alignment: true,
});
const SAMPLING_NAMES = namesOf<Sampling>({ temperature: true, topK: true, topP: true, seed: true });

const PRIORITIES: Record<Priority, PriorityName> = {
  interactive: "PRIORITY_INTERACTIVE",
  standard: "PRIORITY_STANDARD",
  bulk: "PRIORITY_BULK",
};
const EARLY_STOPPING: Record<EarlyStopping, EarlyStoppingName> = {
  patience: "EARLY_STOPPING_PATIENCE",
  heuristic: "EARLY_STOPPING_HEURISTIC",
  never: "EARLY_STOPPING_NEVER",
};

const MAX_UINT32 = 2n ** 32n - 1n;
const MAX_UINT64 = 2n ** 64n - 1n;

/**
 * Builds the request for some texts.
 *
 * @throws InvalidRequestError for what cannot be written as protobuf; all else is the server's to
 * judge. TypeError for an option that does not exist.
 */
export function buildRequest(texts: readonly string[], direction: Direction): TranslateRequest {
  const { options = {} } = direction;
  const prefix = options.targetPrefix ?? "";
  const prefixes = typeof prefix === "string" ? texts.map(() => prefix) : prefix;
  return {
    ...shared(direction),
    texts: strings("texts", texts),
    targetPrefixes: prefix === "" ? [] : strings("targetPrefix", prefixes),
    splitSentences: options.splitSentences === true,
  };
}

/** Builds the request for the stream of one text; throws as `buildRequest` does. */
export function buildStreamRequest(text: string, direction: Direction): TranslateStreamRequest {
  const { options = {} } = direction;
  const { targetPrefix = "", splitSentences = false } = options;
  if (typeof targetPrefix !== "string") {
    throw new InvalidRequestError(
      "options.targetPrefix: a stream has one text, and takes a string",
    );
  }
  if (splitSentences) {
    throw new InvalidRequestError(
      "options.splitSentences: a text that is split cannot be streamed",
    );
  }
  return {
    ...shared(direction),
    text: encodable("text", text),
    targetPrefix: encodable("options.targetPrefix", targetPrefix),
  };
}

/** Returns `text` if protobuf can hold it: a string without half of a surrogate pair. */
export function encodable(field: string, text: unknown): string {
  if (typeof text !== "string") throw new InvalidRequestError(`${field}: must be a string`);
  if (!text.isWellFormed()) {
    const position = text.search(/\p{Surrogate}/u);
    throw new InvalidRequestError(`${field}: not valid Unicode at character ${position}`);
  }
  return text;
}

/** The fields that both requests have. What the options leave to the server is not sent. */
function shared({ sourceLanguage, targetLanguage, model = "", options }: Direction) {
  checkNames("options", options, OPTION_NAMES);
  const { priority, partialAtDeadline, scores, alignment } = options ?? {};
  return {
    model: encodable("model", model),
    sourceLanguage: encodable("sourceLanguage", sourceLanguage),
    targetLanguage: encodable("targetLanguage", targetLanguage),
    options: decodingOptions(options ?? {}),
    ...(priority !== undefined && { priority: choice("options.priority", PRIORITIES, priority) }),
    partialAtDeadline: partialAtDeadline === true,
    output: { scores: scores === true, alignment: alignment === true },
  };
}

function decodingOptions(options: Options): DecodingOptions {
  const { earlyStopping, sampling, suppressedTokens = [] } = options;
  return {
    ...present("options", options, COUNTS, count),
    ...present("options", options, NUMBERS, number),
    ...(earlyStopping !== undefined && {
      earlyStopping: choice("options.earlyStopping", EARLY_STOPPING, earlyStopping),
    }),
    ...(sampling !== undefined && { sampling: samplingMessage(sampling) }),
    suppressedTokens: strings("options.suppressedTokens", suppressedTokens),
  };
}

function samplingMessage(sampling: Sampling): SamplingMessage {
  checkNames("options.sampling", sampling, SAMPLING_NAMES);
  return {
    ...present("options.sampling", sampling, ["topK"], count),
    ...present("options.sampling", sampling, ["temperature", "topP"], number),
    ...present("options.sampling", sampling, ["seed"], seed),
  };
}

const COUNTS = [
  "maxTargetTokens",
  "minTargetTokens",
  "beamSize",
  "numHypotheses",
  "numAlternatives",
  "noRepeatNgramSize",
  "loopGuard",
] as const;
const NUMBERS = [
  "maxLengthRatio",
  "minLengthRatio",
  "lengthPenalty",
  "patience",
  "repetitionPenalty",
] as const;

/** Those of `names` that `values` has, each read by `read`. */
function present<Name extends string, Value>(
  where: string,
  values: { readonly [name in Name]?: unknown },
  names: readonly Name[],
  read: (field: string, value: unknown) => Value,
): { [name in Name]?: Value } {
  const found: { [name in Name]?: Value } = {};
  for (const name of names) {
    const value = values[name];
    if (value !== undefined) found[name] = read(`${where}.${name}`, value);
  }
  return found;
}

function number(field: string, value: unknown): number {
  if (typeof value !== "number") throw impossible(field, value);
  return value;
}

function count(field: string, value: unknown): number {
  return Number(whole(field, value, MAX_UINT32));
}

function seed(field: string, value: unknown): string {
  return whole(field, value, MAX_UINT64).toString();
}

/** A number beyond those that JavaScript keeps apart is none: it is not the one that was written. */
function whole(field: string, value: unknown, most: bigint): bigint {
  if (typeof value !== "bigint" && !Number.isSafeInteger(value)) throw impossible(field, value);
  const integer = BigInt(value as number | bigint);
  if (integer < 0n || integer > most) throw impossible(field, value);
  return integer;
}

function choice<Name extends string, Value>(
  field: string,
  values: Record<Name, Value>,
  name: Name,
): Value {
  if (!Object.hasOwn(values, name)) throw impossible(field, name);
  return values[name];
}

function strings(field: string, values: readonly string[]): string[] {
  if (!Array.isArray(values)) throw new InvalidRequestError(`${field}: must be an array`);
  return values.map((value, i) => encodable(`${field}[${i}]`, value));
}

function impossible(field: string, value: unknown): InvalidRequestError {
  return new InvalidRequestError(`${field}: cannot be ${String(value)}`);
}
