"""Between the SDK's types and the API's protobuf messages. Sends nothing: both clients share it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from attendant_protos.v1 import translation_pb2 as pb

from attendant.errors import InternalError, InvalidRequestError
from attendant.translation import FinishReason, Translation

_MAX_UINT32 = 2**32 - 1

_FINISH_REASONS: Mapping[pb.FinishReason, FinishReason] = MappingProxyType(
    {
        pb.FINISH_REASON_STOP: FinishReason.STOP,
        pb.FINISH_REASON_LENGTH: FinishReason.LENGTH,
        pb.FINISH_REASON_EMPTY: FinishReason.EMPTY,
    }
)


def build_request(
    texts: Sequence[str],
    source_language: str,
    target_language: str,
    model: str,
    max_target_tokens: int | None,
) -> pb.TranslateRequest:
    """Builds the request for some texts.

    Raises `InvalidRequestError` for what cannot be written as protobuf; all else is the server's to
    judge.
    """
    request = pb.TranslateRequest(
        model=_encodable(model, "model"),
        source_language=_encodable(source_language, "source_language"),
        target_language=_encodable(target_language, "target_language"),
    )
    request.texts.extend(_encodable(text, f"texts[{i}]") for i, text in enumerate(texts))
    if max_target_tokens is not None:
        if not 0 <= max_target_tokens <= _MAX_UINT32:
            raise InvalidRequestError(f"max_target_tokens: out of range: {max_target_tokens}")
        request.options.max_target_tokens = max_target_tokens
    return request


def parse_response(response: pb.TranslateResponse, num_texts: int) -> list[Translation]:
    """Reads an answer's translations; raises `InternalError` unless there is one for each text."""
    if len(response.translations) != num_texts:
        raise InternalError(
            f"the server answered {len(response.translations)} translations for {num_texts} texts"
        )
    return [_translation(translation) for translation in response.translations]


def _translation(message: pb.Translation) -> Translation:
    return Translation(
        text=message.text,
        finish_reason=_FINISH_REASONS.get(message.finish_reason, FinishReason.UNKNOWN),
        source_tokens=message.source_tokens,
        target_tokens=message.target_tokens,
    )


def _encodable(text: str, field: str) -> str:
    """Returns the text; raises an error naming the field if it holds half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError(
            f"{field}: not valid Unicode at character {error.start}"
        ) from error
    return text
