"""An engine over a model package: made, warmed up, checked, and run to the end of a list."""

from __future__ import annotations

import logging

from server.engine.engine import Engine, EngineLimits
from server.engine.hypothesis import Hypothesis
from server.engine.options import DecodingOptions
from server.engine.sequence import Job
from server.errors import ConfigError, PackageError
from server.package import ModelPackage, Sample, device_of
from server.runtime.model_runner import ModelRunner
from server.runtime.sessions import Sessions
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
    return make_engines(Sessions(package, variant, num_threads, device), num_slots, 1)[0]


def make_engines(
    sessions: Sessions, num_slots: int, count: int, limits: EngineLimits | None = None
) -> list[Engine]:
    """`count` engines that share the weights of `sessions`, each with rows and caches of its
    own.
    """
    return [_engine(sessions, num_slots, limits or EngineLimits()) for _ in range(count)]


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


def choose_variant(package: ModelPackage, named: str, device: str) -> str:
    """The variant `named` or, where it is empty, the package's own for `device`.

    Raises PackageError naming the variants there are, ConfigError for one of another device.
    """
    variants = list(package.manifest.variants)
    known = ", ".join(variants)
    if named and named not in variants:
        raise PackageError(f"{package.folder}: there is no variant {named!r}; there are: {known}")
    if named and device_of(named) != device:
        raise ConfigError(
            f"variant is {named!r}, device is {device!r}: "
            f"start with --device {device_of(named)}, or leave the variant out"
        )
    candidates = [package.manifest.default_variant, *variants]
    fitting = [name for name in candidates if device_of(name) == device]
    if not (named or fitting):
        raise PackageError(
            f"{package.folder}: there is no variant for device {device!r}; there are: "
            f"{known}. Export one on a machine that has the device: python -m export CHECKPOINT "
            f"PACKAGE --variants {','.join([*variants, FIRST_VARIANTS[device]])}"
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
