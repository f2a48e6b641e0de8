"""Who runs out of time, who is refused before, and what is left of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.engine.engine import Engine, StepStats
from server.engine.hypothesis import FinishReason
from server.engine.options import DecodingOptions, Sampling
from server.engine.pace import MIN_STEPS
from server.engine.sequence import Job, SequenceStatus
from tests.server.engine.fake_runner import FakeRunner, expected_tokens
from tests.server.engine.jobs import INTERACTIVE, Clock
from tests.server.engine.timed import (
    BEAM,
    OPTIONS,
    TimedRunner,
    drain,
    make_engine,
    timed_engine,
    watch,
)


def test_a_deadline_takes_a_waiting_sequence_out() -> None:
    engine, runner, _ = timed_engine(num_slots=1)
    hog, late = engine.add(Job([30], OPTIONS)), engine.add(Job([5], OPTIONS, deadline=4.0))
    ended = [engine.step().ended for _ in range(5)]
    assert ended[:4] == [[], [], [], []]
    assert [(s.sequence_id, s.status) for s in ended[4]] == [(late, SequenceStatus.EXPIRED)]
    assert set(drain(engine)) == {hog}
    assert runner.encoded == [[30]]


@pytest.mark.parametrize("options", [OPTIONS, BEAM])
def test_a_deadline_frees_the_rows_for_the_very_next_step(options: DecodingOptions) -> None:
    engine, runner, _ = timed_engine()
    late = engine.add(Job([900], options, deadline=3.0))
    successors = {engine.add(Job([8], OPTIONS)) for _ in range(4)}
    for _ in range(3):
        engine.step()
    (expired,) = engine.step().ended
    assert (expired.sequence_id, expired.status) == (late, SequenceStatus.EXPIRED)
    assert expired.hypotheses == []
    assert runner.batch_sizes[-1] == 4
    assert set(drain(engine)) == successors


def test_a_deadline_that_is_never_reached_changes_nothing() -> None:
    engine, _, _ = timed_engine()
    sequence_id = engine.add(Job([5], OPTIONS, deadline=5.0))
    assert drain(engine) == {sequence_id: expected_tokens(5)}
    assert not engine.cancel(sequence_id)


@pytest.mark.parametrize("options", [OPTIONS, BEAM, replace(OPTIONS, num_alternatives=3)])
def test_a_partial_result_of_what_still_waits_is_empty(options: DecodingOptions) -> None:
    engine, runner, _ = timed_engine(num_slots=4)
    engine.add(Job([30], BEAM))
    engine.add(Job([5], options, deadline=3.0, takes_partial=True))
    (sequence,) = [s for _ in range(4) for s in engine.step().ended]
    assert runner.encoded == [[30]]
    assert sequence.status is SequenceStatus.FINISHED
    assert [h.tokens for h in sequence.hypotheses] == [[]]
    assert sequence.hypotheses[0].finish_reason is FinishReason.DEADLINE


@pytest.mark.parametrize("options", [OPTIONS, BEAM])
def test_a_partial_result_is_the_best_so_far(options: DecodingOptions) -> None:
    engine, _, _ = timed_engine()
    engine.add(Job([30], options, deadline=6.0, takes_partial=True))
    (sequence,) = [s for _ in range(7) for s in engine.step().ended]
    assert sequence.status is SequenceStatus.FINISHED
    assert sequence.token_ids == expected_tokens(30)[:6]
    assert sequence.hypotheses[0].finish_reason is FinishReason.DEADLINE
    assert not engine.has_work


def test_a_partial_result_of_samples_has_them_all() -> None:
    engine, _, _ = timed_engine()
    options = replace(OPTIONS, num_hypotheses=3, sampling=Sampling(seed=5, top_k=1))
    engine.add(Job([30], options, deadline=6.0, takes_partial=True))
    (sequence,) = [s for _ in range(7) for s in engine.step().ended]
    assert [len(h.tokens) for h in sequence.hypotheses] == [6, 6, 6]


def paced_engine() -> tuple[Engine, TimedRunner, Clock]:
    """An engine that has seen enough to know that a step takes a second, a token of source one."""
    engine, runner, clock = timed_engine()
    for _ in range(MIN_STEPS):
        engine.add(Job([1], OPTIONS))
        engine.step()
    runner.encoded.clear()
    return engine, runner, clock


def test_a_hopeless_job_is_refused_at_once() -> None:
    engine, runner, clock = paced_engine()
    hopeless = engine.add(Job([9] * 100, OPTIONS, deadline=clock.now + 40))
    assert engine.has_work
    (refused,) = engine.step().ended
    assert (refused.sequence_id, refused.status) == (hopeless, SequenceStatus.EXPIRED)
    assert runner.encoded == []
    assert not engine.has_work
    assert not engine.cancel(hopeless)
    engine.add(Job([9] * 100, OPTIONS, deadline=clock.now + 60))
    assert [sequence.token_ids for sequence in engine.step().ended] == []


def test_whether_a_job_is_hopeless_depends_on_who_goes_before_it() -> None:
    engine, _, clock = paced_engine()
    for i in range(40):
        engine.add(Job([500], OPTIONS, caller=f"caller {i}"))
    deadline = clock.now + 8
    standard = engine.add(Job([9], OPTIONS, deadline=deadline))
    engine.add(Job([9], OPTIONS, INTERACTIVE, deadline=deadline))
    (refused,) = engine.step().ended
    assert (refused.sequence_id, refused.status) == (standard, SequenceStatus.REFUSED)


def test_who_gets_a_row_too_late_does_not_get_it() -> None:
    engine, runner, clock = paced_engine()
    for _ in range(4):
        engine.add(Job([5], OPTIONS))
    engine.step()
    late = engine.add(Job([2] * 40, OPTIONS, deadline=clock.now + 25))
    engine.add(Job([9], OPTIONS))
    clock.now += 20  # something held the engine up
    runner.encoded.clear()
    ended = [sequence for _ in range(9) for sequence in engine.step().ended]
    statuses = {sequence.sequence_id: sequence.status for sequence in ended}
    assert statuses[late] is SequenceStatus.EXPIRED
    assert runner.encoded == [[9]]
    assert not engine.cancel(late)


def test_time_between_steps_counts_where_there_is_work() -> None:
    """Taking jobs in and handing results out is part of how fast the engine is."""
    engine, _, clock = timed_engine()
    for _ in range(MIN_STEPS):
        engine.add(Job([2], OPTIONS))
        engine.step()
        clock.now += 1
        engine.step()
        clock.now += 100  # nothing to do
    one_s = engine._pace.own_s(Job([1], OPTIONS))
    assert one_s == pytest.approx(1.5 * engine._pace._steps_a_source_token, rel=0.05)


def test_whether_a_job_is_hopeless_depends_on_what_others_needed() -> None:
    engine, _, clock = paced_engine()
    engine.add(Job([9] * 10, OPTIONS, deadline=clock.now + 30))
    assert engine.step().ended == []
    for _ in range(40):  # nine steps each, for one token of source
        engine.add(Job([9], OPTIONS))
        drain(engine)
    engine.add(Job([9] * 10, OPTIONS, deadline=clock.now + 30))
    assert [sequence.status for sequence in engine.step().ended] == [SequenceStatus.EXPIRED]


def test_one_callers_backlog_makes_nobody_elses_job_hopeless() -> None:
    engine, _, clock = paced_engine()
    for _ in range(1000):
        engine.add(Job([2], OPTIONS, caller="flood"))
    for caller in ("single", "flood"):
        engine.add(Job([3], OPTIONS, caller=caller, deadline=clock.now + 20))
    refused, *_ = engine.step().ended
    assert (refused.status, refused.job.caller) == (SequenceStatus.REFUSED, "flood")
    ended = [sequence for _ in range(6) for sequence in engine.step().ended]
    assert "single" in {sequence.job.caller for sequence in ended}


def test_who_takes_a_partial_result_is_not_refused_before_the_deadline() -> None:
    engine, _, clock = paced_engine()
    engine.add(Job([40] * 100, OPTIONS, deadline=clock.now + 5, takes_partial=True))
    (sequence,) = [s for _ in range(6) for s in engine.step().ended]
    assert sequence.token_ids == expected_tokens(40)[:5]
    engine.add(Job([40], OPTIONS, deadline=clock.now, takes_partial=True))
    assert [s.token_ids for s in engine.step().ended] == [[]]


def test_deadlines_of_what_has_ended_are_forgotten() -> None:
    engine = make_engine(FakeRunner())
    for _ in range(2000):
        engine.add(Job([1], OPTIONS, deadline=1e12))
        engine.cancel(engine.add(Job([1], OPTIONS, deadline=1e12)))
        engine.step()
    assert len(engine._deadlines) < 500


def test_gauges_fall_to_nothing_when_the_last_one_expires() -> None:
    engine, _, _ = timed_engine()
    stats = watch(engine)
    engine.add(Job([30], BEAM, deadline=3.0))
    for _ in range(4):
        engine.step()
    assert stats[-2].num_rows_used == 4
    assert stats[-1] == StepStats(0, 0, num_running=0, num_waiting=0, num_rows_used=0)
