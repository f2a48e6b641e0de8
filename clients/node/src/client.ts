/** The client. What to send and how to read the answer is in `request`, `response` and `health`. */

import {
  type CallOptions as RpcOptions,
  type ClientUnaryCall,
  Metadata,
  type requestCallback,
} from "@grpc/grpc-js";

import { stream, unary } from "./call.js";
import { channelOptions, type KeepAlive } from "./channel.js";
import { CancelledError, InternalError, InvalidRequestError } from "./errors.js";
import type { GetModelResponse__Output } from "./generated/attendant/v1/GetModelResponse.js";
import type { ListModelsResponse__Output } from "./generated/attendant/v1/ListModelsResponse.js";
import type { TranslateResponse__Output } from "./generated/attendant/v1/TranslateResponse.js";
import type { TranslationServiceClient } from "./generated/attendant/v1/TranslationService.js";
import type { HealthClient } from "./generated/grpc/health/v1/Health.js";
import type { HealthCheckResponse__Output } from "./generated/grpc/health/v1/HealthCheckResponse.js";
import { CHECK_PAUSE_MS, CHECK_TIMEOUT_MS, meansNotServing, neverServed } from "./health.js";
import type { Model } from "./model.js";
import { checkNames, namesOf } from "./names.js";
import type { Options } from "./options.js";
import { buildRequest, buildStreamRequest, encodable } from "./request.js";
import { parseModel, parsePart, parseResponse } from "./response.js";
import { type Retries, type RetryPolicy, retryPolicy, RetryState } from "./retry.js";
import { channelCredentials, keyMetadata, type TLS } from "./security.js";
import { Health, TranslationService } from "./service.js";
import { type Signals, sleep } from "./signals.js";
import type { Translation, TranslationPart } from "./translation.js";

/** How a client connects and calls. */
export interface ClientOptions {
  /** Milliseconds that a call may take which names no other limit; 30,000, and Infinity for none. */
  readonly timeoutMs?: number | undefined;

  /** Pings that find a dead connection; left out, none. */
  readonly keepAlive?: KeepAlive | undefined;

  /** How to encrypt the connection, `{}` for Node's own authorities; left out, it is plain text. */
  readonly tls?: TLS | undefined;

  /** Who is calling, where the server asks. */
  readonly apiKey?: string | undefined;

  /** Whether the key may be sent to another machine without TLS; no. */
  readonly allowPlaintextKey?: boolean | undefined;

  /** How often a call is made again where waiting can help; false for never. */
  readonly retries?: Retries | false | undefined;
}

const CLIENT_OPTION_NAMES = namesOf<ClientOptions>({
  timeoutMs: true,
  keepAlive: true,
  tls: true,
  apiKey: true,
  allowPlaintextKey: true,
  retries: true,
});

/** What every call takes. */
export interface CallOptions {
  /** Milliseconds that it may take, retries included; left out, the client's. */
  readonly timeoutMs?: number | undefined;

  /** Ends the call, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const CALL_OPTION_NAMES = namesOf<CallOptions>({ timeoutMs: true, signal: true });

/** From which language into which, with what, and how. */
export interface TranslateOptions extends CallOptions {
  /** Language of the text, a code such as "en". */
  readonly sourceLanguage: string;

  /** Language to translate into, a code such as "de". */
  readonly targetLanguage: string;

  /** Name of the model; may be left out where the server has only one. */
  readonly model?: string | undefined;

  /** How to translate; left out, the server's own ways. */
  readonly options?: Options | undefined;
}

const TRANSLATE_OPTION_NAMES = namesOf<TranslateOptions>({
  sourceLanguage: true,
  targetLanguage: true,
  model: true,
  options: true,
  timeoutMs: true,
  signal: true,
});

const TIMEOUT_MS = 30_000;

/**
 * A connection to one server, for any number of calls at a time.
 *
 * ```js
 * const client = new Client("localhost:50051");
 * const { text } = await client.translate("A dog.", { sourceLanguage: "en", targetLanguage: "de" });
 * ```
 *
 * Every method that calls rejects with an `AttendantError`, or the one of its kinds that fits (see
 * errors.ts); with the reason of its AbortSignal; or with a TypeError or RangeError for arguments
 * that no server would understand.
 */
export class Client {
  readonly #target: string;
  readonly #timeoutMs: number;
  readonly #retries: RetryPolicy;
  readonly #metadata: Metadata;
  readonly #service: TranslationServiceClient;
  readonly #health: HealthClient;
  readonly #closing = new AbortController();

