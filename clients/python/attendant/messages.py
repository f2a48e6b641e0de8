"""Between the SDK's types and the API's protobuf messages. Sends nothing: both clients share it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from attendant_protos.v1 import translation_pb2 as pb

from attendant.errors import InternalError, InvalidRequestError, TextsRefusedError
from attendant.options import EarlyStopping, Options, Priority, Sampling
from attendant.translation import (
    Alignment,
    FinishReason,
    Hypothesis,
    Token,
    TokenLink,
    TranslatedSentence,
    Translation,
    TranslationPart,
)

_FINISH_REASONS: Mapping[pb.FinishReason, FinishReason] = MappingProxyType(
    {
        pb.FINISH_REASON_STOP: FinishReason.STOP,
        pb.FINISH_REASON_LENGTH: FinishReason.LENGTH,
        pb.FINISH_REASON_EMPTY: FinishReason.EMPTY,
        pb.FINISH_REASON_LOOP: FinishReason.LOOP,
        pb.FINISH_REASON_DEADLINE: FinishReason.DEADLINE,
        pb.FINISH_REASON_REFUSED: FinishReason.REFUSED,
    }
)
_PRIORITIES: Mapping[Priority, pb.Priority] = MappingProxyType(
    {
        Priority.INTERACTIVE: pb.PRIORITY_INTERACTIVE,
        Priority.STANDARD: pb.PRIORITY_STANDARD,
        Priority.BULK: pb.PRIORITY_BULK,
    }
)
_EARLY_STOPPING: Mapping[EarlyStopping, pb.EarlyStopping] = MappingProxyType(
    {
        EarlyStopping.PATIENCE: pb.EARLY_STOPPING_PATIENCE,
        EarlyStopping.HEURISTIC: pb.EARLY_STOPPING_HEURISTIC,
        EarlyStopping.NEVER: pb.EARLY_STOPPING_NEVER,
    }
)
_NUMBERS = (
    "max_target_tokens",
    "min_target_tokens",
    "max_length_ratio",
    "min_length_ratio",
    "beam_size",
    "num_hypotheses",
    "length_penalty",
    "patience",
    "num_alternatives",
    "no_repeat_ngram_size",
    "repetition_penalty",
    "loop_guard",
)
_SAMPLING_NUMBERS = ("temperature", "top_k", "top_p", "seed")

_Request = TypeVar("_Request", pb.TranslateRequest, pb.TranslateStreamRequest)


def build_request(
    texts: Sequence[str],
    source_language: str,
    target_language: str,
    model: str,
    options: Options | None,
) -> pb.TranslateRequest:
    """Builds the request for some texts.

    Raises `InvalidRequestError` for what cannot be written as protobuf; all else is the server's to
    judge.
    """
    options = options or Options()
    request = pb.TranslateRequest()
    request.texts.extend(encodable(text, f"texts[{i}]") for i, text in enumerate(texts))
    if prefix := options.target_prefix:
        prefixes = [prefix] * len(texts) if isinstance(prefix, str) else prefix
        request.target_prefixes.extend(
            encodable(text, f"target_prefixes[{i}]") for i, text in enumerate(prefixes)
        )
    request.split_sentences = options.split_sentences
    _set_options(request, options)
    return _addressed(request, source_language, target_language, model)


def build_stream_request(
    text: str, source_language: str, target_language: str, model: str, options: Options | None
) -> pb.TranslateStreamRequest:
    """Builds the request for the stream of one text; raises as `build_request` does."""
    options = options or Options()
    if not isinstance(options.target_prefix, str):
        raise InvalidRequestError("target_prefix: a stream has one text, and takes one string")
    if options.split_sentences:
        raise InvalidRequestError("split_sentences: a text that is split cannot be streamed")
    request = pb.TranslateStreamRequest(
        text=encodable(text, "text"),
        target_prefix=encodable(options.target_prefix, "target_prefix"),
    )
    _set_options(request, options)
    return _addressed(request, source_language, target_language, model)


def _addressed(
    request: _Request, source_language: str, target_language: str, model: str
) -> _Request:
    request.model = encodable(model, "model")
    request.source_language = encodable(source_language, "source_language")
    request.target_language = encodable(target_language, "target_language")
    return request


def _set_options(
    request: pb.TranslateRequest | pb.TranslateStreamRequest, options: Options
) -> None:
    """Sets what `options` say; what they leave to the server is not sent."""
    decoding = pb.DecodingOptions(
        suppressed_tokens=[
            encodable(piece, f"options.suppressed_tokens[{i}]")
            for i, piece in enumerate(options.suppressed_tokens)
        ]
    )
    _set_numbers(decoding, options, _NUMBERS, "options")
    if options.early_stopping is not None:
        decoding.early_stopping = _EARLY_STOPPING[options.early_stopping]
    if options.sampling is not None:
        decoding.sampling.SetInParent()
        _set_numbers(decoding.sampling, options.sampling, _SAMPLING_NUMBERS, "options.sampling")
    if decoding.ByteSize():
        request.options.CopyFrom(decoding)
    if options.priority is not Priority.STANDARD:
        request.priority = _PRIORITIES[options.priority]
    if options.partial_at_deadline:
        request.partial_at_deadline = True
    if options.scores or options.alignment:
        output = pb.OutputOptions(scores=options.scores, alignment=options.alignment)
        request.output.CopyFrom(output)


def parse_options(message: pb.DecodingOptions) -> Options:
    """Reads what a model does where nothing is asked for."""
    stopping = {number: name for name, number in _EARLY_STOPPING.items()}
    return Options(
        **{name: getattr(message, name) for name in _NUMBERS if message.HasField(name)},
        early_stopping=stopping.get(message.early_stopping),
    )


def _set_numbers(
    message: pb.DecodingOptions | pb.Sampling,
    options: Options | Sampling,
    names: Sequence[str],
    where: str,
) -> None:
    for name in names:
        value = getattr(options, name)
        if value is not None:
            try:
                setattr(message, name, value)
            except (TypeError, ValueError, OverflowError) as error:
                raise InvalidRequestError(f"{where}.{name}: cannot be {value!r}") from error


def parse_response(response: pb.TranslateResponse, num_texts: int) -> list[Translation]:
    """Reads an answer's translations.

    Raises `InternalError` unless there is one for each text, `TextsRefusedError` if some texts were
    wrong.
    """
    if len(response.translations) != num_texts:
        raise InternalError(
            f"the server answered {len(response.translations)} translations for {num_texts} texts"
        )
    seed = response.seed if response.HasField("seed") else None
    translations = [_translation(translation, seed) for translation in response.translations]
    if any(translation.refusal for translation in translations):
        raise TextsRefusedError(translations)
    return translations


def parse_part(response: pb.TranslateStreamResponse) -> TranslationPart:
    """Reads one message of a stream."""
    if not response.HasField("translation"):
        return TranslationPart(response.text)
    seed = response.seed if response.HasField("seed") else None
    return TranslationPart(response.text, _translation(response.translation, seed))


def check_end(last: TranslationPart | None) -> None:
    """Raises `InternalError` for a stream that ended without the whole translation."""
    if last is None or last.translation is None:
        raise InternalError("the server ended the stream without the translation")


def _translation(message: pb.Translation, seed: int | None) -> Translation:
    return Translation(
        text=message.text,
        finish_reason=_finish_reason(message.finish_reason),
        source_tokens=message.source_tokens,
        target_tokens=message.target_tokens,
        hypotheses=tuple(_hypothesis(hypothesis) for hypothesis in message.hypotheses),
        seed=seed,
        sentences=tuple(_sentence(sentence, seed) for sentence in message.sentences),
        refusal=message.status.message,
    )


def _sentence(message: pb.TranslatedSentence, seed: int | None) -> TranslatedSentence:
    return TranslatedSentence(
        source=(message.source.start, message.source.end),
        target=(message.target.start, message.target.end),
        translation=_translation(message.translation, seed),
        is_part=message.is_part,
    )


def _hypothesis(message: pb.Hypothesis) -> Hypothesis:
    return Hypothesis(
        text=message.text,
        finish_reason=_finish_reason(message.finish_reason),
        score=message.score if message.HasField("score") else None,
        log_probability=message.log_probability if message.HasField("log_probability") else None,
        tokens=tuple(Token(token.piece, token.log_probability) for token in message.tokens),
        alignment=_alignment(message.alignment) if message.HasField("alignment") else None,
    )


def _alignment(message: pb.Alignment) -> Alignment:
    return Alignment(
        source_tokens=tuple(message.source_tokens),
        target_tokens=tuple(message.target_tokens),
        links=tuple(TokenLink(link.source, link.target, link.weight) for link in message.links),
        words=message.words,
    )


def _finish_reason(number: pb.FinishReason) -> FinishReason:
    return _FINISH_REASONS.get(number, FinishReason.UNKNOWN)


def encodable(text: str, field: str) -> str:
    """Returns the text; raises an error naming the field if it holds half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError(
            f"{field}: not valid Unicode at character {error.start}"
        ) from error
    return text
