from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from server.package import open_package
from server.runtime.model_runner import ENCODER_PADDING, ModelRunner
from server.runtime.sessions import Sessions


class RecordingEncoder:
    """Stands before a real encoder session and keeps the shapes it is given."""

    def __init__(self, session: object) -> None:
        self._session = session
        self.shapes: list[tuple[int, ...]] = []

    def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.shapes.append(inputs["input_ids"].shape)
        return self._session.run(names, inputs)


@pytest.fixture
def runner(numbers_package: Path) -> ModelRunner:
    return ModelRunner(Sessions(open_package(numbers_package), "cpu-int8", 1), num_slots=6)


def test_sources_are_padded_to_a_multiple_and_batched_by_that_length(runner: ModelRunner) -> None:
    encoder = RecordingEncoder(runner._encoder)
    runner._encoder = encoder
    runner.encode([[4] * length for length in (2, 16, 17, 30, 33, 5)], range(6))
    multiples = [ENCODER_PADDING * i for i in (1, 2, 3)]
    assert sorted(encoder.shapes) == [(1, multiples[2]), (2, multiples[1]), (3, multiples[0])]


def test_a_moved_row_goes_on_as_if_it_had_not_moved(runner: ModelRunner) -> None:
    source, tokens = [4, 20, 30, 40, 2], [1, 9, 17, 25]
    runner.encode([source, source], [0, 1])
    stayed = [runner.decode_step([token, token])[0].copy() for token in tokens]
    runner.encode([[4, 50, 2], source], [0, 1])
    for token in tokens[:2]:
        runner.decode_step([7, token])
    runner.copy(source=1, target=0, is_sibling=False)
    for token, expected in zip(tokens[2:], stayed[2:], strict=True):
        assert np.array_equal(runner.decode_step([token])[0], expected)


def test_a_step_appends_in_place_and_touches_no_other_slot(runner: ModelRunner) -> None:
    runner.encode([[4, 9, 2]] * 3, [0, 1, 2])
    before = [array.copy() for array in runner.cache.arrays]
    runner.decode_step([1, 1])
    for now, then in zip(runner.cache.self_arrays, before[0::4] + before[1::4], strict=False):
        assert now[:2, :, 0].any()
        assert not now[:2, :, 1:].any()
        assert np.array_equal(now[2:], then[2:])
