from __future__ import annotations

import functools
import itertools
import random
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from server.engine.engine import Engine, EngineLimits, StepStats
from server.engine.hypothesis import FinishReason, Hypothesis
from server.engine.options import DecodingOptions, Sampling
from server.engine.sequence import Job, Priority, Sequence, SequenceStatus
from tests.server.engine.fake_runner import EOS, FakeRunner, expected_tokens
from tests.server.engine.jobs import BULK, INTERACTIVE, Clock
from tests.server.engine.timed import (
    BEAM,
    OPTIONS,
    TimedRunner,
    drain,
    make_engine,
    watch,
)
from tests.server.engine.toy_model import NEVER, ToyModel, ToyRunner


def test_every_sequence_gets_its_own_tokens_whoever_shares_the_batch() -> None:
    runner = FakeRunner(num_slots=4)
    engine = make_engine(runner)
    lengths = [*random.Random(1).choices(range(1, 40), k=100), 2, 70, 80, 90]
    ids = {engine.add(Job([length], OPTIONS)): length for length in lengths}
    results = drain(engine)
    assert results == {i: expected_tokens(length) for i, length in ids.items()}
    assert runner.num_copies > 0


def test_a_full_house_copies_no_cache() -> None:
    runner = FakeRunner(num_slots=4)
    engine = make_engine(runner)
    stats = watch(engine)
    for length in random.Random(2).choices(range(1, 20), k=50):
        engine.add(Job([length], OPTIONS))
    while not stats or stats[-1].num_waiting:
        engine.step()
    assert {step.num_rows for step in stats if step.num_waiting} == {4}
    assert runner.num_copies == 0


def test_a_short_sequence_leaves_before_the_long_ones_it_joined() -> None:
    engine = make_engine(FakeRunner(num_slots=4))
    long_ids = [engine.add(Job([50], OPTIONS)) for _ in range(3)]
    for _ in range(10):
        assert engine.step().ended == []
    short_id = engine.add(Job([3], OPTIONS))
    finished = [sequence.sequence_id for _ in range(3) for sequence in engine.step().ended]
    assert finished == [short_id]
    assert set(drain(engine)) == set(long_ids)


def test_cancelling_frees_the_slot_for_the_next_step() -> None:
    engine = make_engine(FakeRunner(num_slots=1))
    stats = watch(engine)
    hog, successor = engine.add(Job([1000], OPTIONS)), engine.add(Job([2], OPTIONS))
    engine.step()
    assert engine.cancel(hog)
    assert stats[-1] == StepStats(0, 0, num_running=0, num_waiting=1, num_rows_used=0)
    assert set(drain(engine)) == {successor}
    assert not engine.cancel(hog)


def test_cancelling_a_beam_frees_all_of_its_rows() -> None:
    engine = make_engine(FakeRunner(num_slots=4))
    stats = watch(engine)
    beam = engine.add(Job([1000], BEAM))
    for _ in range(3):
        engine.step()
    assert stats[-1].num_rows_used == 4
    assert engine.cancel(beam)
    assert stats[-1].num_rows_used == 0
    ids = {engine.add(Job([5], OPTIONS)) for _ in range(4)}
    engine.step()
    assert stats[-1].num_rows == 4
    assert set(drain(engine)) == ids


def test_the_limit_of_each_row_is_its_own() -> None:
    engine = make_engine(FakeRunner(num_slots=4))
    ids = {engine.add(Job([30], DecodingOptions(limit))): limit for limit in (1, 5, 9)}
    assert {i: len(tokens) for i, tokens in drain(engine).items()} == ids


def test_encoding_before_a_step_keeps_to_the_limit_while_rows_run_on() -> None:
    engine = make_engine(FakeRunner(num_slots=8), limits=EngineLimits(max_encode_tokens=10))
    stats = watch(engine)
    for length in (30, 4, 4, 4, 30):
        engine.add(Job([100] * length, OPTIONS))
    for _ in range(5):
        engine.step()
    assert [step.num_encoded for step in stats] == [1, 2, 1, 1, 0]
    assert [step.num_rows for step in stats] == [1, 3, 4, 5, 5]


