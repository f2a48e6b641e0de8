"""Models whose engines are fakes, and packages that are a folder and a manifest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from server.errors import PackageError
from server.loaded_model import LoadedModel
from server.repository import ModelRepository


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


async def settle(repository: ModelRepository) -> None:
    """Two looks: a package counts when it no longer changes."""
    await repository.refresh()
    await repository.refresh()
    await asyncio.sleep(0)


async def serving(repository: ModelRepository, asked: str = "a") -> str:
    async with repository.use(asked) as model:
        return model.package.label
