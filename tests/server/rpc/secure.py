"""What tests of security share: servers without models, keys, and raw connections."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.config import ServerConfig
from server.rpc.app import App, running
from server.security.keys import new_key
from tests.certificates import Authority, Pair

# Each connection is a new one: gRPC would share those of the same options.
OWN = [("grpc.use_local_subchannel_pool", 1)]

NEEDED = "a valid API key is needed: metadata 'authorization: Bearer KEY'"
UNAUTHENTICATED = (grpc.StatusCode.UNAUTHENTICATED, NEEDED)


@contextlib.asynccontextmanager
async def empty_server(**options: Any) -> AsyncIterator[App]:
    """A server that loads nothing until it is asked to translate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.rpc.app.RELOAD_INTERVAL_S", 0.02)
        config = ServerConfig(port=0, drain_delay_s=0.0, load="none", **options)
        async with running(config) as app:
            yield app


def tls_options(pair: Pair, authority: Authority | None = None) -> dict[str, str]:
    found = {"tls_certificate": str(pair.certificate), "tls_key": str(pair.key)}
    return found | ({"tls_client_ca": str(authority.file)} if authority else {})


def credentials(root: bytes, pair: Pair | None = None) -> grpc.ChannelCredentials:
    if pair is None:
        return grpc.ssl_channel_credentials(root)
    return grpc.ssl_channel_credentials(root, pair.key.read_bytes(), pair.certificate.read_bytes())


async def check(channel: grpc.aio.Channel, **options: Any) -> Any:
    """Asks for health, which every server answers."""
    stub = health_pb2_grpc.HealthStub(channel)
    return await stub.Check(health_pb2.HealthCheckRequest(), **{"timeout": 5, **options})


async def trailing(call: Any) -> dict[str, str]:
    await asyncio.gather(call, return_exceptions=True)
    return {str(key): str(value) for key, value in await call.trailing_metadata()}


async def is_answered(port: int, found: grpc.ChannelCredentials | None) -> bool:
    """Whether a new connection with these credentials, or in plain text, gets an answer."""
    target = f"localhost:{port}"
    async with (
        grpc.aio.secure_channel(target, found, options=OWN)
        if found
        else grpc.aio.insecure_channel(target, options=OWN)
    ) as channel:
        try:
            await check(channel)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return False
            raise
    return True


class KeyFile:
    """A file of keys, and the keys."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys: dict[str, str] = {}
        self._entries: dict[str, str] = {}

    def add(self, name: str, *lines: str) -> str:
        self.keys[name], digest = new_key()
        self._entries[name] = "\n".join([f"[keys.{name}]", f'sha256 = "{digest}"', *lines])
        self.write()
        return self.keys[name]

    def remove(self, name: str) -> None:
        del self._entries[name]
        self.write()

    def write(self) -> None:
        """As an editor does: a new file in the old one's place."""
        new = self.path.with_suffix(".new")
        new.write_text("\n".join(self._entries.values()))
        new.rename(self.path)

    def metadata(self, name: str) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.keys[name]}"),)


async def until_closed(port: int, sent: bytes, patience_s: float = 10.0) -> tuple[bytes, float]:
    """What a server answers to `sent` until it closes the connection, and after how long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started, answer = time.monotonic(), b""
    writer.write(sent)
    try:
        async with asyncio.timeout(patience_s):
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(1 << 16):
                    answer += data
    except TimeoutError:
        pytest.fail("the connection stays open")
    finally:
        writer.close()
    return answer, time.monotonic() - started
