/** What a model is to the caller. Knows nothing of gRPC or protobuf. */

import type { Options } from "./options.js";

/**
 * What a model is doing:
 *
 * - "available": it is on disk, and is loaded when first asked for;
 * - "loading": a version that served before still does;
 * - "ready": it serves;
 * - "failed": it was refused, or does not start;
 * - "unloaded": an administrator has put it away;
 * - "unknown": a state that this version of the client has no name for: the server is newer.
 */
export type ModelState = "available" | "loading" | "ready" | "failed" | "unloaded" | "unknown";

/** A model of the server's folder. While it is not loaded, what follows `reason` is empty or 0. */
export interface Model {
  /** What a request asks for it by. */
  readonly name: string;

  /** The version that serves, or that would be loaded. */
  readonly version: string;

  /** Whether it serves. */
  readonly state: ModelState;

  /** Why it, or the newest version of it, does not serve; empty where it does. */
  readonly reason: string;

  /** What is decoded with, such as "cpu-int8". */
  readonly variant: string;

  /** Its languages. */
  readonly languages: readonly string[];

  /** What it translates, each "source-target", such as "en-de". */
  readonly directions: readonly string[];

  /** The most tokens that a source or a translation may have. */
  readonly maxTokens: number;

  /** The most hypotheses that a request may ask for, side by side in a beam or as samples. */
  readonly maxHypotheses: number;

  /** What holds where a request says nothing. */
  readonly defaults: ModelDefaults;

  /** What its export measured: "pytorch", and an entry for each variant. */
  readonly evidence: readonly Evidence[];
}

/** Those of a request's options that a model has defaults of. */
export type ModelDefaults = Pick<
  Options,
  | "maxTargetTokens"
  | "minTargetTokens"
  | "maxLengthRatio"
  | "minLengthRatio"
  | "beamSize"
  | "numHypotheses"
  | "lengthPenalty"
  | "patience"
  | "earlyStopping"
  | "numAlternatives"
  | "noRepeatNgramSize"
  | "repetitionPenalty"
  | "loopGuard"
>;

/** How good one implementation of a model was when it was exported, on its validation text. */
export interface Evidence {
  /** "pytorch", or a variant. */
  readonly implementation: string;

  /** Cased corpus BLEU by sacreBLEU, percent. */
  readonly bleu: number;

  /** What makes that figure comparable. */
  readonly bleuSignature: string;

  /** chrF by sacreBLEU, percent. */
  readonly chrf: number;

  /** What makes that figure comparable. */
  readonly chrfSignature: string;

  /** Share of the sentences whose tokens are PyTorch's. */
  readonly tokenExactRate: number;

  /** Number of sentences. */
  readonly numSentences: number;
}
