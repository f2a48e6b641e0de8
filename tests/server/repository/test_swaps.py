"""Versions that come and go while their model serves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from server.model_entry import ModelState
from server.repository import ModelRepository
from tests.server.repository.fake_models import Loader, serving, settle, write

pytestmark = pytest.mark.asyncio


async def test_a_newer_version_takes_over_and_the_old_one_ends_with_its_last_call(
    tmp_path: Path, loader: Loader
) -> None:
    write(tmp_path, "a/1")
    repository = ModelRepository(tmp_path, loader)
    await repository.start(None)
    old = loader.models["a/1"]
    async with repository.use("a") as model:
        write(tmp_path, "a/2")
        await settle(repository)
        assert await serving(repository) == "a/2"
        assert model is old
        assert old.engine.is_alive
    await asyncio.sleep(0.01)
    assert not old.engine.is_alive
    assert loader.models["a/2"].engine.is_alive


async def test_a_package_that_is_still_being_copied_is_left_alone(
    tmp_path: Path, loader: Loader
) -> None:
    write(tmp_path, "a/1")
    repository = ModelRepository(tmp_path, loader)
    await repository.start(None)
    for size in range(4):
        write(tmp_path, "a/2", "x" * (size + 1))
        await repository.refresh()
    assert loader.loaded == ["a/1"]
    await repository.refresh()
    assert loader.loaded == ["a/1", "a/2"]


async def test_a_bad_newer_version_is_refused_once_and_the_old_one_stays(
    tmp_path: Path, loader: Loader, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "a/1")
    repository = ModelRepository(tmp_path, loader)
    await repository.start(None)
    loader.refuses = lambda folder: folder.name == "2"
    write(tmp_path, "a/2")
    for _ in range(5):
        await settle(repository)
    assert loader.loaded == ["a/1", "a/2"]
    assert await serving(repository) == "a/1"
    assert "a/2 is refused" in caplog.text
    (entry,) = repository.entries()
    assert (entry.state, "not to be trusted" in entry.reason) == (ModelState.READY, True)


async def test_a_version_that_vanishes_goes_on_serving(tmp_path: Path, loader: Loader) -> None:
    path = write(tmp_path, "a/1")
    repository = ModelRepository(tmp_path, loader)
    await repository.start(None)
    (path / "manifest.json").unlink()
    await settle(repository)
    assert await serving(repository) == "a/1"


async def test_while_a_version_loads_the_old_one_answers(tmp_path: Path, loader: Loader) -> None:
    write(tmp_path, "a/1")
    repository = ModelRepository(tmp_path, loader)
    await repository.start(None)
    write(tmp_path, "a/2")
    await repository.refresh()
    loader.gate.clear()
    swap = asyncio.create_task(repository.refresh())
    await asyncio.sleep(0.05)
    assert await asyncio.wait_for(serving(repository), 1) == "a/1"
    loader.gate.set()
    await swap
    assert await serving(repository) == "a/2"