  /**
   * Connects lazily: the first call does.
   *
   * @param target - The server, "host:port" or any other name that gRPC resolves.
   * @throws TypeError for an option that does not exist or cannot be, and for a key that could be
   * read on its way; RangeError for a number that is out of its range.
   */
  constructor(target: string, options: ClientOptions = {}) {
    checkNames("options", options, CLIENT_OPTION_NAMES);
    const { timeoutMs = TIMEOUT_MS, keepAlive, tls, apiKey, allowPlaintextKey = false } = options;
    this.#target = target;
    this.#timeoutMs = checkedTimeout(timeoutMs);
    this.#retries = retryPolicy(options.retries);
    this.#metadata = keyMetadata(apiKey, target, tls, allowPlaintextKey);
    const credentials = channelCredentials(tls);
    const channel = channelOptions(keepAlive, tls, apiKey !== undefined);
    this.#service = new TranslationService(target, credentials, channel);
    this.#health = new Health(target, credentials, { channelOverride: this.#service.getChannel() });
  }

  /**
   * Translates a text: a sentence or, with `options.splitSentences`, a paragraph or a page.
   *
   * @returns Its translation.
   * @throws AttendantError, or the one of its kinds that fits.
   */
  translate(text: string, how: TranslateOptions): Promise<Translation>;

  /**
   * Translates several texts in one call. None at all are answered without a call.
   *
   * @returns One translation for each text, in their order.
   * @throws TextsRefusedError if some are wrong: it has the others' translations. AttendantError, or
   * the one of its kinds that fits, if none could be translated.
   */
  translate(texts: readonly string[], how: TranslateOptions): Promise<Translation[]>;

  async translate(
    text: string | readonly string[],
    how: TranslateOptions,
  ): Promise<Translation | Translation[]> {
    checkNames("options", how, TRANSLATE_OPTION_NAMES);
    if (typeof text !== "string" && !Array.isArray(text)) {
      throw new InvalidRequestError("texts: must be a string or an array of strings");
    }
    const texts = typeof text === "string" ? [text] : (text as readonly string[]);
    const request = buildRequest(texts, how);
    if (texts.length === 0) return [];
    const response = await this.#call<TranslateResponse__Output>(how, (options, done) =>
      this.#service.translate(request, this.#metadata, options, done),
    );
    const translations = parseResponse(response, texts);
    return typeof text === "string" ? (translations[0] as Translation) : translations;
  }

  /**
   * Translates a text and yields it as it grows; the last part has the whole translation.
   *
   * The call begins when the first part is asked for. To leave the iteration early, with `break` or
   * `return`, cancels it. The limit of time is that of the whole stream; it is made again, where
   * that can help, only as long as it has yielded nothing.
   *
   * @throws AttendantError, or the one of its kinds that fits, from the iterator.
   */
  async *translateStream(
    text: string,
    how: TranslateOptions,
  ): AsyncGenerator<TranslationPart, void, void> {
    checkNames("options", how, TRANSLATE_OPTION_NAMES);
    const request = buildStreamRequest(text, how);
    const { options, signals, retry } = this.#begin(how);
    for (;;) {
      let last: TranslationPart | undefined;
      try {
        const start = () => this.#service.translateStream(request, this.#metadata, options);
        for await (const message of stream(start, signals)) {
          last = parsePart(message, text);
          yield last;
        }
        return checkEnd(last);
      } catch (error) {
        if (last !== undefined) throw error;
        await retry.pauseOrThrow(error);
      }
    }
  }

