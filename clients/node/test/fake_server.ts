/** A server that does what a test says: for what a real one cannot be made to show. */

import { Metadata, Server, ServerCredentials, type StatusObject } from "@grpc/grpc-js";

import type { TranslationServiceHandlers } from "../dist/generated/attendant/v1/TranslationService.js";
import { TranslationService } from "../dist/service.js";

/** A server that runs. */
export interface FakeServer {
  /** host:port. */
  readonly target: string;
  /** Ends it, and all calls with it. */
  stop(): void;
}

const unforeseen = () => {
  throw new Error("the test does not foresee this call");
};

/** Starts a server with these handlers on a free port. */
export async function startFake(
  handlers: Partial<TranslationServiceHandlers>,
): Promise<FakeServer> {
  const server = new Server();
  server.addService(TranslationService.service, {
    Translate: unforeseen,
    TranslateStream: unforeseen,
    ListModels: unforeseen,
    GetModel: unforeseen,
    Tokenize: unforeseen,
    Detokenize: unforeseen,
    ...handlers,
  });
  const port = await new Promise<number>((resolve, reject) => {
    const credentials = ServerCredentials.createInsecure();
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { target: `127.0.0.1:${port}`, stop: () => server.forceShutdown() };
}

/** A status to fail a call with. */
export function failure(code: number, details: string, hint?: string): Partial<StatusObject> {
  const metadata = new Metadata();
  if (hint !== undefined) metadata.set("grpc-retry-pushback-ms", hint);
  return { code, details, metadata };
}

/** A translation as the server sends it. */
export function translationMessage(text: string) {
  return { text, finishReason: "FINISH_REASON_STOP", sourceTokens: 3, targetTokens: 4 } as const;
}
