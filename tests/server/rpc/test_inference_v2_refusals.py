"""Every check of a ModelInferRequest: the message names the field, its value and the limit."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from server.rpc.inference_stubs import inference_pb2 as pb
from tests.server.rpc.calls import refusal
from tests.server.rpc.conftest import config_for
from tests.server.rpc.inference_calls import (
    InferenceServer,
    add_tensor,
    infer_request,
    packed,
    serving_inference,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
OUTPUTS = (
    "translation, score, log_probability, finish_reason, alignment, num_source_tokens, "
    "num_target_tokens"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(numbers_package: Path) -> AsyncIterator[InferenceServer]:
    limits = {"max_texts": 4, "max_text_characters": 500, "max_request_tokens": 70}
    config = config_for(numbers_package, num_slots=12, **limits)
    async with serving_inference(config) as server:
        yield server


async def refused(server: InferenceServer, request: pb.ModelInferRequest) -> str:
    """Why it is refused by ModelInfer and, which is the same, in a stream that goes on."""
    code, message = await refusal(server.stub.ModelInfer(request))
    assert code in (INVALID, NOT_FOUND)
    good = infer_request("six", id="good")
    call = server.stub.ModelStreamInfer(iter([request, good]))
    answers = [answer async for answer in call]
    assert len(answers) == 2
    (error,) = [answer.error_message for answer in answers if answer.error_message]
    assert error == f"{code.name}: {message}"
    assert {"good"} <= {answer.infer_response.id for answer in answers}
    return f"{code.name}: {message}"


async def invalid(server: InferenceServer, request: pb.ModelInferRequest) -> str:
    message = await refused(server, request)
    assert message.startswith("INVALID_ARGUMENT: ")
    return message.removeprefix("INVALID_ARGUMENT: ")


Change = Callable[[pb.ModelInferRequest], Any]


def changed(change: Change, **how: Any) -> pb.ModelInferRequest:
    request = infer_request("six", "seven", **how)
    change(request)
    return request


def second(name: str) -> Change:
    return lambda r: add_tensor(r, name, [2], ["a", "b"])


def shaped(*shape: int) -> Change:
    def change(request: pb.ModelInferRequest) -> None:
        request.inputs[0].shape[:] = shape

    return change


def set_raw(*raw: bytes) -> Change:
    def change(request: pb.ModelInferRequest) -> None:
        request.inputs[0].ClearField("contents")
        request.raw_input_contents[:] = raw

    return change


def set_text(value: bytes) -> Change:
    def change(request: pb.ModelInferRequest) -> None:
        request.inputs[0].contents.bytes_contents[1] = value

    return change


def set_kind(kind: str) -> Change:
    return lambda r: setattr(r.inputs[0], "datatype", kind)


TENSORS: list[tuple[Change, str]] = [
    (
        lambda r: setattr(r.inputs[0], "name", "txt"),
        "inputs: there is no tensor 'txt'; there are text, target_prefix",
    ),
    (
        lambda r: setattr(r.inputs[0], "name", "x" * 100),
        f"inputs: there is no tensor '{'x' * 80}…'; there are text, target_prefix",
    ),
    (lambda r: r.ClearField("inputs"), "inputs: the tensor 'text' is missing"),
    (
        lambda r: setattr(r.inputs[0], "name", "target_prefix"),
        "inputs: the tensor 'text' is missing",
    ),
    (second("text"), "inputs: the tensor 'text' is there twice"),
    (second("other"), "inputs: there is no tensor 'other'; there are text, target_prefix"),
    (set_kind("FP32"), "text.datatype: it is 'FP32', BYTES is allowed"),
    (set_kind(""), "text.datatype: it is '', BYTES is allowed"),
    *[
        (shaped(*shape), f"text.shape: it is {list(shape)}, [N] and [N, 1] are allowed")
        for shape in ((), (1, 2), (2, 2), (2, 1, 1), (-1,), (-2, 1), (2, 0), (2, -1))
    ],
    (shaped(3), "text: it has 2 elements, its shape [3] has 3"),
    (shaped(1, 1), "text: it has 2 elements, its shape [1, 1] has 1"),
    (shaped(2**62, 1), f"text: it has 2 elements, its shape [{2**62}, 1] has {2**62}"),
    (
        lambda r: r.inputs[0].contents.fp32_contents.append(1.0),
        "text.contents.fp32_contents: it is set, bytes_contents is allowed",
    ),
    (
        lambda r: (
            r.inputs[0]
            .parameters["shared_memory_region"]
            .MergeFrom(pb.InferParameter(string_param="r"))
        ),
        "text.parameters: there is no parameter 'shared_memory_region'; none is supported",
    ),
    (set_text(b"ab\xff"), "text[1]: it is not UTF-8: byte 0xFF at position 2"),
    (set_text(b"\xed\xa0\x80"), "text[1]: it is not UTF-8: byte 0xED at position 0"),
    (set_text(b"a\0"), "text[1]: control character U+0000 at position 1 is not allowed"),
    (set_text(b"a" * 501), "text[1]: it has 501 characters, at most 500 are allowed"),
    (
        set_text(b"one hundred " * 40),
        "text[1]: it has 82 tokens, model numbers takes at most 64",
    ),
    (
        lambda r: r.raw_input_contents.append(packed([b"six", b"ten"])),
        "'text'.contents: it is set, and so is raw_input_contents; one of them is allowed",
    ),
    (
        set_raw(b"", b""),
        "raw_input_contents: there are 2 for 1 inputs; one each, or none at all",
    ),
    (set_raw(packed([b"six"])), "text: it has 1 elements, its shape [2] has 2"),
    (set_raw(packed([b"a", b"b", b"c"])), "text: it has 3 elements, its shape [2] has 2"),
    (set_raw(b""), "text: it has 0 elements, its shape [2] has 2"),
    (
        set_raw(packed([b"six"]) + b"\3\0\0"),
        "text[1]: its bytes end within the length of element 1",
    ),
    (
        set_raw(packed([b"six"]) + struct.pack("<I", 9) + b"seven"),
        "text[1]: its length is 9 bytes, and 5 are left",
    ),
    (
        set_raw(struct.pack("<I", 2**32 - 1)),
        f"text[0]: its length is {2**32 - 1} bytes, and 0 are left",
    ),
    (set_raw(packed([b"six", b"\xc3"])), "text[1]: it is not UTF-8: byte 0xC3 at position 0"),
]


@pytest.mark.parametrize(("change", "expected"), TENSORS)
async def test_a_wrong_tensor_is_named(
    server: InferenceServer, change: Change, expected: str
) -> None:
    assert await invalid(server, changed(change)) == expected


async def test_prefixes_have_the_shape_of_the_texts(server: InferenceServer) -> None:
    request = infer_request("six", "seven", shape=[2, 1])
    add_tensor(request, "target_prefix", [2], ["a", "b"])
    expected = "target_prefix.shape: it is [2], that of text, [2, 1], is allowed"
    assert await invalid(server, request) == expected
    request = infer_request("six", "seven", prefixes=["", "ei\x01n"])
    expected = "target_prefix[1]: control character U+0001 at position 2 is not allowed"
    assert await invalid(server, request) == expected


async def test_a_request_may_hold_so_many_texts_and_tokens(server: InferenceServer) -> None:
    request = infer_request(*["six"] * 5)
    assert await invalid(server, request) == "text: there are 5, at most 4 are allowed"
    request = infer_request(*["one hundred " * 16] * 2, "six")
    expected = "text: together they have 71 tokens, at most 70 are allowed"
    assert await invalid(server, request) == expected


async def test_an_output_that_does_not_exist_is_named(server: InferenceServer) -> None:
    message = await invalid(server, infer_request("six", outputs=["logits"]))
    assert message == f"outputs: there is no tensor 'logits'; there are {OUTPUTS}"
    message = await invalid(server, infer_request("six", outputs=["score", "score"]))
    assert message == "outputs: the tensor 'score' is there twice"
    request = infer_request("six", outputs=["score"])
    request.outputs[0].parameters["classification"].int64_param = 3
    message = await invalid(server, request)
    expected = "score.parameters: there is no parameter 'classification'; none is supported"
    assert message == expected


PARAMETERS: list[tuple[dict[str, Any], str]] = [
    ({"beam_size": "4"}, "beam_size: it is a string_param, int64_param or uint64_param is allowed"),
    ({"beam_size": 4.0}, "beam_size: it is a double_param, int64_param or uint64_param is allowed"),
    ({"beam_size": True}, "beam_size: it is a bool_param, int64_param or uint64_param is allowed"),
    (
        {"length_penalty": "0.6"},
        "length_penalty: it is a string_param, double_param or int64_param or uint64_param is "
        "allowed",
    ),
    ({"source_language": 1}, "source_language: it is a int64_param, string_param is allowed"),
    ({"stream": 1}, "stream: it is a int64_param, bool_param is allowed"),
    ({"beam_size": 13}, "beam_size: it is 13, 1 to 12 is allowed"),
    ({"beam_size": -(2**63)}, f"beam_size: it is {-(2**63)}, 1 to 12 is allowed"),
    ({"num_alternatives": -1}, "num_alternatives: it is -1, 0 to 12 is allowed"),
    ({"loop_guard": -1}, "loop_guard: it is -1, 2 to 64 is allowed"),
    ({"temperature": 0.0}, "temperature: it is 0.0, 0.01 to 100 is allowed"),
    ({"temperature": float("nan")}, "temperature: it is nan, 0.01 to 100 is allowed"),
    ({"length_penalty": float("inf")}, "length_penalty: it is inf, -10 to 10 is allowed"),
    ({"top_k": -1}, "top_k: it is -1, 0 to 2.14748e+09 is allowed"),
    ({"seed": -1}, f"seed: it is -1, 0 to {2**64 - 1} is allowed"),
    (
        {"early_stopping": "soon"},
        "early_stopping: it is 'soon', known are patience, heuristic, never",
    ),
    ({"priority": 4}, "priority: it is 4, known are 0, 1, 2, 3"),
    ({"timeout": -5}, "timeout: it is -5, at least 0 microseconds are allowed"),
    (
        {"suppressed_tokens": "▁ absent"},
        "suppressed_tokens[1]: 'absent' is no token of text in this model's vocabulary",
    ),
    ({"suppressed_tokens": "six " * 257}, "suppressed_tokens: it is 257, 0 to 256 is allowed"),
    (
        {"num_hypotheses": 2},
        "num_hypotheses: it is 2, but greedy search has one; set beam_size, or sampling",
    ),
    (
        {"beam_size": 2, "seed": 1},
        "temperature/top_k/top_p/seed: it is set, but beam_size must be 1 then",
    ),
    (
        {"min_target_tokens": 9, "max_target_tokens": 8},
        "min_target_tokens: it asks for 9 tokens of text 0, which may have 8",
    ),
]


@pytest.mark.parametrize(("parameters", "expected"), PARAMETERS)
async def test_a_wrong_parameter_is_named(
    server: InferenceServer, parameters: dict[str, Any], expected: str
) -> None:
    message = await invalid(server, infer_request("six", parameters=parameters))
    assert message == f"parameters.{expected}"


@pytest.mark.parametrize("name", ["beam", "sequence_id", "Beam_size", "", "x" * 200])
async def test_an_unknown_parameter_is_named_with_those_there_are(
    server: InferenceServer, name: str
) -> None:
    message = await invalid(server, infer_request("six", parameters={name: 1}))
    start, _, known = message.partition("; there are ")
    assert start.startswith(f"parameters: there is no parameter '{name[:80]}")
    assert len(start) < 150
    assert {"source_language", "beam_size", "temperature", "timeout"} <= {*known.split(", ")}


async def test_a_parameter_without_a_value_is_named(server: InferenceServer) -> None:
    request = infer_request("six")
    request.parameters["beam_size"].SetInParent()
    expected = "parameters.beam_size: it is empty, int64_param or uint64_param is allowed"
    assert await invalid(server, request) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model_name": "absent"}, "model: there is no model 'absent'; there are: numbers"),
        (
            {"model_name": "numbers", "model_version": "2"},
            "model_version: model numbers has no version '2'; it has 1",
        ),
        (
            {"parameters": {"target_language": "fr"}},
            "target_language: model numbers has no language 'fr'; it has en, de",
        ),
        (
            {"parameters": {"source_language": None}},
            "source_language: model numbers has no language ''; it has en, de",
        ),
        (
            {"parameters": {"target_language": "en"}},
            "model numbers does not translate en-en; it translates en-de",
        ),
    ],
)
async def test_what_does_not_exist_is_not_found(
    server: InferenceServer, fields: dict[str, Any], expected: str
) -> None:
    message = await refused(server, infer_request("six", **fields))
    assert message.startswith(f"NOT_FOUND: {expected}")


async def test_text_that_grows_needs_a_stream(server: InferenceServer) -> None:
    call = server.stub.ModelInfer(infer_request("six", parameters={"stream": True}))
    code, message = await refusal(call)
    assert code is INVALID
    assert message == "parameters.stream: it is true, which only ModelStreamInfer can do"


async def test_bytes_that_are_no_message_are_refused(server: InferenceServer) -> None:
    for name in ("ModelInfer", "ServerLive", "ModelConfig"):
        call = server.channel.unary_unary(f"/inference.GRPCInferenceService/{name}")
        code, message = await refusal(call(b"\xff\xff\xff"))
        assert code is INVALID
        assert message == f"request: these bytes are no {name}Request"


async def test_nothing_of_a_refused_request_reaches_the_engine(server: InferenceServer) -> None:
    (model,) = server.app.models.all()
    (stats,) = (
        await server.stub.ModelStatistics(pb.ModelStatisticsRequest(name="numbers"))
    ).model_stats
    await refusal(server.stub.ModelInfer(infer_request("six", parameters={"beam_size": 99})))
    (after,) = (
        await server.stub.ModelStatistics(pb.ModelStatisticsRequest(name="numbers"))
    ).model_stats
    assert model.engine.num_pending == 0
    assert after == stats
