"""What surrounds every call of our own services: exceptions become status codes by one table, and
work is admitted, timed and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

import grpc

from server.metrics import Metrics
from server.rpc.access_log import AccessLog
from server.rpc.caller import caller_name
from server.rpc.drain import Drain
from server.rpc.status import refuse, status_of, trailing_metadata
from server.security.rate import Quotas
from server.tracing import Tracing

Context = grpc.aio.ServicerContext[Any, Any]
UnaryHandler = Callable[[Any, Context], Awaitable[Any]]
StreamHandler = Callable[[Any, Context], AsyncIterator[Any]]
MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
ModelOf = Callable[[Any], str]
"""The name of the model that gave a response."""


class Accounting:
    """Work in flight, whichever call or stream brought it: admitted, timed and counted."""

    def __init__(
        self, metrics: Metrics, drain: Drain, quotas: Quotas, tracing: Tracing, log: AccessLog
    ) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._log = log
        self._drain = drain
        self._quotas = quotas

    @property
    def closing(self) -> asyncio.Event:
        """Set once no more is admitted."""
        return self._drain.begun

    @contextlib.contextmanager
    def work(self, method: str, is_charged: bool = True) -> Iterator[Outcome]:
        """The block is one piece of work for `method`, package.Service/Method; `is_charged` where
        it counted as a request already, as every call does when it comes. Its exceptions leave as
        StatusError, but for its cancellation.
        """
        outcome = Outcome()
        started = time.monotonic()
        with self._tracing.work(method) as span:
            try:
                yield from self._admitted(outcome, is_charged)
            finally:
                seconds = time.monotonic() - started
                span.set_attribute("rpc.grpc.status_code", outcome.code.value[0])
                self._metrics.requests.labels(outcome.model, outcome.code.name).inc()
                if outcome.code is grpc.StatusCode.OK:
                    self._metrics.latency.labels(outcome.model).observe(seconds)
                self._log.write(method, outcome.code, outcome.model, seconds)

    def _admitted(self, outcome: Outcome, is_charged: bool) -> Iterator[Outcome]:
        """Gives `outcome` while the work is let in, and its code afterwards."""
        caller = caller_name.get()
        try:
            if not is_charged:
                self._quotas.charge_request_of(caller)
            with self._drain.admit(), self._quotas.running(caller):
                yield outcome
            outcome.code = grpc.StatusCode.OK
        except (asyncio.CancelledError, GeneratorExit):
            outcome.fail(grpc.StatusCode.CANCELLED)
            raise
        except Exception as error:
            status = status_of(error)
            outcome.fail(status.code)
            raise status from error


class Outcome:
    """What came of a piece of work."""

    def __init__(self) -> None:
        self.model = ""
        """Its name; empty where the work failed, for a label must not be the caller's to choose."""
        self.code = grpc.StatusCode.UNKNOWN
        """Known at its end."""

    def fail(self, code: grpc.StatusCode) -> None:
        """It came to nothing."""
        self.model, self.code = "", code


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
        name, model_of = method.removeprefix("/"), self._counted.get(method)
        options = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.request_streaming:
            stream = self._wrap_stream(cast("StreamHandler", handler.stream_stream), name, model_of)
            return grpc.stream_stream_rpc_method_handler(stream, **options)
        if handler.response_streaming:
            stream = self._wrap_stream(cast("StreamHandler", handler.unary_stream), name, model_of)
            return grpc.unary_stream_rpc_method_handler(stream, **options)
        unary = self._wrap_unary(cast("UnaryHandler", handler.unary_unary), name, model_of)
        return grpc.unary_unary_rpc_method_handler(unary, **options)

    def _wrap_unary(self, inner: UnaryHandler, name: str, model_of: ModelOf | None) -> UnaryHandler:
        async def call(request: Any, context: Context) -> Any:
            async with self._call(context, name, model_of) as answered:
                response = await inner(request, context)
                answered(response)
            return response

        return call

    def _wrap_stream(
        self, inner: StreamHandler, name: str, model_of: ModelOf | None
    ) -> StreamHandler:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            answers = contextlib.aclosing(cast("Any", inner(request, context)))
            async with self._call(context, name, model_of) as answered, answers as responses:
                response = None
                async for response in responses:
                    yield response
                answered(response)

        return call

    @contextlib.asynccontextmanager
    async def _call(
        self, context: Context, name: str, model_of: ModelOf | None
    ) -> AsyncIterator[Callable[[Any], None]]:
        """A call in flight, its exceptions turned into a status; gives what to tell of the last
        response.
        """
        try:
            context.set_trailing_metadata(trailing_metadata())
            if model_of is None:
                yield lambda _response: None
            else:
                with self._accounting.work(name) as outcome:
                    yield lambda response: setattr(outcome, "model", model_of(response))
        except Exception as error:
            await refuse(context, error)
