"""ModelInfer over a real socket: every form of tensor, and the answers of the native service."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from attendant_protos.v1 import translation_pb2 as native
from attendant_protos.v1.translation_pb2_grpc import TranslationServiceStub

from server.engine.sequence import Priority
from server.rpc.inference_stubs import inference_pb2 as pb
from tests.server.rpc.calls import CAPTION, engine_of, gated, refusal, request, until
from tests.server.rpc.conftest import BUNDLED, config_for
from tests.server.rpc.inference_calls import (
    InferenceServer,
    infer_request,
    outputs_of,
    serving_inference,
    texts_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXTS = [CAPTION, "Two men are repairing the roof of an old house.", "", "A dog."]
ALL = [
    "num_target_tokens",
    "score",
    "translation",
    "log_probability",
    "finish_reason",
    "alignment",
    "num_source_tokens",
]
FINISH_REASONS = {
    native.FINISH_REASON_STOP: "stop",
    native.FINISH_REASON_LENGTH: "length",
    native.FINISH_REASON_LOOP: "loop",
    native.FINISH_REASON_EMPTY: "empty",
}
PATIENCE, NEVER = native.EARLY_STOPPING_PATIENCE, native.EARLY_STOPPING_NEVER
PAIRS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"beam_size": 4}, {"beam_size": 4}),
    (
        {"beam_size": 5, "num_hypotheses": 3, "length_penalty": 0.6},
        {"beam_size": 5, "num_hypotheses": 3, "length_penalty": 0.6},
    ),
    (
        {"beam_size": 3, "patience": 2, "early_stopping": "patience"},
        {"beam_size": 3, "patience": 2.0, "early_stopping": PATIENCE},
    ),
    (
        {"beam_size": 4, "early_stopping": "never", "length_penalty": 2},
        {"beam_size": 4, "early_stopping": NEVER, "length_penalty": 2.0},
    ),
    (
        {"seed": 4, "temperature": 1.2, "num_hypotheses": 2},
        {"sampling": native.Sampling(seed=4, temperature=1.2), "num_hypotheses": 2},
    ),
    (
        {"seed": 5, "top_k": 40, "top_p": 0.9},
        {"sampling": native.Sampling(seed=5, top_k=40, top_p=0.9)},
    ),
    ({"num_alternatives": 3}, {"num_alternatives": 3}),
    (
        {"max_target_tokens": 6, "min_target_tokens": 4},
        {"max_target_tokens": 6, "min_target_tokens": 4},
    ),
    (
        {"max_length_ratio": 0.7, "min_length_ratio": 0.2},
        {"max_length_ratio": 0.7, "min_length_ratio": 0.2},
    ),
    (
        {"min_target_tokens": 40, "loop_guard": 2, "no_repeat_ngram_size": 0},
        {"min_target_tokens": 40, "loop_guard": 2},
    ),
    (
        {"no_repeat_ngram_size": 1, "repetition_penalty": 1.3},
        {"no_repeat_ngram_size": 1, "repetition_penalty": 1.3},
    ),
    (
        {"suppressed_tokens": "▁Ein ▁Zwei ."},
        {"suppressed_tokens": ["▁Ein", "▁Zwei", "."]},
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[InferenceServer]:
    async with serving_inference(config_for(BUNDLED, num_slots=16)) as server:
        yield server


@pytest.fixture
def stub(server: InferenceServer) -> TranslationServiceStub:
    return TranslationServiceStub(server.channel)


def native_request(options: dict[str, Any], **fields: Any) -> native.TranslateRequest:
    output = native.OutputOptions(scores=True, alignment=True)
    return request(*TEXTS, options=native.DecodingOptions(**options), output=output, **fields)


def assert_same(response: pb.ModelInferResponse, answer: native.TranslateResponse) -> None:
    """All that `answer` says of every hypothesis, in the tensors of `response`."""
    found = outputs_of(response)
    num_columns = len(found["translation"].values) // len(TEXTS)
    for i, translation in enumerate(answer.translations):
        assert found["num_source_tokens"].values[i] == translation.source_tokens
        assert found["num_target_tokens"].values[i] == translation.target_tokens
        row = slice(i * num_columns, (i + 1) * num_columns)
        hypotheses = translation.hypotheses
        assert len(hypotheses) == (num_columns if TEXTS[i] else 0)
        if not TEXTS[i]:
            assert found["translation"].values[row] == [""] * num_columns
            assert found["finish_reason"].values[row] == ["empty"] + [""] * (num_columns - 1)
            assert all(map(math.isnan, found["score"].values[row]))
            continue
        assert found["translation"].values[row] == [h.text for h in hypotheses]
        assert found["alignment"].values[row] == [h.alignment.words for h in hypotheses]
        endings = [FINISH_REASONS[h.finish_reason] for h in hypotheses]
        assert found["finish_reason"].values[row] == endings
        for name, exact in (
            ("score", [h.score for h in hypotheses]),
            ("log_probability", [h.log_probability for h in hypotheses]),
        ):
            assert found[name].values[row] == [as_float32(value) for value in exact]


def as_float32(value: float) -> float:
    (rounded,) = struct.unpack("<f", struct.pack("<f", value))
    return float(rounded)


@pytest.mark.parametrize(("here", "there"), PAIRS)
async def test_answers_are_those_of_the_native_service(
    server: InferenceServer,
    stub: TranslationServiceStub,
    here: dict[str, Any],
    there: dict[str, Any],
) -> None:
    response = await server.infer(*TEXTS, outputs=ALL, parameters=here)
    answer = await stub.Translate(native_request(there))
    assert_same(response, answer)
    assert f"{response.model_name}/{response.model_version}" == answer.model
    assert [output.name for output in response.outputs] == ALL
    assert ("seed" in response.parameters) == answer.HasField("seed")
    assert response.parameters["seed"].int64_param == answer.seed


async def test_the_options_make_a_difference(server: InferenceServer) -> None:
    plain = texts_of(await server.infer(*TEXTS))
    same = [
        here for here, _ in PAIRS if texts_of(await server.infer(*TEXTS, parameters=here)) == plain
    ]
    assert len(same) < len(PAIRS) / 2


async def test_both_protocols_give_the_same_under_load_of_both(
    server: InferenceServer, stub: TranslationServiceStub
) -> None:
    alone = [await server.infer(*TEXTS, outputs=ALL, parameters=here) for here, _ in PAIRS]
    with gated(server.app) as gate:
        calls = [
            (
                asyncio.ensure_future(
                    server.stub.ModelInfer(infer_request(*TEXTS, outputs=ALL, parameters=here))
                ),
                asyncio.ensure_future(stub.Translate(native_request(there))),
            )
            for here, there in PAIRS * 2
        ]
        await until(lambda: server.num_pending == 3 * 2 * len(calls))
        gate.open()
        for i, (ours, theirs) in enumerate(calls):
            response = await ours
            expected = alone[i % len(PAIRS)]
            assert response.SerializeToString(deterministic=True) == expected.SerializeToString(
                deterministic=True
            )
            assert_same(response, await theirs)


@pytest.mark.parametrize("is_raw", [False, True])
@pytest.mark.parametrize("shape", [[4], [4, 1]])
async def test_elements_come_back_as_they_were_sent(
    server: InferenceServer, shape: list[int], is_raw: bool
) -> None:
    expected = texts_of(await server.infer(*TEXTS))
    assert len(set(expected)) == 4
    response = await server.infer(*TEXTS, shape=shape, is_raw=is_raw, outputs=ALL, id="a-7")
    assert bool(response.raw_output_contents) == is_raw
    assert any(output.HasField("contents") for output in response.outputs) != is_raw
    found = outputs_of(response)
    assert found["translation"].values == expected
    assert {tuple(tensor.shape) for tensor in found.values()} == {tuple(shape)}
    assert response.id == "a-7"
    types = {name: tensor.datatype for name, tensor in found.items()}
    assert types == {
        "translation": "BYTES",
        "score": "FP32",
        "log_probability": "FP32",
        "finish_reason": "BYTES",
        "alignment": "BYTES",
        "num_source_tokens": "INT32",
        "num_target_tokens": "INT32",
    }


@pytest.mark.parametrize("is_raw", [False, True])
@pytest.mark.parametrize("shape", [[2], [2, 1]])
async def test_several_hypotheses_are_columns(
    server: InferenceServer, shape: list[int], is_raw: bool
) -> None:
    how = {"beam_size": 3, "num_hypotheses": 3}
    response = await server.infer(
        CAPTION, "A dog.", shape=shape, is_raw=is_raw, outputs=ALL, parameters=how
    )
    found = outputs_of(response)
    shapes = {name: tensor.shape for name, tensor in found.items()}
    assert shapes.pop("num_source_tokens") == shape
    assert shapes.pop("num_target_tokens") == shape
    assert set(map(tuple, shapes.values())) == {(2, 3)}
    scores = found["score"].values
    assert scores[:3] == sorted(scores[:3], reverse=True)
    assert scores[3:] == sorted(scores[3:], reverse=True)
    assert len(set(found["translation"].values)) > 3


@pytest.mark.parametrize("is_raw", [False, True])
@pytest.mark.parametrize("shape", [[0], [0, 1]])
async def test_no_text_is_no_translation(
    server: InferenceServer, shape: list[int], is_raw: bool
) -> None:
    response = await server.infer(shape=shape, is_raw=is_raw, outputs=ALL)
    assert all(list(output.shape) == shape for output in response.outputs)
    assert all(tensor.values == [] for tensor in outputs_of(response).values())


async def test_by_default_the_translation_alone_is_answered(server: InferenceServer) -> None:
    response = await server.infer(CAPTION)
    assert [output.name for output in response.outputs] == ["translation"]
    assert not response.parameters


@pytest.mark.parametrize("is_raw", [False, True])
async def test_prefixes_are_a_second_tensor(server: InferenceServer, is_raw: bool) -> None:
    prefixes = ["Ein kleines", "", "", "Der"]
    response = await server.infer(*TEXTS, prefixes=prefixes, is_raw=is_raw)
    found = texts_of(response)
    assert found[0].startswith("Ein kleines")
    assert found[3].startswith("Der")
    assert found[1:3] == texts_of(await server.infer(*TEXTS))[1:3]


async def test_names_and_versions_choose_the_model(server: InferenceServer) -> None:
    for name, version in (("multi30k", BUNDLED.name), ("multi30k", ""), ("", "")):
        response = await server.infer("A dog.", model_name=name, model_version=version)
        assert (response.model_name, response.model_version) == ("multi30k", BUNDLED.name)


async def test_a_seed_that_the_server_picked_is_told(server: InferenceServer) -> None:
    response = await server.infer(CAPTION, parameters={"temperature": 2.0})
    seed = response.parameters["seed"].int64_param
    again = await server.infer(CAPTION, parameters={"temperature": 2.0, "seed": seed})
    assert texts_of(again) == texts_of(response)


async def test_unsigned_numbers_are_numbers(server: InferenceServer) -> None:
    request = infer_request(CAPTION)
    request.parameters["seed"].uint64_param = 2**64 - 1
    request.parameters["beam_size"].uint64_param = 1
    request.parameters["temperature"].uint64_param = 1
    response = await server.stub.ModelInfer(request)
    assert response.parameters["seed"].uint64_param == 2**64 - 1


async def test_urgency_is_that_of_the_native_service(server: InferenceServer) -> None:
    levels = {0: Priority.STANDARD, 1: Priority.INTERACTIVE, 2: Priority.STANDARD, 3: Priority.BULK}
    with gated(server.app) as gate:
        gate.open()
        for level, expected in levels.items():
            await server.infer("A dog.", parameters={"priority": level})
            await until(lambda level=level: len(gate.ended) == level + 1)
            assert gate.ended[-1].priority is expected


async def test_a_timeout_in_the_request_is_a_deadline(server: InferenceServer) -> None:
    with gated(server.app) as gate:
        call = server.stub.ModelInfer(infer_request(CAPTION, parameters={"timeout": 50_000}))
        pending = asyncio.ensure_future(refusal(call))
        await until(lambda: server.num_pending == 1)
        await asyncio.sleep(0.06)
        gate.open()
        code, message = await pending
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert message == "the deadline passed, or was too close for this text"


async def test_a_partial_result_is_answered_at_the_deadline(server: InferenceServer) -> None:
    how = {"timeout": 300_000, "partial_at_deadline": True, "min_target_tokens": 60}
    outputs = ["translation", "finish_reason"]
    with gated(server.app) as gate:
        sent = infer_request(CAPTION, outputs=outputs, parameters=how)
        call = asyncio.ensure_future(server.stub.ModelInfer(sent))
        await until(lambda: server.num_pending == 1)
        gate.allow(3)
        await asyncio.sleep(0.3)
        gate.open()
        found = outputs_of(await call)
    assert found["finish_reason"].values == ["deadline"]
    assert found["translation"].values[0]


async def test_cancelling_frees_the_rows(server: InferenceServer) -> None:
    with gated(server.app) as gate:
        call = server.stub.ModelInfer(infer_request(CAPTION, CAPTION, parameters={"beam_size": 4}))
        gate.allow(3)
        await until(lambda: engine_of(server.app)._scheduler.num_rows_used == 8)
        call.cancel()
        await until(lambda: server.num_pending == 0)
    await until(lambda: engine_of(server.app)._scheduler.num_rows_used == 0)
