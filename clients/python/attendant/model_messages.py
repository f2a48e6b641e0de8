"""Between the SDK's models and pieces and the API's messages. Sends nothing."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from attendant_protos.v1 import translation_pb2 as pb

from attendant.errors import InternalError
from attendant.messages import encodable, parse_options
from attendant.model import Evidence, Model, ModelState, Pieces

_STATES: Mapping[pb.ModelState, ModelState] = MappingProxyType(
    {
        pb.MODEL_STATE_AVAILABLE: ModelState.AVAILABLE,
        pb.MODEL_STATE_LOADING: ModelState.LOADING,
        pb.MODEL_STATE_READY: ModelState.READY,
        pb.MODEL_STATE_FAILED: ModelState.FAILED,
        pb.MODEL_STATE_UNLOADED: ModelState.UNLOADED,
    }
)


def build_get_model(model: str) -> pb.GetModelRequest:
    """Builds the request. Raises InvalidRequestError for what cannot be written as protobuf."""
    return pb.GetModelRequest(model=encodable(model, "model"))


def build_tokenize(texts: Sequence[str], model: str, target_language: str) -> pb.TokenizeRequest:
    """Builds the request; raises as `build_get_model` does."""
    return pb.TokenizeRequest(
        model=encodable(model, "model"),
        texts=[encodable(text, f"texts[{i}]") for i, text in enumerate(texts)],
        target_language=encodable(target_language, "target_language"),
    )


def build_detokenize(texts: Sequence[Sequence[str]], model: str) -> pb.DetokenizeRequest:
    """Builds the request; raises as `build_get_model` does."""
    return pb.DetokenizeRequest(
        model=encodable(model, "model"),
        texts=[
            pb.Pieces(pieces=[encodable(piece, f"texts[{i}].pieces") for piece in pieces])
            for i, pieces in enumerate(texts)
        ],
    )


def parse_pieces(response: pb.TokenizeResponse, num_texts: int) -> list[Pieces]:
    """Reads an answer. Raises `InternalError` unless there is one for each text."""
    _check_count(len(response.texts), num_texts)
    return [Pieces(tuple(text.pieces), tuple(text.ids)) for text in response.texts]


def parse_texts(response: pb.DetokenizeResponse, num_texts: int) -> list[str]:
    """Reads an answer. Raises `InternalError` unless there is one for each text."""
    _check_count(len(response.texts), num_texts)
    return list(response.texts)


def parse_model(message: pb.Model) -> Model:
    """Reads a model."""
    return Model(
        name=message.name,
        version=message.version,
        state=_STATES.get(message.state, ModelState.UNKNOWN),
        reason=message.reason,
        variant=message.variant,
        languages=tuple(message.languages),
        directions=tuple(message.directions),
        max_tokens=message.max_tokens,
        max_hypotheses=message.max_hypotheses,
        defaults=parse_options(message.defaults),
        evidence=tuple(_evidence(evidence) for evidence in message.evidence),
    )


def _evidence(message: pb.Evidence) -> Evidence:
    return Evidence(
        implementation=message.implementation,
        bleu=message.bleu,
        bleu_signature=message.bleu_signature,
        chrf=message.chrf,
        chrf_signature=message.chrf_signature,
        token_exact_rate=message.token_exact_rate,
        num_sentences=message.num_sentences,
    )


def _check_count(num_answers: int, num_texts: int) -> None:
    if num_answers != num_texts:
        raise InternalError(f"the server answered {num_answers} for {num_texts} texts")
