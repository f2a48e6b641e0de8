from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from server.engine.hypothesis import Hypothesis
from server.engine.rows import Copy
from server.engine.scheduler import Schedule, Scheduler
from server.engine.sequence import Priority, Sequence, SequenceStatus
from server.engine.waiting import WaitingQueue
from tests.server.engine.fake_runner import EOS
from tests.server.engine.jobs import BULK, INTERACTIVE, make_sequence, memory

AGEING_S = 5.0


def make_scheduler(num_rows: int, *sequences: Sequence, budget: int = 100) -> Scheduler:
    scheduler = Scheduler(num_rows, budget, AGEING_S)
    for sequence in sequences:
        scheduler.add(sequence)
    return scheduler


def ids(sequences: list[Sequence]) -> list[int]:
    return [sequence.sequence_id for sequence in sequences]


def finish(scheduler: Scheduler, sequence: Sequence) -> list[Copy]:
    """Ends every hypothesis of `sequence`, as its search would."""
    before, sequence.search.rows = sequence.search.rows, []
    return scheduler.update(sequence, before, [])


def test_first_come_is_first_served_while_rows_last() -> None:
    sequences = [make_sequence(i) for i in range(3)]
    scheduler = make_scheduler(2, *sequences)
    schedule = scheduler.schedule(0.0)
    assert schedule.admitted == sequences[:2]
    assert schedule.rows == [sequence.search.rows[0] for sequence in sequences[:2]]
    assert [row.slot for row in schedule.rows] == [0, 1]
    assert [s.status.value for s in sequences] == ["running", "running", "waiting"]


def test_a_newcomer_takes_the_gap_so_that_nothing_moves() -> None:
    first, *others = sequences = [make_sequence(i) for i in range(4)]
    scheduler = make_scheduler(3, *sequences)
    scheduler.schedule(0.0)
    finish(scheduler, first)
    schedule = scheduler.schedule(0.0)
    assert first.status is SequenceStatus.FINISHED
    assert schedule.moves == []
    assert [s.search.rows[0].slot for s in others] == [1, 2, 0]


def test_the_last_row_closes_a_gap_that_nobody_takes() -> None:
    sequences = [make_sequence(i) for i in range(3)]
    scheduler = make_scheduler(3, *sequences)
    scheduler.schedule(0.0)
    finish(scheduler, sequences[0])
    schedule = scheduler.schedule(0.0)
    assert schedule.moves == [Copy(2, 0, is_sibling=False)]
    assert schedule.rows == [sequences[2].search.rows[0], sequences[1].search.rows[0]]


def test_encoding_is_bounded_but_one_long_source_always_fits() -> None:
    sequences = [make_sequence(i, length=n) for i, n in enumerate((50, 4, 4, 4, 50))]
    scheduler = make_scheduler(8, *sequences, budget=10)
    schedules = [scheduler.schedule(0.0) for _ in range(5)]
    assert [ids(schedule.admitted) for schedule in schedules] == [[0], [1, 2], [3], [4], []]


def test_running_rows_step_whatever_is_encoded_beside_them() -> None:
    scheduler = make_scheduler(4, *(make_sequence(i, length=50) for i in range(4)), budget=10)
    rows = [len(scheduler.schedule(0.0).rows) for _ in range(5)]
    assert rows == [1, 2, 3, 4, 4]


def test_all_rows_that_a_sequence_may_need_are_set_aside_for_it() -> None:
    wide, narrow = make_sequence(0, width=3), make_sequence(1, width=2)
    scheduler = make_scheduler(4, wide, narrow)
    assert ids(scheduler.schedule(0.0).admitted) == [0]
    assert (wide.num_reserved, scheduler.num_rows_used) == (3, 1)
    finish(scheduler, wide)
    assert ids(scheduler.schedule(0.0).admitted) == [1]
    assert wide.num_reserved == 0


def test_samples_that_have_ended_make_room() -> None:
    wide, waiting = make_sequence(0, width=3), make_sequence(1)
    scheduler = make_scheduler(3, wide, waiting)
    scheduler.schedule(0.0)
    (root,) = before = wide.search.rows
    births = wide.search.advance([[(9, -1.0), (8, -2.0), (7, -3.0)]])
    assert scheduler.update(wide, before, births) == [
        Copy(root.slot, slot, is_sibling=False) for slot in (1, 2)
    ]
    assert scheduler.schedule(0.0).admitted == []
    before = wide.search.rows
    scheduler.update(wide, before, wide.search.advance([[(9, -1.0)], [(EOS, -1.0)], [(9, -1.0)]]))
    assert wide.num_reserved == 2
    assert ids(scheduler.schedule(0.0).admitted) == [1]


