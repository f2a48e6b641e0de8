/**
 * When a call that failed is made again: translating twice does no harm, so wherever waiting can
 * help. Knows nothing of translation.
 */

import { OverloadedError, UnavailableError } from "./errors.js";
import { checkNames, namesOf } from "./names.js";
import { type Signals, sleep } from "./signals.js";

/**
 * How often, and after which pauses, a call is made again.
 *
 * A pause is drawn evenly between half and all of `firstPauseMs * 2 ** n`, n counting the pauses
 * before, or of `longestPauseMs` where that is less. Where the server's hint is longer than the half,
 * it begins there.
 */
export interface Retries {
  /** How often after the first time; 3 where left out. */
  readonly maxRetries?: number | undefined;

  /** Milliseconds of the first pause; 100. */
  readonly firstPauseMs?: number | undefined;

  /** Milliseconds that a pause grows to; 5,000. */
  readonly longestPauseMs?: number | undefined;
}

const RETRIES_NAMES = namesOf<Retries>({
  maxRetries: true,
  firstPauseMs: true,
  longestPauseMs: true,
});

/** `Retries` with nothing left out. */
export type RetryPolicy = { readonly [name in keyof Retries]-?: number };

/**
 * Returns the policy that the caller asks for.
 *
 * @throws RangeError, TypeError for one that cannot be.
 */
export function retryPolicy(retries: Retries | false = {}): RetryPolicy {
  if (retries === false) return { maxRetries: 0, firstPauseMs: 0, longestPauseMs: 0 };
  checkNames("retries", retries, RETRIES_NAMES);
  const { maxRetries = 3, firstPauseMs = 100, longestPauseMs = 5_000 } = retries;
  const policy = { maxRetries, firstPauseMs, longestPauseMs };
  for (const [name, value] of Object.entries(policy)) {
    if (!(value >= 0)) throw new RangeError(`retries.${name}: must be at least 0, not ${value}`);
  }
  return policy;
}

/** The retries of one call. */
export class RetryState {
  readonly #policy: RetryPolicy;
  readonly #deadline: number;
  readonly #signals: Signals;
  #numRetries = 0;

  /** `deadline` is the call's, in milliseconds since the epoch. */
  constructor(policy: RetryPolicy, deadline: number, signals: Signals) {
    this.#policy = policy;
    this.#deadline = deadline;
    this.#signals = signals;
  }

  /**
   * Returns when the call may be made again.
   *
   * @throws `error` itself where that would not help, or not in time: what the server said is worth
   * more than that a deadline passed.
   */
  async pauseOrThrow(error: unknown): Promise<void> {
    const pauseMs = pauseBefore(this.#numRetries, error, this.#policy);
    if (pauseMs === undefined || Date.now() + pauseMs >= this.#deadline) throw error;
    await sleep(pauseMs, this.#signals);
    this.#numRetries += 1;
  }
}

/**
 * Returns the milliseconds to wait before a call that failed with `error` is made again after
 * `numRetries` retries; undefined if it should not be.
 */
export function pauseBefore(
  numRetries: number,
  error: unknown,
  policy: RetryPolicy,
): number | undefined {
  const hintMs = hintOf(error);
  if (hintMs === undefined || numRetries >= policy.maxRetries) return undefined;
  const grownMs = policy.firstPauseMs * 2 ** Math.min(numRetries, MAX_DOUBLINGS);
  const halfMs = Math.min(grownMs, policy.longestPauseMs) / 2;
  // Clients that failed together should not come back together.
  return Math.max(hintMs, halfMs) + Math.random() * halfMs;
}

/** Far beyond any pause, and within what a number holds. */
const MAX_DOUBLINGS = 40;

/** The least pause that the server asks for, in milliseconds; undefined where waiting is no help. */
function hintOf(error: unknown): number | undefined {
  if (error instanceof OverloadedError) return error.retryAfterMs;
  return error instanceof UnavailableError ? 0 : undefined;
}
