"""A package that serves: opened, loaded in a process of its own, warm, its samples checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from server.config import ServerConfig
from server.engine.async_engine import AsyncEngine
from server.engine.engine import StepStats
from server.engine.remote import EngineProcess
from server.engine.wire import HostSpec
from server.errors import NotFoundError, PackageError, shown
from server.metrics import EngineMetrics, Metrics
from server.package import TOKENIZER_FILE, ModelPackage, open_package
from server.statistics import ModelStatistics
from server.text.tokenizer import Tokenizer

model_of_call: ContextVar[str] = ContextVar("model_of_call", default="")
"""The name of the model that the call of this task uses, or has used; empty before."""


class LoadedModel:
    """A package that serves, and how many calls are using it."""

    def __init__(
        self,
        package: ModelPackage,
        variant: str,
        tokenizer: Tokenizer,
        engine: AsyncEngine,
        memory_bytes: int = 0,
        observers: Sequence[EngineMetrics] = (),
        statistics: ModelStatistics | None = None,
    ) -> None:
        self.package = package
        self.variant = variant
        self.tokenizer = tokenizer
        self.engine = engine
        self.memory_bytes = memory_bytes
        """Resident memory of its engines' process."""
        self.statistics = statistics or ModelStatistics()
        self._observers = observers
        self._num_users = 0
        self._is_unused = asyncio.Event()
        self._is_unused.set()

    @property
    def name(self) -> str:
        """What callers ask for."""
        return self.package.manifest.name

    @property
    def is_used(self) -> bool:
        """Whether a call is using it."""
        return self._num_users > 0

    @contextmanager
    def use(self) -> Iterator[None]:
        """Counts the block as a call that uses it: until its end, the model is not closed."""
        model_of_call.set(self.name)
        self._num_users += 1
        self._is_unused.clear()
        try:
            yield
        finally:
            self._num_users -= 1
            if not self._num_users:
                self._is_unused.set()

    async def retire(self) -> None:
        """Stops the engine as soon as nobody uses it."""
        await self._is_unused.wait()
        await self.close()

    async def close(self) -> None:
        """Stops the engine."""
        await self.engine.close()
        for observer in self._observers:
            observer.close()

    def check_language(self, field: str, language: str) -> None:
        """Raises NotFoundError naming the languages there are."""
        known = self.package.manifest.languages
        if language not in known:
            raise NotFoundError(
                f"{field}: model {self.name} has no language {shown(language)}; it has"
                f" {', '.join(known)}"
            )

    def check_direction(self, source_language: str, target_language: str) -> None:
        """Raises NotFoundError naming the languages or directions there are."""
        self.check_language("source_language", source_language)
        self.check_language("target_language", target_language)
        manifest = self.package.manifest
        direction = f"{source_language}-{target_language}"
        if direction not in manifest.directions:
            known = ", ".join(manifest.directions)
            raise NotFoundError(
                f"model {self.name} does not translate {direction}; it translates {known}"
            )


def load_model(folder: Path, config: ServerConfig, metrics: Metrics) -> LoadedModel:
    """Loads, checks and warms the package in `folder`, in a process of its own: the slow part, for
    any thread. Its engine is to be started on the event loop, and to be closed.

    Raises PackageError, or ConfigError if the device cannot be used.
    """
    package = open_package(folder)
    lies_as = f"{folder.parent.name}/{folder.name}"
    if package.label != lies_as:
        problem = f"its manifest says {package.label}, which is where a package must lie"
        raise PackageError(f"{folder}: {problem}")
    tokenizer = Tokenizer(package.read_file(TOKENIZER_FILE), package.manifest.special_ids)
    process = EngineProcess(
        HostSpec(
            folder,
            config.variant,
            config.device,
            config.num_slots,
            config.num_threads,
            config.workers,
            config.ageing_s,
        )
    )
    variant = process.wait_until_ready()
    observers = []
    statistics = ModelStatistics()
    for worker in process.workers:
        observers.append(metrics.engine(package.manifest.name, config.num_slots))
        worker.on_step = _both(observers[-1].observe, statistics.observe_step)
    max_pending = config.workers * config.num_slots + config.max_waiting
    engine = AsyncEngine(process.workers, max_pending)
    memory = process.resident_bytes()
    return LoadedModel(package, variant, tokenizer, engine, memory, observers, statistics)


Observer = Callable[[StepStats], None]


def _both(first: Observer, second: Observer) -> Observer:
    def observe(stats: StepStats) -> None:
        first(stats)
        second(stats)

    return observe
