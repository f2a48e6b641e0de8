"""Intervals of the median, against the binomial distribution and against trials."""

import random
from math import comb

import pytest
from attendant.load.confidence import LEVEL, Interval, median_interval


def coverage(count: int, rank: int) -> float:
    """The chance that the rank-th values from both ends enclose the median."""
    return sum(comb(count, k) for k in range(rank, count - rank + 1)) / 2**count


@pytest.mark.parametrize("count", range(6, 60))
def test_the_interval_is_the_narrowest_that_is_sure_enough(count: int) -> None:
    found = median_interval([float(n) for n in range(1, count + 1)])
    assert found is not None
    rank = round(found.low)
    assert found.high == count + 1 - rank
    assert coverage(count, rank) >= LEVEL > coverage(count, rank + 1)


def test_published_ranks() -> None:
    # Le Boudec 2010, table A.1: n = 10 takes the 2nd and 9th, n = 20 the 6th and 15th.
    assert median_interval([float(n) for n in range(1, 11)]) == Interval(5.5, 2, 9, 10)
    assert median_interval([float(n) for n in range(1, 21)]) == Interval(10.5, 6, 15, 20)


def test_five_windows_are_too_few() -> None:
    assert median_interval([1.0] * 5) is None
    assert median_interval([]) is None


def test_the_true_median_is_inside_as_often_as_promised() -> None:
    draws = random.Random(1)
    inside = 0
    for _ in range(2000):
        found = median_interval([draws.expovariate(1.0) for _ in range(20)])
        assert found is not None
        inside += found.low <= 0.6931 <= found.high
    # 95.9 % of 2,000; the standard deviation is 9.
    assert 1870 < inside < 1960
