"""How a call that fails is answered: exceptions become status codes by one table."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import grpc

from server.errors import (
    AttendantError,
    DeadlineError,
    InvalidRequestError,
    LimitExceededError,
    MemoryBudgetError,
    NotFoundError,
    PackageError,
    PermissionDeniedError,
    QueueFullError,
    UnauthenticatedError,
    UnavailableError,
)
from server.log import request_id
from server.metrics import Metrics

logger = logging.getLogger(__name__)

STATUS_CODES: dict[type[AttendantError], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    QueueFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    LimitExceededError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    MemoryBudgetError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    PackageError: grpc.StatusCode.FAILED_PRECONDITION,
    DeadlineError: grpc.StatusCode.DEADLINE_EXCEEDED,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
}

INTERNAL_MESSAGE = "internal error; the server's log has the details"
"""And the request's id after it."""
RETRY_HEADER = "grpc-retry-pushback-ms"
"""gRPC's own name for when to try again; its clients obey it where they retry at all."""

Context = grpc.aio.ServicerContext[Any, Any]


def trailing_metadata(error: Exception | None = None) -> tuple[tuple[str, str], ...]:
    """What ends every call: its id and, where waiting helps, for how long."""
    trailing: tuple[tuple[str, str], ...] = (("x-request-id", request_id.get()),)
    if isinstance(error, LimitExceededError):
        trailing += ((RETRY_HEADER, str(max(1, round(error.retry_after_s * 1000)))),)
    return trailing


async def refuse(context: Context, error: Exception, metrics: Metrics) -> None:
    """Ends the call with the status of `error`, and counts it. Raises what ends the handler;
    quietly where the caller has gone meanwhile, as at a deadline that both sides notice at once.
    """
    code, message = _status(error)
    metrics.requests.labels("", code.name).inc()
    try:
        await context.abort(code, message, trailing_metadata(error))
    except grpc.aio.AbortError:
        raise
    except Exception as failure:  # gRPC's own, of a kind that it does not export
        raise asyncio.CancelledError from failure


def _status(error: Exception) -> tuple[grpc.StatusCode, str]:
    if isinstance(error, AttendantError):
        return STATUS_CODES[type(error)], str(error)
    logger.error("a call failed", exc_info=error)
    return grpc.StatusCode.INTERNAL, f"{INTERNAL_MESSAGE}, request {request_id.get()}"
