"""attendant.v1's messages to domain requests, domain results to messages."""

from __future__ import annotations

from typing import Any

from attendant_protos.v1 import translation_pb2 as pb
from google.protobuf.message import Message

from server.engine.options import EarlyStopping
from server.engine.sequence import Priority
from server.errors import InvalidRequestError
from server.request import RequestedOptions, RequestedSampling, TranslationRequest
from server.rpc.status import status_of
from server.text.alignment import Alignment
from server.text.tokenizer import Span
from server.translation import Ending, HypothesisText, TranslatedSentence, Translation
from server.translator import TranslationResult

_FINISH_REASONS = {
    Ending.STOP: pb.FINISH_REASON_STOP,
    Ending.LENGTH: pb.FINISH_REASON_LENGTH,
    Ending.LOOP: pb.FINISH_REASON_LOOP,
    Ending.DEADLINE: pb.FINISH_REASON_DEADLINE,
    Ending.EMPTY: pb.FINISH_REASON_EMPTY,
    Ending.REFUSED: pb.FINISH_REASON_REFUSED,
}
_PRIORITIES = {
    pb.PRIORITY_UNSPECIFIED: Priority.STANDARD,
    pb.PRIORITY_INTERACTIVE: Priority.INTERACTIVE,
    pb.PRIORITY_STANDARD: Priority.STANDARD,
    pb.PRIORITY_BULK: Priority.BULK,
}
_EARLY_STOPPING = {
    pb.EARLY_STOPPING_UNSPECIFIED: None,
    pb.EARLY_STOPPING_PATIENCE: EarlyStopping.PATIENCE,
    pb.EARLY_STOPPING_HEURISTIC: EarlyStopping.HEURISTIC,
    pb.EARLY_STOPPING_NEVER: EarlyStopping.NEVER,
}
_PLAIN_OPTIONS = (
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


def read_request(
    message: pb.TranslateRequest, caller: str, timeout_s: float | None
) -> TranslationRequest:
    """The domain's request. Raises InvalidRequestError for an unknown enum value."""
    return TranslationRequest(
        texts=list(message.texts),
        target_prefixes=list(message.target_prefixes),
        splits_sentences=message.split_sentences,
        **_shared_fields(message, caller, timeout_s),
    )


def read_stream_request(
    message: pb.TranslateStreamRequest, caller: str, timeout_s: float | None
) -> TranslationRequest:
    """The domain's request for one text. Raises InvalidRequestError for an unknown enum value."""
    return TranslationRequest(
        texts=[message.text],
        target_prefixes=[message.target_prefix],
        text_field="text",
        prefix_field="target_prefix",
        **_shared_fields(message, caller, timeout_s),
    )


def _shared_fields(
    message: pb.TranslateRequest | pb.TranslateStreamRequest, caller: str, timeout_s: float | None
) -> dict[str, Any]:
    return {
        "model": message.model,
        "source_language": message.source_language,
        "target_language": message.target_language,
        "options": _options(message.options),
        "priority": _known("priority", _PRIORITIES, message.priority),
        "caller": caller,
        "timeout_s": timeout_s,
        "takes_partial": message.partial_at_deadline,
        "takes_refusals": True,
        "returns_scores": message.output.scores,
        "returns_alignment": message.output.alignment,
    }


def _options(options: pb.DecodingOptions) -> RequestedOptions:
    stopping = _known("options.early_stopping", _EARLY_STOPPING, options.early_stopping)
    sampling = None
    if options.HasField("sampling"):
        names = ("temperature", "top_k", "top_p", "seed")
        sampling = RequestedSampling(**_present(options.sampling, names))
    return RequestedOptions(
        **_present(options, _PLAIN_OPTIONS),
        early_stopping=stopping,
        sampling=sampling,
        suppressed_tokens=list(options.suppressed_tokens),
    )


def _present(message: Message, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _as_written(getattr(message, name)) for name in names if message.HasField(name)}


def _as_written(value: float) -> float:
    """A float32 as the decimal that the caller wrote, 1.1 and not 1.10000002384: a limit and a
    product's rounding are meant for that one. Whole numbers stay as they are.
    """
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _known(field: str, values: dict[Any, Any], number: int) -> Any:
    if number not in values:
        known = ", ".join(str(value) for value in values)
        raise InvalidRequestError(field, f"it is {number}, known are {known}")
    return values[number]


def response(result: TranslationResult) -> pb.TranslateResponse:
    """The answer to Translate."""
    translations = [_translation(translation) for translation in result.translations]
    return pb.TranslateResponse(translations=translations, model=result.model, seed=result.seed)


def stream_response(part: str | TranslationResult) -> pb.TranslateStreamResponse:
    """A message of TranslateStream: text, or the whole result."""
    if isinstance(part, str):
        return pb.TranslateStreamResponse(text=part)
    (translation,) = part.translations
    return pb.TranslateStreamResponse(
        translation=_translation(translation), model=part.model, seed=part.seed
    )


def _translation(translation: Translation) -> pb.Translation:
    return pb.Translation(
        text=translation.text,
        finish_reason=_FINISH_REASONS[translation.ending],
        source_tokens=translation.num_source_tokens,
        target_tokens=translation.num_target_tokens,
        hypotheses=[_hypothesis(hypothesis) for hypothesis in translation.hypotheses],
        sentences=[_sentence(sentence) for sentence in translation.sentences],
        status=_status(translation.refusal),
    )


def _sentence(sentence: TranslatedSentence) -> pb.TranslatedSentence:
    return pb.TranslatedSentence(
        source=_span(sentence.source),
        target=_span(sentence.target),
        is_part=sentence.is_part,
        translation=_translation(sentence.translation),
    )


def _span(span: Span) -> pb.TextSpan:
    start, end = span
    return pb.TextSpan(start=start, end=end)


def _status(error: InvalidRequestError | None) -> pb.TextStatus | None:
    if error is None:
        return None
    status = status_of(error)
    code, _ = status.code.value
    return pb.TextStatus(code=code, field=error.field, message=status.message)


def _hypothesis(hypothesis: HypothesisText) -> pb.Hypothesis:
    return pb.Hypothesis(
        text=hypothesis.text,
        finish_reason=_FINISH_REASONS[hypothesis.ending],
        score=hypothesis.score,
        log_probability=hypothesis.log_probability,
        tokens=[
            pb.Token(piece=token.piece, log_probability=token.log_probability)
            for token in hypothesis.tokens
        ],
        alignment=_alignment(hypothesis.alignment, hypothesis.target_pieces),
    )


def _alignment(alignment: Alignment | None, target_pieces: list[str]) -> pb.Alignment | None:
    if alignment is None:
        return None
    return pb.Alignment(
        source_tokens=alignment.source_pieces,
        target_tokens=target_pieces,
        links=[
            pb.TokenLink(source=link.source, target=link.target, weight=link.weight)
            for link in alignment.links
        ],
        words=alignment.words,
    )