def test_nobody_overtakes_a_wide_one_that_is_next() -> None:
    scheduler = make_scheduler(4, narrow := make_sequence(0))
    scheduler.schedule(0.0)
    for sequence in (wide := make_sequence(1, width=4), make_sequence(2), make_sequence(3)):
        scheduler.add(sequence)
    assert scheduler.schedule(0.0).admitted == []
    finish(scheduler, narrow)
    assert scheduler.schedule(0.0).admitted == [wide]


def test_a_wide_bulk_beam_runs_whatever_urgent_crowd_comes() -> None:
    """A crowd of new callers, each more urgent and narrow, always enough to take every row."""
    crowd, chance = iter(range(1, 10**6)), random.Random(3)
    scheduler = make_scheduler(16, wide := make_sequence(0, width=16, priority=BULK))
    scheduler.add(make_sequence(next(crowd), width=2, priority=INTERACTIVE))
    num_running = []
    for step in range(100):
        now = step / 10
        for number in (next(crowd) for _ in range(6)):
            fields = {"priority": INTERACTIVE, "caller": str(number), "arrival": now}
            scheduler.add(make_sequence(number, **fields))
        scheduler.schedule(now)
        if wide.status is SequenceStatus.RUNNING:
            break
        num_running.append(len(scheduler.running))
        for sequence in list(scheduler.running.values()):
            if chance.random() < 0.2:
                finish(scheduler, sequence)
    num_crowded = sum(count >= 12 for count in num_running)
    assert num_crowded >= 10 * AGEING_S - 5  # until then the crowd went first
    assert wide.status is SequenceStatus.RUNNING


def test_taking_out_frees_the_rows_at_once_and_only_once() -> None:
    running, waiting = make_sequence(0), make_sequence(1)
    scheduler = make_scheduler(1, running, waiting)
    scheduler.schedule(0.0)
    assert scheduler.take_out(running, SequenceStatus.CANCELLED)
    assert scheduler.num_rows_used == running.num_reserved == 0
    assert scheduler.take_out(waiting, SequenceStatus.EXPIRED)
    assert not scheduler.take_out(running, SequenceStatus.EXPIRED)
    assert not scheduler.take_out(waiting, SequenceStatus.CANCELLED)
    assert [s.status.value for s in (running, waiting)] == ["cancelled", "expired"]
    assert not scheduler.has_work


@dataclass
class RandomSearch:
    """Grows, forks, merges and ends by chance, within its `width`: a beam makes every row anew at
    each step, independent rows fork once and then end one by one.
    """

    width: int
    is_beam: bool
    rows: list[Hypothesis] = field(default_factory=lambda: [Hypothesis()])
    has_forked: bool = False

    @property
    def is_done(self) -> bool:
        return not self.rows

    @property
    def num_rows(self) -> int:
        return len(self.rows) if self.has_forked and not self.is_beam else self.width

    def grow(self, chance: random.Random, odds: float) -> list[tuple[Hypothesis, Hypothesis]]:
        """One step, in which each row ends with probability `odds`."""
        births = []
        if self.is_beam:
            births = [(parent, parent.fork()) for parent in self._parents(chance, odds)]
            self.rows = [child for _, child in births]
        elif not self.has_forked and chance.random() < 0.7:
            births = [(self.rows[0], self.rows[0].fork()) for _ in range(self.width - 1)]
            self.rows = [self.rows[0], *(child for _, child in births)]
            self.has_forked = True
        for row in self.rows:
            row.append(chance.randrange(3, 1000), 0.0)
        if self.has_forked and chance.random() < 2 * odds:
            self.rows = [row for row in self.rows if chance.random() > odds]
        return [(parent, child) for parent, child in births if child in self.rows]

    def _parents(self, chance: random.Random, odds: float) -> list[Hypothesis]:
        if chance.random() < odds:
            return []
        return chance.choices(self.rows, k=chance.randint(1, self.width))


