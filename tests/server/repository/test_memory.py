"""A budget of memory: which model makes room for another, and when none does."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from server.errors import MemoryBudgetError
from server.model_entry import ModelState
from server.repository import ModelRepository
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
        with pytest.raises(MemoryBudgetError, match="model c needs about 100 MiB; 200 of 250 MiB"):
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


async def test_a_model_that_does_not_fit_at_all_drives_nobody_out(
    tmp_path: Path, loader: Loader
) -> None:
    for label in ("a/1", "b/1"):
        write(tmp_path, label)
    write(tmp_path, "large/1", "x" * 200)  # as many times the bytes of the others
    repository = ModelRepository(tmp_path, loader, budget_bytes=250 << 20)
    await repository.start(["a", "b"])
    for _ in range(3):
        with pytest.raises(MemoryBudgetError, match="model large needs about"):
            await serving(repository, "large")
    assert {model.name for model in repository.all()} == {"a", "b"}


async def test_two_models_in_turn_where_there_is_room_for_one(
    tmp_path: Path, loader: Loader
) -> None:
    """Whoever waited for a model gets to use it, before it makes room for the next."""
    for label in ("a/1", "b/1"):
        write(tmp_path, label)
    repository = ModelRepository(tmp_path, loader, budget_bytes=150 << 20)
    await repository.start([])
    found = await asyncio.gather(
        *(serving(repository, name) for name in "ab" * 3), return_exceptions=True
    )
    answered = [label for label in found if not isinstance(label, BaseException)]
    assert answered
    assert all(isinstance(e, MemoryBudgetError) for e in found if isinstance(e, BaseException))
    assert await serving(repository, "a") == "a/1"
    assert await serving(repository, "b") == "b/1"


async def test_the_memory_of_what_still_ends_its_calls_is_taken(
    tmp_path: Path, loader: Loader
) -> None:
    for label in ("a/1", "b/1"):
        write(tmp_path, label)
    repository = ModelRepository(tmp_path, loader, budget_bytes=150 << 20)
    await repository.start(["a"])
    async with repository.use("a"):
        await repository.unload("a")
        with pytest.raises(MemoryBudgetError, match="100 of 150 MiB are taken"):
            await serving(repository, "b")
    await asyncio.sleep(0.01)
    assert await serving(repository, "b") == "b/1"
