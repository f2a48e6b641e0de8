from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engine.sequence import Priority, Sequence
from server.engine.waiting import AGED_SHARE, WaitingQueue
from tests.server.engine.jobs import BULK, INTERACTIVE, STANDARD, make_sequence, memory

AGEING_S = 5.0
SLACK = 300
"""Bytes by which counters and names may grow."""


def filled(*sequences: Sequence) -> WaitingQueue:
    queue = WaitingQueue(AGEING_S)
    for sequence in sequences:
        queue.add(sequence)
    return queue


def admit(queue: WaitingQueue, count: int = 1, now: float = 0.0) -> list[Sequence]:
    """The next `count` of `queue`."""
    admitted = []
    for _ in range(count):
        sequence = queue.peek(now)
        assert sequence is not None
        queue.admit(sequence)
        admitted.append(sequence)
    return admitted


def ids(sequences: list[Sequence]) -> list[int]:
    return [sequence.sequence_id for sequence in sequences]


def flood(caller: str, first_id: int, count: int, **fields: object) -> list[Sequence]:
    return [make_sequence(first_id + i, caller=caller, **fields) for i in range(count)]


def test_one_callers_sequences_are_first_come_first_served() -> None:
    queue = filled(*flood("a", 0, 5))
    assert ids(admit(queue, 5)) == [0, 1, 2, 3, 4]
    assert queue.peek(0.0) is None


def test_the_more_urgent_class_goes_first_and_bulk_fills_the_gaps() -> None:
    queue = filled(*(make_sequence(i, priority=p) for i, p in enumerate((BULK, STANDARD))))
    queue.add(make_sequence(2, priority=INTERACTIVE))
    assert ids(admit(queue, 3)) == [2, 1, 0]


def test_a_caller_with_one_is_next_however_many_another_has() -> None:
    queue = filled(*flood("flood", 0, 1000))
    admit(queue, 10)
    queue.add(make_sequence(5000, caller="single"))
    assert ids(admit(queue)) == [5000]
    assert ids(admit(queue)) == [10]


@given(costs=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 8)), min_size=40, max_size=80))
def test_two_flooding_callers_share_by_cost(costs: list[tuple[int, int]]) -> None:
    sequences = [
        make_sequence(i, length=length, width=width, caller="ab"[i % 2])
        for i, (length, width) in enumerate(costs)
    ]
    most = {caller: max(s.cost for s in sequences if s.job.caller == caller) for caller in "ab"}
    queue, charged, left = filled(*sequences), Counter(), Counter(s.job.caller for s in sequences)
    while left["a"] and left["b"]:
        (sequence,) = admit(queue)
        charged[sequence.job.caller] += sequence.cost
        left[sequence.job.caller] -= 1
        # The bound of Goyal et al. 1996, theorem 1.
        assert abs(charged["a"] - charged["b"]) <= most["a"] + most["b"]


def test_an_idle_caller_gains_no_credit() -> None:
    queue = filled(*flood("busy", 0, 100))
    admit(queue, 50)
    for sequence in flood("idle", 1000, 50):
        queue.add(sequence)
    callers = Counter(sequence.job.caller for sequence in admit(queue, 20))
    assert callers == {"busy": 10, "idle": 10}


def test_a_caller_that_asks_one_by_one_gets_no_more_than_one_that_floods() -> None:
    queue, admitted = filled(*flood("flood", 0, 100)), Counter()
    queue.add(make_sequence(1000, caller="eager"))
    for i in range(60):
        (sequence,) = admit(queue)
        admitted[sequence.job.caller] += 1
        if sequence.job.caller == "eager":
            queue.add(make_sequence(1001 + i, caller="eager"))
    assert admitted == {"flood": 30, "eager": 30}


def test_what_is_taken_out_is_not_charged() -> None:
    first, *rest = flood("a", 0, 3, length=100)
    queue = filled(first, *rest, *flood("b", 10, 3))
    queue.remove(first)
    assert ids(admit(queue, 5)) == [1, 10, 11, 12, 2]


def test_classes_are_charged_apart() -> None:
    queue = filled(*flood("a", 0, 3, priority=BULK), *flood("b", 10, 3, priority=BULK))
    for sequence in flood("a", 20, 5, priority=INTERACTIVE):
        queue.add(sequence)
    assert ids(admit(queue, 7)) == [20, 21, 22, 23, 24, 0, 10]


