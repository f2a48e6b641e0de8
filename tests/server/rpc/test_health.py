"""Health over a real socket, as probes and load balancers ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1 import health_pb2_grpc

from server.rpc.app import App
from server.rpc.health import NOT_SERVING, SERVICE_UNKNOWN, SERVING
from tests.server.rpc.calls import refusal
from tests.server.rpc.raw_http2 import (
    HEADERS,
    NO_WINDOW,
    PREFACE,
    SETTINGS,
    frame,
    frames,
    grpc_headers,
    grpc_message,
)
from tests.server.rpc.secure import OWN, empty_server

pytestmark = pytest.mark.asyncio

WATCH = "/grpc.health.v1.Health/Watch"
WAIT_S = 10.0


@pytest_asyncio.fixture
async def app() -> AsyncIterator[App]:
    async with empty_server() as app:
        yield app


@pytest_asyncio.fixture
async def stub(app: App) -> AsyncIterator[health_pb2_grpc.HealthStub]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{app.port}", options=OWN) as channel:
        yield health_pb2_grpc.HealthStub(channel)


def asked(service: str) -> pb.HealthCheckRequest:
    return pb.HealthCheckRequest(service=service)


async def test_what_there_is_not_is_not_found(stub: health_pb2_grpc.HealthStub) -> None:
    code, _ = await refusal(stub.Check(asked("nobody"), timeout=WAIT_S))
    assert code is grpc.StatusCode.NOT_FOUND


async def test_all_are_listed(stub: health_pb2_grpc.HealthStub) -> None:
    found = (await stub.List(pb.HealthListRequest(), timeout=WAIT_S)).statuses
    assert {name: status.status for name, status in found.items()} == {
        "": SERVING,
        "attendant.v1.TranslationService": SERVING,
        "inference.GRPCInferenceService": SERVING,
        "models/multi30k": NOT_SERVING,  # it loads when it is asked for
    }


async def test_a_watcher_hears_of_every_change_and_of_nothing_else(
    app: App, stub: health_pb2_grpc.HealthStub
) -> None:
    watch = stub.Watch(asked("models/new"), timeout=WAIT_S)
    assert (await watch.read()).status == SERVICE_UNKNOWN
    heard = []
    for status in (SERVING, SERVING, NOT_SERVING, SERVING):
        app._health.set("models/other", status)
        app._health.set("models/new", status)
        if not heard or heard[-1] != status:
            heard.append((await watch.read()).status)
    assert heard == [SERVING, NOT_SERVING, SERVING]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watch.read(), 0.3)


async def test_watchers_who_do_not_read_hold_nobody_up() -> None:
    """Health changes, other watchers hear of it, and the server stops."""
    async with empty_server() as app:
        reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
        writer.write(PREFACE + frame(SETTINGS, NO_WINDOW))
        for stream in range(1, 41, 2):
            writer.write(grpc_headers(WATCH, stream) + grpc_message(b"", stream))
        kinds: list[int] = []
        while HEADERS not in kinds:
            kinds += [kind for kind, _ in frames(await asyncio.wait_for(reader.read(9999), WAIT_S))]
        await asyncio.sleep(0.2)
        target = f"127.0.0.1:{app.port}"
        async with grpc.aio.insecure_channel(target, options=OWN) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(asked(""), timeout=WAIT_S)
            assert (await watch.read()).status == SERVING
            stop = asyncio.create_task(app.stop())
            assert (await watch.read()).status == NOT_SERVING
            await asyncio.wait_for(stop, WAIT_S)
        writer.close()
