/** TLS and keys: whom a client talks to, and who it is. Knows nothing of translation. */

import { BlockList, isIP } from "node:net";

import { type ChannelOptions, credentials, type ChannelCredentials, Metadata } from "@grpc/grpc-js";

import { checkNames, namesOf } from "./names.js";

/** Encrypts the connection and checks the server's certificate. All are PEM, as a file has it. */
export interface TLS {
  /** The authorities to trust; left out, those that Node brings. */
  readonly ca?: string | Uint8Array | undefined;

  /** The client's own certificate, for servers that ask for one (mutual TLS). */
  readonly certificate?: string | Uint8Array | undefined;

  /** The private key of `certificate`. */
  readonly certificateKey?: string | Uint8Array | undefined;

  /** The name that the server's certificate is for, where the target has another. */
  readonly serverName?: string | undefined;
}

const TLS_NAMES = namesOf<TLS>({
  ca: true,
  certificate: true,
  certificateKey: true,
  serverName: true,
});

/**
 * Returns gRPC's credentials, those of plain text where there is no `tls`.
 *
 * @throws TypeError for what is not PEM, or half a pair.
 */
export function channelCredentials(tls: TLS | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  checkNames("tls", tls, TLS_NAMES);
  if ((tls.certificate === undefined) !== (tls.certificateKey === undefined)) {
    throw new TypeError("tls: certificate and certificateKey: one is given without the other");
  }
  return credentials.createSsl(
    pem("tls.ca", tls.ca),
    pem("tls.certificateKey", tls.certificateKey),
    pem("tls.certificate", tls.certificate),
  );
}

/** Returns gRPC's channel options for `tls`. */
export function tlsOptions(tls: TLS): ChannelOptions {
  return tls.serverName === undefined ? {} : { "grpc.ssl_target_name_override": tls.serverName };
}

function pem(where: string, content: string | Uint8Array | undefined): Buffer | null {
  if (content === undefined) return null;
  const bytes = Buffer.from(content);
  if (!bytes.includes("-----BEGIN ")) {
    throw new TypeError(`${where}: is not PEM; give what the file has, not its name`);
  }
  return bytes;
}

/**
 * Returns what a call carries to show its key, where there is one.
 *
 * @throws TypeError if it is none, or could be read on its way and that was not allowed.
 */
export function keyMetadata(
  apiKey: string | undefined,
  target: string,
  tls: TLS | undefined,
  allowPlaintextKey: boolean,
): Metadata {
  const metadata = new Metadata();
  if (apiKey === undefined) return metadata;
  if (typeof apiKey !== "string" || !/^[!-~]+$/.test(apiKey)) {
    throw new TypeError("apiKey: must be printable ASCII without spaces");
  }
  if (tls === undefined && !allowPlaintextKey && !isLoopback(target)) {
    throw new TypeError(
      `apiKey: ${target} is not on this machine and the connection is not encrypted, so the key ` +
        "could be read on its way; use tls, or allowPlaintextKey where that is no harm",
    );
  }
  metadata.set("authorization", `Bearer ${apiKey}`);
  return metadata;
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/** Whether calls to `target` surely stay on this machine; of names only localhost does. */
export function isLoopback(target: string): boolean {
  const [, scheme, rest = ""] = /^(unix|dns|ipv4|ipv6):(.*)$/.exec(target) ?? [];
  if (scheme === "unix") return true;
  // What a name server of the target's own says of localhost is not known.
  const host = hostOf(scheme === undefined ? target : rest.replace(/^\/\/\//, ""));
  const family = isIP(host);
  if (family !== 0) return LOOPBACK.check(host, family === 4 ? "ipv4" : "ipv6");
  return host.toLowerCase() === "localhost";
}

/** "::1" of "[::1]:50051" and of "::1"; "localhost" of "localhost:50051" and of "localhost". */
function hostOf(address: string): string {
  const found = /^\[(.*)\](?::\d+)?$/.exec(address) ?? /^([^:]*)(?::\d+)?$/.exec(address);
  return found?.[1] ?? address;
}
