/** Whom a client talks to, and who it is: by a real server with TLS and keys. */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import {
  Client,
  type ClientOptions,
  OverloadedError,
  UnauthenticatedError,
  UnavailableError,
} from "attendant";

import { channelOptions } from "../dist/channel.js";
import { isLoopback } from "../dist/security.js";
import { outputOf, pieces } from "./readme.js";
import { python, REPOSITORY, type RunningServer, startServer } from "./server.js";

const EN_DE = { sourceLanguage: "en", targetLanguage: "de" } as const;

const ISSUE = `
import sys
from pathlib import Path
from tests.certificates import Authority
authority = Authority(Path(sys.argv[1]))
authority.issue("server", "translator.example", "localhost")
authority.issue("client")
Authority(Path(sys.argv[1]), "stranger")
`;

let folder: string;
let server: RunningServer;
let apiKey: string;
let slowKey: string;

const file = (name: string) => join(folder, name);
const read = (name: string) => readFileSync(file(name));

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "attendant-"));
  execFileSync(python(), ["-c", ISSUE, folder], { cwd: REPOSITORY });
  apiKey = newKey("web");
  slowKey = newKey("slow", "requests_per_s = 1\nrequest_burst = 1\n");
  server = await startServer([...encrypted(), "--tls-client-ca", file("ca.pem")]);
});