def test_a_saturating_urgent_class_leaves_one_admission_in_eight_to_the_aged() -> None:
    queue = filled(*flood("bulk", 0, 100, priority=BULK))
    urgent = (make_sequence(1000 + i, priority=INTERACTIVE, arrival=1.0) for i in range(1000))
    for _ in range(3):
        queue.add(next(urgent))
    num_bulk = []
    for now in (AGEING_S - 0.01, AGEING_S):
        admitted = []
        for _ in range(10 * AGED_SHARE):
            admitted += admit(queue, now=now)
            queue.add(next(urgent))
        num_bulk.append(sum(sequence.job.priority is BULK for sequence in admitted))
    assert num_bulk == [0, 10]


def test_an_urgent_newcomer_waits_for_one_aged_sequence_at_most() -> None:
    queue = filled(*flood("bulk", 0, 1000, priority=BULK))
    for i in range(200):
        admit(queue, count=i % 7, now=100.0)
        queue.add(make_sequence(5000 + i, priority=INTERACTIVE, arrival=100.0))
        assert 5000 + i in ids(admit(queue, 2, now=100.0))


def test_the_longest_waiting_of_all_classes_is_the_aged_one() -> None:
    queue = filled(
        make_sequence(0, priority=STANDARD, arrival=2.0),
        make_sequence(1, priority=BULK, arrival=1.0),
        *flood("urgent", 10, 50, priority=INTERACTIVE, arrival=3.0),
    )
    admitted = ids(admit(queue, 2 * AGED_SHARE, now=10.0))
    assert (admitted.index(1), admitted.index(0)) == (AGED_SHARE - 1, 2 * AGED_SHARE - 1)


def test_no_stream_of_new_callers_starves_an_old_one() -> None:
    """Each newcomer may go first, as its caller has had nothing; ageing bounds how many do."""
    queue, admitted = filled(*flood("old", 0, 5, length=50)), []
    for i in range(5 * AGED_SHARE):
        for newcomer in (1000 + 2 * i, 1001 + 2 * i):
            queue.add(make_sequence(newcomer, caller=f"new {newcomer}", arrival=AGEING_S))
        admitted += admit(queue, now=AGEING_S)
    assert {0, 1, 2, 3, 4} <= set(ids(admitted))


