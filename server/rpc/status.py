"""How a call that fails is answered: exceptions become status codes by one table."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import grpc

from server.errors import (
    AttendantError,
    ConfigError,
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
    UnsupportedError,
)
from server.log import request_id

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
    ConfigError: grpc.StatusCode.FAILED_PRECONDITION,
    DeadlineError: grpc.StatusCode.DEADLINE_EXCEEDED,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
    UnsupportedError: grpc.StatusCode.UNIMPLEMENTED,
}

INTERNAL_MESSAGE = "internal error; the server's log has the details"
"""And the request's id after it."""
RETRY_HEADER = "grpc-retry-pushback-ms"
"""gRPC's own name for when to try again; its clients obey it where they retry at all."""

Context = grpc.aio.ServicerContext[Any, Any]


class StatusError(Exception):
    """What a caller is told of a failure."""

    def __init__(
        self, code: grpc.StatusCode, message: str, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        """When to try again, where waiting helps."""


def status_of(error: Exception) -> StatusError:
    """What to tell of `error`; one that nobody has foreseen goes into the log, and not out."""
    if isinstance(error, StatusError):
        return error
    if isinstance(error, LimitExceededError | QueueFullError):
        return StatusError(_code_of(error), str(error), error.retry_after_s)
    if isinstance(error, AttendantError):
        return StatusError(_code_of(error), str(error))
    logger.error("a call failed", exc_info=error)
    message = f"{INTERNAL_MESSAGE}, request {request_id.get()}"
    return StatusError(grpc.StatusCode.INTERNAL, message)


def _code_of(error: AttendantError) -> grpc.StatusCode:
    """Of its own class, or of the nearest above."""
    return next(STATUS_CODES[kind] for kind in type(error).__mro__ if kind in STATUS_CODES)


def trailing_metadata(retry_after_s: float | None = None) -> tuple[tuple[str, str], ...]:
    """What ends every call: its id and, where waiting helps, for how long."""
    trailing: tuple[tuple[str, str], ...] = (("x-request-id", request_id.get()),)
    if retry_after_s is not None:
        trailing += ((RETRY_HEADER, str(max(1, round(retry_after_s * 1000)))),)
    return trailing


async def refuse(context: Context, error: Exception) -> None:
    """Ends the call with the status of `error`. Raises what ends the handler; quietly where the
    caller has gone meanwhile, as at a deadline that both sides notice at once.
    """
    status = status_of(error)
    try:
        await context.abort(status.code, status.message, trailing_metadata(status.retry_after_s))
    except grpc.aio.AbortError:
        raise
    except Exception as failure:  # gRPC's own, of a kind that it does not export
        raise asyncio.CancelledError from failure
