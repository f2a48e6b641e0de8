"""Real servers in this process, on free ports, over the tiny package and the bundled one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest_asyncio
from attendant_protos.v1 import translation_pb2_grpc

from demos.bundled import PACKAGE as BUNDLED
from server.config import ServerConfig
from server.rpc.app import App, running
from tests.server.rpc.calls import Server

__all__ = ["BUNDLED"]


def config_for(package: Path, **options: object) -> ServerConfig:
    return ServerConfig(models=package.parent.parent, port=0, drain_delay_s=0.0, **options)


@contextlib.asynccontextmanager
async def serving(config: ServerConfig) -> AsyncIterator[Server]:
    """A server and a stub, inside the block."""
    async with (
        running(config) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        yield Server(app, translation_pb2_grpc.TranslationServiceStub(channel))


@pytest_asyncio.fixture
async def app(numbers_package: Path) -> AsyncIterator[App]:
    config = config_for(numbers_package, num_slots=8, max_waiting=64, max_texts=16)
    async with running(config) as app:
        yield app


@pytest_asyncio.fixture
async def channel(app: App) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        yield channel


@pytest_asyncio.fixture
async def stub(channel: grpc.aio.Channel) -> translation_pb2_grpc.TranslationServiceStub:
    return translation_pb2_grpc.TranslationServiceStub(channel)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def captions() -> AsyncIterator[Server]:
    """The bundled model, for the tests of one file."""
    async with serving(config_for(BUNDLED, num_slots=16)) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def numbers(numbers_package: Path) -> AsyncIterator[Server]:
    """The tiny model, for the tests of one file."""
    async with serving(config_for(numbers_package, num_slots=8, max_texts=16)) as server:
        yield server
