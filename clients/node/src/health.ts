/** How the answers of the standard health service, grpc.health.v1, are read. Sends nothing itself. */

import { AttendantError, type StatusName, UnavailableError } from "./errors.js";

/** How many milliseconds a single check may take: one that hangs is as good as a refusal. */
export const CHECK_TIMEOUT_MS = 5_000;

/** Milliseconds between two checks while a server is waited for. */
export const CHECK_PAUSE_MS = 50;

const NOT_SERVING: ReadonlySet<StatusName> = new Set([
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
]);

/** Whether a failed check is an answer: nobody there, no answer in time, or not known yet. */
export function meansNotServing(error: unknown): boolean {
  return error instanceof AttendantError && NOT_SERVING.has(error.code);
}

/** Returns the error for a server that did not come up in time. */
export function neverServed(target: string, timeoutMs: number): UnavailableError {
  return new UnavailableError(`${target} was not serving within ${timeoutMs} ms`);
}
