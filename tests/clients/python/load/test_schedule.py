"""When requests are due."""

from itertools import islice, pairwise
from statistics import fmean, stdev

from attendant.load.config import Arrivals, Share
from attendant.load.schedule import arrivals_of, constant_arrivals, poisson_arrivals


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


def test_workers_together_send_at_the_rate() -> None:
    shares = [Share(index, 4) for index in range(4)]
    drawn = [list(poisson_arrivals(100, 200, 7, share)) for share in shares]
    assert len(set(map(tuple, drawn))) == 4
    merged = sorted(due_s for arrivals in drawn for due_s in arrivals)
    assert abs(len(merged) - 20_000) < 4 * 141
    # What they add up to is a Poisson process again: its gaps are exponential.
    gaps = [later - earlier for earlier, later in pairwise(merged)]
    assert 0.97 < stdev(gaps) / fmean(gaps) < 1.03


def test_constant_arrivals_have_even_gaps_and_workers_take_turns() -> None:
    assert list(constant_arrivals(4, 1.5)) == [0, 0.25, 0.5, 0.75, 1.0, 1.25]
    shares = [list(constant_arrivals(4, 1.5, Share(index, 3))) for index in range(3)]
    assert shares == [[0, 0.75], [0.25, 1.0], [0.5, 1.25]]


def test_constant_arrivals_do_not_drift() -> None:
    arrivals = constant_arrivals(1000, float("inf"))
    assert next(islice(arrivals, 1_000_000, None)) == 1000.0


def test_the_kind_of_arrivals_is_chosen() -> None:
    assert list(arrivals_of(Arrivals.CONSTANT, 2, 1, seed=1)) == [0, 0.5]
    poisson = list(arrivals_of(Arrivals.POISSON, 50, 10, seed=1))
    assert poisson == list(poisson_arrivals(50, 10, seed=1))