def test_the_urgent_go_first() -> None:
    engine = make_engine(FakeRunner(num_slots=1))
    classes = (BULK, Priority.STANDARD, INTERACTIVE)
    ids = [engine.add(Job([2], OPTIONS, priority)) for priority in classes]
    assert list(drain(engine)) == ids[::-1]


def test_bulk_is_let_past_the_urgent_once_it_is_aged() -> None:
    clock = Clock()
    runner = TimedRunner(1, clock)
    engine = make_engine(runner, limits=EngineLimits(ageing_s=20.0), clock=clock)
    bulk = engine.add(Job([1], OPTIONS, BULK))
    ended = []
    for _ in range(100):
        engine.add(Job([1], OPTIONS, INTERACTIVE))
        ended += [sequence.sequence_id for sequence in engine.step().ended]
    assert ended.index(bulk) in range(20, 28)


def test_streams_hand_out_every_token_once_and_leave_the_last_to_the_result() -> None:
    engine = make_engine(FakeRunner(num_slots=2))
    limits = {5: OPTIONS, 9: DecodingOptions(6), 3: OPTIONS}
    jobs = [Job([length], limit, is_streamed=True) for length, limit in limits.items()]
    streamed: dict[int, list[int]] = {engine.add(job): [] for job in jobs}
    silent = engine.add(Job([7], OPTIONS))
    results = {}
    while engine.has_work:
        result = engine.step()
        for sequence_id, tokens in result.streamed:
            streamed[sequence_id] += tokens
        ended = {sequence.sequence_id: sequence.token_ids for sequence in result.ended}
        assert ended.keys().isdisjoint(sequence_id for sequence_id, _ in result.streamed)
        results |= ended
    assert silent not in streamed
    _, cut, _ = streamed  # the result brings the last one
    assert streamed == {**{i: results[i] for i in streamed}, cut: results[cut][:5]}


# What follows throws everything at once at the engine, over a model that tells rows apart.

MODEL = ToyModel(vocabulary_size=20, eos_bias=1.0)
KINDS = {
    "greedy": DecodingOptions(12),
    "beam": DecodingOptions(12, beam_size=3, num_hypotheses=2),
    "wide beam": DecodingOptions(12, beam_size=16),
    "samples": DecodingOptions(12, num_hypotheses=4, sampling=Sampling(seed=1, temperature=2.0)),
    "alternatives": DecodingOptions(12, num_alternatives=5, min_target_tokens=2),
    "prefixed": DecodingOptions(12, beam_size=2, prefix=(7, 8)),
}
JOBS = st.builds(
    Job,
    source=st.lists(st.integers(3, 5), min_size=1, max_size=9),
    options=st.sampled_from(list(KINDS.values())),
    priority=st.sampled_from(Priority),
    caller=st.sampled_from("abc"),
    deadline=st.one_of(st.just(float("inf")), st.integers(1, 30).map(float)),
    takes_partial=st.booleans(),
)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), JOBS),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("step"), st.integers(1, 6)),
    ),
    min_size=10,
    max_size=60,
)


def describe(hypotheses: list[Hypothesis]) -> list[tuple]:
    return [(tuple(h.tokens), repr(h.log_probability), h.finish_reason) for h in hypotheses]


@functools.cache
def decoded_alone(source: tuple[int, ...], options: DecodingOptions) -> list[tuple]:
    engine = Engine(ToyRunner(MODEL, 16), 1, EOS, NEVER)
    engine.add(Job(list(source), options))
    ended: list[Sequence] = []
    while engine.has_work:
        ended += engine.step().ended
    return describe(ended[0].hypotheses)


