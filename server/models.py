"""Which packages serve, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from server.config import ServerConfig
from server.engine.async_engine import AsyncEngine
from server.engine.engine import StepStats
from server.engine.remote import EngineProcess
from server.engine.wire import HostSpec
from server.errors import NotFoundError, PackageError, UnavailableError
from server.metrics import Metrics
from server.package import MANIFEST_FILE, TOKENIZER_FILE, ModelPackage, open_package
from server.statistics import ModelStatistics
from server.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class LoadedModel:
    """A package that serves."""

    package: ModelPackage
    variant: str
    tokenizer: Tokenizer
    engine: AsyncEngine
    statistics: ModelStatistics

    @property
    def name(self) -> str:
        """What callers ask for."""
        return self.package.manifest.name

    def check_direction(self, source_language: str, target_language: str) -> None:
        """Raises NotFoundError naming the languages or directions there are."""
        manifest = self.package.manifest
        for field, language in (
            ("source_language", source_language),
            ("target_language", target_language),
        ):
            if language not in manifest.languages:
                known = ", ".join(manifest.languages)
                raise NotFoundError(
                    f"{field}: model {self.name} has no language {language!r}; it has {known}"
                )
        direction = f"{source_language}-{target_language}"
        if direction not in manifest.directions:
            known = ", ".join(manifest.directions)
            raise NotFoundError(
                f"model {self.name} does not translate {direction}; it translates {known}"
            )


class ModelRegistry:
    """The models that serve, by name."""

    def __init__(self) -> None:
        self._models: dict[str, LoadedModel] = {}

    def add(self, model: LoadedModel) -> None:
        """Makes `model` available."""
        self._models[model.name] = model

    def get(self, name: str) -> LoadedModel:
        """The model called `name`, or the only one for an empty name.

        Raises NotFoundError naming what exists, UnavailableError while nothing is loaded.
        """
        if not self._models:
            raise UnavailableError("the models are still loading")
        if not name and len(self._models) == 1:
            return next(iter(self._models.values()))
        if name not in self._models:
            known = ", ".join(sorted(self._models))
            raise NotFoundError(f"model: there is no model {name!r}; there are: {known}")
        return self._models[name]

    def all(self) -> list[LoadedModel]:
        """Every model."""
        return list(self._models.values())

    def is_healthy(self, stuck_after_s: float) -> bool:
        """Whether there is a model and every engine moves."""
        return bool(self._models) and all(m.engine.is_healthy(stuck_after_s) for m in self.all())

    async def close(self) -> None:
        """Stops every engine."""
        for model in self.all():
            await model.engine.close()


def find_packages(folder: Path) -> list[Path]:
    """The newest version of each model in `folder`, NAME/VERSION/. Raises PackageError if there is
    none.
    """
    newest: dict[str, Path] = {}
    for manifest in sorted(
        folder.glob(f"*/*/{MANIFEST_FILE}"), key=lambda path: _version_key(path.parent.name)
    ):
        newest[manifest.parent.parent.name] = manifest.parent
    if not newest:
        raise PackageError(f"{folder}: no model package NAME/VERSION/{MANIFEST_FILE} in it")
    return list(newest.values())


def _version_key(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdecimal() else (-1, version)


def load_model(folder: Path, config: ServerConfig, metrics: Metrics) -> LoadedModel:
    """Loads, checks and warms the package in `folder`, in a process of its own: the slow part, for
    any thread. Its engine is to be started on the event loop, and to be closed.

    Raises PackageError, or ConfigError if the device cannot be used.
    """
    package = open_package(folder)
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
    statistics = ModelStatistics()
    for worker in process.workers:
        observe = metrics.engine(package.manifest.name, config.num_slots).observe
        worker.on_step = _both(observe, statistics.observe_step)
    max_pending = config.workers * config.num_slots + config.max_waiting
    engine = AsyncEngine(process.workers, max_pending)
    return LoadedModel(package, variant, tokenizer, engine, statistics)


Observer = Callable[[StepStats], None]


def _both(first: Observer, second: Observer) -> Observer:
    def observe(stats: StepStats) -> None:
        first(stats)
        second(stats)

    return observe
