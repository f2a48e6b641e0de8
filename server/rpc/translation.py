"""attendant.v1.TranslationService: the handlers and how gRPC finds them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc
from attendant_protos.v1 import translation_pb2 as pb
from google.protobuf.message import DecodeError, Message

from server.repository import ModelRepository
from server.rpc.caller import caller_name
from server.rpc.messages import read_request, read_stream_request, response, stream_response
from server.rpc.models import model_message
from server.rpc.parsing import checked, parser
from server.tokenization import Tokenization
from server.translator import Translator

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["TranslationService"].full_name

Context = grpc.aio.ServicerContext[Any, Any]


COUNTED = frozenset(
    f"/{SERVICE_NAME}/{name}" for name in ("Translate", "TranslateStream", "Tokenize", "Detokenize")
)
"""Methods that are work."""


class TranslationService:
    """The handlers: errors leave as exceptions and are mapped by the interceptor."""

    def __init__(
        self, translator: Translator, tokenization: Tokenization, models: ModelRepository
    ) -> None:
        self._translator = translator
        self._tokenization = tokenization
        self._models = models

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

    async def list_models(
        self, request: pb.ListModelsRequest | DecodeError, _context: Context
    ) -> pb.ListModelsResponse:
        """ListModels; see the proto."""
        checked(request, "ListModelsRequest")
        return pb.ListModelsResponse(models=map(model_message, self._models.entries()))

    async def get_model(
        self, request: pb.GetModelRequest | DecodeError, _context: Context
    ) -> pb.GetModelResponse:
        """GetModel; see the proto."""
        message = checked(request, "GetModelRequest")
        return pb.GetModelResponse(model=model_message(self._models.entry(message.model)))

    async def tokenize(
        self, request: pb.TokenizeRequest | DecodeError, context: Context
    ) -> pb.TokenizeResponse:
        """Tokenize; see the proto."""
        message = checked(request, "TokenizeRequest")
        found, model = await self._tokenization.tokenize(
            message.model, message.texts, message.target_language, caller_of(context.peer())
        )
        texts = [pb.Pieces(pieces=tokens.pieces, ids=tokens.ids) for tokens in found]
        return pb.TokenizeResponse(texts=texts, model=model)

    async def detokenize(
        self, request: pb.DetokenizeRequest | DecodeError, context: Context
    ) -> pb.DetokenizeResponse:
        """Detokenize; see the proto."""
        message = checked(request, "DetokenizeRequest")
        pieces = [text.pieces for text in message.texts]
        texts, model = await self._tokenization.detokenize(
            message.model, pieces, caller_of(context.peer())
        )
        return pb.DetokenizeResponse(texts=texts, model=model)


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
            service.translate, **_codecs(pb.TranslateRequest, pb.TranslateResponse)
        ),
        "TranslateStream": grpc.unary_stream_rpc_method_handler(
            service.translate_stream,
            **_codecs(pb.TranslateStreamRequest, pb.TranslateStreamResponse),
        ),
        "ListModels": grpc.unary_unary_rpc_method_handler(
            service.list_models, **_codecs(pb.ListModelsRequest, pb.ListModelsResponse)
        ),
        "GetModel": grpc.unary_unary_rpc_method_handler(
            service.get_model, **_codecs(pb.GetModelRequest, pb.GetModelResponse)
        ),
        "Tokenize": grpc.unary_unary_rpc_method_handler(
            service.tokenize, **_codecs(pb.TokenizeRequest, pb.TokenizeResponse)
        ),
        "Detokenize": grpc.unary_unary_rpc_method_handler(
            service.detokenize, **_codecs(pb.DetokenizeRequest, pb.DetokenizeResponse)
        ),
    }
    return grpc.method_handlers_generic_handler(SERVICE_NAME, methods)


def _codecs(request: type[Message], response: type[Message]) -> dict[str, Any]:
    return {
        "request_deserializer": parser(request),
        "response_serializer": response.SerializeToString,
    }
