"""The standard health service, grpc.health.v1, as both clients ask it. Sends nothing itself."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from attendant.errors import UnavailableError

CheckRequest: TypeAlias = health_pb2.HealthCheckRequest
CheckResponse: TypeAlias = health_pb2.HealthCheckResponse
HealthStub = health_pb2_grpc.HealthStub

CHECK_TIMEOUT_S = 5.0
"""How long a single check may take: one that hangs is as good as a refusal."""

_PAUSE_S = 0.05
_NOT_SERVING_CODES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.NOT_FOUND,
    }
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One check of several while waiting for a server."""

    timeout_s: float
    """How long the check may take."""

    pause_s: float
    """How long to wait after it, should it fail."""


def is_serving(response: CheckResponse) -> bool:
    """Whether an answer of the health service says that the server takes requests."""
    return bool(response.status == CheckResponse.SERVING)


def means_not_serving(error: grpc.RpcError) -> bool:
    """Whether a failed check is an answer: nobody there, no answer in time, or not known yet."""
    return error.code() in _NOT_SERVING_CODES


def attempts(timeout_s: float) -> Iterator[Attempt]:
    """Yields checks to make, at least one, until the time is over."""
    end_s = time.monotonic() + timeout_s
    left_s = timeout_s
    while True:
        yield Attempt(max(min(left_s, CHECK_TIMEOUT_S), _PAUSE_S), _PAUSE_S)
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            return


def never_served(target: str, timeout_s: float) -> UnavailableError:
    """Returns the error for a server that did not come up in time."""
    return UnavailableError(f"{target} was not serving within {timeout_s:g} s")
