"""What surrounds every call of our own services: exceptions become status codes by one table, and
calls are counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

import grpc

from server.errors import (
    AttendantError,
    InvalidRequestError,
    NotFoundError,
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
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
}

INTERNAL_MESSAGE = "internal error; the server's log has the details"

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Callable[[Any, Context], Awaitable[Any]]
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
        """Wraps a unary handler of ours; other services pass through."""
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(self._prefix):
            return handler
        return grpc.unary_unary_rpc_method_handler(
            self._wrap(cast("Handler", handler.unary_unary)),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _wrap(self, inner: Handler) -> Handler:
        async def call(request: Any, context: Context) -> Any:
            started = time.monotonic()
            code, message, response = await self._outcome(inner, request, context)
            model = _model_label(response)
            self._metrics.requests.labels(model, code.name).inc()
            if code is not grpc.StatusCode.OK:
                await context.abort(code, message)
            self._metrics.latency.labels(model).observe(time.monotonic() - started)
            return response

        return call

    async def _outcome(
        self, inner: Handler, request: Any, context: Context
    ) -> tuple[grpc.StatusCode, str, Any]:
        try:
            with self._drain.admit():
                return grpc.StatusCode.OK, "", await inner(request, context)
        except asyncio.CancelledError:
            self._metrics.requests.labels("", grpc.StatusCode.CANCELLED.name).inc()
            raise
        except AttendantError as error:
            return STATUS_CODES[type(error)], str(error), None
        except Exception:
            logger.exception("a call failed")
            return grpc.StatusCode.INTERNAL, INTERNAL_MESSAGE, None


def _model_label(response: Any) -> str:
    """The model's name; empty where the call failed, for a label must not be the caller's to
    choose.
    """
    return str(response.model).partition("/")[0] if response is not None else ""
