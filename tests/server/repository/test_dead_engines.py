"""Engines that die, and those that do not start again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from server.repository import ModelRepository
from tests.server.repository.fake_models import Loader, serving, settle, write

pytestmark = pytest.mark.asyncio


async def test_a_dead_engine_is_started_again(tmp_path: Path, loader: Loader) -> None:
    write(tmp_path, "a/1")
    repository = ModelRepository(tmp_path, loader)
    await repository.start(None)
    dead = loader.models["a/1"]
    cast("Any", dead.engine).is_alive = False
    await repository.revive()
    async with repository.use("a") as model:
        assert model is not dead
        assert model.engine.is_alive


async def test_an_engine_that_does_not_start_is_tried_later_and_later(
    tmp_path: Path, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    import server.repository as module

    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    write(tmp_path, "a/1")
    repository = ModelRepository(tmp_path, loader)
    await repository.start(None)
    cast("Any", loader.models["a/1"].engine).is_alive = False
    loader.refuses = lambda _folder: True
    tries = []
    for tenths in range(1000):
        now[0] = tenths / 10
        before = len(loader.loaded)
        await repository.revive()
        if len(loader.loaded) > before:
            tries.append(now[0])
    assert tries == pytest.approx([0, 1, 3, 7, 15, 31, 63], abs=0.11)


async def test_a_dead_engine_is_started_again_though_a_newer_version_is_bad(
    tmp_path: Path, loader: Loader
) -> None:
    write(tmp_path, "a/1")
    repository = ModelRepository(tmp_path, loader)
    await repository.start(None)
    loader.refuses = lambda folder: folder.name == "2"
    write(tmp_path, "a/2")
    await settle(repository)
    cast("Any", loader.models["a/1"].engine).is_alive = False
    await repository.revive()
    assert loader.loaded == ["a/1", "a/2", "a/1"]
    assert await serving(repository) == "a/1"
    assert loader.models["a/1"].engine.is_alive
    (entry,) = repository.entries()
    assert "not to be trusted" in entry.reason  # which is of the newer one, still


async def test_a_dead_engine_needs_no_memory_beside_the_new_one(tmp_path: Path) -> None:
    loader = Loader(memory_bytes=100 << 20)
    write(tmp_path, "a/1")
    repository = ModelRepository(tmp_path, loader, budget_bytes=150 << 20)
    await repository.start(None)
    cast("Any", loader.models["a/1"].engine).is_alive = False
    await repository.revive()
    assert loader.models["a/1"].engine.is_alive
