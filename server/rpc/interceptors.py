"""What surrounds every call of our own services: exceptions become status codes by one table, and
calls are counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias, cast

import grpc

from server.errors import (
    AttendantError,
    DeadlineError,
    InvalidRequestError,
    MemoryBudgetError,
    NotFoundError,
    PackageError,
    QueueFullError,
    UnavailableError,
)
from server.metrics import Metrics
from server.rpc.drain import Drain

logger = logging.getLogger(__name__)

STATUS_CODES: dict[type[AttendantError], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    QueueFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    MemoryBudgetError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    PackageError: grpc.StatusCode.FAILED_PRECONDITION,
    DeadlineError: grpc.StatusCode.DEADLINE_EXCEEDED,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
}

INTERNAL_MESSAGE = "internal error; the server's log has the details"

Context = grpc.aio.ServicerContext[Any, Any]
UnaryHandler = Callable[[Any, Context], Awaitable[Any]]
StreamHandler = Callable[[Any, Context], AsyncIterator[Any]]
MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class StatusInterceptor(grpc.aio.ServerInterceptor):
    """Maps errors, measures latency and counts outcomes of the methods of `service`."""

    def __init__(self, service: str, metrics: Metrics, drain: Drain) -> None:
        self._prefix = f"/{service}/"
        self._metrics = metrics
        self._drain = drain

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MethodHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MethodHandler | None:
        """Wraps a handler of ours that takes one request; other services pass through."""
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(self._prefix):
            return handler
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._wrap_stream(cast("StreamHandler", handler.unary_stream)),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._wrap_unary(cast("UnaryHandler", handler.unary_unary)),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _wrap_unary(self, inner: UnaryHandler) -> UnaryHandler:
        async def call(request: Any, context: Context) -> Any:
            outcome = _Outcome()
            async with self._call(context, outcome):
                outcome.response = await inner(request, context)
            return outcome.response

        return call

    def _wrap_stream(self, inner: StreamHandler) -> StreamHandler:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            outcome = _Outcome()
            answers = contextlib.aclosing(cast("Any", inner(request, context)))
            async with self._call(context, outcome), answers as responses:
                async for outcome.response in responses:
                    yield outcome.response

        return call

    @contextlib.asynccontextmanager
    async def _call(self, context: Context, outcome: _Outcome) -> AsyncIterator[None]:
        """A call in flight: counted, timed, its exceptions turned into a status."""
        started = time.monotonic()
        try:
            with self._drain.admit():
                yield
        except (asyncio.CancelledError, GeneratorExit):
            self._metrics.requests.labels("", grpc.StatusCode.CANCELLED.name).inc()
            raise
        except Exception as error:
            code, message = _status(error)
            self._metrics.requests.labels("", code.name).inc()
            await _abort(context, code, message)
        model = _model_label(outcome.response)
        self._metrics.requests.labels(model, grpc.StatusCode.OK.name).inc()
        self._metrics.latency.labels(model).observe(time.monotonic() - started)


class _Outcome:
    """What a call has answered, its last message."""

    def __init__(self) -> None:
        self.response: Any = None


async def _abort(context: Context, code: grpc.StatusCode, message: str) -> None:
    """Ends the call with a status; quietly where the caller has gone meanwhile, as at a deadline
    that both sides notice at once.
    """
    try:
        await context.abort(code, message)
    except grpc.aio.AbortError:
        raise
    except Exception as error:  # gRPC's own, of a kind that it does not export
        raise asyncio.CancelledError from error


def _status(error: Exception) -> tuple[grpc.StatusCode, str]:
    if isinstance(error, AttendantError):
        return STATUS_CODES[type(error)], str(error)
    logger.error("a call failed", exc_info=error)
    return grpc.StatusCode.INTERNAL, INTERNAL_MESSAGE


def _model_label(response: Any) -> str:
    """The model's name; empty where the call failed, for a label must not be the caller's to
    choose.
    """
    return str(response.model).partition("/")[0] if response is not None else ""
