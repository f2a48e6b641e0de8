"""The Poisson schedule."""

from itertools import pairwise
from statistics import fmean, stdev

from attendant.load.arrivals import poisson_arrivals


def test_the_seed_decides() -> None:
    assert list(poisson_arrivals(50, 10, seed=1)) == list(poisson_arrivals(50, 10, seed=1))
    assert list(poisson_arrivals(50, 10, seed=1)) != list(poisson_arrivals(50, 10, seed=2))


def test_arrivals_are_in_order_and_within_the_duration() -> None:
    arrivals = list(poisson_arrivals(100, 20, seed=3))
    assert arrivals == sorted(arrivals)
    assert arrivals[0] > 0
    assert 19.5 < arrivals[-1] < 20


def test_the_rate_is_what_was_asked_for() -> None:
    # 20,000 expected, so the standard deviation is about 141.
    assert abs(len(list(poisson_arrivals(100, 200, seed=4))) - 20_000) < 4 * 141


def test_the_gaps_are_exponential_not_even() -> None:
    gaps = [later - earlier for earlier, later in pairwise(poisson_arrivals(100, 200, seed=5))]
    # An exponential distribution's standard deviation is its mean, and 1/e of it lies above.
    mean = fmean(gaps)
    assert 0.97 < stdev(gaps) / mean < 1.03
    assert 0.36 < sum(gap > mean for gap in gaps) / len(gaps) < 0.38


def test_an_endless_run_is_drawn_lazily() -> None:
    assert next(poisson_arrivals(1, float("inf"), seed=6)) > 0