  /**
   * Tells of every model of the server, loaded or not, in the order of their names.
   *
   * @throws AttendantError, or the one of its kinds that fits.
   */
  async listModels(how: CallOptions = {}): Promise<Model[]> {
    checkNames("options", how, CALL_OPTION_NAMES);
    const { models } = await this.#call<ListModelsResponse__Output>(how, (options, done) =>
      this.#service.listModels({}, this.#metadata, options, done),
    );
    return models.map(parseModel);
  }

  /**
   * Tells of one model: its languages, limits and defaults.
   *
   * @param model - Its name; may be left out where the server has only one.
   * @throws NotFoundError if there is none of that name; AttendantError, or the one of its kinds
   * that fits.
   */
  async getModel(model = "", how: CallOptions = {}): Promise<Model> {
    checkNames("options", how, CALL_OPTION_NAMES);
    const request = { model: encodable("model", model) };
    const answer = await this.#call<GetModelResponse__Output>(how, (options, done) =>
      this.#service.getModel(request, this.#metadata, options, done),
    );
    if (!answer.model) throw new InternalError("the server answered without the model");
    return parseModel(answer.model);
  }

  /**
   * Whether the server can be reached and says that it takes requests. Waits 5 s for the answer,
   * unless `timeoutMs` says otherwise.
   *
   * @throws AttendantError if the answer is neither yes nor no, as from a server without health.
   */
  async isServing(how: CallOptions = {}): Promise<boolean> {
    checkNames("options", how, CALL_OPTION_NAMES);
    const { timeoutMs = CHECK_TIMEOUT_MS, signal } = how;
    const { options, signals } = this.#begin({ timeoutMs, signal });
    try {
      const { status } = await unary<HealthCheckResponse__Output>(
        (done) => this.#health.check({}, new Metadata(), options, done),
        signals,
      );
      return status === "SERVING";
    } catch (error) {
      if (meansNotServing(error)) return false;
      throw error;
    }
  }

  /**
   * Returns as soon as the server takes requests.
   *
   * @throws UnavailableError if it did not within `timeoutMs`.
   */
  async waitUntilServing(how: CallOptions = {}): Promise<void> {
    checkNames("options", how, CALL_OPTION_NAMES);
    const { signals, options } = this.#begin(how);
    for (;;) {
      const leftMs = Math.max(options.deadline - Date.now(), CHECK_PAUSE_MS);
      const timeoutMs = Math.min(leftMs, CHECK_TIMEOUT_MS);
      if (await this.isServing({ timeoutMs, signal: how.signal })) return;
      if (Date.now() >= options.deadline) {
        throw neverServed(this.#target, how.timeoutMs ?? this.#timeoutMs);
      }
      await sleep(CHECK_PAUSE_MS, signals);
    }
  }

  /** Closes the connection; calls still running, and those made later, end with a CancelledError. */
  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new CancelledError("the client is closed"));
    this.#service.close();
  }

  /** Closes the client at the end of the block that it was declared in with `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** What ends a call, in time and before; the time counts from now. */
  #begin({ timeoutMs, signal }: CallOptions): RunningCall {
    const ms = timeoutMs === undefined ? this.#timeoutMs : checkedTimeout(timeoutMs);
    const deadline = Date.now() + ms;
    const signals = [this.#closing.signal, ...(signal ? [signal] : [])];
    return {
      options: { deadline },
      signals,
      retry: new RetryState(this.#retries, deadline, signals),
    };
  }

  /** Makes a call that has one answer, again where that can help. */
  async #call<Answer>(
    how: CallOptions,
    start: (options: RpcOptions, done: requestCallback<Answer>) => ClientUnaryCall,
  ): Promise<Answer> {
    const { options, signals, retry } = this.#begin(how);
    for (;;) {
      try {
        return await unary<Answer>((done) => start(options, done), signals);
      } catch (error) {
        await retry.pauseOrThrow(error);
      }
    }
  }
}

interface RunningCall {
  readonly options: { readonly deadline: number };
  readonly signals: Signals;
  readonly retry: RetryState;
}

function checkedTimeout(timeoutMs: number): number {
  if (!(timeoutMs > 0)) {
    throw new RangeError(`timeoutMs: must be above 0, and Infinity for none, not ${timeoutMs}`);
  }
  return timeoutMs;
}

function checkEnd(last: TranslationPart | undefined): void {
  if (last?.translation === undefined) {
    throw new InternalError("the server ended the stream without the translation");
  }
}
