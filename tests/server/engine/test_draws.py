from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engine.draws import uniform

NUM_BINS = 20
NUM_DRAWS = 20_000


def test_numbers_are_those_of_splitmix64() -> None:
    """Its first outputs for the seeds 1234567 and 0, as published with the reference code."""
    of_1234567, of_0 = 6457827717110365317, 0xE220A8397B1DCDAF
    number = uniform(1234567, of_1234567, of_0 ^ 1234567)  # each call of the three is one of these
    assert number == (of_1234567 >> 11) / 2**53


@given(st.integers(-(2**70), 2**70), st.integers(0, 2**20), st.integers(0, 2**20))
def test_a_number_is_in_range_and_depends_on_nothing_else(
    seed: int, index: int, position: int
) -> None:
    number = uniform(seed, index, position)
    assert 0.0 <= number < 1.0
    assert number == uniform(seed, index, position)


@given(st.tuples(*[st.integers(0, 2**64 - 1)] * 3), st.integers(0, 2), st.integers(1, 2**64 - 1))
def test_a_number_depends_on_seed_index_and_position(
    place: tuple[int, int, int], which: int, change: int
) -> None:
    other = list(place)
    other[which] ^= change
    assert uniform(*place) != uniform(*other)


STREAMS: dict[str, Callable[[int], float]] = {
    "positions": lambda i: uniform(5, 0, i),
    "samples": lambda i: uniform(5, i, 3),
    "seeds": lambda i: uniform(i, 0, 0),
    "diagonal": lambda i: uniform(i, i, i),
    "grid": lambda i: uniform(5, i % 16, i // 16),
}


@pytest.mark.parametrize("name", STREAMS)
def test_numbers_and_their_neighbours_are_spread_evenly(name: str) -> None:
    numbers = [STREAMS[name](i) for i in range(NUM_DRAWS)]
    bins = [int(number * NUM_BINS) for number in numbers]
    pairs = [a * NUM_BINS + b for a, b in itertools.pairwise(bins)]
    for values, num_cells in ((bins, NUM_BINS), (pairs, NUM_BINS**2)):
        counts, expected = Counter(values), len(values) / num_cells
        chi_square = sum((counts[cell] - expected) ** 2 / expected for cell in range(num_cells))
        assert abs(chi_square - num_cells) < 4 * math.sqrt(2 * num_cells)
    assert len(set(numbers)) == NUM_DRAWS
