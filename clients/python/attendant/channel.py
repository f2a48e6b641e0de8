"""How a client's connection behaves. Knows nothing of translation."""

from dataclasses import dataclass

_FIRST_RECONNECT_MS = 100
_LONGEST_RECONNECT_MS = 2_000


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Pings that find a dead connection before a call's deadline does.

    Servers may refuse frequent pings: gRPC's default is one in five minutes, and a connection that
    asks more often is closed.
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


def channel_options(keep_alive: KeepAlive | None) -> list[tuple[str, int]]:
    """Returns gRPC's channel arguments for a client.

    gRPC's own pause before it connects again grows to two minutes: a server that is back would be
    called unavailable for that long, so the pause is kept short.
    """
    options = [
        ("grpc.initial_reconnect_backoff_ms", _FIRST_RECONNECT_MS),
        ("grpc.max_reconnect_backoff_ms", _LONGEST_RECONNECT_MS),
    ]
    if keep_alive is not None:
        options += [
            ("grpc.keepalive_time_ms", round(keep_alive.interval_s * 1000)),
            ("grpc.keepalive_timeout_ms", round(keep_alive.timeout_s * 1000)),
            ("grpc.keepalive_permit_without_calls", int(keep_alive.without_calls)),
        ]
    return options
