from __future__ import annotations

import pytest

from server.engine.options import DecodingOptions
from server.engine.pace import MIN_STEPS, OPTIMISM, Pace
from server.engine.sequence import Job

NUM_ROWS = 4


def make_job(length: int, deadline: float = float("inf"), limit: int = 1000) -> Job:
    return Job([7] * length, DecodingOptions(limit), deadline=deadline)


def paced(step_s: float = 1.0, num_ends: int = 500) -> Pace:
    """After many steps, and sequences of 10 source tokens and 20 steps."""
    pace = Pace(NUM_ROWS)
    for _ in range(MIN_STEPS):
        pace.observe_step(step_s)
    for _ in range(num_ends):
        pace.observe_end(10, 20)
    return pace


def test_a_job_takes_its_own_steps() -> None:
    assert paced().own_s(make_job(30)) == pytest.approx(60.0)
    assert paced(step_s=0.1).own_s(make_job(30)) == pytest.approx(6.0)


def test_a_job_takes_no_more_steps_than_it_may() -> None:
    assert paced().own_s(make_job(30, limit=7)) == pytest.approx(7.0)


def test_a_job_waits_for_the_rows_before_it() -> None:
    assert paced().queue_s(10 * NUM_ROWS) == pytest.approx(10 * 20.0)


def test_hopeless_is_what_cannot_end_even_if_it_is_short() -> None:
    pace, now = paced(), 1000.0
    least = OPTIMISM * pace.own_s(make_job(30)) + pace.queue_s(8)
    assert pace.is_hopeless(make_job(30, now + 0.999 * least), 8, now)
    assert not pace.is_hopeless(make_job(30, now + 1.001 * least), 8, now)
    assert pace.is_hopeless(make_job(30, now + 1.001 * least), 9, now)
    assert not pace.is_hopeless(make_job(30), 10**9, now)


def test_nothing_is_refused_before_enough_has_been_seen() -> None:
    pace, now = Pace(NUM_ROWS), 1000.0
    for _ in range(MIN_STEPS - 1):
        pace.observe_step(60.0)
    assert not pace.is_hopeless(make_job(100, now + 0.1), 10**6, now)
    assert pace.is_hopeless(make_job(100, now), 0, now)
    pace.observe_step(60.0)
    assert pace.is_hopeless(make_job(100, now + 0.1), 0, now)


def test_the_first_steps_count_alike() -> None:
    pace = paced(num_ends=0)
    first = Pace(NUM_ROWS)
    for duration in (4.0, 1.0, 1.0):
        first.observe_step(duration)
    assert first.own_s(make_job(1)) == pytest.approx(2 * pace.own_s(make_job(1)))


def test_the_figures_follow_a_change() -> None:
    pace = paced()
    for _ in range(200):
        pace.observe_step(0.1)
        pace.observe_end(10, 5)
    assert pace.own_s(make_job(10)) == pytest.approx(0.1 * 5, rel=0.01)
    assert pace.queue_s(NUM_ROWS) == pytest.approx(0.1 * 5, rel=0.01)


def test_one_outlier_shifts_little() -> None:
    pace = paced()
    pace.observe_step(2.0)
    assert pace.own_s(make_job(10)) == pytest.approx(20 * 1.05)


def test_one_pause_refuses_nobody_and_a_slower_machine_soon_shows() -> None:
    pace = Pace(num_rows=4)
    for _ in range(MIN_STEPS):
        pace.observe_step(0.01)
    before = pace.own_s(make_job(30))
    pace.observe_step(60.0)
    assert pace.own_s(make_job(30)) < 1.2 * before
    for _ in range(60):
        pace.observe_step(0.1)
    assert pace.own_s(make_job(30)) > 8 * before
