"""Models that are loaded and unloaded by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.errors import NotFoundError, PackageError
from server.repository import ModelRepository
from tests.server.repository.fake_models import Loader, serving, settle, write

pytestmark = pytest.mark.asyncio


async def test_what_is_unloaded_stays_away_until_it_is_loaded_again(
    tmp_path: Path, loader: Loader
) -> None:
    for label in ("a/1", "b/1"):
        write(tmp_path, label)
    repository = ModelRepository(tmp_path, loader)
    await repository.start(None)
    await repository.unload("a")
    await settle(repository)
    assert not loader.models["a/1"].engine.is_alive
    with pytest.raises(NotFoundError, match="model a has been unloaded"):
        await serving(repository, "a")
    await repository.load("a")
    assert await serving(repository, "a") == "a/1"


async def test_a_load_that_is_refused_tells_why(tmp_path: Path, loader: Loader) -> None:
    write(tmp_path, "a/1")
    repository = ModelRepository(tmp_path, loader)
    await repository.start(None)
    loader.refuses = lambda _folder: True
    with pytest.raises(PackageError, match="not to be trusted"):
        await repository.load("a")
    assert await serving(repository) == "a/1"
