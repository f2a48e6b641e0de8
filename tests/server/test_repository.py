"""Models that come and go, with engines that are fakes: what is loaded when, and what a call
meets.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from server.errors import (
    MemoryBudgetError,
    NotFoundError,
    PackageError,
    UnavailableError,
)
from server.loaded_model import LoadedModel
from server.repository import ModelRepository, ModelState

pytestmark = pytest.mark.asyncio


class FakeEngine:
    """Lives until closed or killed."""

    def __init__(self, on_close: Callable[[], None]) -> None:
        self.is_alive = False
        self._on_close = on_close

    def start(self) -> None:
        self.is_alive = True

    async def close(self) -> None:
        self.is_alive = False
        self._on_close()


class Loader:
    """Loads packages of the folder as fakes; `refuses` says which are bad."""

    def __init__(self, memory_bytes: int = 100 << 20) -> None:
        self.memory_bytes = memory_bytes
        self.loaded: list[str] = []
        self.closed: list[str] = []
        self.models: dict[str, LoadedModel] = {}
        self.refuses: Callable[[Path], bool] = lambda _folder: False
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, folder: Path) -> LoadedModel:
        assert self.gate.wait(10)
        label = f"{folder.parent.name}/{folder.name}"
        self.loaded.append(label)
        if self.refuses(folder):
            raise PackageError(f"{folder}: not to be trusted")
        manifest = SimpleNamespace(name=folder.parent.name, version=folder.name)
        package = SimpleNamespace(folder=folder, manifest=manifest, label=label)
        engine = FakeEngine(lambda: self.closed.append(label))
        anything = cast("Any", None)
        model = LoadedModel(
            cast("Any", package), "cpu-int8", anything, cast("Any", engine), self.memory_bytes
        )
        self.models[label] = model
        return model


def write(folder: Path, label: str, content: str = "{}") -> Path:
    """A package, as far as the folder is looked at."""
    path = folder / label
    path.mkdir(parents=True, exist_ok=True)
    (path / "manifest.json").write_text(content, encoding="utf-8")
    return path


@pytest.fixture
def loader() -> Loader:
    return Loader()


async def settle(repository: ModelRepository) -> None:
    """Two looks: a package counts when it no longer changes."""
    await repository.refresh()
    await repository.refresh()
    await asyncio.sleep(0)


async def serving(repository: ModelRepository, asked: str = "a") -> str:
    async with repository.use(asked) as model:
        return model.package.label


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


# Swaps


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


# Administration


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


# Dead engines


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


# Memory


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
