/** One call through gRPC's library, as a promise or an iterator that AbortSignals can end. */

import type {
  ClientReadableStream,
  ClientUnaryCall,
  requestCallback,
  ServiceError,
} from "@grpc/grpc-js";

import { errorFromRpc } from "./errors.js";
import { onAbort, type Signals, throwIfAborted } from "./signals.js";

/**
 * Makes a call that has one answer.
 *
 * @param start - Begins it and returns it; calls back when it has ended.
 * @throws AttendantError, or the reason of the signal that ended it.
 */
export async function unary<Answer>(
  start: (done: requestCallback<Answer>) => ClientUnaryCall,
  signals: Signals,
): Promise<Answer> {
  throwIfAborted(signals);
  let release = (): void => {};
  try {
    return await new Promise<Answer>((resolve, reject) => {
      const call = start((error, answer) => (error ? reject(error) : resolve(answer as Answer)));
      release = onAbort(signals, (reason) => {
        call.cancel();
        reject(reason);
      });
    });
  } catch (error) {
    throwIfAborted(signals);
    // Made here rather than where gRPC calls back, for its stack to lead to the caller.
    throw errorFromRpc(error as ServiceError);
  } finally {
    release();
  }
}

/**
 * Makes a call that is answered by a stream; to leave the iterator early cancels it.
 *
 * @param start - Begins it and returns it.
 * @throws AttendantError, or the reason of the signal that ended it.
 */
export async function* stream<Message>(
  start: () => ClientReadableStream<Message>,
  signals: Signals,
): AsyncGenerator<Message, void, void> {
  throwIfAborted(signals);
  const call = start();
  // The iteration tells of errors. One that comes after its end would end the process, but for a
  // listener that today's Node happens to leave behind.
  call.on("error", () => {});
  const release = onAbort(signals, () => {
    call.cancel();
    call.destroy(new Error("aborted"));
  });
  try {
    yield* call as AsyncIterable<Message>;
  } catch (error) {
    throwIfAborted(signals);
    throw errorFromRpc(error as ServiceError);
  } finally {
    release();
    call.cancel();
  }
}
