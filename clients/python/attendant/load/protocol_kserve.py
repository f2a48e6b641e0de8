"""How one request is made through the Open Inference Protocol (KServe v2)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from attendant.channel import channel_options
from attendant.errors import InternalError, error_from_rpc
from attendant.load.answer import Answer, Send
from attendant.load.config import Endpoint, Request
from attendant.load.kserve_messages import (
    Translated,
    build_infer_request,
    parse_infer_response,
    parse_stream_error,
)
from attendant.load.kserve_stubs import inference_pb2 as pb
from attendant.security import key_metadata

_SERVICE = "/inference.GRPCInferenceService"


@asynccontextmanager
async def connect_kserve(endpoint: Endpoint) -> AsyncIterator[Send]:
    """Opens a connection for the length of a block, and yields what sends requests over it."""
    async with _channel(endpoint) as channel:
        caller = _Caller(channel, endpoint)
        yield caller.stream if endpoint.is_streamed else caller.infer


class _Caller:
    """Makes requests over a channel."""

    def __init__(self, channel: grpc.aio.Channel, endpoint: Endpoint) -> None:
        self._model = endpoint.model
        self._how: dict[str, Any] = {
            "timeout": endpoint.timeout_s,
            "metadata": _metadata(endpoint),
        }
        self._infer: grpc.aio.UnaryUnaryMultiCallable[
            pb.ModelInferRequest, pb.ModelInferResponse
        ] = channel.unary_unary(
            f"{_SERVICE}/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        self._stream: grpc.aio.StreamStreamMultiCallable[
            pb.ModelInferRequest, pb.ModelStreamInferResponse
        ] = channel.stream_stream(
            f"{_SERVICE}/ModelStreamInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelStreamInferResponse.FromString,
        )

    async def infer(self, request: Request) -> Answer:
        """Waits for the whole translation."""
        message = build_infer_request(request, self._model, is_streamed=False)
        try:
            response = await self._infer(message, **self._how)
        except grpc.RpcError as failure:
            raise error_from_rpc(failure) from failure
        found = parse_infer_response(response)
        return _answer(request, found, [found.text], ())

    async def stream(self, request: Request) -> Answer:
        """Reads the translation as it grows, over a stream of its own."""
        message = build_infer_request(request, self._model, is_streamed=True)
        try:
            return await self._read(request, message)
        except grpc.RpcError as failure:
            raise error_from_rpc(failure) from failure

    async def _read(self, request: Request, message: pb.ModelInferRequest) -> Answer:
        loop = asyncio.get_running_loop()
        texts, parts_s = [], []
        call = self._stream(iter([message]), **self._how)
        try:
            async for response in call:
                if response.error_message:
                    raise parse_stream_error(response.error_message)
                found = parse_infer_response(response.infer_response)
                if found.text:
                    texts.append(found.text)
                    parts_s.append(loop.time())
                if found.is_last:
                    return _answer(request, found, texts, tuple(parts_s))
        finally:
            call.cancel()
        raise InternalError("the server ended the stream without its last answer")


def _answer(
    request: Request, last: Translated, texts: list[str], parts_s: tuple[float, ...]
) -> Answer:
    return Answer(
        source_tokens=last.source_tokens,
        target_tokens=last.target_tokens,
        source_characters=len(request.text),
        target_characters=sum(map(len, texts)),
        parts_s=parts_s,
    )


def _channel(endpoint: Endpoint) -> grpc.aio.Channel:
    options = channel_options(None, endpoint.tls, endpoint.api_key is not None)
    if endpoint.tls is None:
        return grpc.aio.insecure_channel(endpoint.target, options)
    return grpc.aio.secure_channel(endpoint.target, endpoint.tls.credentials(), options)


def _metadata(endpoint: Endpoint) -> tuple[tuple[str, str], ...]:
    return key_metadata(
        endpoint.api_key, endpoint.target, endpoint.tls, endpoint.allow_plaintext_key
    )
