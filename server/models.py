"""Which packages are loaded: reading, warming up and checking them against their own sample
sentences.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from server.config import ServerConfig
from server.engine.async_engine import AsyncEngine
from server.engine.engine import Engine, EngineLimits
from server.engine.hypothesis import Hypothesis
from server.engine.options import DecodingOptions
from server.engine.sequence import Job
from server.errors import ConfigError, NotFoundError, PackageError, UnavailableError
from server.metrics import Metrics
from server.package import (
    MANIFEST_FILE,
    TOKENIZER_FILE,
    ModelPackage,
    Sample,
    device_of,
    open_package,
)
from server.runtime.model_runner import ModelRunner
from server.runtime.sessions import Sessions, check_device
from server.text.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

FIRST_VARIANTS = {"cpu": "cpu-int8", "cuda": "cuda-fp16"}
"""What to export for a device that a package has nothing for."""


def make_engine(
    package: ModelPackage, variant: str, num_slots: int, num_threads: int, device: str = ""
) -> Engine:
    """An engine over `variant` of `package`, on `device` (see Sessions); one that never generates
    padding or the start token.
    """
    return _engine(Sessions(package, variant, num_threads, device), num_slots, EngineLimits())


def _engine(sessions: Sessions, num_slots: int, limits: EngineLimits) -> Engine:
    ids = sessions.manifest.special_ids
    runner = ModelRunner(sessions, num_slots)
    return Engine(runner, ids.bos, ids.eos, never=[ids.pad, ids.bos], limits=limits)


def decode_all(
    engine: Engine, sources: list[list[int]], options: list[DecodingOptions]
) -> list[list[Hypothesis]]:
    """Runs `engine` over `sources` (token ids) to the end, all in flight at once; the hypotheses of
    each in their order.
    """
    order = {
        engine.add(Job(source, option)): i
        for i, (source, option) in enumerate(zip(sources, options, strict=True))
    }
    results: list[list[Hypothesis]] = [[] for _ in sources]
    while engine.has_work:
        for sequence in engine.step().ended:
            results[order[sequence.sequence_id]] = sequence.hypotheses
    return results


def decode_greedy(engine: Engine, sources: list[list[int]], limits: list[int]) -> list[list[int]]:
    """Token ids of each of `sources`, decoded greedily to at most its limit."""
    options = [DecodingOptions(limit) for limit in limits]
    return [best.token_ids for best, *_ in decode_all(engine, sources, options)]


@dataclass(frozen=True)
class LoadedModel:
    """A package that serves."""

    package: ModelPackage
    variant: str
    tokenizer: Tokenizer
    engine: AsyncEngine

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


def load_model(folder: Path, config: ServerConfig, metrics: Metrics) -> Callable[[], LoadedModel]:
    """Loads, checks and warms the package in `folder`: the slow part, for any thread.

    Returns what makes it serve, to be called on the event loop. Raises PackageError, or ConfigError
    if the device cannot be used.
    """
    check_device(config.device)
    package = open_package(folder)
    variant = choose_variant(package, config)
    package.check_files()
    tokenizer = Tokenizer(package.read_file(TOKENIZER_FILE), package.manifest.special_ids)
    sessions = Sessions(package, variant, config.num_threads)
    limits = EngineLimits(ageing_s=config.ageing_s)
    engines = [_engine(sessions, config.num_slots, limits) for _ in range(config.workers)]
    for engine in engines:
        check_samples(package, variant, tokenizer, engine)
        engine.on_step = metrics.engine(package.manifest.name, config.num_slots).observe
    async_engine = AsyncEngine(engines, config.workers * config.num_slots + config.max_waiting)

    def serve() -> LoadedModel:
        async_engine.start()
        return LoadedModel(package, variant, tokenizer, async_engine)

    return serve


def choose_variant(package: ModelPackage, config: ServerConfig) -> str:
    """The variant that `config` names or, where it names none, the package's own for the device.

    Raises PackageError naming the variants there are, ConfigError for one of another device.
    """
    variants, named = list(package.manifest.variants), config.variant
    known = ", ".join(variants)
    if named and named not in variants:
        raise PackageError(f"{package.folder}: there is no variant {named!r}; there are: {known}")
    if named and device_of(named) != config.device:
        raise ConfigError(
            f"variant is {named!r}, device is {config.device!r}: "
            f"start with --device {device_of(named)}, or leave the variant out"
        )
    candidates = [package.manifest.default_variant, *variants]
    fitting = [name for name in candidates if device_of(name) == config.device]
    if not (named or fitting):
        raise PackageError(
            f"{package.folder}: there is no variant for device {config.device!r}; there are: "
            f"{known}. Export one on a machine that has the device: python -m export CHECKPOINT "
            f"PACKAGE --variants {','.join([*variants, FIRST_VARIANTS[config.device]])}"
        )
    return named or fitting[0]


def check_samples(
    package: ModelPackage, variant: str, tokenizer: Tokenizer, engine: Engine
) -> None:
    """Warms `engine` up on the package's sample sentences and compares their tokens with the
    export's.

    Raises PackageError if most differ, as where an integer kernel saturates; warns if some do.
    """
    samples = [sample for sample in package.manifest.samples if variant in sample.expected]
    if not samples:
        raise PackageError(f"{package.folder}: no sample sentences for {variant}")
    sources = [tokenizer.encode(sample.text, sample.target_language) for sample in samples]
    limits = [package.manifest.target_limit(len(source)) for source in sources]
    found = decode_greedy(engine, sources, limits)
    different = [s for s, ids in zip(samples, found, strict=True) if ids != s.expected[variant]]
    if len(different) > len(samples) / 2:
        raise PackageError(
            f"{package.folder}: {len(different)} of {len(samples)} sample sentences come out "
            f"differently with {variant} on this processor, such as {different[0].text!r}"
        )
    if different:
        _warn(package, variant, different)


def _warn(package: ModelPackage, variant: str, different: list[Sample]) -> None:
    texts = "; ".join(sample.text for sample in different)
    logger.warning(
        "%s: with %s, sample sentences come out differently: %s", package.label, variant, texts
    )
