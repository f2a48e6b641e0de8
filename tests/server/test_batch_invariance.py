"""The same request gives the same tokens, alone or in any batch: the promise this project makes."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from server.engine.options import DecodingOptions
from server.engine.sequence import Job
from server.engines import decode_greedy, make_engine
from server.package import open_package
from server.runtime.model_runner import ModelRunner
from server.runtime.sessions import Sessions

VARIANTS = ("cpu-int8", "cpu-fp32")
LIMIT = 40


def random_sources(count: int, vocabulary_size: int, seed: int) -> list[list[int]]:
    """Sources of every length from 2 to 60, so that every kind of padding occurs."""
    draw = random.Random(seed)
    return [
        [4, *(draw.randrange(6, vocabulary_size) for _ in range(i % 59)), 2] for i in range(count)
    ]


@pytest.mark.parametrize("variant", VARIANTS)
def test_tokens_are_the_same_alone_and_in_any_batch(numbers_package: Path, variant: str) -> None:
    package = open_package(numbers_package)
    sources = random_sources(120, package.manifest.architecture.vocabulary_size, seed=1)
    limits = [LIMIT] * len(sources)
    alone = decode_greedy(make_engine(package, variant, 1, 1), sources, limits)
    assert len({tuple(ids) for ids in alone}) > 60
    for num_slots, num_threads in ((7, 1), (64, 1), (64, 2)):
        together = decode_greedy(
            make_engine(package, variant, num_slots, num_threads), sources, limits
        )
        assert together == alone


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_are_the_same_bits_alone_and_in_a_batch(numbers_package: Path, variant: str) -> None:
    package = open_package(numbers_package)
    vocabulary_size = package.manifest.architecture.vocabulary_size
    sources = random_sources(64, vocabulary_size, seed=2)
    forced = np.random.default_rng(3).integers(6, vocabulary_size, (12, len(sources))).tolist()
    together = ModelRunner(Sessions(package, variant, 1), len(sources))
    together.encode(sources, range(len(sources)))
    batched = [together.decode_step(tokens).copy() for tokens in forced]
    alone = ModelRunner(Sessions(package, variant, 1), 1)
    for row, source in enumerate(sources):
        alone.encode([source], [0])
        for step, tokens in enumerate(forced):
            assert np.array_equal(alone.decode_step([tokens[row]])[0], batched[step][row])


def test_arrivals_and_cancellations_around_a_sentence_do_not_change_it(
    numbers_package: Path,
) -> None:
    package = open_package(numbers_package)
    sources = random_sources(80, package.manifest.architecture.vocabulary_size, seed=4)
    alone = decode_greedy(make_engine(package, "cpu-int8", 1, 1), sources, [LIMIT] * len(sources))
    engine = make_engine(package, "cpu-int8", 16, 1)
    draw = random.Random(5)
    kept: dict[int, int] = {}
    results: dict[int, list[int]] = {}

    def step() -> None:
        for sequence in engine.step().ended:
            if sequence.sequence_id in kept:
                results[kept[sequence.sequence_id]] = sequence.token_ids

    waiting = list(range(len(sources)))
    while waiting or engine.has_work:
        for _ in range(min(len(waiting), draw.randrange(4))):
            index = waiting.pop()
            kept[engine.add(Job(sources[index], DecodingOptions(LIMIT)))] = index
            noise = engine.add(Job(sources[draw.randrange(80)], DecodingOptions(LIMIT)))
            step()
            if draw.random() < 0.7:
                engine.cancel(noise)
        step()
    assert results == dict(enumerate(alone))
