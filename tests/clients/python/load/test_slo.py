"""Promises about latency."""

import re

import pytest
from attendant.load.slo import Kind, Objective, parse_objective
from attendant.load.tally import Tally

from .results import STREAMED, TIMING, recorder_of


def tally_of(num_failed: int = 0, is_streamed: bool = False) -> Tally:
    return recorder_of(num_failed=num_failed, is_streamed=is_streamed).recording().measured()


@pytest.mark.parametrize(
    ("text", "objective"),
    [
        ("p99=100ms", Objective(Kind.LATENCY, 99, 0.1)),
        ("p99.9=1.5s", Objective(Kind.LATENCY, 99.9, 1.5)),
        ("p99_9=1.5s", Objective(Kind.LATENCY, 99.9, 1.5)),
        ("first_token_p50=20ms", Objective(Kind.FIRST_TOKEN, 50, 0.02)),
        ("between_tokens_p95=5ms", Objective(Kind.BETWEEN_TOKENS, 95, 0.005)),
    ],
)
def test_objectives_are_read_and_shown_alike(text: str, objective: Objective) -> None:
    assert parse_objective(text) == objective
    assert parse_objective(str(objective)) == objective


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("99=100ms", "must be as p99=100ms"),
        ("p99<100ms", "must be as p99=100ms"),
        ("p99=100", "must be a time such as"),
        ("p0=1s", "percentile: must be above 0 and below 100, not 0"),
        ("p100=1s", "percentile: must be above 0 and below 100, not 100"),
    ],
)
def test_what_is_no_objective_is_named(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}"):
        parse_objective(text)


def test_a_promise_is_kept_by_the_share_that_is_within_it() -> None:
    # Of 1,000 requests ten take 100 ms, all others 10 ms.
    assert Objective(Kind.LATENCY, 99, 0.011).share(tally_of()) == 0.99
    assert Objective(Kind.LATENCY, 99, 0.011).is_held(tally_of())
    assert not Objective(Kind.LATENCY, 99.1, 0.011).is_held(tally_of())
    assert Objective(Kind.LATENCY, 99.99, 0.101).is_held(tally_of())


def test_requests_that_fail_break_it() -> None:
    # Of those that were answered 99 % are within 11 ms; of all that were due, 98.2 %.
    assert Objective(Kind.LATENCY, 98.5, 0.011).is_held(tally_of())
    assert not Objective(Kind.LATENCY, 98.5, 0.011).is_held(tally_of(num_failed=8))
    assert not Objective(Kind.BETWEEN_TOKENS, 99.5, 10).is_held(
        tally_of(num_failed=8, is_streamed=True)
    )


def test_streams_have_promises_of_their_own() -> None:
    tally = tally_of(is_streamed=True)
    assert STREAMED.summary.first_token is not None
    assert Objective(Kind.FIRST_TOKEN, 99, 0.003).share(tally) == 0.99
    assert Objective(Kind.BETWEEN_TOKENS, 99, 0.006).share(tally) == 0.99


def test_a_run_without_requests_broke_no_promise() -> None:
    assert TIMING.num_windows == 10
    for kind in Kind:
        assert Objective(kind, 99, 0.1).is_held(Tally())
