"""What surrounds every call of our own services: exceptions become status codes, and calls are
counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias, cast

import grpc

from server.metrics import Metrics
from server.rpc.caller import caller_name
from server.rpc.drain import Drain
from server.rpc.status import refuse, trailing_metadata
from server.security.rate import Quotas

Context = grpc.aio.ServicerContext[Any, Any]
UnaryHandler = Callable[[Any, Context], Awaitable[Any]]
StreamHandler = Callable[[Any, Context], AsyncIterator[Any]]
MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class StatusInterceptor(grpc.aio.ServerInterceptor):
    """Maps errors, measures latency and counts outcomes of the methods of `service`."""

    def __init__(self, service: str, metrics: Metrics, drain: Drain, quotas: Quotas) -> None:
        self._prefix = f"/{service}/"
        self._metrics = metrics
        self._drain = drain
        self._quotas = quotas

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
            context.set_trailing_metadata(trailing_metadata())
            with self._drain.admit(), self._quotas.running(caller_name.get()):
                yield
        except (asyncio.CancelledError, GeneratorExit):
            self._metrics.requests.labels("", grpc.StatusCode.CANCELLED.name).inc()
            raise
        except Exception as error:
            await refuse(context, error, self._metrics)
        model = _model_label(outcome.response)
        self._metrics.requests.labels(model, grpc.StatusCode.OK.name).inc()
        self._metrics.latency.labels(model).observe(time.monotonic() - started)


class _Outcome:
    """What a call has answered, its last message."""

    def __init__(self) -> None:
        self.response: Any = None


def _model_label(response: Any) -> str:
    """The model's name; empty where the call failed, for a label must not be the caller's to
    choose.
    """
    return str(response.model).partition("/")[0] if response is not None else ""
