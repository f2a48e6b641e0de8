"""Each bound of a connection, against clients that go beyond it, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from attendant_protos.v1 import translation_pb2 as pb
from attendant_protos.v1.translation_pb2_grpc import TranslationServiceStub
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.config import ServerConfig
from tests.certificates import Authority
from tests.server.rpc.calls import refusal
from tests.server.rpc.raw_http2 import GOAWAY, PING, PREFACE, SETTINGS, frame, frames
from tests.server.rpc.secure import OWN, check, empty_server, tls_options, until_closed

pytestmark = pytest.mark.asyncio

HELLO = PREFACE + frame(SETTINGS)


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    """Of a server with the bounds that a server has unless it is told otherwise."""
    async with empty_server() as app:
        yield app.port


@pytest_asyncio.fixture
async def channel(port: int) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OWN) as channel:
        yield channel


@pytest.mark.parametrize("size", [9_000, 70_000])
async def test_metadata_over_the_bound_is_refused(channel: grpc.aio.Channel, size: int) -> None:
    await check(channel, metadata=(("x-large", "a" * 7_000),))
    code, message = await refusal(check(channel, metadata=(("x-large", "a" * size),)))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "metadata size exceeds hard limit" in message
    await check(channel)


async def test_the_bound_of_metadata_is_of_all_together(channel: grpc.aio.Channel) -> None:
    metadata = tuple((f"x-{i}", "a" * 100) for i in range(100))
    code, _ = await refusal(check(channel, metadata=metadata))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_message_over_the_bound_is_refused(channel: grpc.aio.Channel) -> None:
    stub = TranslationServiceStub(channel)
    code, _ = await refusal(stub.Translate(pb.TranslateRequest(texts=["a" * (4_000_000)])))
    assert code is grpc.StatusCode.NOT_FOUND  # it was read: there is no model here
    code, message = await refusal(stub.Translate(pb.TranslateRequest(texts=["a" * (4 << 20)])))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "message larger than max" in message


async def test_a_call_over_the_bound_of_a_connection_waits_for_another_to_end() -> None:
    async with (
        empty_server(max_streams=10) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.port}", options=OWN) as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(10)]
        for watch in watches:
            await watch.read()
        code, _ = await refusal(check(channel, timeout=0.3))
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        watches[0].cancel()
        await check(channel)


async def test_a_connection_too_many_is_closed_and_others_go_on() -> None:
    async with (
        empty_server(max_connections=3) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.port}", options=OWN) as channel,
    ):
        await check(channel)
        held = [await asyncio.open_connection("127.0.0.1", app.port) for _ in range(2)]
        for reader, writer in held:
            writer.write(HELLO)
            assert await reader.read(1)
        _, lasted_s = await until_closed(app.port, HELLO)
        assert lasted_s < 5
        await check(channel)
        for _, writer in held:
            writer.close()


@pytest.mark.parametrize("sent", [b"", PREFACE, PREFACE[:10], b"GET / HTTP/1.1\r\n"])
async def test_a_connection_that_does_not_begin_is_closed(sent: bytes) -> None:
    async with empty_server(handshake_timeout_s=0.3) as app:
        _, lasted_s = await until_closed(app.port, sent)
    assert lasted_s < 5


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01", HELLO])
async def test_a_tls_handshake_that_does_not_end_is_closed(tmp_path: Path, sent: bytes) -> None:
    pair = Authority(tmp_path).issue("server")
    async with empty_server(handshake_timeout_s=0.3, **tls_options(pair)) as app:
        _, lasted_s = await until_closed(app.port, sent)
    assert lasted_s < 5


async def test_an_idle_connection_is_closed_with_a_word() -> None:
    async with empty_server(idle_timeout_s=0.3) as app:
        answer, lasted_s = await until_closed(app.port, HELLO)
    assert lasted_s < 8
    assert b"connection idle" in dict(frames(answer))[GOAWAY]


async def test_an_old_connection_is_asked_to_leave() -> None:
    async with empty_server(max_connection_age_s=0.3) as app:
        assert b"max_age" in await until_frame(app.port, GOAWAY)


async def test_a_flood_of_pings_ends_the_connection(port: int) -> None:
    answer, _ = await until_closed(port, HELLO + 10 * frame(PING, b"12345678"))
    assert b"too_many_pings" in dict(frames(answer))[GOAWAY]


async def test_pings_at_the_allowed_pace_are_answered() -> None:
    async with empty_server(min_ping_interval_s=0.01) as app:
        reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
        writer.write(HELLO)
        for _ in range(6):
            await asyncio.sleep(0.05)
            writer.write(frame(PING, b"12345678"))
        seen = b""
        async with asyncio.timeout(10):
            while sum(kind == PING for kind, _ in frames(seen)) < 6:
                seen += await reader.read(1 << 16)
        assert GOAWAY not in dict(frames(seen))
        writer.close()


async def test_a_silent_connection_is_asked_whether_it_lives() -> None:
    async with empty_server(keepalive_s=0.2) as app:
        assert await until_frame(app.port, PING)


async def until_frame(port: int, kind: int) -> bytes:
    """The content of the first frame of `kind` that a silent connection gets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HELLO)
    seen = b""
    async with asyncio.timeout(10):
        while kind not in dict(frames(seen)):
            seen += await reader.read(1 << 16)
    writer.close()
    return dict(frames(seen))[kind]


async def test_the_defaults_are_those_of_the_page() -> None:
    page = (Path(__file__).parents[3] / "docs/security.md").read_text(encoding="utf-8")
    config = ServerConfig()
    for name in (
        *("max_message_bytes", "max_metadata_bytes", "max_streams", "max_connections"),
        *("handshake_timeout_s", "idle_timeout_s", "max_connection_age_s", "keepalive_s"),
        *("min_ping_interval_s", "max_texts", "max_text_characters", "max_request_tokens"),
        "max_waiting",
    ):
        value = getattr(config, name)
        shown = f"{value:,}" if isinstance(value, int) else f"{value:g}"
        assert f"| `{name}` | {shown} |" in page, name
