"""Tensors of the protocol: those of a request checked and read, those of an answer written."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.errors import InvalidRequestError, shown
from server.rpc.inference_stubs import inference_pb2 as pb

TEXT, TARGET_PREFIX = "text", "target_prefix"
INPUTS = (TEXT, TARGET_PREFIX)
"""Tensors that a request may hold; the second may be left out."""

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class TextTensor:
    """A tensor of texts."""

    shape: tuple[int, ...]
    """(N,) or (N, 1)."""
    texts: list[str]


@dataclass(frozen=True)
class OutputTensor:
    """A tensor of an answer."""

    name: str
    datatype: str
    """BYTES, FP32 or INT32."""
    shape: tuple[int, ...]
    values: Sequence[Any]
    """Texts, or numbers, in row-major order."""


def read_inputs(message: pb.ModelInferRequest) -> dict[str, TextTensor]:
    """The tensors of a request by name. Raises InvalidRequestError naming what is wrong."""
    _check_raw(message)
    raw = message.raw_input_contents
    tensors: dict[str, TextTensor] = {}
    for i, tensor in enumerate(message.inputs):
        _check_tensor(tensor, tensors)
        shape = _shape(tensor)
        elements = _raw_elements(tensor.name, raw[i]) if raw else _elements(tensor)
        if len(elements) != shape[0]:
            problem = f"it has {len(elements)} elements, its shape {list(shape)} has {shape[0]}"
            raise InvalidRequestError(tensor.name, problem)
        texts = [_decode(tensor.name, j, element) for j, element in enumerate(elements)]
        tensors[tensor.name] = TextTensor(shape, texts)
    if TEXT not in tensors:
        raise InvalidRequestError("inputs", f"the tensor {TEXT!r} is missing")
    return tensors


def _check_raw(message: pb.ModelInferRequest) -> None:
    num_raw, num_inputs = len(message.raw_input_contents), len(message.inputs)
    if not num_raw:
        return
    if num_raw != num_inputs:
        problem = f"there are {num_raw} for {num_inputs} inputs; one each, or none at all"
        raise InvalidRequestError("raw_input_contents", problem)
    for tensor in message.inputs:
        if tensor.HasField("contents"):
            problem = "it is set, and so is raw_input_contents; one of them is allowed"
            raise InvalidRequestError(f"{shown(tensor.name)}.contents", problem)


def _check_tensor(
    tensor: pb.ModelInferRequest.InferInputTensor, others: dict[str, TextTensor]
) -> None:
    if tensor.name not in INPUTS:
        problem = f"there is no tensor {shown(tensor.name)}; there are {', '.join(INPUTS)}"
        raise InvalidRequestError("inputs", problem)
    if tensor.name in others:
        raise InvalidRequestError("inputs", f"the tensor {tensor.name!r} is there twice")
    if tensor.datatype != "BYTES":
        problem = f"it is {shown(tensor.datatype)}, BYTES is allowed"
        raise InvalidRequestError(f"{tensor.name}.datatype", problem)
    for name in sorted(tensor.parameters):
        problem = f"there is no parameter {shown(name)}; none is supported"
        raise InvalidRequestError(f"{tensor.name}.parameters", problem)


def _shape(tensor: pb.ModelInferRequest.InferInputTensor) -> tuple[int, ...]:
    shape = tuple(tensor.shape)
    if len(shape) not in (1, 2) or shape[0] < 0 or shape[1:] not in ((), (1,)):
        problem = f"it is {list(shape[:8])}, [N] and [N, 1] are allowed"
        raise InvalidRequestError(f"{tensor.name}.shape", problem)
    return shape


def _elements(tensor: pb.ModelInferRequest.InferInputTensor) -> list[bytes]:
    for field, _ in tensor.contents.ListFields():
        if field.name != "bytes_contents":
            problem = "it is set, bytes_contents is allowed"
            raise InvalidRequestError(f"{tensor.name}.contents.{field.name}", problem)
    return list(tensor.contents.bytes_contents)


def _raw_elements(name: str, data: bytes) -> list[bytes]:
    elements: list[bytes] = []
    start = 0
    while start < len(data):
        i, left = len(elements), len(data) - start - _LENGTH.size
        if left < 0:
            problem = f"its bytes end within the length of element {i}"
            raise InvalidRequestError(f"{name}[{i}]", problem)
        (length,) = _LENGTH.unpack_from(data, start)
        if length > left:
            problem = f"its length is {length} bytes, and {left} are left"
            raise InvalidRequestError(f"{name}[{i}]", problem)
        start += _LENGTH.size + length
        elements.append(data[start - length : start])
    return elements


def _decode(name: str, i: int, element: bytes) -> str:
    try:
        return element.decode()
    except UnicodeDecodeError as error:
        code = f"0x{element[error.start]:02X}"
        problem = f"it is not UTF-8: byte {code} at position {error.start}"
        raise InvalidRequestError(f"{name}[{i}]", problem) from None


def write_outputs(
    response: pb.ModelInferResponse, tensors: list[OutputTensor], is_raw: bool
) -> None:
    """Adds `tensors` to `response`, their elements in raw_output_contents where `is_raw`."""
    for tensor in tensors:
        assert math.prod(tensor.shape) == len(tensor.values)
        output = response.outputs.add(
            name=tensor.name, datatype=tensor.datatype, shape=tensor.shape
        )
        if is_raw:
            response.raw_output_contents.append(_packed(tensor))
        elif tensor.datatype == "BYTES":
            output.contents.bytes_contents.extend(value.encode() for value in tensor.values)
        elif tensor.datatype == "FP32":
            output.contents.fp32_contents.extend(tensor.values)
        else:
            output.contents.int_contents.extend(tensor.values)


def _packed(tensor: OutputTensor) -> bytes:
    if tensor.datatype == "BYTES":
        elements = [value.encode() for value in tensor.values]
        return b"".join(_LENGTH.pack(len(element)) + element for element in elements)
    kind = "f" if tensor.datatype == "FP32" else "i"
    return struct.pack(f"<{len(tensor.values)}{kind}", *tensor.values)
