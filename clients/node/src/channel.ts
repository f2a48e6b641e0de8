/** How a client's connection behaves. Knows nothing of translation. */

import type { ChannelOptions } from "@grpc/grpc-js";

import { checkNames, namesOf } from "./names.js";
import { type TLS, tlsOptions } from "./security.js";

const FIRST_RECONNECT_MS = 100;
const LONGEST_RECONNECT_MS = 2_000;

/**
 * Pings that find a dead connection before a call's deadline does.
 *
 * Servers may refuse frequent pings, and close a connection that asks more often: Attendant's takes
 * one a minute unless told otherwise, gRPC's default is one in five.
 */
export interface KeepAlive {
  /** Milliseconds between pings; 300,000 where left out. */
  readonly intervalMs?: number | undefined;

  /** Milliseconds to wait for a ping's answer until the connection counts as dead; 20,000. */
  readonly timeoutMs?: number | undefined;

  /** Whether to ping while no call is running as well; no. */
  readonly withoutCalls?: boolean | undefined;
}

const KEEP_ALIVE_NAMES = namesOf<KeepAlive>({
  intervalMs: true,
  timeoutMs: true,
  withoutCalls: true,
});

/**
 * Returns gRPC's channel options for a client.
 *
 * gRPC's own pause before it connects again grows to two minutes: a server that is back would be
 * called unavailable for that long, so the pause is kept short.
 *
 * @throws RangeError, TypeError for a `keepAlive` that cannot be.
 */
export function channelOptions(
  keepAlive: KeepAlive | undefined,
  tls: TLS | undefined,
  hasKey: boolean,
): ChannelOptions {
  return {
    "grpc.initial_reconnect_backoff_ms": FIRST_RECONNECT_MS,
    "grpc.max_reconnect_backoff_ms": LONGEST_RECONNECT_MS,
    ...(keepAlive && keepAliveOptions(keepAlive)),
    ...(tls && tlsOptions(tls)),
    // A proxy that the environment names would see the key, even on its way to this machine.
    ...(hasKey && !tls && { "grpc.enable_http_proxy": 0 }),
  };
}

function keepAliveOptions(keepAlive: KeepAlive): ChannelOptions {
  checkNames("keepAlive", keepAlive, KEEP_ALIVE_NAMES);
  const { intervalMs = 300_000, timeoutMs = 20_000, withoutCalls = false } = keepAlive;
  for (const [name, ms] of Object.entries({ intervalMs, timeoutMs })) {
    if (!(ms > 0)) throw new RangeError(`keepAlive.${name}: must be above 0, not ${ms}`);
  }
  return {
    "grpc.keepalive_time_ms": intervalMs,
    "grpc.keepalive_timeout_ms": timeoutMs,
    "grpc.keepalive_permit_without_calls": withoutCalls ? 1 : 0,
  };
}