def test_turns_of_the_aged_set_newcomers_back_by_nothing() -> None:
    """The one who came first has the aged turns, far more than a share; no newcomer pays."""
    queue = filled(*flood("first", 0, 1000))
    for number in range(20):
        for sequence in flood(f"other {number}", 1000 * (number + 1), 100, arrival=1.0):
            queue.add(sequence)
    admit(queue, 800, now=100.0)
    queue.add(make_sequence(10**6, caller="newcomer", arrival=100.0))
    assert 10**6 in ids(admit(queue, 21 + 21 // AGED_SHARE + 1, now=100.0))


def rows_before(queue: WaitingQueue, caller: str = "", width: int = 1) -> list[int]:
    """What goes before a newcomer of `caller`, for each class."""
    newcomers = [make_sequence(-1, width=width, priority=p, caller=caller) for p in Priority]
    return [queue.num_rows_before(newcomer.job) for newcomer in newcomers]


def test_rows_before_a_newcomer_are_those_of_no_less_urgent_classes() -> None:
    queue = filled(
        make_sequence(0, width=2, priority=INTERACTIVE),
        make_sequence(1, width=3, priority=STANDARD),
        last := make_sequence(2, width=5, priority=BULK),
    )
    assert rows_before(queue) == [2, 5, 10]
    queue.remove(last)
    admit(queue)
    assert rows_before(queue) == [0, 3, 3]


def test_rows_before_a_newcomer_count_that_callers_take_turns() -> None:
    """Each other caller goes once before a first sequence, twice before a second."""
    queue = filled(*flood("flood", 0, 1000), *flood("some", 2000, 10), *flood("one", 3000, 1))
    for caller, expected in (("new", 3), ("one", 1 + 4), ("some", 10 + 22), ("flood", 1011)):
        assert rows_before(queue, caller) == [0, expected, 1011]
    assert rows_before(queue, "new", width=4) == [0, 12, 1011]
    admit(queue, 1011)
    assert rows_before(queue, "flood") == [0, 0, 0]


def test_a_caller_that_comes_and_goes_leaves_nothing_behind() -> None:
    queue = filled(*flood("other", 0, 3))
    sizes = []
    for i in range(1000):
        queue.add(restless := make_sequence(1000 + i, caller="restless"))
        queue.remove(restless)
        sizes.append(memory(queue))
    assert max(sizes) <= max(sizes[:500]) + SLACK


@pytest.mark.parametrize("has_busy_caller", [False, True])
def test_callers_that_never_come_back_leave_nothing_behind(has_busy_caller: bool) -> None:
    """Some are served, some cancel, and somebody always waits."""
    queue, numbers, sizes = filled(make_sequence(-1)), itertools.count(), []
    for i in range(2000):
        callers = ["busy" if has_busy_caller else f"one more {i}", f"served {i}", f"cancels {i}"]
        *_, cancelled = sequences = [make_sequence(next(numbers), caller=c) for c in callers]
        for sequence in sequences:
            queue.add(sequence)
        queue.remove(cancelled)
        admit(queue, 2)
        if i % 10 == 0:
            sizes.append(memory(queue))
    assert max(sizes) <= max(sizes[:100]) + SLACK


def test_an_empty_queue_remembers_nobody() -> None:
    queue = filled(*(make_sequence(i, caller=f"caller {i}") for i in range(200)))
    admit(queue, 200)
    assert memory(queue) <= memory(WaitingQueue(AGEING_S)) + SLACK


class Model:
    """A queue under test beside a plain list of what must be in it."""

    def __init__(self) -> None:
        self.queue = WaitingQueue(AGEING_S)
        self.waiting: list[Sequence] = []
        self.numbers = itertools.count()
        self.now = 0.0

    def add(self, priority: Priority, caller: str, cost: int) -> None:
        number = next(self.numbers)
        fields = {"priority": priority, "caller": caller, "length": cost, "width": number % 5 + 1}
        self.waiting.append(make_sequence(number, arrival=self.now, **fields))
        self.queue.add(self.waiting[-1])

    def remove(self, i: int) -> None:
        if self.waiting:
            self.queue.remove(self.waiting.pop(i % len(self.waiting)))

    def admit(self) -> None:
        sequence = self.queue.peek(self.now)
        assert sequence is self.queue.peek(self.now)
        if sequence is None:
            assert not self.waiting
            return
        assert self.is_fair(sequence)
        self.waiting.remove(sequence)
        self.queue.admit(sequence)

    def is_fair(self, sequence: Sequence) -> bool:
        """The aged one, or the first of its caller in the most urgent class that waits."""
        if sequence is self.waiting[0] and self.now - sequence.arrival >= AGEING_S:
            return True
        job, urgent = sequence.job, min(s.job.priority for s in self.waiting)
        mine = [s for s in self.waiting if (s.job.caller, s.job.priority) == (job.caller, urgent)]
        return bool(mine) and sequence is mine[0]

    def check(self) -> None:
        assert len(self.queue) == len(self.waiting)
        expected, more_urgent = [], 0
        for priority in Priority:
            same = [sequence for sequence in self.waiting if sequence.job.priority is priority]
            num_callers = len({sequence.job.caller for sequence in same})
            expected.append(more_urgent + num_callers)
            more_urgent += sum(sequence.job.options.num_rows for sequence in same)
        assert rows_before(self.queue, "new") == expected


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"), st.sampled_from(Priority), st.sampled_from("abcd"), st.integers(1, 40)
        ),
        st.tuples(st.just("remove"), st.integers(0, 99)),
        st.tuples(st.just("admit")),
        st.tuples(st.just("tick"), st.floats(0.0, 10.0)),
    ),
    max_size=80,
)


@given(operations=OPERATIONS)
def test_nothing_is_lost_or_doubled_and_an_empty_queue_remembers_nothing(
    operations: list[tuple],
) -> None:
    model = Model()
    for name, *arguments in operations:
        if name == "tick":
            model.now += arguments[0]
        else:
            getattr(model, name)(*arguments)
        model.check()
    while model.waiting:
        model.admit()
        model.check()
    assert model.queue.peek(model.now) is None
    assert memory(model.queue) <= memory(WaitingQueue(AGEING_S)) + SLACK
