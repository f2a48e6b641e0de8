"""What an answer may hold: one table, for answers, for metadata and for the configuration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from server.errors import InvalidRequestError, shown
from server.rpc.inference_stubs import inference_pb2 as pb
from server.rpc.inference_v2.tensors import OutputTensor
from server.translation import HypothesisText, Translation

TRANSLATION = "translation"


@dataclass(frozen=True)
class HypothesisOutput:
    """A value of each hypothesis; shape (N,), (N, 1) or, where several are asked for, (N, H)."""

    datatype: str
    missing: Any
    """Where a text has fewer hypotheses than were asked for."""
    read: Callable[[HypothesisText], Any]
    needs_scores: bool = False
    needs_alignment: bool = False


@dataclass(frozen=True)
class TextOutput:
    """A value of each text; shape (N,) or (N, 1)."""

    datatype: str
    read: Callable[[Translation], Any]
    needs_scores: bool = False
    needs_alignment: bool = False


def _number(value: float | None) -> float:
    return math.nan if value is None else value


OUTPUTS: dict[str, HypothesisOutput | TextOutput] = {
    TRANSLATION: HypothesisOutput("BYTES", "", lambda h: h.text),
    "score": HypothesisOutput("FP32", math.nan, lambda h: _number(h.score), needs_scores=True),
    "log_probability": HypothesisOutput(
        "FP32", math.nan, lambda h: _number(h.log_probability), needs_scores=True
    ),
    "finish_reason": HypothesisOutput("BYTES", "", lambda h: h.ending.value),
    "alignment": HypothesisOutput(
        "BYTES", "", lambda h: h.alignment.words if h.alignment else "", needs_alignment=True
    ),
    "num_source_tokens": TextOutput("INT32", lambda t: t.num_source_tokens),
    "num_target_tokens": TextOutput("INT32", lambda t: t.num_target_tokens),
}


def read_outputs(message: pb.ModelInferRequest) -> list[str]:
    """Names of what is asked for. Raises InvalidRequestError for what there is not."""
    names: list[str] = []
    for output in message.outputs:
        if output.name not in OUTPUTS:
            problem = f"there is no tensor {shown(output.name)}; there are {', '.join(OUTPUTS)}"
            raise InvalidRequestError("outputs", problem)
        if output.name in names:
            raise InvalidRequestError("outputs", f"the tensor {output.name!r} is there twice")
        for name in sorted(output.parameters):
            problem = f"there is no parameter {shown(name)}; none is supported"
            raise InvalidRequestError(f"{output.name}.parameters", problem)
        names.append(output.name)
    return names or [TRANSLATION]


def make_outputs(
    names: Iterable[str],
    translations: list[Translation],
    shape: tuple[int, ...],
    num_hypotheses: int,
) -> list[OutputTensor]:
    """The tensors `names`, in that order; `shape` is that of the texts, of whose translations up to
    `num_hypotheses` each were asked for.
    """
    rows = [_hypotheses(translation, num_hypotheses) for translation in translations]
    wide = shape if num_hypotheses == 1 else (shape[0], num_hypotheses)
    tensors = []
    for name in names:
        output = OUTPUTS[name]
        if isinstance(output, TextOutput):
            values = [output.read(translation) for translation in translations]
            tensors.append(OutputTensor(name, output.datatype, shape, values))
        else:
            values = [output.read(h) if h else output.missing for row in rows for h in row]
            tensors.append(OutputTensor(name, output.datatype, wide, values))
    return tensors


def _hypotheses(translation: Translation, num: int) -> list[HypothesisText | None]:
    """As many as were asked for, best first; None where there are not so many."""
    found = translation.hypotheses[:num]
    if not found:
        found = [HypothesisText(translation.text, translation.ending)]
    return found + [None] * (num - len(found))
