/** AbortSignals, any of which ends what is being done. */

import { setMaxListeners } from "node:events";

/** What ends a call: the caller's signal, and the client's own when it is closed. */
export type Signals = readonly AbortSignal[];

/** Throws the reason of the first of `signals` that has aborted, if one has. */
export function throwIfAborted(signals: Signals): void {
  for (const signal of signals) signal.throwIfAborted();
}

/**
 * Calls `stop` with the reason when one of `signals` aborts. The function that is returned ends the
 * waiting; without it the signals would keep all that was ever done under them.
 */
export function onAbort(signals: Signals, stop: (reason: unknown) => void): () => void {
  // Any number of calls may share a signal; Node would warn of a leak at the eleventh.
  setMaxListeners(0, ...signals);
  const listeners = signals.map((signal) => [signal, () => stop(signal.reason)] as const);
  for (const [signal, listener] of listeners) signal.addEventListener("abort", listener);
  return () => {
    for (const [signal, listener] of listeners) signal.removeEventListener("abort", listener);
  };
}

/** Waits `ms` milliseconds. Rejects with the reason as soon as one of `signals` aborts. */
export function sleep(ms: number, signals: Signals): Promise<void> {
  return new Promise((resolve, reject) => {
    throwIfAborted(signals);
    const timer = setTimeout(() => {
      release();
      resolve();
    }, ms);
    const release = onAbort(signals, (reason) => {
      clearTimeout(timer);
      release();
      reject(reason);
    });
  });
}
