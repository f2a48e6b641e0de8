"""The models that serve, and those that could: loaded at the start or when first asked for,
replaced by newer versions while they serve, put away when memory is short, started again when
their engine dies.

Everything here belongs to the event loop; loading itself happens in a thread and in the model's
own process, one model at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from server.errors import (
    AttendantError,
    MemoryBudgetError,
    NotFoundError,
    PackageError,
    UnavailableError,
)
from server.loaded_model import LoadedModel
from server.package import MANIFEST_FILE
from server.package_folder import FoundPackage, newest_packages

logger = logging.getLogger(__name__)

RETRY_FIRST_S = 1.0
RETRY_MOST_S = 60.0
"""How long after a failed start of a dead engine the next one is tried: twice as long each time."""


class ModelState(enum.Enum):
    """What a model of the folder is doing."""

    AVAILABLE = "available"
    """On disk; loaded when somebody asks for it."""
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    """Refused, or its engine does not start; `reason` says why."""
    UNLOADED = "unloaded"
    """Put away by an administrator: not loaded until asked to by one."""


@dataclass
class ModelEntry:
    """A model by name: what serves, and what lies on disk."""

    name: str
    found: FoundPackage
    """The newest version on disk."""
    serving: LoadedModel | None = None
    state: ModelState = ModelState.AVAILABLE
    reason: str = ""
    """Why the newest version does not serve."""
    last_used: float = 0.0
    loading: asyncio.Task[None] | None = None
    """The load that callers wait for."""
    refused: FoundPackage | None = None
    """A version that was tried and refused: not tried again until its files change."""
    retry_at: float = 0.0
    retry_s: float = field(default=RETRY_FIRST_S)

    @property
    def version(self) -> str:
        """Of what serves; else the newest on disk."""
        return self.serving.package.manifest.version if self.serving else self.found.version


class ModelRepository:
    """The models of one folder."""

    def __init__(
        self, folder: Path, load: Callable[[Path], LoadedModel], budget_bytes: int = 0
    ) -> None:
        """`load` is slow and runs in a thread; `budget_bytes` bounds what loaded models hold
        together, 0 for no bound.
        """
        self._folder = folder
        self._load_blocking = load
        self._budget_bytes = budget_bytes
        self._entries: dict[str, ModelEntry] = {}
        self._lock = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()
        self._unsettled: dict[str, FoundPackage] = {}
        self._abandoned: list[asyncio.Task[LoadedModel]] = []
        """Loads that whoever waited for them has left."""
        self._is_started = False

    # Serving

    @contextlib.asynccontextmanager
    async def use(self, asked: str) -> AsyncIterator[LoadedModel]:
        """The model called `asked` (NAME or NAME/VERSION, or empty where there is one only), loaded
        if need be, for the length of the block.

        Raises NotFoundError naming what exists, UnavailableError while nothing is loaded or where
        the model does not load, MemoryBudgetError where there is no room for it.
        """
        entry = self.entry(asked)
        if entry.serving is None:
            await self._load_on_demand(entry)
        model = entry.serving
        assert model is not None
        _check_version(asked, model)
        entry.last_used = time.monotonic()
        with model.use():
            yield model

    def get(self, asked: str) -> LoadedModel:
        """The model that serves as `asked`. Raises NotFoundError or UnavailableError."""
        entry = self.entry(asked)
        if entry.serving is None:
            raise UnavailableError(f"model {entry.name} is {entry.state.value}")
        _check_version(asked, entry.serving)
        return entry.serving

    def all(self) -> list[LoadedModel]:
        """Every model that serves."""
        return [entry.serving for entry in self._entries.values() if entry.serving]

    def entries(self) -> list[ModelEntry]:
        """Every model there is, by name."""
        return sorted(self._entries.values(), key=lambda entry: entry.name)

    def entry(self, asked: str) -> ModelEntry:
        """The model called `asked`, whether it serves or not. Raises NotFoundError naming what
        exists, UnavailableError before the models of the start are there.
        """
        name = asked.partition("/")[0]
        if not self._is_started:
            raise UnavailableError("the models are still loading")
        if not name and len(self._entries) == 1:
            return next(iter(self._entries.values()))
        return self._named(name)

    def _named(self, name: str) -> ModelEntry:
        if name not in self._entries:
            known = ", ".join(sorted(self._entries))
            raise NotFoundError(f"model: there is no model {name!r}; there are: {known}")
        return self._entries[name]

    async def _load_on_demand(self, entry: ModelEntry) -> None:
        if entry.state is ModelState.UNLOADED:
            raise NotFoundError(f"model {entry.name} has been unloaded")
        if entry.refused != entry.found:
            if entry.loading is None:
                entry.loading = asyncio.create_task(self._load_once(entry))
            await asyncio.shield(entry.loading)  # others wait for it too: no caller's to cancel
        if entry.serving is None:
            raise UnavailableError(f"model {entry.name} does not load: {entry.reason}")

    async def _load_once(self, entry: ModelEntry) -> None:
        try:
            async with self._lock:
                if entry.serving is None:
                    await self._load(entry)
        finally:
            entry.loading = None

    # Coming and going

    async def start(self, names: list[str] | None) -> None:
        """Looks into the folder and loads `names`, or all models for None.

        Raises PackageError or ConfigError for the first that does not load, NotFoundError for a
        name that is not there.
        """
        await self._look()
        if not self._entries:
            raise PackageError(
                f"{self._folder}: no model package NAME/VERSION/{MANIFEST_FILE} in it"
            )
        for name in sorted(self._entries) if names is None else names:
            entry = self._named(name)
            async with self._lock:
                await self._load(entry, is_strict=True)
        self._is_started = True

    async def refresh(self) -> None:
        """Looks into the folder and loads newer versions of what serves."""
        await self._look()
        for entry in self.entries():
            if entry.serving is not None and self._is_newer(entry):
                async with self._lock:
                    await self._load(entry)

    async def revive(self) -> None:
        """Starts engines again whose process has ended, later each time that fails."""
        now = time.monotonic()
        for entry in self.entries():
            is_dead = entry.serving is not None and not entry.serving.engine.is_alive
            if is_dead and entry.retry_at <= now:
                entry.retry_at = now + entry.retry_s
                entry.retry_s = min(2 * entry.retry_s, RETRY_MOST_S)
                async with self._lock:
                    await self._load(entry)

    async def load(self, name: str) -> None:
        """Loads the newest version of `name`, as an administrator asks for. Raises what refuses
        it; then what served before still does.
        """
        await self._look()
        entry = self._named(name)
        async with self._lock:
            await self._load(entry, is_strict=True)

    async def unload(self, name: str) -> None:
        """Stops `name` when its calls have ended; it is not loaded again until `load`."""
        entry = self._named(name)
        async with self._lock:
            self._put_away(entry, ModelState.UNLOADED)

    async def close(self) -> None:
        """Stops every engine."""
        tasks = [*self._retiring, *(e.loading for e in self.entries() if e.loading)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        late = await asyncio.gather(*self._abandoned, return_exceptions=True)
        for model in [*self.all(), *(found for found in late if isinstance(found, LoadedModel))]:
            await model.close()

    async def _look(self) -> None:
        """Takes in what lies in the folder; a package counts once it no longer changes."""
        found = await asyncio.to_thread(newest_packages, self._folder)
        for name, package in found.items():
            entry = self._entries.get(name)
            if entry is None:
                self._entries[name] = ModelEntry(name, package)
            elif entry.found != package:
                is_settled = self._unsettled.get(name) == package
                self._unsettled[name] = package
                if is_settled:
                    entry.found = package

    def _is_newer(self, entry: ModelEntry) -> bool:
        """Whether the folder has another version than the one that serves, not refused before."""
        assert entry.serving is not None
        is_other = entry.found.folder != entry.serving.package.folder
        return is_other and entry.refused != entry.found

    async def _load(self, entry: ModelEntry, is_strict: bool = False) -> None:
        """Loads the newest version of `entry` beside what serves, then switches; what refuses it
        is noted, and raised where `is_strict`.
        """
        package = entry.found
        entry.state = ModelState.LOADING
        try:
            self._make_room(entry, package.num_bytes)
            model = await self._load_in_thread(package.folder)
        except AttendantError as error:
            entry.state = ModelState.READY if entry.serving else ModelState.FAILED
            entry.reason = str(error)
            if not isinstance(error, MemoryBudgetError):  # there may be room the next time
                entry.refused = package
            logger.error("%s is refused: %s", package.label, error)
            if is_strict:
                raise
            return
        self._switch(entry, model)

    async def _load_in_thread(self, folder: Path) -> LoadedModel:
        """A thread cannot be cancelled: what it loads when nobody waits any more is closed by
        `close`.
        """
        load = asyncio.create_task(asyncio.to_thread(self._load_blocking, folder))
        try:
            return await asyncio.shield(load)
        except asyncio.CancelledError:
            self._abandoned.append(load)
            raise

    def _switch(self, entry: ModelEntry, model: LoadedModel) -> None:
        """From here on `model` answers; what served before ends with its last call."""
        model.engine.start()
        old, entry.serving = entry.serving, model
        entry.state, entry.reason, entry.refused = ModelState.READY, "", None
        entry.last_used, entry.retry_s = time.monotonic(), RETRY_FIRST_S
        logger.info("loaded %s, %s", model.package.label, model.variant)
        if old is not None:
            self._retire(old)

    def _retire(self, model: LoadedModel) -> None:
        task = asyncio.create_task(model.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _put_away(self, entry: ModelEntry, state: ModelState) -> None:
        model, entry.serving, entry.state = entry.serving, None, state
        if model is not None:
            logger.info("unloaded %s", model.package.label)
            self._retire(model)

    # Memory

    def _make_room(self, entry: ModelEntry, num_bytes: int) -> None:
        """Puts idle models away, least recently used first, until one of `num_bytes` on disk fits.

        What it will hold in memory is guessed by what the others hold for their files. Raises
        MemoryBudgetError where even then there is no room.
        """
        if not self._budget_bytes:
            return
        needed = self._guess(num_bytes)
        idle = [e for e in self.entries() if e is not entry and e.serving and not e.serving.is_used]
        for victim in sorted(idle, key=lambda e: e.last_used):
            if self._held() + needed <= self._budget_bytes:
                return
            self._put_away(victim, ModelState.AVAILABLE)
        if self._held() + needed > self._budget_bytes:
            raise MemoryBudgetError(
                f"model {entry.name} needs about {needed >> 20} MiB; {self._held() >> 20} of "
                f"{self._budget_bytes >> 20} MiB are taken"
            )

    def _held(self) -> int:
        return sum(model.memory_bytes for model in self.all())

    def _guess(self, num_bytes: int) -> int:
        files = sum(e.found.num_bytes for e in self._entries.values() if e.serving)
        return num_bytes * self._held() // files if files else num_bytes


def _check_version(asked: str, model: LoadedModel) -> None:
    version = asked.partition("/")[2]
    if version and version != model.package.manifest.version:
        serving = model.package.label
        raise NotFoundError(f"model: {asked!r} does not serve; {serving} does")
