/** How a translation is asked for. Knows nothing of gRPC or protobuf. */

/**
 * How urgent a call is, against others that wait for the same model:
 *
 * - "interactive": somebody waits in front of a screen;
 * - "standard": the default;
 * - "bulk": fills the gaps that the others leave; it waits, but never forever.
 */
export type Priority = "interactive" | "standard" | "bulk";

/**
 * When beam search stops; whatever the rule, it stops at the limit of tokens:
 *
 * - "patience": when `beamSize * patience` hypotheses have ended, the default;
 * - "heuristic": when `beamSize` have ended and the best running one is no better than the worst of
 *   them;
 * - "never": when `beamSize` have ended and no running one can become better than the worst of them.
 */
export type EarlyStopping = "patience" | "heuristic" | "never";

/** How tokens are drawn: temperature first, then topK, then topP. What is left out is the server's. */
export interface Sampling {
  /** Divides the logits: below 1 sharpens, above 1 flattens. */
  readonly temperature?: number | undefined;

  /** Draws from this many most probable tokens; 0 for all. */
  readonly topK?: number | undefined;

  /** Draws from the fewest most probable tokens whose probabilities sum to at least this. */
  readonly topP?: number | undefined;

  /**
   * The same seed gives the same translation; left out, the server picks one and
   * `Translation.seed` tells which. A bigint beyond `Number.MAX_SAFE_INTEGER`, up to 64 bits.
   */
  readonly seed?: number | bigint | undefined;
}

/**
 * How to translate. What is left out is the server's choice, which also judges every value.
 *
 * Names and meanings are the API's, where each is described in full: DecodingOptions, OutputOptions
 * and TranslateRequest in translation.proto.
 */
export interface Options {
  /** Upper limit of target tokens of a text. */
  readonly maxTargetTokens?: number | undefined;

  /** The sentence does not end before this many tokens. */
  readonly minTargetTokens?: number | undefined;

  /** Upper limit as a multiple of the source's tokens. */
  readonly maxLengthRatio?: number | undefined;

  /** Lower limit as a multiple of the source's tokens. */
  readonly minLengthRatio?: number | undefined;

  /** Hypotheses that run side by side in beam search; 1 is greedy search. */
  readonly beamSize?: number | undefined;

  /** Best hypotheses of a beam, or independent samples, to answer. */
  readonly numHypotheses?: number | undefined;

  /** Hypotheses compete by log-probability / length ** lengthPenalty. */
  readonly lengthPenalty?: number | undefined;

  /** Beam search stops when `beamSize * patience` hypotheses have ended. */
  readonly patience?: number | undefined;

  /** When beam search gives up the hypotheses that still run. */
  readonly earlyStopping?: EarlyStopping | undefined;

  /** Draws tokens instead of taking the best; `{}` draws as the server does by itself. */
  readonly sampling?: Sampling | undefined;

  /** The most probable tokens after the prefix, each continued greedily, as hypotheses. */
  readonly numAlternatives?: number | undefined;

  /** No n-gram of this many tokens occurs twice; 0 for off. */
  readonly noRepeatNgramSize?: number | undefined;

  /** Makes tokens that the translation already has less probable; 1 for off. */
  readonly repetitionPenalty?: number | undefined;

  /** Ends a translation whose last tokens are one block, so many times in a row; 0 for off. */
  readonly loopGuard?: number | undefined;

  /** Tokens that are never generated, as pieces of the model's vocabulary. */
  readonly suppressedTokens?: readonly string[] | undefined;

  /** What the translations begin with: a string for all of them, or an array with one a text. */
  readonly targetPrefix?: string | readonly string[] | undefined;

  /** Whether texts are pages, to be translated sentence by sentence. Not in streams. */
  readonly splitSentences?: boolean | undefined;

  /** How urgent the call is. */
  readonly priority?: Priority | undefined;

  /** Whether the best so far is wanted at the deadline, instead of a DeadlineError. */
  readonly partialAtDeadline?: boolean | undefined;

  /** Whether to answer hypotheses with their tokens and log-probabilities. */
  readonly scores?: boolean | undefined;

  /** Whether to answer hypotheses with their alignment. */
  readonly alignment?: boolean | undefined;
}
