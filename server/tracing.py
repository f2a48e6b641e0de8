"""Traces by OpenTelemetry: a span for each piece of work, joined to its caller's trace, and in it
one for each part that its time went into.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    NoOpTracer,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from server.config import ServerConfig
from server.engine.times import Times
from server.log import request_id

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

HEADERS = ("traceparent", "tracestate")
"""Of W3C Trace Context."""
_NANOSECONDS = 1_000_000_000

_caller: ContextVar[Context | None] = ContextVar("caller_context", default=None)
_current: ContextVar[Span] = ContextVar("current_span", default=INVALID_SPAN)


class Tracing:
    """The traces of one server; without an endpoint there are none, and they cost nothing."""

    def __init__(self, endpoint: str = "", ratio: float = 1.0) -> None:
        """Sends to `endpoint`, an OTLP collector's gRPC address such as http://localhost:4317, the
        share `ratio` of those calls that bring no decision of their caller's.
        """
        self._provider = _make_provider(endpoint, ratio) if endpoint else None
        self._tracer: Tracer = NoOpTracer()
        if self._provider is not None:
            self._tracer = self._provider.get_tracer("attendant")

    def join(self, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """Makes what this task does a part of the trace that a call's metadata names."""
        if self._provider is not None:
            carrier = {name: value for name, value in metadata if name in HEADERS}
            _caller.set(TraceContextTextMapPropagator().extract(carrier) if carrier else None)

    @contextmanager
    def work(self, method: str) -> Iterator[Span]:
        """A span for the block, which is one piece of work for `method`, package.Service/Method."""
        service, _, name = method.partition("/")
        attributes = {
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": name,
            "attendant.request_id": request_id.get(),
        }
        span = self._tracer.start_span(
            method, context=_caller.get(), kind=SpanKind.SERVER, attributes=attributes
        )
        _current.set(span)
        try:
            yield span
        except BaseException:
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            span.end()

    @contextmanager
    def writing(self, times: Sequence[Times]) -> Iterator[None]:
        """Spans for the queue, the encoder and the decoder of a request whose sequences, of which
        there are `times`, have just ended; and one for the block, which makes text of them.

        Of several sequences it is the one that took longest that the spans are of.
        """
        span = _current.get()
        if not span.is_recording():
            yield
            return
        ended = time.time_ns()
        if times:
            self._add_stages(span, max(times, key=lambda t: t.total_s), ended)
            span.set_attribute("attendant.sequences", len(times))
        try:
            yield
        finally:
            self._add(span, "detokenise", ended, time.time_ns())

    def _add_stages(self, parent: Span, times: Times, ended: int) -> None:
        arrived = ended - _nanoseconds(times.total_s)
        admitted = arrived + _nanoseconds(times.waited_s)
        encoded = admitted + _nanoseconds(times.encoding_s)
        self._add(parent, "queue", arrived, admitted)
        self._add(parent, "encode", admitted, encoded)
        self._add(parent, "decode", encoded, ended)

    def _add(self, parent: Span, name: str, start: int, end: int) -> None:
        child = self._tracer.start_span(name, set_span_in_context(parent), start_time=start)
        child.end(end)

    def close(self) -> None:
        """Sends what has not been sent; blocks until then."""
        if self._provider is not None:
            self._provider.shutdown()


def make_tracing(config: ServerConfig) -> Tracing:
    """The traces that `config` asks for."""
    return Tracing(config.trace_endpoint, config.trace_ratio)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * _NANOSECONDS)


def _make_provider(endpoint: str, ratio: float) -> TracerProvider:
    # Here, for they take a tenth of a second that a server without traces need not spend.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(ratio)),
        resource=Resource.create({"service.name": "attendant"}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return provider
