"""The search for a rate, against servers whose limit is known."""

import random
from collections.abc import Callable

import pytest
from attendant.load.rate_search import Ending, Search, Trial, find_highest_rate


def search_for(
    is_held: Callable[[float], bool],
    start: float = 10.0,
    is_bottleneck: Callable[[float], bool] = lambda rate: False,
) -> Search[None]:
    return find_highest_rate(
        lambda rate: Trial(rate, is_held(rate), is_bottleneck(rate), None), start
    )


def best_rate(search: Search[None]) -> float:
    assert search.best is not None
    return search.best.rate


@pytest.mark.parametrize("limit", [0.5, 3.0, 9.9, 10.0, 77.7, 1234.5])
@pytest.mark.parametrize("start", [1.0, 10.0, 300.0])
def test_it_comes_within_five_percent_from_below(limit: float, start: float) -> None:
    found = search_for(lambda rate: rate <= limit, start)
    assert found.ending is Ending.FOUND
    assert limit / 1.05 <= best_rate(found) <= limit
    assert len(found.trials) < 20


def test_the_rate_has_held_twice() -> None:
    found = search_for(lambda rate: rate <= 100)
    assert [trial.rate for trial in found.trials if trial.is_held].count(best_rate(found)) == 2
    assert found.trials[-1] is found.best


def test_a_lucky_trial_is_not_believed() -> None:
    seen: list[float] = []

    def is_held(rate: float) -> bool:
        seen.append(rate)
        return rate <= 100 or (100 < rate < 130 and seen.count(rate) == 1)

    assert best_rate(search_for(is_held)) <= 100


def test_nothing_that_holds_is_an_answer_too() -> None:
    found = search_for(lambda rate: False)
    assert (found.ending, found.best) == (Ending.NONE_HELD, None)


def test_a_server_without_limit_ends_it_too() -> None:
    found = search_for(lambda rate: True)
    assert found.ending is Ending.TRIALS
    assert best_rate(found) > 1e6


def test_a_limit_that_may_be_the_clients_is_told() -> None:
    found = search_for(lambda rate: rate <= 100, is_bottleneck=lambda rate: rate > 100)
    assert found.ending is Ending.CLIENT
    assert 95 < best_rate(found) <= 100
    # Far above the server's limit the client may fail as well: that says nothing of the limit.
    found = search_for(lambda rate: rate <= 100, is_bottleneck=lambda rate: rate > 150)
    assert found.ending is Ending.FOUND


def test_a_server_of_moods_ends_it_too() -> None:
    draws = random.Random(1)
    for _ in range(200):
        found = search_for(lambda rate: draws.random() < 0.5)
        assert len(found.trials) <= 24
        assert found.best is None or found.best.is_held
