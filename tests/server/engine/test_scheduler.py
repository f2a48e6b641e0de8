from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from server.engine.scheduler import Scheduler
from server.engine.sequence import DecodingOptions, FinishReason, Sequence, SequenceStatus

EOS = 2


def make_sequence(sequence_id: int, source_length: int = 3, limit: int = 100) -> Sequence:
    return Sequence(sequence_id, [7] * source_length, DecodingOptions(limit), bos_id=1, eos_id=EOS)


def test_first_come_is_first_served_while_slots_last() -> None:
    scheduler = Scheduler(num_slots=2, max_encode_tokens=100)
    sequences = [make_sequence(i) for i in range(3)]
    for sequence in sequences:
        scheduler.add(sequence)
    schedule = scheduler.schedule()
    assert schedule.admitted == sequences[:2]
    assert [s.slot for s in schedule.running] == [0, 1]
    assert list(scheduler.waiting) == sequences[2:]


def test_a_newcomer_takes_the_gap_so_that_nothing_moves() -> None:
    scheduler = Scheduler(num_slots=3, max_encode_tokens=100)
    first, *others = sequences = [make_sequence(i) for i in range(4)]
    for sequence in sequences:
        scheduler.add(sequence)
    running = scheduler.schedule().running
    scheduler.update(running, [EOS, 9, 9])
    schedule = scheduler.schedule()
    assert first.status is SequenceStatus.FINISHED
    assert schedule.moves == []
    assert [s.slot for s in others] == [1, 2, 0]


def test_the_last_row_closes_a_gap_that_nobody_takes() -> None:
    scheduler = Scheduler(num_slots=3, max_encode_tokens=100)
    sequences = [make_sequence(i) for i in range(3)]
    for sequence in sequences:
        scheduler.add(sequence)
    scheduler.update(scheduler.schedule().running, [EOS, 9, 9])
    schedule = scheduler.schedule()
    assert schedule.moves == [(2, 0)]
    assert schedule.running == [sequences[2], sequences[1]]


def test_encoding_is_bounded_but_one_long_source_always_fits() -> None:
    scheduler = Scheduler(num_slots=8, max_encode_tokens=10)
    for i, length in enumerate((50, 4, 4, 4)):
        scheduler.add(make_sequence(i, length))
    admitted = [[s.sequence_id for s in scheduler.schedule().admitted] for _ in range(3)]
    assert admitted == [[0], [1, 2], [3]]


def test_the_limit_of_tokens_ends_a_sequence() -> None:
    scheduler = Scheduler(num_slots=1, max_encode_tokens=10)
    scheduler.add(make_sequence(0, limit=2))
    for _ in range(2):
        finished = scheduler.update(scheduler.schedule().running, [9])
    assert finished[0].finish_reason is FinishReason.LENGTH
    assert finished[0].token_ids == [9, 9]


def test_cancelling_frees_the_slot_at_once_and_only_once() -> None:
    scheduler = Scheduler(num_slots=1, max_encode_tokens=10)
    running, waiting = make_sequence(0), make_sequence(1)
    scheduler.add(running)
    scheduler.add(waiting)
    scheduler.schedule()
    assert scheduler.cancel(running)
    assert scheduler.num_slots_used == 0
    assert scheduler.cancel(waiting)
    assert not scheduler.cancel(running)
    assert not scheduler.has_work


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 30)),
        st.tuples(st.just("step"), st.sets(st.integers(0, 7))),
        st.tuples(st.just("cancel"), st.integers(0, 60)),
    ),
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(events=EVENTS, num_slots=st.integers(1, 8), budget=st.integers(1, 60))
def test_nothing_is_lost_doubled_or_left_in_a_slot(
    events: list, num_slots: int, budget: int
) -> None:
    scheduler = Scheduler(num_slots, budget)
    sequences: list[Sequence] = []
    ended: Counter[int] = Counter()

    def step(ending_rows: set[int]) -> None:
        held = {s.sequence_id: s.slot for s in scheduler.running.values()}
        schedule = scheduler.schedule()
        assert [s.slot for s in schedule.running] == list(range(len(schedule.running)))
        assert len(schedule.running) == scheduler.num_slots_used <= num_slots
        for source, target in schedule.moves:
            moved = next(i for i, slot in held.items() if slot == source)
            held[moved] = target
        for sequence in schedule.running:
            if sequence not in schedule.admitted:
                assert held[sequence.sequence_id] == sequence.slot
        tokens = [EOS if row in ending_rows else 9 for row in range(len(schedule.running))]
        ended.update(s.sequence_id for s in scheduler.update(schedule.running, tokens))

    for kind, argument in events:
        if kind == "add":
            sequences.append(make_sequence(len(sequences), argument))
            scheduler.add(sequences[-1])
        elif kind == "step":
            step(argument)
        elif argument < len(sequences) and scheduler.cancel(sequences[argument]):
            ended[argument] += 1
    for _ in range(len(sequences) + 1):
        step(set(range(num_slots)))
    assert ended == Counter(range(len(sequences)))
    assert scheduler.num_slots_used == 0
    assert not scheduler.has_work
