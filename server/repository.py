"""The models that serve, and those that could: loaded at the start or when first asked for,
replaced by newer versions while they serve, put away when memory is short, started again when
their engine dies.

Everything here belongs to the event loop; loading itself happens in a thread and in the model's
own process, one model at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from server.errors import (
    AttendantError,
    MemoryBudgetError,
    NotFoundError,
    PackageError,
    UnavailableError,
    shown,
)
from server.loaded_model import LoadedModel
from server.memory_budget import MemoryBudget
from server.model_entry import RETRY_FIRST_S, RETRY_MOST_S, ModelEntry, ModelState
from server.package import MANIFEST_FILE
from server.package_folder import FoundPackage, newest_packages, versions

logger = logging.getLogger(__name__)


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
        self._budget = MemoryBudget(budget_bytes)
        self._entries: dict[str, ModelEntry] = {}
        self._lock = asyncio.Lock()
        self._retiring: dict[asyncio.Task[None], LoadedModel] = {}
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
        entry.check_version(asked)
        if entry.serving is None:
            await self._load_on_demand(entry)
            entry.check_version(asked)
        model = entry.serving
        assert model is not None
        entry.last_used = time.monotonic()
        with model.use():
            yield model

    def get(self, asked: str) -> LoadedModel:
        """The model that serves as `asked`. Raises NotFoundError or UnavailableError."""
        entry = self.entry(asked)
        if entry.serving is None:
            raise UnavailableError(f"model {entry.name} is {entry.state.value}")
        entry.check_version(asked)
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
            raise NotFoundError(f"model: there is no model {shown(name)}; there are: {known}")
        return self._entries[name]

    async def _load_on_demand(self, entry: ModelEntry) -> None:
        if entry.state is ModelState.UNLOADED:
            raise NotFoundError(f"model {entry.name} has been unloaded")
        if entry.loading is None:
            entry.loading = asyncio.create_task(self._load_once(entry))
        entry.num_waiting += 1  # until this caller uses it, it makes room for nobody
        try:
            # Others wait for it too: no caller's to cancel.
            error = await asyncio.shield(entry.loading)
        finally:
            entry.num_waiting -= 1
        if isinstance(error, MemoryBudgetError):
            raise error
        if entry.serving is None:
            raise UnavailableError(f"model {entry.name} does not load: {entry.reason}")

    async def _load_once(self, entry: ModelEntry) -> AttendantError | None:
        try:
            async with self._lock:
                return await self._load_best(entry) if entry.serving is None else None
        finally:
            entry.loading = None

    # Coming and going

    async def start(self, names: list[str] | None) -> None:
        """Looks into the folder and loads `names`, or all models for None.

        Of a model whose newest version is refused the next older one is taken. Raises PackageError
        or ConfigError for the first model of which none loads, NotFoundError for a name that is not
        there.
        """
        await self._look()
        if not self._entries:
            raise PackageError(
                f"{self._folder}: no model package NAME/VERSION/{MANIFEST_FILE} in it"
            )
        for name in sorted(self._entries) if names is None else names:
            entry = self._named(name)
            async with self._lock:
                if (refusal := await self._load_best(entry)) is not None:
                    raise refusal
        self._is_started = True

    async def _load_best(self, entry: ModelEntry) -> AttendantError | None:
        """The newest version of `entry` that loads, of those that were not refused before; returns
        what refuses the first one, where none does.
        """
        first: AttendantError | None = None
        older = await asyncio.to_thread(versions, self._folder, entry.name)
        for package in [entry.found, *(p for p in older if p.folder != entry.found.folder)]:
            if package not in entry.refused:
                refusal = await self._load(entry, package)
                if refusal is None or isinstance(refusal, MemoryBudgetError):
                    return refusal
                first = first or refusal
        return first or PackageError(entry.reason)

    async def refresh(self) -> None:
        """Looks into the folder and loads newer versions of what serves."""
        await self._look()
        for entry in self.entries():
            if entry.serving is not None and self._is_newer(entry):
                async with self._lock:
                    await self._load(entry, entry.found)

    async def revive(self) -> None:
        """Starts engines again whose process has ended, later each time that fails."""
        now = time.monotonic()
        for entry in self.entries():
            is_dead = entry.serving is not None and not entry.serving.engine.is_alive
            if is_dead and entry.retry_at <= now:
                entry.retry_at = now + entry.retry_s
                entry.retry_s = min(2 * entry.retry_s, RETRY_MOST_S)
                async with self._lock:
                    is_refused = entry.found in entry.refused
                    await self._load(entry, (is_refused and entry.served) or entry.found)

    async def load(self, name: str) -> None:
        """Loads the newest version of `name`, as an administrator asks for. Raises what refuses
        it; then what served before still does.
        """
        await self._look()
        entry = self._named(name)
        async with self._lock:
            if (refusal := await self._load(entry, entry.found)) is not None:
                raise refusal

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
        return is_other and entry.found not in entry.refused

    async def _load(self, entry: ModelEntry, package: FoundPackage) -> AttendantError | None:
        """Loads `package` beside what serves as `entry`, then switches; returns what refuses it,
        which is noted.
        """
        entry.state = ModelState.LOADING
        try:
            await self._make_room(entry, package.num_bytes)
            model = await self._load_in_thread(package)
        except MemoryBudgetError as error:  # there may be room the next time
            return self._refuse(entry, package, error)
        except AttendantError as error:
            entry.refused.add(package)
            return self._refuse(entry, package, error)
        except Exception:
            logger.exception("%s cannot be loaded", package.label)
            entry.refused.add(package)
            unforeseen = PackageError(f"{package.label} cannot be loaded; the server's log has why")
            return self._refuse(entry, package, unforeseen)
        self._switch(entry, model, package)
        return None

    def _refuse(
        self, entry: ModelEntry, package: FoundPackage, error: AttendantError
    ) -> AttendantError:
        entry.state = ModelState.READY if entry.serving else ModelState.FAILED
        if package == entry.found or not entry.reason:
            # Callers see it: where the server keeps its models is not theirs to know.
            entry.reason = str(error).replace(f"{self._folder}/", "")
        logger.error("%s is refused: %s", package.label, error)
        return error

    async def _load_in_thread(self, package: FoundPackage) -> LoadedModel:
        """A thread cannot be cancelled: what it loads when nobody waits any more is closed by
        `close`.
        """
        load = asyncio.create_task(asyncio.to_thread(self._load_blocking, package.folder))
        try:
            return await asyncio.shield(load)
        except asyncio.CancelledError:
            self._abandoned.append(load)
            raise

    def _switch(self, entry: ModelEntry, model: LoadedModel, package: FoundPackage) -> None:
        """From here on `model` answers; what served before ends with its last call."""
        model.engine.start()
        self._budget.learn(package.num_bytes, model.memory_bytes)
        old, entry.serving, entry.served = entry.serving, model, package
        entry.state = ModelState.READY
        entry.refused.discard(package)
        if package == entry.found:
            entry.reason = ""
        entry.last_used, entry.retry_s = time.monotonic(), RETRY_FIRST_S
        logger.info("loaded %s, %s", model.package.label, model.variant)
        if old is not None:
            self._retire(old)

    def _retire(self, model: LoadedModel) -> None:
        task = asyncio.create_task(model.retire())
        self._retiring[task] = model
        task.add_done_callback(self._retiring.pop)

    def _put_away(self, entry: ModelEntry, state: ModelState) -> None:
        model, entry.serving, entry.state = entry.serving, None, state
        if model is not None:
            logger.info("unloaded %s", model.package.label)
            self._retire(model)

    async def _make_room(self, entry: ModelEntry, num_bytes: int) -> None:
        """Puts idle models away until one of `num_bytes` on disk fits. Raises MemoryBudgetError,
        and puts none away, where even then there is no room.
        """
        retiring = list(self._retiring.values())
        for victim in self._budget.victims(entry, num_bytes, self.entries(), retiring):
            self._put_away(victim, ModelState.AVAILABLE)
        idle = [task for task, model in self._retiring.items() if not model.is_used]
        await asyncio.gather(*idle, return_exceptions=True)