class SchedulerMachine(RuleBasedStateMachine):
    """Drives a scheduler as an engine does, over caches that are a dictionary: row -> the
    sequence and the tokens that it has seen.
    """

    @initialize(num_rows=st.integers(1, 20), budget=st.integers(1, 60))
    def start(self, num_rows: int, budget: int) -> None:
        self.scheduler = Scheduler(num_rows, budget, AGEING_S)
        self.num_rows, self.budget = num_rows, budget
        self.sequences: list[Sequence] = []
        self.num_ends: Counter[int] = Counter()
        self.caches: dict[int, tuple[int, tuple[int, ...]]] = {}
        self.now = 0.0

    @rule(
        width=st.integers(1, 16),
        is_beam=st.booleans(),
        priority=st.sampled_from(Priority),
        caller=st.sampled_from("abc"),
        length=st.integers(1, 40),
    )
    def add(self, width: int, is_beam: bool, priority: Priority, caller: str, length: int) -> None:
        width = min(width, self.num_rows)
        fields = {"width": width, "priority": priority, "caller": caller, "length": length}
        sequence = make_sequence(len(self.sequences), arrival=self.now, **fields)
        sequence.search = RandomSearch(width, is_beam)
        self.sequences.append(sequence)
        self.scheduler.add(sequence)

    @rule(seconds=st.floats(0.1, 10.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.sequences)
    @rule(
        number=st.integers(0, 99),
        status=st.sampled_from([SequenceStatus.CANCELLED, SequenceStatus.EXPIRED]),
    )
    def take_out(self, number: int, status: SequenceStatus) -> None:
        sequence = self.sequences[number % len(self.sequences)]
        had_ended = sequence.status not in (SequenceStatus.WAITING, SequenceStatus.RUNNING)
        assert self.scheduler.take_out(sequence, status) is not had_ended
        if not had_ended:
            assert sequence.status is status
            self.num_ends[sequence.sequence_id] += 1

    @rule(seed=st.integers(0, 2**32), odds=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    def step(self, seed: int, odds: float) -> None:
        chance = random.Random(seed)
        schedule = self.scheduler.schedule(self.now)
        self.check(schedule)
        self.copy(schedule.moves)
        for sequence in schedule.admitted:
            self.caches[sequence.search.rows[0].slot] = (sequence.sequence_id, ())
        self.decode()
        for sequence in list(self.scheduler.running.values()):
            before = sequence.search.rows
            births = sequence.search.grow(chance, odds)
            self.copy(self.scheduler.update(sequence, before, births))
            self.num_ends[sequence.sequence_id] += sequence.search.is_done

    def copy(self, copies: list[Copy]) -> None:
        for source, target, is_sibling in copies:
            assert max(source, target) < self.num_rows
            if is_sibling:
                assert self.caches[source][0] == self.caches[target][0]
            self.caches[target] = self.caches[source]

    def decode(self) -> None:
        """Every row must find in its cache all of its tokens but the last, which it is fed."""
        for sequence in self.scheduler.running.values():
            for row in sequence.search.rows:
                assert self.caches[row.slot] == (sequence.sequence_id, tuple(row.tokens[:-1]))
                self.caches[row.slot] = (sequence.sequence_id, tuple(row.tokens))

    def check(self, schedule: Schedule) -> None:
        running = self.scheduler.running.values()
        assert [row.slot for row in schedule.rows] == list(range(len(schedule.rows)))
        assert Counter(schedule.rows) == Counter(row for s in running for row in s.search.rows)
        assert len(schedule.rows) == self.scheduler.num_rows_used
        for sequence in running:
            assert len(sequence.search.rows) <= sequence.num_reserved
        assert sum(sequence.num_reserved for sequence in running) <= self.num_rows
        newcomers = {sequence.search.rows[0].slot for sequence in schedule.admitted}
        assert newcomers.isdisjoint(slot for move in schedule.moves for slot in move[:2])
        self.check_admission(schedule)

    def check_admission(self, schedule: Schedule) -> None:
        """As much as rows and budget allow, and no more; statuses and counts agree."""
        cost = sum(len(sequence.job.source) for sequence in schedule.admitted)
        assert cost <= self.budget or len(schedule.admitted) == 1
        following = self.scheduler.waiting.peek(self.now)
        if following is not None:
            reserved = sum(s.num_reserved for s in self.scheduler.running.values())
            fits = reserved + following.job.options.num_rows <= self.num_rows
            assert not fits or cost + len(following.job.source) > self.budget
            assert schedule.rows
        status = Counter(sequence.status for sequence in self.sequences)
        assert status[SequenceStatus.WAITING] == len(self.scheduler.waiting)
        assert status[SequenceStatus.RUNNING] == len(self.scheduler.running)

    def teardown(self) -> None:
        """Everything ends, once, and nothing is kept."""
        if not hasattr(self, "scheduler"):
            return
        for seed in range(len(self.sequences) * 2):
            self.step(seed, odds=1.0)
        assert not self.scheduler.has_work
        assert self.num_ends == Counter(range(len(self.sequences)))
        assert {sequence.num_reserved for sequence in self.sequences} <= {0}
        assert self.scheduler.num_rows_used == 0
        assert memory(self.scheduler.waiting) <= memory(WaitingQueue(AGEING_S)) + 100
        self.scheduler.add(widest := make_sequence(-1, width=self.num_rows))
        assert self.scheduler.schedule(self.now).admitted == [widest]


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
