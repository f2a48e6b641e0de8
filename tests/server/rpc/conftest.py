"""A real server in this process, on a free port, over the tiny package."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest_asyncio
from attendant_protos.v1 import translation_pb2_grpc

from server.config import ServerConfig
from server.rpc.app import App, running


def config_for(package: Path, **options: object) -> ServerConfig:
    return ServerConfig(models=package.parent.parent, port=0, drain_delay_s=0.0, **options)


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
