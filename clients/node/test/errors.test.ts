/** The table from status codes to errors. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import * as attendant from "attendant";

import { errorFromRpc, statusName } from "../dist/errors.js";

function rpcError(code: status, details: string): ServiceError {
  return Object.assign(new Error(details), { code, details, metadata: new Metadata() });
}

const KINDS: Record<string, string> = {
  INVALID_ARGUMENT: "InvalidRequestError",
  UNAUTHENTICATED: "UnauthenticatedError",
  PERMISSION_DENIED: "PermissionDeniedError",
  NOT_FOUND: "NotFoundError",
  RESOURCE_EXHAUSTED: "OverloadedError",
  DEADLINE_EXCEEDED: "DeadlineError",
  UNAVAILABLE: "UnavailableError",
  CANCELLED: "CancelledError",
  INTERNAL: "InternalError",
  UNKNOWN: "InternalError",
  DATA_LOSS: "InternalError",
};

test("every status arrives with its name and the server's words", () => {
  const codes = Object.values(status).filter((code) => typeof code === "number" && code > 0);
  assert.equal(codes.length, 16);
  for (const code of codes as status[]) {
    const rpc = rpcError(code, "the server's words");
    const error = errorFromRpc(rpc);
    assert.equal(error.name, KINDS[statusName(code)] ?? "AttendantError");
    assert.equal(error.constructor.name, error.name);
    assert.equal(error.constructor, attendant[error.name as keyof typeof attendant]);
    assert.ok(error instanceof attendant.AttendantError && error instanceof Error);
    assert.deepEqual([error.code, error.message], [statusName(code), "the server's words"]);
    assert.equal(error.cause, rpc);
  }
});

test("errors made before sending have the status that fits", () => {
  assert.equal(new attendant.InvalidRequestError("wrong").code, "INVALID_ARGUMENT");
  assert.equal(new attendant.UnavailableError("gone").code, "UNAVAILABLE");
  assert.equal(new attendant.AttendantError("odd").code, "UNKNOWN");
});

test("a status without words, or without a name, still has a message", () => {
  assert.equal(errorFromRpc(rpcError(status.ABORTED, "")).message, "the call failed with ABORTED");
  assert.equal(errorFromRpc(rpcError(77 as status, "")).message, "the call failed with UNKNOWN");
});

test("the field is what stands in front of the colon", () => {
  const fieldOf = (message: string) => new attendant.InvalidRequestError(message).field;
  assert.equal(fieldOf("texts[12]: it has 6,000 characters"), "texts[12]");
  assert.equal(fieldOf("options.sampling.top_p: it is 2"), "options.sampling.top_p");
  assert.equal(fieldOf("beam_size and sampling exclude each other: choose"), undefined);
  assert.equal(fieldOf("no field"), undefined);
});
