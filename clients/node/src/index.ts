/** Translates text with an Attendant server: see `Client`. */

export type { KeepAlive } from "./channel.js";
export { Client, type CallOptions, type ClientOptions, type TranslateOptions } from "./client.js";
export {
  AttendantError,
  CancelledError,
  DeadlineError,
  InternalError,
  InvalidRequestError,
  NotFoundError,
  OverloadedError,
  PermissionDeniedError,
  TextsRefusedError,
  UnauthenticatedError,
  UnavailableError,
  type StatusName,
} from "./errors.js";
export type { Evidence, Model, ModelDefaults, ModelState } from "./model.js";
export type { EarlyStopping, Options, Priority, Sampling } from "./options.js";
export type { Retries } from "./retry.js";
export type { TLS } from "./security.js";
export type {
  Alignment,
  FinishReason,
  Hypothesis,
  Refusal,
  Span,
  Token,
  TokenLink,
  TranslatedSentence,
  Translation,
  TranslationPart,
} from "./translation.js";
