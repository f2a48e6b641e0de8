"""Between a load test's requests and messages of the Open Inference Protocol. Sends nothing."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import grpc

from attendant.errors import ERROR_BY_CODE, AttendantError, InternalError
from attendant.load.config import Request
from attendant.load.kserve_stubs import inference_pb2 as pb
from attendant.messages import encodable
from attendant.options import Options, Priority

if TYPE_CHECKING:
    from google.protobuf.internal.containers import MessageMap

_OUTPUTS = ("translation", "num_source_tokens", "num_target_tokens")
_PRIORITIES: Mapping[Priority, int] = MappingProxyType(
    {Priority.INTERACTIVE: 1, Priority.STANDARD: 2, Priority.BULK: 3}
)
_PLAIN = (
    "max_target_tokens",
    "min_target_tokens",
    "max_length_ratio",
    "min_length_ratio",
    "beam_size",
    "num_hypotheses",
    "length_penalty",
    "patience",
    "early_stopping",
    "num_alternatives",
    "no_repeat_ngram_size",
    "repetition_penalty",
    "loop_guard",
)
_SAMPLING = ("temperature", "top_k", "top_p", "seed")
_FINAL = "triton_final_response"
_ZERO = bytes(4)

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Translated:
    """What an answer, or one of a stream's, says."""

    text: str
    """The translation; in a stream the part of it that is new."""

    source_tokens: int
    """Of the text; 0 where the answer does not tell, as in the parts of a stream."""

    target_tokens: int
    """Of the translation; likewise."""

    is_last: bool
    """Whether no more answers to the request follow."""


def build_infer_request(request: Request, model: str, is_streamed: bool) -> pb.ModelInferRequest:
    """Builds the message for a text, its tensors raw, as Triton's own client sends them.

    Raises `InvalidRequestError` for what cannot be written as protobuf.
    """
    message = pb.ModelInferRequest(model_name=model)
    _add_text(message, "text", request.text)
    if prefix := request.options.target_prefix:
        _add_text(message, "target_prefix", prefix if isinstance(prefix, str) else prefix[0])
    values = {
        "source_language": request.source_language,
        "target_language": request.target_language,
        **_values(request.options),
    }
    if is_streamed:
        values["stream"] = True
    _set_parameters(message.parameters, values)
    extra = (("score", request.options.scores), ("alignment", request.options.alignment))
    for name in (*_OUTPUTS, *(name for name, is_wanted in extra if is_wanted)):
        message.outputs.add(name=name)
    return message


def parse_infer_response(response: pb.ModelInferResponse) -> Translated:
    """Reads an answer; raises `InternalError` for one without a translation."""
    raw = dict(
        zip(
            (output.name for output in response.outputs), response.raw_output_contents, strict=False
        )
    )
    try:
        return Translated(
            text=_first_text(raw["translation"]),
            source_tokens=_first_number(raw.get("num_source_tokens", _ZERO)),
            target_tokens=_first_number(raw.get("num_target_tokens", _ZERO)),
            is_last=response.parameters[_FINAL].bool_param,
        )
    except (KeyError, struct.error) as error:
        raise InternalError("the answer has no translation") from error


def parse_stream_error(message: str) -> AttendantError:
    """Returns the error of one request of a stream: "[request id: 7] NOT_FOUND: what is wrong"."""
    name, colon, details = message.rpartition("] ")[2].partition(": ")
    if not colon or name not in grpc.StatusCode.__members__:
        return InternalError(message)
    code = grpc.StatusCode[name]
    return ERROR_BY_CODE.get(code, AttendantError)(details, code)


def _add_text(message: pb.ModelInferRequest, name: str, text: str) -> None:
    content = encodable(text, name).encode()
    message.inputs.add(name=name, datatype="BYTES", shape=[1])
    message.raw_input_contents.append(struct.pack("<I", len(content)) + content)


def _first_text(raw: bytes) -> str:
    (length,) = struct.unpack_from("<I", raw)
    return raw[4 : 4 + length].decode(errors="replace")


def _first_number(raw: bytes) -> int:
    (number,) = struct.unpack_from("<i", raw)
    return int(number)


def _values(options: Options) -> dict[str, Value]:
    """The parameters that options mean; what they leave to the server is not among them."""
    given: dict[str, Value] = {}
    for name in _PLAIN:
        if (value := getattr(options, name)) is not None:
            given[name] = value
    for name in _SAMPLING if options.sampling is not None else ():
        if (value := getattr(options.sampling, name)) is not None:
            given[name] = value
    if options.suppressed_tokens:
        given["suppressed_tokens"] = " ".join(options.suppressed_tokens)
    if options.priority is not Priority.STANDARD:
        given["priority"] = _PRIORITIES[options.priority]
    for name in ("partial_at_deadline", "split_sentences"):
        if getattr(options, name):
            given[name] = True
    return given


def _set_parameters(
    parameters: "MessageMap[str, pb.InferParameter]", values: Mapping[str, Value]
) -> None:
    for name, value in values.items():
        if isinstance(value, bool):
            parameters[name].bool_param = value
        elif isinstance(value, int):
            parameters[name].int64_param = value
        elif isinstance(value, float):
            parameters[name].double_param = value
        else:
            parameters[name].string_param = encodable(str(value), name)
