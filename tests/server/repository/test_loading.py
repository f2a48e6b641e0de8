"""Which models are loaded at the start, which on demand, and what is closed at the end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from server.errors import NotFoundError, PackageError, UnavailableError
from server.model_entry import ModelState
from server.repository import ModelRepository
from tests.server.repository.fake_models import Loader, serving, settle, write

pytestmark = pytest.mark.asyncio


# At the start


async def test_all_models_are_loaded_in_their_newest_version(
    tmp_path: Path, loader: Loader
) -> None:
    for label in ("a/1", "a/10", "a/9", "b/2"):
        write(tmp_path, label)
    repository = ModelRepository(tmp_path, loader)
    await repository.start(None)
    assert loader.loaded == ["a/10", "b/2"]
    assert [await serving(repository, name) for name in ("a", "b", "a/10")] == [
        "a/10",
        "b/2",
        "a/10",
    ]


async def test_until_the_start_is_over_the_models_are_loading(
    tmp_path: Path, loader: Loader
) -> None:
    write(tmp_path, "a/1")
    loader.gate.clear()
    repository = ModelRepository(tmp_path, loader)
    start = asyncio.create_task(repository.start(None))
    await asyncio.sleep(0.05)
    with pytest.raises(UnavailableError, match="still loading"):
        await serving(repository)
    loader.gate.set()
    await start
    assert await serving(repository) == "a/1"


async def test_a_bad_package_or_an_empty_folder_stops_the_start(
    tmp_path: Path, loader: Loader
) -> None:
    with pytest.raises(PackageError, match="no model package"):
        await ModelRepository(tmp_path, loader).start(None)
    write(tmp_path, "a/1")
    loader.refuses = lambda _folder: True
    with pytest.raises(PackageError, match="not to be trusted"):
        await ModelRepository(tmp_path, loader).start(None)


async def test_a_name_that_is_not_there_stops_the_start(tmp_path: Path, loader: Loader) -> None:
    write(tmp_path, "a/1")
    with pytest.raises(NotFoundError, match="no model 'x'; there are: a"):
        await ModelRepository(tmp_path, loader).start(["x"])


# On demand


async def test_a_model_is_loaded_when_first_asked_for_and_once(
    tmp_path: Path, loader: Loader
) -> None:
    for label in ("a/1", "b/1"):
        write(tmp_path, label)
    repository = ModelRepository(tmp_path, loader)
    await repository.start(["a"])
    assert loader.loaded == ["a/1"]
    found = await asyncio.gather(*(serving(repository, "b") for _ in range(20)))
    assert found == ["b/1"] * 20
    assert loader.loaded == ["a/1", "b/1"]


async def test_a_caller_who_leaves_does_not_stop_the_load_for_others(
    tmp_path: Path, loader: Loader
) -> None:
    write(tmp_path, "a/1")
    repository = ModelRepository(tmp_path, loader)
    await repository.start([])
    loader.gate.clear()
    first, second = (asyncio.create_task(serving(repository)) for _ in range(2))
    await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.sleep(0.05)
    loader.gate.set()
    assert await second == "a/1"
    assert loader.loaded == ["a/1"]


async def test_a_model_that_does_not_load_says_so_to_its_callers_only(
    tmp_path: Path, loader: Loader
) -> None:
    for label in ("a/1", "b/1"):
        write(tmp_path, label)
    repository = ModelRepository(tmp_path, loader)
    await repository.start(["a"])
    loader.refuses = lambda folder: folder.parent.name == "b"
    with pytest.raises(UnavailableError, match=r"model b does not load: .*not to be trusted"):
        await serving(repository, "b")
    assert await serving(repository) == "a/1"
    assert [entry.state for entry in repository.entries()] == [ModelState.READY, ModelState.FAILED]


async def test_a_refused_package_is_not_tried_again_until_it_changes(
    tmp_path: Path, loader: Loader
) -> None:
    for label in ("a/1", "b/1"):
        write(tmp_path, label)
    repository = ModelRepository(tmp_path, loader)
    await repository.start(["a"])
    loader.refuses = lambda folder: folder.parent.name == "b"
    for _ in range(5):
        with pytest.raises(UnavailableError, match="not to be trusted"):
            await serving(repository, "b")
    assert loader.loaded.count("b/1") == 1
    loader.refuses = lambda _folder: False
    write(tmp_path, "b/1", "{ }")
    await settle(repository)
    assert await serving(repository, "b") == "b/1"


async def test_another_version_than_the_one_that_serves_is_not_found(
    tmp_path: Path, loader: Loader
) -> None:
    write(tmp_path, "a/2")
    repository = ModelRepository(tmp_path, loader)
    await repository.start(None)
    with pytest.raises(NotFoundError, match="'a/1' does not serve; a/2 does"):
        await serving(repository, "a/1")


# At the end


async def test_what_was_loading_at_the_end_is_closed_too(tmp_path: Path, loader: Loader) -> None:
    write(tmp_path, "a/1")
    repository = ModelRepository(tmp_path, loader)
    await repository.start([])
    loader.gate.clear()
    call = asyncio.create_task(serving(repository))
    await asyncio.sleep(0.05)
    call.cancel()
    close = asyncio.create_task(repository.close())
    await asyncio.sleep(0.05)
    loader.gate.set()
    await close
    assert loader.closed == ["a/1"]


async def test_at_the_start_an_older_version_stands_in_for_a_bad_one(
    tmp_path: Path, loader: Loader
) -> None:
    for label in ("a/1", "a/2", "a/10", "b/1"):
        write(tmp_path, label)
    loader.refuses = lambda folder: folder.name in ("2", "10")
    repository = ModelRepository(tmp_path, loader)
    await repository.start(None)
    assert loader.loaded == ["a/10", "a/2", "a/1", "b/1"]
    assert await serving(repository, "a") == "a/1"
    entry = repository.entry("a")
    assert (entry.state, entry.found.version) == (ModelState.READY, "10")
    assert entry.reason == "a/10: not to be trusted"  # and not where on the disk
    await settle(repository)
    assert loader.loaded == ["a/10", "a/2", "a/1", "b/1"]  # and is not tried again and again


async def test_a_version_that_is_not_there_is_not_loaded_to_find_out(
    tmp_path: Path, loader: Loader
) -> None:
    write(tmp_path, "a/1")
    repository = ModelRepository(tmp_path, loader)
    await repository.start([])
    with pytest.raises(NotFoundError, match="'a/2' does not serve; a/1 would"):
        await serving(repository, "a/2")
    assert loader.loaded == []
    assert await serving(repository, "a/1") == "a/1"


async def test_an_error_that_nobody_foresaw_refuses_the_version_only(
    tmp_path: Path, loader: Loader, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "a/1")
    repository = ModelRepository(tmp_path, loader)
    await repository.start(None)

    def explode(folder: Path) -> bool:
        raise RuntimeError(f"a defect with {folder.name}")

    loader.refuses = explode
    write(tmp_path, "a/2")
    await settle(repository)
    assert await serving(repository) == "a/1"
    assert "a defect with 2" in caplog.text
    (entry,) = repository.entries()
    assert (entry.state, entry.reason) == (
        ModelState.READY,
        "a/2 cannot be loaded; the server's log has why",
    )


async def test_a_long_word_of_a_caller_is_repeated_in_part(tmp_path: Path, loader: Loader) -> None:
    write(tmp_path, "a/1")
    repository = ModelRepository(tmp_path, loader)
    await repository.start(None)
    for asked in ("x" * 10_000, "a/" + "9" * 10_000):
        with pytest.raises(NotFoundError) as caught:
            await serving(repository, asked)
        assert len(str(caught.value)) < 200


async def test_an_older_version_stands_in_on_demand_too_and_after_it_was_put_away(
    tmp_path: Path, loader: Loader
) -> None:
    for label in ("a/1", "a/2", "b/1"):
        write(tmp_path, label)
    loader.refuses = lambda folder: folder.name == "2"
    repository = ModelRepository(tmp_path, loader, budget_bytes=150 << 20)
    await repository.start([])
    assert await serving(repository, "a") == "a/1"
    assert await serving(repository, "b") == "b/1"  # which takes its place
    assert await serving(repository, "a") == "a/1"
    assert loader.loaded == ["a/2", "a/1", "b/1", "a/1"]
    assert repository.entry("a").reason == "a/2: not to be trusted"
