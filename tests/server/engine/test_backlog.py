from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.engine.backlog import Backlog
from server.engine.options import DecodingOptions
from server.engine.sequence import Job, Priority
from server.engine.waiting import WaitingQueue
from tests.server.engine.jobs import BULK, INTERACTIVE, STANDARD, make_sequence


def job(caller: str = "", priority: Priority = STANDARD, beam_size: int = 1) -> Job:
    options = DecodingOptions(10, beam_size=beam_size)
    return Job([1], options, caller=caller, priority=priority)


def backlog_of(*jobs: Job) -> Backlog:
    backlog = Backlog()
    for each in jobs:
        backlog.add(each)
    return backlog


def test_own_sequences_and_as_many_of_others_go_before() -> None:
    backlog = backlog_of(*[job("a")] * 3, *[job("b")] * 10, job("c"))
    assert backlog.num_rows_before(STANDARD, "a") == 3 + 4 + 1
    assert backlog.num_rows_before(STANDARD, "b") == 10 + 3 + 1
    assert backlog.num_rows_before(STANDARD, "d") == 0 + 1 + 1 + 1


def test_the_more_urgent_go_before_whosever_they_are() -> None:
    backlog = backlog_of(*[job("a", INTERACTIVE)] * 5, *[job("a", BULK)] * 7)
    assert backlog.num_rows_before(INTERACTIVE, "b") == 1
    assert backlog.num_rows_before(STANDARD, "b") == 5
    assert backlog.num_rows_before(BULK, "a") == 5 + 7


def test_a_beam_counts_its_rows() -> None:
    assert backlog_of(job("a", beam_size=5)).num_rows_before(STANDARD, "a") == 5


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(Priority)), max_size=30))
def test_what_was_counted_in_and_out_leaves_nothing(pairs: list[tuple[str, Priority]]) -> None:
    jobs = [job(caller, priority) for caller, priority in pairs]
    backlog = backlog_of(*jobs)
    for each in jobs:
        backlog.remove(each)
    assert [len(callers) for callers in backlog._rows.values()] == [0, 0, 0]
    assert backlog.num_rows_before(BULK, "a") == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(Priority)), max_size=30))
def test_it_is_no_more_cautious_than_the_queue_of_the_engine(
    pairs: list[tuple[str, Priority]],
) -> None:
    queue, jobs = WaitingQueue(5.0), []
    for i, (caller, priority) in enumerate(pairs):
        sequence = make_sequence(i, caller=caller, priority=priority)
        jobs.append(sequence.job)
        queue.add(sequence)
    backlog = backlog_of(*jobs)
    for caller in "abcd":
        for priority in Priority:
            newcomer = job(caller, priority)
            before = backlog.num_rows_before(priority, caller)
            assert before <= queue.num_rows_before(newcomer)
