/**
 * Every error that a call can end with, and the one table from gRPC status codes to them.
 *
 *     AttendantError               any other status; the base of all
 *     ├── InvalidRequestError      a field is wrong; the message names it and its limit
 *     │   └── TextsRefusedError    some texts are wrong; it has the translations of the others
 *     ├── UnauthenticatedError     no API key, or none that the server knows
 *     ├── PermissionDeniedError    the key may not do this
 *     ├── NotFoundError            no such model or language; the message names what exists
 *     ├── OverloadedError          the queue is full, or a limit of the key reached: try again later
 *     ├── DeadlineError            the call's deadline passed; its work has been stopped
 *     ├── UnavailableError         the server cannot be reached, is starting or is going down
 *     ├── CancelledError           the client was closed, or the server cancelled the call
 *     └── InternalError            the server failed, or answered what it should not have
 *
 * The message is the server's own, and `code` the status it came with. A call that an AbortSignal
 * ends rejects with the signal's reason, not with one of these.
 */

import { type ServiceError, status } from "@grpc/grpc-js";

import type { Translation } from "./translation.js";

/** Name of a gRPC status, such as "NOT_FOUND". */
export type StatusName = keyof typeof status;

/** A call that brought no answer. */
export class AttendantError extends Error {
  /** The status of an error that is made without one, such as one found before sending. */
  static readonly usualCode: StatusName = "UNKNOWN";

  /** The gRPC status that the call ended with. */
  readonly code: StatusName;

  /** `message` is for people, and `cause` gRPC's own error. */
  constructor(message: string, code?: StatusName, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code ?? new.target.usualCode;
  }

  static {
    // On the prototype, as the language's own errors have it: there the stack's first line finds it.
    this.prototype.name = "AttendantError";
  }
}

/** A field of the request is wrong. */
export class InvalidRequestError extends AttendantError {
  static override readonly usualCode: StatusName = "INVALID_ARGUMENT";

  /** The field, such as "texts[3]" or "options.beam_size", where the message names one. */
  readonly field = fieldOf(this.message);

  static {
    this.prototype.name = "InvalidRequestError";
  }
}

/** Some texts of a call are wrong; the others have been translated. */
export class TextsRefusedError extends InvalidRequestError {
  /** One for each text, in their order; those of the wrong ones have a `refusal`. */
  readonly translations: readonly Translation[];

  constructor(translations: readonly Translation[]) {
    const refusals = translations.flatMap(({ refusal }) => refusal ?? []);
    super(refusals.map(({ message }) => message).join("; "));
    this.translations = translations;
  }

  static {
    this.prototype.name = "TextsRefusedError";
  }
}

/** The server asks for an API key, and got none that it knows. */
export class UnauthenticatedError extends AttendantError {
  static override readonly usualCode: StatusName = "UNAUTHENTICATED";

  static {
    this.prototype.name = "UnauthenticatedError";
  }
}

/** The server knows who is calling, and does not allow it. */
export class PermissionDeniedError extends AttendantError {
  static override readonly usualCode: StatusName = "PERMISSION_DENIED";

  static {
    this.prototype.name = "PermissionDeniedError";
  }
}

/** The server has no such model or language. */
export class NotFoundError extends AttendantError {
  static override readonly usualCode: StatusName = "NOT_FOUND";

  /** The field, such as "target_language", where the message names one. */
  readonly field = fieldOf(this.message);

  static {
    this.prototype.name = "NotFoundError";
  }
}

/**
 * The server's waiting queue is full, or a limit of the API key is reached; the same request may
 * succeed later.
 */
export class OverloadedError extends AttendantError {
  static override readonly usualCode: StatusName = "RESOURCE_EXHAUSTED";

  /** In how many milliseconds, where the server says so. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, code?: StatusName, cause?: unknown, retryAfterMs?: number) {
    super(message, code, cause);
    this.retryAfterMs = retryAfterMs;
  }

  static {
    this.prototype.name = "OverloadedError";
  }
}

/** The call's deadline passed. */
export class DeadlineError extends AttendantError {
  static override readonly usualCode: StatusName = "DEADLINE_EXCEEDED";

  static {
    this.prototype.name = "DeadlineError";
  }
}

/** The server cannot be reached, is not ready yet or is going down. */
export class UnavailableError extends AttendantError {
  static override readonly usualCode: StatusName = "UNAVAILABLE";

  static {
    this.prototype.name = "UnavailableError";
  }
}

/** The call was cancelled, though not by its AbortSignal: the client was closed, or the server did. */
export class CancelledError extends AttendantError {
  static override readonly usualCode: StatusName = "CANCELLED";

  static {
    this.prototype.name = "CancelledError";
  }
}

/** The server failed, or gave an answer that does not fit the request. */
export class InternalError extends AttendantError {
  static override readonly usualCode: StatusName = "INTERNAL";

  static {
    this.prototype.name = "InternalError";
  }
}

/** The error that each status arrives as; one that is not listed arrives as AttendantError itself. */
const ERROR_BY_CODE: Partial<Record<StatusName, typeof AttendantError>> = {
  INVALID_ARGUMENT: InvalidRequestError,
  UNAUTHENTICATED: UnauthenticatedError,
  PERMISSION_DENIED: PermissionDeniedError,
  NOT_FOUND: NotFoundError,
  RESOURCE_EXHAUSTED: OverloadedError,
  DEADLINE_EXCEEDED: DeadlineError,
  UNAVAILABLE: UnavailableError,
  CANCELLED: CancelledError,
  INTERNAL: InternalError,
  UNKNOWN: InternalError,
  DATA_LOSS: InternalError,
};

/** The server's hint when to try again; gRPC's own name for it. */
const RETRY_HEADER = "grpc-retry-pushback-ms";

/** Part of gRPC's own words for a message over the transport's size limit, on either side. */
const TOO_LARGE = "message larger than max";

/** What gRPC's library rejects a call with, as the error of this tree that fits. */
export function errorFromRpc(error: ServiceError): AttendantError {
  const code = statusName(error.code);
  const message = error.details || `the call failed with ${code}`;
  // gRPC gives an oversized message the status of a full queue. Waiting would never help it.
  if (code === "RESOURCE_EXHAUSTED" && message.includes(TOO_LARGE)) {
    return new InvalidRequestError(message, code, error);
  }
  if (code === "RESOURCE_EXHAUSTED") {
    return new OverloadedError(message, code, error, retryAfterMs(error));
  }
  return new (ERROR_BY_CODE[code] ?? AttendantError)(message, code, error);
}

/** Name of a status by its number; UNKNOWN for a number that gRPC does not have. */
export function statusName(code: number): StatusName {
  return (status[code] as StatusName | undefined) ?? "UNKNOWN";
}

function retryAfterMs(error: ServiceError): number | undefined {
  const [value] = error.metadata?.get(RETRY_HEADER) ?? [];
  return typeof value === "string" && /^\d+$/.test(value) ? Number(value) : undefined;
}

/** "texts[3]" of "texts[3]: it has 6,000 characters". */
function fieldOf(message: string): string | undefined {
  return /^[a-z_]+(?:\[\d+\]|\.[a-z_]+)*(?=: )/i.exec(message)?.[0];
}
