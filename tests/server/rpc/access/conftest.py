"""A server whose keys each may something else, for the tests of one file."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from tests.server.rpc.calls import Server
from tests.server.rpc.conftest import BUNDLED, config_for, serving
from tests.server.rpc.secure import KeyFile


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    file = KeyFile(tmp_path_factory.mktemp("keys") / "keys.toml")
    file.add("web")
    file.add("other")
    file.add("ops", 'permissions = ["admin"]')
    file.add("rare", "requests_per_s = 0.01", "request_burst = 2")
    file.add("short", "characters_per_s = 0.5", "character_burst = 40")
    file.add("single", "max_concurrent = 1")
    return file


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(keys: KeyFile) -> AsyncIterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.rpc.app.RELOAD_INTERVAL_S", 0.02)
        async with serving(config_for(BUNDLED, num_slots=1, api_keys=str(keys.path))) as server:
            yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.app.port}") as channel:
        yield channel
