"""What tests of the Open Inference Protocol share: a stub, requests, and answers read back."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from server.config import ServerConfig
from server.rpc.app import App, running
from server.rpc.inference_stubs import inference_pb2 as pb
from tests.server.rpc.calls import EN_DE

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]


class InferenceStub:
    """Every method of the proto, as an attribute."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        for method in SERVICE.methods:
            make = channel.stream_stream if method.client_streaming else channel.unary_unary
            call = make(
                f"/{SERVICE.full_name}/{method.name}",
                request_serializer=GetMessageClass(method.input_type).SerializeToString,
                response_deserializer=GetMessageClass(method.output_type).FromString,
            )
            setattr(self, method.name, call)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@dataclass(frozen=True)
class InferenceServer:
    """A server in this process, and both its services on a real socket."""

    app: App
    channel: grpc.aio.Channel
    stub: InferenceStub

    @property
    def num_pending(self) -> int:
        (model,) = self.app.models.all()
        return model.engine.num_pending

    async def infer(self, *texts: str, **how: Any) -> pb.ModelInferResponse:
        response = await self.stub.ModelInfer(infer_request(*texts, **how))
        assert isinstance(response, pb.ModelInferResponse)
        return response


@contextlib.asynccontextmanager
async def serving_inference(config: ServerConfig) -> AsyncIterator[InferenceServer]:
    async with (
        running(config) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        yield InferenceServer(app, channel, InferenceStub(channel))


def infer_request(
    *texts: str | bytes,
    shape: Iterable[int] | None = None,
    is_raw: bool = False,
    outputs: Iterable[str] = (),
    prefixes: Iterable[str] | None = None,
    parameters: dict[str, Any] | None = None,
    **fields: Any,
) -> pb.ModelInferRequest:
    """A request for `texts`; `parameters` beside the languages, None to leave one out."""
    request = pb.ModelInferRequest(**fields)
    shape = [len(texts)] if shape is None else list(shape)
    add_tensor(request, "text", shape, texts, is_raw)
    if prefixes is not None:
        add_tensor(request, "target_prefix", shape, prefixes, is_raw)
    for name in outputs:
        request.outputs.add(name=name)
    for name, value in {**EN_DE, **(parameters or {})}.items():
        if value is not None:
            set_parameter(request.parameters[name], value)
    return request


def add_tensor(
    request: pb.ModelInferRequest,
    name: str,
    shape: Iterable[int],
    texts: Iterable[str | bytes],
    is_raw: bool = False,
) -> None:
    elements = [text.encode() if isinstance(text, str) else text for text in texts]
    tensor = request.inputs.add(name=name, datatype="BYTES", shape=shape)
    if is_raw:
        request.raw_input_contents.append(packed(elements))
    else:
        tensor.contents.bytes_contents.extend(elements)


def packed(elements: Iterable[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def set_parameter(parameter: pb.InferParameter, value: Any) -> None:
    """As Triton's client chooses the field by the value's type."""
    fields = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}
    setattr(parameter, fields[type(value)], value)


@dataclass(frozen=True)
class Read:
    """An output tensor, its elements out of either place."""

    datatype: str
    shape: list[int]
    values: list[Any]


def outputs_of(response: pb.ModelInferResponse) -> dict[str, Read]:
    found = {}
    for i, output in enumerate(response.outputs):
        if response.raw_output_contents:
            assert not output.HasField("contents")
            values = unpacked(output.datatype, response.raw_output_contents[i])
        else:
            ((_, values),) = output.contents.ListFields() or [(None, [])]
        if output.datatype == "BYTES":
            values = [value.decode() for value in values]
        found[output.name] = Read(output.datatype, list(output.shape), list(values))
    return found


def unpacked(datatype: str, data: bytes) -> list[Any]:
    if datatype != "BYTES":
        kind = {"FP32": "f", "INT32": "i"}[datatype]
        return list(struct.unpack(f"<{len(data) // 4}{kind}", data))
    elements, start = [], 0
    while start < len(data):
        (length,) = struct.unpack_from("<I", data, start)
        elements.append(data[start + 4 : start + 4 + length])
        start += 4 + length
    return elements


def texts_of(response: pb.ModelInferResponse) -> list[str]:
    return outputs_of(response)["translation"].values


def requests_counted(server: InferenceServer, code: str, model: str = "multi30k") -> float:
    labels = {"model": model, "code": code}
    registry = server.app.metrics.registry
    return registry.get_sample_value("attendant_requests_total", labels) or 0.0


async def after(first: Any, answers: Any) -> AsyncIterator[pb.ModelStreamInferResponse]:
    yield await first
    async for answer in answers:
        yield answer
