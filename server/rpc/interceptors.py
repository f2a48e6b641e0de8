"""What surrounds every call of our own services: exceptions become status codes by one table, and
work is admitted, timed and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

import grpc

from server.errors import (
    AttendantError,
    DeadlineError,
    InvalidRequestError,
    NotFoundError,
    QueueFullError,
    UnavailableError,
    UnsupportedError,
)
from server.metrics import Metrics
from server.rpc.drain import Drain

logger = logging.getLogger(__name__)

STATUS_CODES: dict[type[AttendantError], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    QueueFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineError: grpc.StatusCode.DEADLINE_EXCEEDED,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
    UnsupportedError: grpc.StatusCode.UNIMPLEMENTED,
}

INTERNAL_MESSAGE = "internal error; the server's log has the details"

Context = grpc.aio.ServicerContext[Any, Any]
UnaryHandler = Callable[[Any, Context], Awaitable[Any]]
StreamHandler = Callable[[Any, Context], AsyncIterator[Any]]
MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
ModelOf = Callable[[Any], str]
"""The name of the model that gave a response."""


class StatusError(Exception):
    """What a caller is told of a failure."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Accounting:
    """Work in flight, whichever call or stream brought it: admitted, timed and counted."""

    def __init__(self, metrics: Metrics, drain: Drain) -> None:
        self._metrics = metrics
        self._drain = drain

    @property
    def closing(self) -> asyncio.Event:
        """Set once no more is admitted."""
        return self._drain.begun

    @contextlib.contextmanager
    def work(self) -> Iterator[Outcome]:
        """The block is one piece of work. Its exceptions leave as StatusError, but for its
        cancellation.
        """
        outcome = Outcome()
        started = time.monotonic()
        try:
            with self._drain.admit():
                yield outcome
        except (asyncio.CancelledError, GeneratorExit):
            self._metrics.requests.labels("", grpc.StatusCode.CANCELLED.name).inc()
            raise
        except Exception as error:
            status = _status(error)
            self._metrics.requests.labels("", status.code.name).inc()
            raise status from error
        self._metrics.requests.labels(outcome.model, grpc.StatusCode.OK.name).inc()
        self._metrics.latency.labels(outcome.model).observe(time.monotonic() - started)


class Outcome:
    """What came of a piece of work."""

    def __init__(self) -> None:
        self.model = ""
        """Its name; empty where the work failed, for a label must not be the caller's to choose."""


class StatusInterceptor(grpc.aio.ServerInterceptor):
    """Maps the errors of `services`; those methods that are `counted` are work."""

    def __init__(
        self, services: Sequence[str], counted: Mapping[str, ModelOf], accounting: Accounting
    ) -> None:
        """`counted` has the methods by their full names."""
        self._prefixes = tuple(f"/{service}/" for service in services)
        self._counted = counted
        self._accounting = accounting

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MethodHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MethodHandler | None:
        """Wraps a handler of ours; other services pass through."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(self._prefixes):
            return handler
        model_of = self._counted.get(method)
        options = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.request_streaming:
            stream = self._wrap_stream(cast("StreamHandler", handler.stream_stream), model_of)
            return grpc.stream_stream_rpc_method_handler(stream, **options)
        if handler.response_streaming:
            stream = self._wrap_stream(cast("StreamHandler", handler.unary_stream), model_of)
            return grpc.unary_stream_rpc_method_handler(stream, **options)
        unary = self._wrap_unary(cast("UnaryHandler", handler.unary_unary), model_of)
        return grpc.unary_unary_rpc_method_handler(unary, **options)

    def _wrap_unary(self, inner: UnaryHandler, model_of: ModelOf | None) -> UnaryHandler:
        async def call(request: Any, context: Context) -> Any:
            async with self._call(context, model_of) as answered:
                response = await inner(request, context)
                answered(response)
            return response

        return call

    def _wrap_stream(self, inner: StreamHandler, model_of: ModelOf | None) -> StreamHandler:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            answers = contextlib.aclosing(cast("Any", inner(request, context)))
            async with self._call(context, model_of) as answered, answers as responses:
                response = None
                async for response in responses:
                    yield response
                answered(response)

        return call

    @contextlib.asynccontextmanager
    async def _call(
        self, context: Context, model_of: ModelOf | None
    ) -> AsyncIterator[Callable[[Any], None]]:
        """A call in flight, its exceptions turned into a status; gives what to tell of the last
        response.
        """
        try:
            if model_of is None:
                yield lambda _response: None
            else:
                with self._accounting.work() as outcome:
                    yield lambda response: setattr(outcome, "model", model_of(response))
        except Exception as error:
            status = _status(error)
            await _abort(context, status.code, status.message)


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


def _status(error: Exception) -> StatusError:
    if isinstance(error, StatusError):
        return error
    if isinstance(error, AttendantError):
        return StatusError(STATUS_CODES[type(error)], str(error))
    logger.error("a call failed", exc_info=error)
    return StatusError(grpc.StatusCode.INTERNAL, INTERNAL_MESSAGE)
