"""How a client's connection behaves. Knows nothing of translation."""

import json
from dataclasses import dataclass

from attendant.security import TLS

_BALANCED = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})
_FIRST_RECONNECT_MS = 100
_LONGEST_RECONNECT_MS = 2_000


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Pings that find a dead connection before a call's deadline does.

    Servers may refuse frequent pings, and close a connection that asks more often: Attendant's
    takes one a minute unless told otherwise, gRPC's default is one in five.
    """

    interval_s: float = 300.0
    """Seconds between pings."""

    timeout_s: float = 20.0
    """Seconds to wait for a ping's answer before the connection counts as dead."""

    without_calls: bool = False
    """Whether to ping while no call is running as well."""

    def __post_init__(self) -> None:
        for name, seconds in (("interval_s", self.interval_s), ("timeout_s", self.timeout_s)):
            if not seconds > 0:
                raise ValueError(f"{name}: must be above 0, not {seconds}")


def channel_options(
    keep_alive: KeepAlive | None, tls: TLS | None = None, has_key: bool = False
) -> list[tuple[str, int | str]]:
    """Returns gRPC's channel arguments for a client.

    Calls take turns between all addresses that the target has, those that can be reached.
    gRPC's own pause before it connects again grows to two minutes: a server that is back would be
    called unavailable for that long, so the pause is kept short.
    """
    options: list[tuple[str, int | str]] = [
        ("grpc.service_config", _BALANCED),
        ("grpc.initial_reconnect_backoff_ms", _FIRST_RECONNECT_MS),
        ("grpc.max_reconnect_backoff_ms", _LONGEST_RECONNECT_MS),
    ]
    if keep_alive is not None:
        options += [
            ("grpc.keepalive_time_ms", round(keep_alive.interval_s * 1000)),
            ("grpc.keepalive_timeout_ms", round(keep_alive.timeout_s * 1000)),
            ("grpc.keepalive_permit_without_calls", int(keep_alive.without_calls)),
        ]
    if tls is not None:
        options += tls.channel_options()
    elif has_key:
        # A proxy that the environment names would see the key, even on its way to this machine.
        options += [("grpc.enable_http_proxy", 0)]
    return options
