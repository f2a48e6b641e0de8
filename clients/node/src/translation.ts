/** What a translation is to the caller. Knows nothing of gRPC or protobuf. */

import type { StatusName } from "./errors.js";

/**
 * Why a translation ends where it does:
 *
 * - "stop": the model ended the sentence;
 * - "length": the limit of target tokens was reached; the text may be incomplete;
 * - "empty": there was nothing to translate;
 * - "loop": the translation repeated itself and was ended;
 * - "deadline": time ran out; the text is what there was;
 * - "refused": the text was wrong and was not translated, see `Translation.refusal`;
 * - "unknown": a reason that this version of the client has no name for: the server is newer.
 */
export type FinishReason =
  "stop" | "length" | "empty" | "loop" | "deadline" | "refused" | "unknown";

/** One translated text. */
export interface Translation {
  /** The translation. */
  readonly text: string;

  /** Why it ends where it does. */
  readonly finishReason: FinishReason;

  /** Tokens of the source, its language tag and end of sentence counted; 0 for an empty text. */
  readonly sourceTokens: number;

  /** Tokens generated, the end of sentence counted; 0 for an empty text. */
  readonly targetTokens: number;

  /** Best first, where several, samples, beams, scores or alignments were asked for. */
  readonly hypotheses: readonly Hypothesis[];

  /** In order, where the text was to be split. */
  readonly sentences: readonly TranslatedSentence[];

  /**
   * The seed that was used, where sampling was asked for. Those that the server picks are numbers;
   * one beyond `Number.MAX_SAFE_INTEGER` is a bigint.
   */
  readonly seed?: number | bigint;

  /** Why the text was not translated, where it was not. */
  readonly refusal?: Refusal;
}

/** What is wrong with a text. */
export interface Refusal {
  /** The status that a call with this text alone fails with. */
  readonly code: StatusName;

  /** The field that is wrong, such as "texts[3]". */
  readonly field: string;

  /** The field, its value and the limit. */
  readonly message: string;
}

/** One possible translation. What was not asked for is left out, or empty. */
export interface Hypothesis {
  /** The text. */
  readonly text: string;

  /** Why it ends where it does. */
  readonly finishReason: FinishReason;

  /** What hypotheses compete by: logProbability / length ** lengthPenalty. */
  readonly score?: number;

  /** Natural logarithm of the probability of its tokens, those of a prefix not counted. */
  readonly logProbability?: number;

  /** Its tokens, the end of sentence included. */
  readonly tokens: readonly Token[];

  /** Which source tokens its tokens attend to. */
  readonly alignment?: Alignment;
}

/** A target token. */
export interface Token {
  /** The piece of the model's vocabulary. */
  readonly piece: string;

  /** Natural logarithm of its probability after the tokens before it. */
  readonly logProbability: number;
}

/** Which source tokens a translation's tokens attend to. */
export interface Alignment {
  /** The tokens of the source, its language tag and end of sentence included. */
  readonly sourceTokens: readonly string[];

  /** The tokens of the translation. */
  readonly targetTokens: readonly string[];

  /** One for each target token, in their order. */
  readonly links: readonly TokenLink[];

  /** Links between words, counted from 0, in Pharaoh format: "0-0 1-2". */
  readonly words: string;
}

/** The source token that a target token attends to most. */
export interface TokenLink {
  /** Index in `Alignment.sourceTokens`. */
  readonly source: number;

  /** Index in `Alignment.targetTokens`. */
  readonly target: number;

  /** Its share of the attention, 0 to 1. */
  readonly weight: number;
}

/** A range of a string, its first index and the one after its last: `text.slice(...span)`. */
export type Span = readonly [start: number, end: number];

/** A sentence of a text that was split. */
export interface TranslatedSentence {
  /** Where it lies in the text. */
  readonly source: Span;

  /** Where its translation lies in the translated text. */
  readonly target: Span;

  /** Its translation. */
  readonly translation: Translation;

  /** Whether it is a part of a sentence that was too long for the model. */
  readonly isPart: boolean;
}

/** A part of a translation as it grows. */
export interface TranslationPart {
  /** Text to append to what came before; whole characters. */
  readonly text: string;

  /** The whole translation, in the last part only. */
  readonly translation?: Translation;
}
