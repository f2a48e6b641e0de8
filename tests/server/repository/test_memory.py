"""A budget of memory: which model makes room for another, and when none does."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from server.errors import MemoryBudgetError, UnavailableError
from server.repository import ModelRepository, ModelState
from tests.server.repository.fake_models import Loader, serving, write

pytestmark = pytest.mark.asyncio


async def test_the_least_recently_used_idle_model_makes_room(
    tmp_path: Path, loader: Loader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for label in ("a/1", "b/1", "c/1", "d/1"):
        write(tmp_path, label)
    repository = ModelRepository(tmp_path, loader, budget_bytes=250 << 20)
    await repository.start(["a", "b"])
    await serving(repository, "a")
    await serving(repository, "c")  # b was used least recently
    states = {entry.name: entry.state for entry in repository.entries()}
    assert states == {
        "a": ModelState.READY,
        "b": ModelState.AVAILABLE,
        "c": ModelState.READY,
        "d": ModelState.AVAILABLE,
    }
    assert await serving(repository, "b") == "b/1"  # and comes back when asked for
    assert {model.name for model in repository.all()} == {"b", "c"}


async def test_models_in_use_are_not_put_away(tmp_path: Path, loader: Loader) -> None:
    for label in ("a/1", "b/1", "c/1"):
        write(tmp_path, label)
    repository = ModelRepository(tmp_path, loader, budget_bytes=250 << 20)
    await repository.start(["a", "b"])
    async with repository.use("a"), repository.use("b"):
        with pytest.raises(UnavailableError, match="model c needs about 100 MiB; 200 of 250 MiB"):
            await serving(repository, "c")
    assert await serving(repository, "c") == "c/1"


async def test_a_load_without_room_is_refused(tmp_path: Path, loader: Loader) -> None:
    for label in ("a/1", "b/1"):
        write(tmp_path, label)
    repository = ModelRepository(tmp_path, loader, budget_bytes=150 << 20)
    await repository.start(["a"])
    async with repository.use("a"):
        with pytest.raises(MemoryBudgetError, match="model b needs about 100 MiB"):
            await repository.load("b")