after(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

/** Makes a key, and adds it with these limits to the server's file. */
function newKey(name: string, limits = ""): string {
  const made = spawnSync(python(), ["-m", "server.keys", "new", name], { cwd: REPOSITORY });
  appendFileSync(file("keys.toml"), `${made.stdout}${limits}`);
  return /: (\S+)\s*$/.exec(`${made.stderr}`)?.[1] ?? "";
}

function encrypted(): string[] {
  return [
    ...["--tls-certificate", file("server.crt"), "--tls-key", file("server.key")],
    ...["--api-keys", file("keys.toml")],
  ];
}

const tls = () => ({
  ca: read("ca.pem"),
  certificate: read("client.crt"),
  certificateKey: read("client.key").toString(),
  serverName: "translator.example",
});

async function translate(options: ClientOptions): Promise<string> {
  using client = new Client(server.target, { retries: false, ...options });
  return (await client.translate("A dog.", EN_DE)).text;
}

test("with TLS, a certificate and a key the server translates, call after call", async () => {
  using client = new Client(server.target, { tls: tls(), apiKey });
  assert.ok(await client.isServing());
  assert.equal((await client.listModels()).length, 1);
  const once = await client.translate("A dog.", EN_DE);
  assert.deepEqual(await client.translate("A dog.", EN_DE), once);
});

test("a call without a key, or with one that the server does not know, is refused", async () => {
  await assert.rejects(translate({ tls: tls() }), UnauthenticatedError);
  await assert.rejects(translate({ tls: tls(), apiKey: "att_stranger" }), UnauthenticatedError);
});

test("a limit of the key says when to come again, and is waited for", async () => {
  const call = (retries: ClientOptions["retries"]) =>
    translate({ tls: tls(), apiKey: slowKey, retries });
  const atOnce = await Promise.allSettled([call(false), call(false)]);
  const failed = atOnce.flatMap((end) => (end.status === "rejected" ? [end.reason] : []));
  assert.equal(failed.length, 1);
  const [error] = failed;
  assert.ok(error instanceof OverloadedError);
  assert.ok(error.retryAfterMs !== undefined && error.retryAfterMs > 0);
  assert.ok(error.retryAfterMs <= 1_000);
  assert.ok(await call({}));
});

test("a server is not talked to if it is not the one", async () => {
  const { certificate: _, certificateKey: __, ...noCertificate } = tls();
  const serverName = "other.example";
  await assert.rejects(translate({ tls: { ...tls(), serverName }, apiKey }), UnavailableError);
  await assert.rejects(translate({ tls: noCertificate, apiKey }), UnavailableError);
  const ca = read("stranger.pem");
  await assert.rejects(translate({ tls: { ...tls(), ca }, apiKey }), UnavailableError);
  await assert.rejects(translate({ apiKey }), UnavailableError);
  using client = new Client(server.target, { tls: { ...tls(), ca } });
  assert.equal(await client.isServing(), false);
});

test("the README's piece on TLS says whether the server serves", async () => {
  const server = await startServer(encrypted());
  const [piece] = pieces().filter(({ code }) => code.includes("ca.pem"));
  const port = server.target.split(":").at(-1) ?? "";
  const here = piece?.code.replace("attendant.example:50051", `localhost:${port}`);
  const env = { ...process.env, ATTENDANT_API_KEY: apiKey };
  assert.equal(await outputOf("readme-tls", here ?? "", { cwd: folder, env }), "true\n");
  await server.stop();
});

test("a key leaves this machine over TLS, or when that is said to be no harm", () => {
  const options = { apiKey: "att_key" };
  new Client("translator.example:50051", { ...options, tls: {} }).close();
  new Client("translator.example:50051", { ...options, allowPlaintextKey: true }).close();
  assert.throws(
    () => new Client("translator.example:50051", options),
    /^TypeError: apiKey: translator\.example:50051 is not on this machine and/,
  );
});

test("addresses of this machine are known, and no others", () => {
  const here = ["localhost:50051", "LOCALHOST", "127.0.0.1:1", "127.9.9.9", "[::1]:1", "::1"];
  here.push("[0:0:0:0:0:0:0:1]:1", "unix:/run/socket", "dns:localhost:1", "dns:///localhost:1");
  here.push("ipv4:127.0.0.1:1", "ipv6:[::1]:1");
  const elsewhere = [
    "translator.example:1",
    "10.0.0.1:1",
    "[::2]:1",
    "0.0.0.0:1",
    "",
    "[",
    "fe80::1%lo",
  ];
  elsewhere.push("dns://8.8.8.8/localhost:1", "ipv4:127.0.0.1:1,10.0.0.1:1", "localhost.example:1");
  elsewhere.push("127.0.0.1.example:1", "::1:50051", "localhost:1@example", "http://localhost:1");
  assert.deepEqual(
    here.filter((target) => !isLoopback(target)),
    [],
  );
  assert.deepEqual(elsewhere.filter(isLoopback), []);
});

test("a key in plain text passes no proxy", () => {
  assert.equal(channelOptions(undefined, undefined, true)["grpc.enable_http_proxy"], 0);
  assert.equal(channelOptions(undefined, {}, true)["grpc.enable_http_proxy"], undefined);
  assert.equal(channelOptions(undefined, undefined, false)["grpc.enable_http_proxy"], undefined);
});

test("pings are as asked for", () => {
  const keepAlive = { intervalMs: 60_000, withoutCalls: true };
  const options = channelOptions(keepAlive, undefined, false);
  assert.equal(options["grpc.keepalive_time_ms"], 60_000);
  assert.equal(options["grpc.keepalive_timeout_ms"], 20_000);
  assert.equal(options["grpc.keepalive_permit_without_calls"], 1);
  assert.throws(
    () => channelOptions({ intervalMs: 0 }, undefined, false),
    /keepAlive\.intervalMs: must/,
  );
});

test("what cannot be, or does not exist, is refused before a connection is made", () => {
  const refused: [unknown, RegExp][] = [
    [{ apiKey: "" }, /apiKey: must be printable/],
    [{ apiKey: "two words" }, /apiKey: must be printable/],
    [{ apiKey: "schlüssel" }, /apiKey: must be printable/],
    [{ tls: { ca: "ca.pem" } }, /tls\.ca: is not PEM/],
    [{ tls: { certificate: read("client.crt") } }, /one is given without the other/],
    [{ tls: { cert: "" } }, /tls: there is no cert/],
    [{ tls: false }, /tls: must be an object/],
    [{ tls: null, apiKey: "key" }, /tls: must be an object/],
    [{ TLS: {} }, /options: there is no TLS/],
    [{ timeoutMs: 0 }, /RangeError: timeoutMs: must be above 0/],
    [{ keepAlive: { interval: 1 } }, /keepAlive: there is no interval/],
    ["key", /options: must be an object/],
  ];
  for (const [options, message] of refused) {
    assert.throws(() => new Client("localhost:1", options as ClientOptions), message);
  }
});
