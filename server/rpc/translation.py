"""attendant.v1.TranslationService: protobuf to a domain request, a domain result to protobuf."""

from __future__ import annotations

import grpc
from attendant_protos.v1 import translation_pb2 as pb
from google.protobuf.message import DecodeError

from server.errors import InvalidRequestError
from server.translator import Ending, Translation, TranslationRequest, Translator

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["TranslationService"].full_name

_FINISH_REASONS = {
    Ending.STOP: pb.FINISH_REASON_STOP,
    Ending.LENGTH: pb.FINISH_REASON_LENGTH,
    Ending.EMPTY: pb.FINISH_REASON_EMPTY,
}


Context = grpc.aio.ServicerContext[pb.TranslateRequest | DecodeError, pb.TranslateResponse]


class TranslationService:
    """The handlers, free of gRPC: errors leave as exceptions and are mapped by the interceptor."""

    def __init__(self, translator: Translator) -> None:
        self._translator = translator

    async def translate(
        self, request: pb.TranslateRequest | DecodeError, _context: Context
    ) -> pb.TranslateResponse:
        """Translate; see the proto."""
        if isinstance(request, DecodeError):
            raise InvalidRequestError("request", "these bytes are no TranslateRequest")
        result = await self._translator.translate(_domain_request(request))
        translations = [_message(translation) for translation in result.translations]
        return pb.TranslateResponse(translations=translations, model=result.model)


def _domain_request(request: pb.TranslateRequest) -> TranslationRequest:
    options = request.options
    return TranslationRequest(
        model=request.model,
        source_language=request.source_language,
        target_language=request.target_language,
        texts=list(request.texts),
        max_target_tokens=options.max_target_tokens
        if options.HasField("max_target_tokens")
        else None,
    )


def _message(translation: Translation) -> pb.Translation:
    return pb.Translation(
        text=translation.text,
        finish_reason=_FINISH_REASONS[translation.ending],
        source_tokens=translation.num_source_tokens,
        target_tokens=translation.num_target_tokens,
    )


def _parse(data: bytes) -> pb.TranslateRequest | DecodeError:
    """The request, or the error as a value: raised here, gRPC would answer UNKNOWN before any
    handler ran.
    """
    try:
        return pb.TranslateRequest.FromString(data)
    except DecodeError as error:
        return error


def make_handler(service: TranslationService) -> grpc.GenericRpcHandler:
    """What a grpc.aio server takes for the service."""
    method = grpc.unary_unary_rpc_method_handler(
        service.translate,
        request_deserializer=_parse,
        response_serializer=pb.TranslateResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(SERVICE_NAME, {"Translate": method})
