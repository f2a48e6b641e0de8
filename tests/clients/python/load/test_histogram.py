"""Times in an HDR histogram, against the values themselves."""

import math
import pickle

import pytest
from attendant.load.histogram import Histogram
from hypothesis import given, settings
from hypothesis import strategies as st

TIMES = st.lists(st.floats(1e-6, 3599), min_size=1, max_size=200)


def counted(*times_s: float) -> Histogram:
    histogram = Histogram()
    for time_s in times_s:
        histogram.record(time_s)
    return histogram


def nearest_rank(times_s: list[float], percent: float) -> float:
    rank = math.ceil(round(len(times_s) * percent / 100, 6))
    return sorted(times_s)[max(1, rank) - 1]


@settings(max_examples=50, deadline=None)
@given(TIMES, st.floats(0.1, 100))
def test_a_percentile_is_that_of_the_nearest_rank(times_s: list[float], percent: float) -> None:
    found = counted(*times_s).percentile_s(percent)
    assert found == pytest.approx(nearest_rank(times_s, percent), rel=1e-3, abs=1e-6)


def test_every_rank_is_found() -> None:
    # A thousand distinct times: the library's own rounding of ranks would miss some by one.
    times_s = [n / 1000 for n in range(1, 1001)]
    histogram = counted(*times_s)
    percents = [n / 7 for n in range(1, 700)] + [50, 75, 90, 95, 99, 99.9, 99.99, 100]
    for percent, found in zip(percents, histogram.percentiles_s(percents), strict=True):
        assert found == pytest.approx(nearest_rank(times_s, percent), rel=1e-3)


@settings(max_examples=20, deadline=None)
@given(TIMES, TIMES)
def test_histograms_add_up_as_their_times_do(mine_s: list[float], its_s: list[float]) -> None:
    both = counted(*mine_s)
    both.add(counted(*its_s))
    whole = counted(*mine_s, *its_s)
    percents = [1.0, 50.0, 99.0, 100.0]
    assert both.percentiles_s(percents) == whole.percentiles_s(percents)
    assert (both.count, both.max_s) == (whole.count, whole.max_s)
    assert both.mean_s == pytest.approx(whole.mean_s)


def test_it_goes_to_another_process_unchanged() -> None:
    histogram = counted(0.0, 1e-6, 0.25, 70.0)
    there = pickle.loads(pickle.dumps(histogram))
    assert there.encoded() == histogram.encoded()
    assert (there.count, there.max_s, there.mean_s) == (4, 70.0, histogram.mean_s)
    there.record(80.0)
    assert there.max_s == 80.0


def test_maximum_and_mean_are_exact() -> None:
    histogram = counted(0.123456789, 1.0)
    assert histogram.max_s == 1.0
    assert counted(0.123456789).percentile_s(100) <= 0.123456789
    assert histogram.mean_s == pytest.approx(0.5617283945)


def test_an_empty_one_has_figures_too() -> None:
    histogram = Histogram()
    assert (histogram.count, histogram.mean_s, histogram.max_s) == (0, 0.0, 0.0)
    assert histogram.percentiles_s([50, 99]) == [0.0, 0.0]
    empty = pickle.loads(pickle.dumps(histogram))
    empty.add(Histogram())
    assert empty.count == 0


def test_what_is_out_of_range_counts_at_its_end() -> None:
    histogram = counted(-1.0, 10_000.0)
    assert histogram.count == 2
    assert histogram.percentile_s(100) == pytest.approx(3600, rel=1e-3)
    assert histogram.max_s == 10_000.0


def test_times_within_a_limit_are_counted() -> None:
    histogram = counted(0.010, 0.020, 0.030)
    assert [histogram.count_at_most(s) for s in (-1, 0.009, 0.010, 0.025, 1.0)] == [0, 0, 1, 2, 3]
