"""What surrounds every call of our own services: exceptions become status codes by one table, and
work is admitted, timed and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from typing import Any, TypeAlias, cast

import grpc

from server.loaded_model import model_of_call
from server.metrics import Metrics
from server.rpc.access_log import AccessLog
from server.rpc.caller import caller_name
from server.rpc.drain import Drain
from server.rpc.entry import Access
from server.rpc.status import refuse, status_of, trailing_metadata
from server.tracing import Tracing

Context = grpc.aio.ServicerContext[Any, Any]
UnaryHandler = Callable[[Any, Context], Awaitable[Any]]
StreamHandler = Callable[[Any, Context], AsyncIterator[Any]]
MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Accounting:
    """Work in flight, whichever call or stream brought it: admitted, timed and counted."""

    def __init__(
        self, metrics: Metrics, drain: Drain, access: Access, tracing: Tracing, log: AccessLog
    ) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._log = log
        self._drain = drain
        self._access = access

    @property
    def closing(self) -> asyncio.Event:
        """Set once no more is admitted."""
        return self._drain.begun

    @contextlib.contextmanager
    def work(self, method: str, is_charged: bool = True) -> Iterator[None]:
        """The block is one piece of work for `method`, package.Service/Method; `is_charged` where
        it was let in and counted as a request already, as every call is when it comes. Its
        exceptions leave as StatusError, but for its cancellation.
        """
        started, code = time.monotonic(), grpc.StatusCode.OK
        model_of_call.set("")
        with self._tracing.work(method) as span:
            try:
                with self._admitted(is_charged):
                    yield
            except (asyncio.CancelledError, GeneratorExit):
                code = grpc.StatusCode.CANCELLED
                raise
            except Exception as error:
                status = status_of(error)
                code = status.code
                raise status from error
            finally:
                seconds, model = time.monotonic() - started, model_of_call.get()
                span.set_attribute("rpc.grpc.status_code", code.value[0])
                self._metrics.requests.labels(model, code.name).inc()
                if code is grpc.StatusCode.OK:
                    self._metrics.latency.labels(model).observe(seconds)
                self._log.write(method, code, model, seconds)

    @contextlib.contextmanager
    def _admitted(self, is_charged: bool) -> Iterator[None]:
        if not is_charged:
            self._access.enter_again()
        with self._drain.admit(), self._access.quotas.running(caller_name.get()):
            yield


class StatusInterceptor(grpc.aio.ServerInterceptor):
    """Maps the errors of `services`; those methods that are `counted` are work."""

    def __init__(
        self, services: Sequence[str], counted: Collection[str], accounting: Accounting
    ) -> None:
        """`counted` has the methods by their full names."""
        self._prefixes = tuple(f"/{service}/" for service in services)
        self._counted = counted
        self._accounting = accounting
        self._wrapped: dict[str, MethodHandler] = {}
        """Of each of our methods that was called, by name: a handler is the same for every call."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MethodHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MethodHandler | None:
        """Wraps a handler of ours; other services pass through."""
        method = handler_call_details.method
        if method in self._wrapped:
            return self._wrapped[method]
        handler = await continuation(handler_call_details)
        if handler is None or not method.startswith(self._prefixes):
            return handler
        self._wrapped[method] = self._wrap(handler, method)
        return self._wrapped[method]

    def _wrap(self, handler: MethodHandler, method: str) -> MethodHandler:
        name, is_work = method.removeprefix("/"), method in self._counted
        options = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.request_streaming:
            stream = self._wrap_stream(cast("StreamHandler", handler.stream_stream), name, is_work)
            return grpc.stream_stream_rpc_method_handler(stream, **options)
        if handler.response_streaming:
            stream = self._wrap_stream(cast("StreamHandler", handler.unary_stream), name, is_work)
            return grpc.unary_stream_rpc_method_handler(stream, **options)
        unary = self._wrap_unary(cast("UnaryHandler", handler.unary_unary), name, is_work)
        return grpc.unary_unary_rpc_method_handler(unary, **options)

    def _wrap_unary(self, inner: UnaryHandler, name: str, is_work: bool) -> UnaryHandler:
        async def call(request: Any, context: Context) -> Any:
            async with self._call(context, name, is_work):
                return await inner(request, context)

        return call

    def _wrap_stream(self, inner: StreamHandler, name: str, is_work: bool) -> StreamHandler:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            answers = contextlib.aclosing(cast("Any", inner(request, context)))
            async with self._call(context, name, is_work), answers as responses:
                async for response in responses:
                    yield response

        return call

    @contextlib.asynccontextmanager
    async def _call(self, context: Context, name: str, is_work: bool) -> AsyncIterator[None]:
        """A call in flight, its exceptions turned into a status."""
        try:
            context.set_trailing_metadata(trailing_metadata())
            with self._accounting.work(name) if is_work else contextlib.nullcontext():
                yield
        except Exception as error:
            await refuse(context, error)
