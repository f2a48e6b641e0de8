"""attendant.v1.TranslationService: the handlers and how gRPC finds them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc
from attendant_protos.v1 import translation_pb2 as pb
from google.protobuf.message import DecodeError

from server.rpc.caller import caller_name
from server.rpc.interceptors import ModelOf
from server.rpc.messages import read_request, read_stream_request, response, stream_response
from server.rpc.parsing import checked, parser
from server.translator import Translator

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["TranslationService"].full_name

Context = grpc.aio.ServicerContext[Any, Any]


def _model_of(response: Any) -> str:
    return str(response.model).partition("/")[0]


COUNTED: dict[str, ModelOf] = {
    f"/{SERVICE_NAME}/{name}": _model_of for name in ("Translate", "TranslateStream")
}
"""Methods that are work, and the model of their responses."""


class TranslationService:
    """The handlers: errors leave as exceptions and are mapped by the interceptor."""

    def __init__(self, translator: Translator) -> None:
        self._translator = translator

    async def translate(
        self, request: pb.TranslateRequest | DecodeError, context: Context
    ) -> pb.TranslateResponse:
        """Translate; see the proto."""
        message = checked(request, "TranslateRequest")
        domain = read_request(message, caller_of(context.peer()), context.time_remaining())
        return response(await self._translator.translate(domain))

    async def translate_stream(
        self, request: pb.TranslateStreamRequest | DecodeError, context: Context
    ) -> AsyncGenerator[pb.TranslateStreamResponse]:
        """TranslateStream; see the proto."""
        message = checked(request, "TranslateStreamRequest")
        domain = read_stream_request(message, caller_of(context.peer()), context.time_remaining())
        async with aclosing(self._translator.stream(domain)) as parts:
            async for part in parts:
                yield stream_response(part)


def caller_of(peer: str) -> str:
    """Whom a call is counted to: the name of its key or, where there are no keys, the address of a
    peer such as ipv4:127.0.0.1:50051, without the port.
    """
    if name := caller_name.get():
        return name
    return peer.rpartition(":")[0] if peer.startswith(("ipv4:", "ipv6:")) else peer


def make_handler(service: TranslationService) -> grpc.GenericRpcHandler:
    """What a grpc.aio server takes for the service."""
    methods = {
        "Translate": grpc.unary_unary_rpc_method_handler(
            service.translate,
            request_deserializer=parser(pb.TranslateRequest),
            response_serializer=pb.TranslateResponse.SerializeToString,
        ),
        "TranslateStream": grpc.unary_stream_rpc_method_handler(
            service.translate_stream,
            request_deserializer=parser(pb.TranslateStreamRequest),
            response_serializer=pb.TranslateStreamResponse.SerializeToString,
        ),
    }
    return grpc.method_handlers_generic_handler(SERVICE_NAME, methods)
