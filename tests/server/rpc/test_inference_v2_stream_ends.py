"""How a ModelStreamInfer ends: cancelled, out of time, full, drained, or with its engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from tests.server.rpc.calls import CAPTION, engine_of, gated, until
from tests.server.rpc.conftest import BUNDLED, config_for
from tests.server.rpc.inference_calls import (
    InferenceServer,
    after,
    infer_request,
    requests_counted,
    serving_inference,
    texts_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[InferenceServer]:
    async with serving_inference(config_for(BUNDLED, num_slots=8)) as server:
        yield server


@pytest.mark.parametrize("how", [{}, {"stream": True}, {"beam_size": 4}])
async def test_cancelling_the_stream_cancels_all_its_requests(
    server: InferenceServer, how: dict[str, Any]
) -> None:
    cancelled = requests_counted(server, "CANCELLED")
    with gated(server.app) as gate:
        requests = [infer_request(CAPTION, id=str(i), parameters=how) for i in range(12)]
        call = server.stub.ModelStreamInfer(iter(requests))
        reading = asyncio.ensure_future(anext(aiter(call)))
        await until(lambda: server.num_pending == 12)
        gate.allow(2)
        await until(lambda: engine_of(server.app)._scheduler.num_rows_used == 8)
        call.cancel()
        await until(lambda: server.num_pending == 0)
        gate.allow(4)
        await until(lambda: engine_of(server.app)._scheduler.num_rows_used == 0)
        await asyncio.gather(reading, return_exceptions=True)
    assert requests_counted(server, "CANCELLED") == cancelled + 12
    assert server.app._drain.num_in_flight == 0
    assert texts_of(await server.infer("A dog."))[0]


async def test_the_deadline_of_the_stream_ends_its_requests(server: InferenceServer) -> None:
    with gated(server.app) as gate:
        requests = [infer_request(CAPTION) for _ in range(3)]
        call = server.stub.ModelStreamInfer(iter(requests), timeout=0.3)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            _ = [answer async for answer in call]
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: server.num_pending == 0)
        gate.open()
    assert server.app._drain.num_in_flight == 0


async def test_a_timeout_of_a_request_is_its_own(server: InferenceServer) -> None:
    requests = [
        infer_request(CAPTION, id="late", parameters={"timeout": 50_000}),
        infer_request(CAPTION, id="patient"),
    ]
    with gated(server.app) as gate:
        answers = aiter(server.stub.ModelStreamInfer(iter(requests)))
        first = asyncio.ensure_future(anext(answers))
        await until(lambda: server.num_pending == 2)
        await asyncio.sleep(0.06)
        gate.open()
        found = {a.infer_response.id: a async for a in after(first, answers)}
    assert found["late"].error_message.startswith("[request id: late] DEADLINE_EXCEEDED: ")
    assert texts_of(found["patient"].infer_response)[0]


async def test_a_stream_without_requests_ends(server: InferenceServer) -> None:
    assert [answer async for answer in server.stub.ModelStreamInfer(iter([]))] == []


async def test_a_full_queue_refuses_requests_and_not_the_stream(numbers_package: Path) -> None:
    config = config_for(numbers_package, num_slots=1, max_waiting=1)
    async with serving_inference(config) as small:
        with gated(small.app) as gate:
            requests = [infer_request("six", id=str(i)) for i in range(5)]
            answers = aiter(small.stub.ModelStreamInfer(iter(requests)))
            refused = [await anext(answers) for _ in range(3)]
            gate.open()
            rest = [answer async for answer in answers]
    assert all("] RESOURCE_EXHAUSTED: the queue is full" in a.error_message for a in refused)
    assert [bool(answer.error_message) for answer in rest] == [False, False]


async def test_shutdown_answers_what_was_read_and_ends_the_stream(numbers_package: Path) -> None:
    async with serving_inference(config_for(numbers_package, num_slots=4)) as draining:
        call = draining.stub.ModelStreamInfer()
        with gated(draining.app) as gate:
            for i in range(3):
                await call.write(infer_request("nine thousand", id=str(i)))
            await until(lambda: draining.num_pending == 3)
            stopping = asyncio.create_task(draining.app.stop())
            await until(lambda: draining.app._drain.begun.is_set())
            gate.open()
            answers = [await call.read() for _ in range(3)]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
        await asyncio.wait_for(stopping, 10)
    assert {answer.infer_response.id for answer in answers} == {"0", "1", "2"}
    assert not any(answer.error_message for answer in answers)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert caught.value.details() == "the server is shutting down"


async def test_an_idle_stream_does_not_hold_shutdown_up(numbers_package: Path) -> None:
    async with serving_inference(config_for(numbers_package, num_slots=4)) as draining:
        call = draining.stub.ModelStreamInfer()
        await call.write(infer_request("six"))
        assert not (await call.read()).error_message
        started = asyncio.get_running_loop().time()
        await draining.app.stop()
        assert asyncio.get_running_loop().time() - started < 10  # the drain's limit is 30
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.details() == "the server is shutting down"


async def test_a_dead_engine_fails_the_requests_of_a_stream(numbers_package: Path) -> None:
    async with serving_inference(config_for(numbers_package, num_slots=4)) as dying:
        with gated(dying.app) as gate:
            answers = aiter(dying.stub.ModelStreamInfer(iter([infer_request("six", id="1")])))
            first = asyncio.ensure_future(anext(answers))
            await until(lambda: dying.num_pending == 1)

            def break_down(_tokens: list[int]) -> None:
                raise RuntimeError("broken, as this test wants")

            engine_of(dying.app)._runner.decode_step = break_down  # type: ignore[method-assign]
            gate.open()
            answer = await first
    assert answer.error_message == "[request id: 1] UNAVAILABLE: the engine has died"
