"""Traces as a real collector receives them over gRPC."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from attendant_protos.v1 import translation_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.server.rpc.calls import Server, refusal, request, stream_request
from tests.server.rpc.conftest import config_for, serving
from tests.server.rpc.inference_calls import infer_request, serving_inference

pytestmark = pytest.mark.asyncio

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = (("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01"),)
NOT_SAMPLED = (("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-00"),)
STAGES = ["queue", "encode", "decode", "detokenise"]


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()

    async def Export(  # noqa: N802, the protocol's name
        self, request: Any, _context: Any
    ) -> Any:
        for resource in request.resource_spans:
            attributes = {a.key: a.value.string_value for a in resource.resource.attributes}
            self.services.add(attributes["service.name"])
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()

    def calls(self) -> list[Any]:
        """Spans of calls, not of their parts."""
        return [span for span in self.spans if "/" in span.name]

    def parts(self, call: Any) -> list[Any]:
        """In the order of their starts."""
        parts = [span for span in self.spans if span.parent_span_id == call.span_id]
        return sorted(parts, key=lambda span: (span.start_time_unix_nano, STAGES.index(span.name)))


@contextlib.asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    collector, server = Collector(), grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield collector, f"http://127.0.0.1:{port}"
    await server.stop(None)


@contextlib.asynccontextmanager
async def traced(package: Path, **options: Any) -> AsyncIterator[tuple[Server, Collector]]:
    """The collector has all spans once the block of the server has ended."""
    async with collecting() as (collector, endpoint):
        config = config_for(package, num_slots=8, trace_endpoint=endpoint, **options)
        async with serving(config) as server:
            yield server, collector


def attribute(span: Any, name: str) -> Any:
    (value,) = [a.value for a in span.attributes if a.key == name]
    return getattr(value, value.WhichOneof("value"))


async def test_a_call_is_a_span_of_its_callers_trace_with_its_parts(numbers_package: Path) -> None:
    async with traced(numbers_package) as (server, collector):
        metadata = (*SAMPLED, ("x-request-id", "from-the-caller"))
        await server.stub.Translate(request("six", "nine hundred and six"), metadata=metadata)
    (call,) = collector.calls()
    assert collector.services == {"attendant"}
    assert call.name == "attendant.v1.TranslationService/Translate"
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert attribute(call, "attendant.request_id") == "from-the-caller"
    assert attribute(call, "rpc.grpc.status_code") == 0
    assert attribute(call, "attendant.sequences") == 2
    parts = collector.parts(call)
    assert [part.name for part in parts] == STAGES
    assert parts[0].start_time_unix_nano >= call.start_time_unix_nano
    for part, after in itertools.pairwise(parts):
        assert part.end_time_unix_nano == after.start_time_unix_nano
    assert parts[-1].end_time_unix_nano <= call.end_time_unix_nano
    decode = parts[2]
    assert decode.end_time_unix_nano > decode.start_time_unix_nano


async def test_no_span_holds_a_text(numbers_package: Path) -> None:
    async with traced(numbers_package) as (server, collector):
        await server.translate("seventy")
        await server.stream("seventy")
    assert len(collector.calls()) == 2
    assert not [span for span in collector.spans if "sevent" in str(span)]


async def test_a_stream_has_the_same_parts(numbers_package: Path) -> None:
    async with traced(numbers_package) as (server, collector):
        call = server.stub.TranslateStream(stream_request("six"), metadata=SAMPLED)
        assert [message async for message in call]
    (span,) = collector.calls()
    assert span.name == "attendant.v1.TranslationService/TranslateStream"
    assert span.trace_id.hex() == TRACE_ID
    assert [part.name for part in collector.parts(span)] == STAGES


async def test_inference_calls_have_the_same_parts_each_request_of_a_stream_too(
    numbers_package: Path,
) -> None:
    async with collecting() as (collector, endpoint):
        config = config_for(numbers_package, num_slots=8, trace_endpoint=endpoint)
        async with serving_inference(config) as server:
            message = infer_request("six", "nine")
            await server.stub.ModelInfer(message, metadata=SAMPLED)
            call = server.stub.ModelStreamInfer(iter([message, message]), metadata=SAMPLED)
            assert len([answer async for answer in call]) == 2
    names = [span.name.partition("/")[2] for span in collector.calls()]
    assert names == ["ModelInfer", "ModelStreamInfer", "ModelStreamInfer"]
    for span in collector.calls():
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
        assert [part.name for part in collector.parts(span)] == STAGES


async def test_a_call_that_fails_says_so(numbers_package: Path) -> None:
    async with traced(numbers_package) as (server, collector):
        await refusal(server.stub.Translate(request("a\0")))
    (call,) = collector.calls()
    assert attribute(call, "rpc.grpc.status_code") == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert call.status.code == call.status.STATUS_CODE_ERROR
    assert not collector.parts(call)


async def test_the_caller_decides_and_else_the_ratio(numbers_package: Path) -> None:
    async with traced(numbers_package, trace_ratio=0.0) as (server, collector):
        await server.translate("one")
        await server.stub.Translate(request("two"), metadata=NOT_SAMPLED)
        await server.stub.Translate(request("six"), metadata=SAMPLED)
    assert len(collector.calls()) == 1


async def test_what_is_no_trace_is_ignored(numbers_package: Path) -> None:
    async with traced(numbers_package) as (server, collector):
        await server.stub.Translate(request("one"), metadata=(("traceparent", "nonsense"),))
    (call,) = collector.calls()
    assert not call.parent_span_id


async def test_without_a_collector_calls_are_answered(numbers_package: Path) -> None:
    config = config_for(numbers_package, trace_endpoint="http://127.0.0.1:1")
    async with serving(config) as server:
        response = await server.stub.Translate(request("six"))
        assert isinstance(response, pb.TranslateResponse)
