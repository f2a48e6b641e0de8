"""ModelInferRequest to the domain's request, and its result to ModelInferResponse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from server.errors import InvalidRequestError
from server.request import TranslationRequest
from server.rpc.inference_stubs import inference_pb2 as pb
from server.rpc.inference_v2.outputs import OUTPUTS, TRANSLATION, make_outputs, read_outputs
from server.rpc.inference_v2.parameters import (
    as_named_here,
    read_options,
    read_parameters,
    read_priority,
    read_timeout,
)
from server.rpc.inference_v2.tensors import (
    TARGET_PREFIX,
    TEXT,
    OutputTensor,
    TextTensor,
    read_inputs,
    write_outputs,
)
from server.translator import TranslationResult

FINAL = "triton_final_response"
"""The parameter of a stream's answers that says whether a request has no more of them."""
MAX_INT64 = 2**63 - 1


@dataclass(frozen=True)
class Inference:
    """A request, and how it wants its answer."""

    request: TranslationRequest
    outputs: list[str]
    shape: tuple[int, ...]
    """Of the texts."""
    num_hypotheses: int
    is_raw: bool
    is_growing: bool
    """Whether text is wanted as it grows."""
    id: str

    @property
    def takes_text(self) -> bool:
        """Whether the translation itself is asked for."""
        return TRANSLATION in self.outputs

    def answer(self, result: TranslationResult) -> pb.ModelInferResponse:
        """The whole answer."""
        tensors = make_outputs(self.outputs, result.translations, self.shape, self.num_hypotheses)
        response = self._response(result.model, tensors)
        if result.seed is not None:
            field = "int64_param" if result.seed <= MAX_INT64 else "uint64_param"
            setattr(response.parameters["seed"], field, result.seed)
        return response

    def part(self, model: str, text: str) -> pb.ModelInferResponse:
        """Text to append to what came before."""
        tensor = OutputTensor(TRANSLATION, OUTPUTS[TRANSLATION].datatype, self.shape, [text])
        return self._response(model, [tensor])

    def end(self, result: TranslationResult) -> pb.ModelInferResponse:
        """The last answer where the text has been sent in parts: all but the text."""
        response = self.answer(result)
        if self.takes_text:
            place = self.outputs.index(TRANSLATION)
            nothing = self.part(result.model, "")
            response.outputs[place].CopyFrom(nothing.outputs[0])
            if self.is_raw:
                response.raw_output_contents[place] = nothing.raw_output_contents[0]
        return response

    def _response(self, model: str, tensors: list[OutputTensor]) -> pb.ModelInferResponse:
        name, _, version = model.rpartition("/")
        response = pb.ModelInferResponse(model_name=name, model_version=version, id=self.id)
        write_outputs(response, tensors, self.is_raw)
        return response


def read_request(
    message: pb.ModelInferRequest, caller: str, remaining_s: float | None, is_stream: bool
) -> Inference:
    """The request; `is_stream` says whether it came in a stream. Raises InvalidRequestError."""
    tensors = read_inputs(message)
    outputs = read_outputs(message)
    values = read_parameters(message.parameters)
    options = read_options(values)
    is_growing = bool(values.get("stream", False))
    request = TranslationRequest(
        model=message.model_name,
        source_language=values.get("source_language", ""),
        target_language=values.get("target_language", ""),
        texts=tensors[TEXT].texts,
        target_prefixes=_prefixes(tensors),
        options=options,
        priority=read_priority(values),
        caller=caller,
        timeout_s=read_timeout(values, remaining_s),
        splits_sentences=values.get("split_sentences", False),
        takes_partial=values.get("partial_at_deadline", False),
        returns_scores=any(OUTPUTS[name].needs_scores for name in outputs),
        returns_alignment=any(OUTPUTS[name].needs_alignment for name in outputs),
        text_field=f"{TEXT}[{{}}]",
        prefix_field=f"{TARGET_PREFIX}[{{}}]",
    )
    num_hypotheses = options.num_alternatives or options.num_hypotheses or 1
    if is_growing:
        _check_growing(values, request, is_stream)
    return Inference(
        request,
        outputs,
        tensors[TEXT].shape,
        num_hypotheses,
        bool(message.raw_input_contents),
        is_growing,
        message.id,
    )


def _prefixes(tensors: Mapping[str, TextTensor]) -> list[str]:
    if TARGET_PREFIX not in tensors:
        return []
    shape, texts_shape = tensors[TARGET_PREFIX].shape, tensors[TEXT].shape
    if shape != texts_shape:
        problem = f"it is {list(shape)}, that of text, {list(texts_shape)}, is allowed"
        raise InvalidRequestError(f"{TARGET_PREFIX}.shape", problem)
    return tensors[TARGET_PREFIX].texts


def _check_growing(values: Mapping[str, Any], request: TranslationRequest, is_stream: bool) -> None:
    if not is_stream:
        problem = "it is true, which only ModelStreamInfer can do"
        raise InvalidRequestError("parameters.stream", problem)
    if len(request.texts) != 1:
        problem = f"it is true for {len(request.texts)} texts, it can be for 1"
        raise InvalidRequestError("parameters.stream", problem)
    num_hypotheses = values.get("num_hypotheses", 1)
    if num_hypotheses != 1:
        problem = f"it is {num_hypotheses}, with stream 1 is allowed"
        raise InvalidRequestError("parameters.num_hypotheses", problem)


@contextmanager
def named_as_here() -> Iterator[None]:
    """What the use case refuses in the block is refused by this protocol's own names."""
    try:
        yield
    except InvalidRequestError as error:
        raise InvalidRequestError(as_named_here(error.field), error.problem) from error
