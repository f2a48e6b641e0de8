"""ModelStreamInfer over a real socket: many requests at once, text as it grows, and errors that end
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
import pytest_asyncio

from server.rpc.inference_stubs import inference_pb2 as pb
from server.rpc.inference_v2 import stream as module
from tests.server.rpc.calls import CAPTION, engine_of, gated, until
from tests.server.rpc.conftest import BUNDLED, config_for
from tests.server.rpc.inference_calls import (
    InferenceServer,
    after,
    infer_request,
    outputs_of,
    requests_counted,
    serving_inference,
    texts_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOF = "Two men are repairing the roof of an old house."
GROWING = {"stream": True}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[InferenceServer]:
    async with serving_inference(config_for(BUNDLED, num_slots=8)) as server:
        yield server


def is_final(answer: pb.ModelStreamInferResponse) -> bool:
    return answer.infer_response.parameters["triton_final_response"].bool_param


async def streamed(
    server: InferenceServer, requests: Iterable[pb.ModelInferRequest]
) -> list[pb.ModelStreamInferResponse]:
    return [answer async for answer in server.stub.ModelStreamInfer(iter(requests))]


@pytest.mark.parametrize("is_raw", [False, True])
async def test_each_request_has_the_answer_of_model_infer(
    server: InferenceServer, is_raw: bool
) -> None:
    hows: list[dict[str, Any]] = [
        {},
        {"beam_size": 3, "num_hypotheses": 2},
        {"seed": 3},
        {"stream": False},
        {"triton_enable_empty_final_response": True},
    ]
    outputs = ["translation", "score", "num_target_tokens"]
    requests = [
        infer_request(CAPTION, ROOF, is_raw=is_raw, outputs=outputs, parameters=how, id=f"r{i}")
        for i, how in enumerate(hows)
    ]
    expected = {r.id: await server.stub.ModelInfer(r) for r in requests}
    answers = await streamed(server, requests)
    assert len(answers) == len(requests)
    assert all(is_final(answer) and not answer.error_message for answer in answers)
    found = {}
    for answer in answers:
        del answer.infer_response.parameters["triton_final_response"]
        found[answer.infer_response.id] = answer.infer_response
    assert found == expected


@pytest.mark.parametrize("is_raw", [False, True])
@pytest.mark.parametrize("shape", [[1], [1, 1]])
@pytest.mark.parametrize("how", [{}, {"beam_size": 4}, {"seed": 4, "temperature": 1.2}])
async def test_text_that_grows_joins_to_the_translation(
    server: InferenceServer, how: dict[str, Any], shape: list[int], is_raw: bool
) -> None:
    outputs = ["finish_reason", "translation", "num_target_tokens"]
    form = {"shape": shape, "is_raw": is_raw, "outputs": outputs, "id": "7"}
    whole = await server.infer(CAPTION, parameters=how, **form)
    request = infer_request(CAPTION, parameters={**how, **GROWING}, **form)
    *parts, last = await streamed(server, [request])
    assert len(parts) > 1
    assert not any(is_final(part) for part in parts)
    assert is_final(last)
    for part in parts:
        assert [output.name for output in part.infer_response.outputs] == ["translation"]
        assert list(part.infer_response.outputs[0].shape) == shape
        assert part.infer_response.id == "7"
    pieces = [text for answer in [*parts, last] for text in texts_of(answer.infer_response)]
    assert "".join(pieces) == texts_of(whole)[0]
    assert pieces[-1] == ""
    end, expected = outputs_of(last.infer_response), outputs_of(whole)
    assert list(end) == list(expected) == outputs
    assert end["finish_reason"] == expected["finish_reason"]
    assert end["num_target_tokens"] == expected["num_target_tokens"]
    assert last.infer_response.parameters["seed"] == whole.parameters["seed"]


async def test_text_comes_before_the_end(server: InferenceServer) -> None:
    with gated(server.app) as gate:
        request = infer_request(CAPTION, parameters=GROWING)
        answers = aiter(server.stub.ModelStreamInfer(iter([request])))
        gate.allow(5)
        early = [texts_of((await anext(answers)).infer_response)[0] for _ in range(5)]
        assert server.num_pending == 1
        gate.open()
        rest = [answer async for answer in answers]
    assert all(early)
    joined = "".join(early + [texts_of(answer.infer_response)[0] for answer in rest])
    assert joined == texts_of(await server.infer(CAPTION))[0]


async def test_text_that_is_not_asked_for_does_not_come(server: InferenceServer) -> None:
    request = infer_request(CAPTION, parameters=GROWING, outputs=["num_target_tokens"])
    (answer,) = await streamed(server, [request])
    assert is_final(answer)
    (count,) = outputs_of(answer.infer_response)["num_target_tokens"].values
    assert count > 5


async def test_an_empty_text_grows_to_nothing(server: InferenceServer) -> None:
    outputs = ["translation", "finish_reason"]
    (answer,) = await streamed(server, [infer_request("", parameters=GROWING, outputs=outputs)])
    assert is_final(answer)
    found = outputs_of(answer.infer_response)
    assert found["translation"].values == [""]
    assert found["finish_reason"].values == ["empty"]


@pytest.mark.parametrize(
    ("texts", "how", "expected"),
    [
        (["a", "b"], {}, "parameters.stream: it is true for 2 texts, it can be for 1"),
        ([], {}, "parameters.stream: it is true for 0 texts, it can be for 1"),
        (
            ["a"],
            {"beam_size": 4, "num_hypotheses": 2},
            "parameters.num_hypotheses: it is 2, with stream 1 is allowed",
        ),
        (
            ["a"],
            {"num_alternatives": 2},
            "parameters.num_alternatives: it is 2, but alternatives cannot be streamed",
        ),
        (["a"], {"beam_size": 9}, "parameters.beam_size: it is 9, 1 to 8 is allowed"),
    ],
)
async def test_what_cannot_grow_is_refused(
    server: InferenceServer, texts: list[str], how: dict[str, Any], expected: str
) -> None:
    (answer,) = await streamed(server, [infer_request(*texts, parameters={**GROWING, **how})])
    assert answer.error_message == f"INVALID_ARGUMENT: {expected}"


async def test_an_error_is_of_its_request_alone(server: InferenceServer) -> None:
    requests = [
        infer_request("A dog.", id="1"),
        infer_request("A dog.", id="2", model_name="absent"),
        infer_request("A dog.", id="3"),
    ]
    not_found = requests_counted(server, "NOT_FOUND", "")
    ok = requests_counted(server, "OK")
    answers = {a.infer_response.id: a for a in await streamed(server, requests)}
    assert set(answers) == {"1", "2", "3"}
    message = "model: there is no model 'absent'; there are: multi30k"
    assert answers["2"].error_message == f"[request id: 2] NOT_FOUND: {message}"
    assert is_final(answers["2"])
    assert not answers["1"].error_message + answers["3"].error_message
    assert requests_counted(server, "OK") == ok + 2
    assert requests_counted(server, "NOT_FOUND", "") == not_found + 1


async def test_bytes_that_are_no_request_end_no_stream(server: InferenceServer) -> None:
    call = server.channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
    good = infer_request("A dog.", id="good").SerializeToString()
    data = [answer async for answer in call(iter([b"\xff\xff\xff", good]))]
    answers = [pb.ModelStreamInferResponse.FromString(answer) for answer in data]
    errors = [answer.error_message for answer in answers if answer.error_message]
    assert errors == ["INVALID_ARGUMENT: request: these bytes are no ModelInferRequest"]
    assert {answer.infer_response.id for answer in answers} == {"", "good"}


async def test_an_error_of_ours_tells_nothing_and_ends_no_stream(
    server: InferenceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = server.app.models.get("").tokenizer
    encode = type(tokenizer).encode

    def broken(self: Any, text: str, target_language: str) -> list[int]:
        if text == "A cat.":
            raise RuntimeError("a secret")
        return encode(self, text, target_language)

    monkeypatch.setattr(type(tokenizer), "encode", broken)
    requests = [infer_request("A cat.", id="1"), infer_request("A dog.", id="2")]
    answers = {a.infer_response.id: a for a in await streamed(server, requests)}
    expected = "INTERNAL: internal error; the server's log has the details"
    message, _, request_id = answers["1"].error_message.rpartition(", request ")
    assert message == f"[request id: 1] {expected}"
    assert len(request_id) == 32
    assert texts_of(answers["2"].infer_response)[0]


async def test_requests_of_a_stream_share_the_batch(server: InferenceServer) -> None:
    with gated(server.app) as gate:
        requests = [infer_request(CAPTION, id=str(i)) for i in range(8)]
        answers = aiter(server.stub.ModelStreamInfer(iter(requests)))
        first = asyncio.ensure_future(anext(answers))
        await until(lambda: server.num_pending == 8)
        gate.allow(3)
        await until(lambda: engine_of(server.app)._scheduler.num_rows_used == 8)
        gate.open()
        rest = [answer async for answer in after(first, answers)]
    assert {answer.infer_response.id for answer in rest} == {str(i) for i in range(8)}


async def test_a_short_request_is_answered_before_a_long_one(server: InferenceServer) -> None:
    long = {"min_target_tokens": 60, "loop_guard": 0}
    requests = [
        infer_request(CAPTION, id="long", parameters=long),
        infer_request("A dog.", id="short", parameters={"max_target_tokens": 1}),
    ]
    with gated(server.app) as gate:
        call = server.stub.ModelStreamInfer(iter(requests))
        answers = aiter(call)
        first = asyncio.ensure_future(anext(answers))
        await until(lambda: server.num_pending == 2)
        gate.allow(2)
        assert (await first).infer_response.id == "short"
        gate.open()
        assert [answer.infer_response.id async for answer in answers] == ["long"]


async def test_so_many_requests_of_a_stream_run_at_once(
    server: InferenceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_AT_ONCE", 3)
    most = 0
    with gated(server.app) as gate:
        requests = [infer_request("A dog.", id=str(i)) for i in range(10)]
        answers = aiter(server.stub.ModelStreamInfer(iter(requests)))
        first = asyncio.ensure_future(anext(answers))
        await until(lambda: server.num_pending == 3)
        for _ in range(20):  # the others have long been sent
            await asyncio.sleep(0.002)
            most = max(most, server.num_pending)
        gate.open()
        found = [answer.infer_response.id async for answer in after(first, answers)]
    assert most == 3
    assert sorted(found) == [str(i) for i in range(10)]
