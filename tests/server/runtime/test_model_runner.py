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


def test_a_copy_is_a_row_that_goes_its_own_way(runner: ModelRunner) -> None:
    source, other, tokens = [4, 20, 30, 40, 2], [4, 50, 2], [1, 9, 17, 25]
    forks = {1: [1, 9, 33, 41], 4: [1, 9, 17, 8]}
    expected = {slot: steps_of(runner, source, path) for slot, path in forks.items()}
    plain = steps_of(runner, source, tokens)
    for is_sibling in (True, False):
        # A sibling's row was encoded with the same source, as all rows of one sequence are.
        runner.encode([source] + [source if is_sibling else other] * 4, range(5))
        for token in tokens[:2]:
            runner.decode_step([token, 7, 7, 7, 7])
        for slot in forks:
            runner.copy(0, slot, is_sibling)
        for step in (2, 3):
            fed = [tokens[step], forks[1][step], 7, 7, forks[4][step]]
            logits = runner.decode_step(fed)
            assert np.array_equal(logits[0], plain[step])
            for slot in forks:
                assert np.array_equal(logits[slot], expected[slot][step])


def test_a_siblings_cross_attention_is_left_where_it_is(runner: ModelRunner) -> None:
    runner.encode([[4, 20, 30, 2], [4, 50, 2]], [0, 1])
    runner.decode_step([1, 1])
    before = [array[1].copy() for array in runner.cache.cross_arrays]
    runner.copy(0, 1, is_sibling=True)
    after = [array[1] for array in runner.cache.cross_arrays]
    assert all(np.array_equal(now, then) for now, then in zip(after, before, strict=True))
    runner.copy(0, 1, is_sibling=False)
    for array in runner.cache.cross_arrays:
        assert np.array_equal(array[1, :, :4], array[0, :, :4])


def steps_of(runner: ModelRunner, source: list[int], tokens: list[int]) -> list[np.ndarray]:
    """Logits of each step of one row alone."""
    runner.encode([source], [0])
    return [runner.decode_step([token])[0].copy() for token in tokens]


def test_attention_is_the_same_bits_alone_and_in_a_batch(runner: ModelRunner) -> None:
    random = np.random.default_rng(1)
    sources = [[4, *random.integers(6, 150, n).tolist(), 2] for n in (1, 14, 30, 5, 60, 16)]
    forced = random.integers(6, 150, (8, len(sources))).tolist()
    runner.encode(sources, range(len(sources)))
    together = []
    for tokens in forced:
        runner.decode_step(tokens)
        together.append([runner.attention(slot).copy() for slot in range(len(sources))])
    for row, source in enumerate(sources):
        runner.encode([source], [0])
        for step, tokens in enumerate(forced):
            runner.decode_step([tokens[row]])
            alone = runner.attention(0)
            assert alone.shape == (len(source),)
            assert np.array_equal(alone, together[step][row])
            assert float(alone.sum()) == pytest.approx(1.0, abs=1e-5)


def test_attention_goes_where_a_row_goes(runner: ModelRunner) -> None:
    source = [4, 20, 30, 40, 2]
    runner.encode([source], [0])
    alone = [(runner.decode_step([token]), runner.attention(0))[1] for token in (1, 9)]
    runner.encode([[4, 50, 2], source], [0, 1])
    runner.decode_step([1, 1])
    assert np.array_equal(runner.attention(1), alone[0])
    runner.copy(1, 0, is_sibling=False)
    runner.decode_step([9])
    assert np.array_equal(runner.attention(0), alone[1])
