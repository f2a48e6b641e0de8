"""Limits over a real socket: how much a key may do, whose calls are whose, and what of it all can
be seen from outside.
"""

from __future__ import annotations

import asyncio
import logging

import grpc
import pytest
from prometheus_client import generate_latest

from tests.server.rpc.calls import CAPTION, Server, gated, refusal, request, until
from tests.server.rpc.secure import UNAUTHENTICATED, KeyFile, trailing

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_over_the_rate_is_refused_with_when_to_come_again(
    server: Server, keys: KeyFile
) -> None:
    metadata = keys.metadata("rare")
    for _ in range(2):
        await server.stub.Translate(request("A."), metadata=metadata)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.stub.Translate(request("A."), metadata=metadata)
    error = caught.value
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "key rare may send 0.01 requests a second, 2 at once" in (error.details() or "")
    assert 50_000 < int(str(error.trailing_metadata()["grpc-retry-pushback-ms"])) <= 100_000
    await server.stub.Translate(request("A."), metadata=keys.metadata("web"))


async def test_over_the_characters_is_refused_before_any_work(
    server: Server, keys: KeyFile
) -> None:
    metadata = keys.metadata("short")
    code, message = await refusal(server.stub.Translate(request(CAPTION), metadata=metadata))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message == "texts: together they have 63 characters, key short may send 40 at once"
    await server.stub.Translate(
        request("Two dogs.", target_prefixes=["Zwei"]), metadata=metadata
    )  # 13 of 40
    code, message = await refusal(server.stub.Translate(request("a" * 30), metadata=metadata))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "0.5 characters a second, 40 at once" in message


async def test_calls_at_a_time_are_bounded_and_counted_down(server: Server, keys: KeyFile) -> None:
    metadata = keys.metadata("single")
    with gated(server.app) as gate:
        running = asyncio.ensure_future(server.stub.Translate(request("A."), metadata=metadata))
        await until(lambda: server.async_engine.num_pending == 1)
        code, message = await refusal(server.stub.Translate(request("A."), metadata=metadata))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert message.startswith("key single may have at most 1 calls running")
        gate.open()
        await running
    for _ in range(3):
        call = server.stub.Translate(request("A."), metadata=metadata)
        call.cancel()  # one that ends in another way is counted down too
        await asyncio.gather(call, return_exceptions=True)
        await until(lambda: server.app._drain.num_in_flight == 0)
    await server.stub.Translate(request("A."), metadata=metadata)


# Who is who


async def test_fair_shares_are_of_keys_though_they_share_an_address(
    server: Server, keys: KeyFile
) -> None:
    with gated(server.app) as gate:
        many = asyncio.ensure_future(
            server.stub.Translate(request(*["Two dogs."] * 20), metadata=keys.metadata("web"))
        )
        await until(lambda: server.async_engine.num_pending == 20)
        one = asyncio.ensure_future(
            server.stub.Translate(request("A dog."), metadata=keys.metadata("other"))
        )
        await until(lambda: server.async_engine.num_pending == 21)
        gate.open()
        await asyncio.gather(many, one)
        order = [job.caller for job in gate.ended]
    assert sorted(order) == ["other"] + ["web"] * 20
    assert order.index("other") <= 3


async def test_a_request_id_is_no_handle_on_somebody_elses_call(
    server: Server, keys: KeyFile
) -> None:
    """The same id from two callers: one cancels, and the other is answered its own."""
    mine = (*keys.metadata("web"), ("x-request-id", "shared"))
    theirs = (*keys.metadata("other"), ("x-request-id", "shared"))
    alone = await server.stub.Translate(request("A dog."), metadata=mine)
    with gated(server.app) as gate:
        kept = asyncio.ensure_future(server.stub.Translate(request("A dog."), metadata=mine))
        call = server.stub.Translate(request("Two men."), metadata=theirs)
        await until(lambda: server.async_engine.num_pending == 2)
        call.cancel()
        await until(lambda: server.async_engine.num_pending == 1)
        gate.open()
        assert await kept == alone


# What can be seen, when one key has used up its rate


async def test_no_key_is_in_logs_metrics_answers_or_reprs(
    server: Server, keys: KeyFile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen = []
    for name, key in keys.keys.items():
        for metadata in (keys.metadata(name), (("x-api-key", key + "x"),)):
            call = server.stub.Translate(request("A."), metadata=metadata)
            seen += [str(await trailing(call)), str(await call.details())]
    seen += [caplog.text, generate_latest(server.app.metrics.registry).decode()]
    seen += [repr(vars(each)) for each in (server.app, server.app._access, server.app.config)]
    everything = "".join(seen)
    assert "UNAUTHENTICATED" in everything
    for key in keys.keys.values():
        assert key not in everything
        assert key.removeprefix("att_")[:12] not in everything


async def test_refusals_are_counted(server: Server) -> None:
    def count() -> float:
        labels = {"model": "", "code": "UNAUTHENTICATED"}
        return server.app.metrics.registry.get_sample_value("attendant_requests_total", labels) or 0

    before = count()
    assert await refusal(server.stub.Translate(request("A."))) == UNAUTHENTICATED
    assert count() == before + 1