class Crowd:
    """An engine under adversarial load, and what must come of it."""

    def __init__(self, num_slots: int) -> None:
        self.clock, self.num_slots = Clock(), num_slots
        limits = EngineLimits(max_encode_tokens=12, ageing_s=3.0)
        self.engine = Engine(ToyRunner(MODEL, num_slots), 1, EOS, NEVER, limits, self.clock)
        self.engine.on_step = self.check_rows
        self.live: dict[int, Job] = {}
        self.streamed: dict[int, list[int]] = {}
        self.stats: StepStats | None = None

    def check_rows(self, stats: StepStats) -> None:
        self.stats = stats
        assert max(stats.num_rows, stats.num_rows_used) <= self.num_slots
        assert stats.num_rows_used >= stats.num_running

    def add(self, job: Job) -> None:
        if job.options.num_rows > self.num_slots:
            job = replace(job, options=KINDS["greedy"])
        is_streamed = job.options in (KINDS["greedy"], KINDS["beam"])
        job = replace(job, deadline=self.clock.now + job.deadline, is_streamed=is_streamed)
        sequence_id = self.engine.add(job)
        assert sequence_id not in self.live
        self.live[sequence_id], self.streamed[sequence_id] = job, []

    def cancel(self, sequence_id: int) -> None:
        job = self.live.get(sequence_id)
        is_cancelled = self.engine.cancel(sequence_id)
        if is_cancelled:
            del self.live[sequence_id]
        else:  # over before, and the next step says so, which only a deadline does
            assert job is None or job.deadline < float("inf")

    def step(self, count: int) -> None:
        for _ in range(count):
            result = self.engine.step()
            for sequence_id, tokens in result.streamed:
                assert tokens
                assert sequence_id in self.live
                self.streamed[sequence_id] += tokens
            for sequence in result.ended:
                self.check_end(sequence)
            assert all(job.deadline > self.clock.now for job in self.live.values())
            self.clock.now += 1.0

    def check_end(self, sequence: Sequence) -> None:
        job = self.live.pop(sequence.sequence_id)
        assert sequence.num_reserved == 0
        if sequence.status is not SequenceStatus.FINISHED:
            assert sequence.status in (SequenceStatus.EXPIRED, SequenceStatus.REFUSED)
            assert job.deadline < float("inf")
            assert not job.takes_partial
            assert sequence.hypotheses == []
            return
        if job.deadline > self.clock.now or not job.takes_partial:
            alone = decoded_alone(tuple(job.source), job.options)
            assert describe(sequence.hypotheses) == alone
        assert 1 <= len(sequence.hypotheses) <= job.options.num_rows
        assert all(row.slot == -1 for row in sequence.hypotheses)
        if job.is_streamed:
            streamed = self.streamed[sequence.sequence_id]
            assert sequence.token_ids[: len(streamed)] == streamed
        if job.options == KINDS["greedy"]:
            whole = decoded_alone(tuple(job.source), job.options)[0][0]
            assert whole[: len(sequence.token_ids)] == tuple(sequence.token_ids)


@settings(max_examples=60)
@given(events=EVENTS, num_slots=st.sampled_from([1, 3, 5, 8, 16, 20]))
def test_everybody_gets_what_they_get_alone_or_runs_out_of_time(
    events: list[tuple], num_slots: int
) -> None:
    crowd = Crowd(num_slots)
    for name, argument in events:
        getattr(crowd, name)(argument)
    for _ in itertools.takewhile(lambda _: crowd.engine.has_work, range(1000)):
        crowd.step(1)
    assert crowd.live == {}
    assert not crowd.engine.has_work
    if crowd.stats is not None:
        assert crowd.stats == replace(crowd.stats, num_running=0, num_waiting=0, num_rows_used=0)


def test_the_crowd_meets_every_kind_of_end() -> None:
    """The property above is worth something only if its cases occur."""
    chance, reasons = random.Random(0), Counter()
    for _ in range(30):
        crowd = Crowd(5)
        check_end = crowd.check_end

        def count(sequence: Sequence, check_end=check_end) -> None:
            check_end(sequence)
            reasons[sequence.status] += 1
            reasons.update(h.finish_reason for h in sequence.hypotheses)

        crowd.check_end = count
        for _ in range(12):
            deadline, takes_partial = chance.choice([5.0, 30.0, 1e9]), chance.random() < 0.5
            source = chance.choices(range(3, 6), k=4)
            options = chance.choice(list(KINDS.values()))
            crowd.add(Job(source, options, deadline=deadline, takes_partial=takes_partial))
            crowd.step(1)
        while crowd.live:
            crowd.step(1)
    assert min(reasons[end] for end in (*SequenceStatus, *FinishReason) if end in reasons) >= 5
    assert {SequenceStatus.EXPIRED, FinishReason.DEADLINE, FinishReason.STOP} <= set(reasons)
