from __future__ import annotations

import random

from server.engine.engine import Engine, StepStats
from server.engine.options import DecodingOptions
from server.engine.sequence import Job
from tests.server.engine.fake_runner import EOS, FakeRunner, expected_tokens

OPTIONS = DecodingOptions(max_target_tokens=1000)


def make_engine(runner: FakeRunner) -> Engine:
    return Engine(runner, bos_id=1, eos_id=EOS, never=[0, 1])


def drain(engine: Engine) -> dict[int, list[int]]:
    results = {}
    while engine.has_work:
        results |= {sequence.sequence_id: sequence.token_ids for sequence in engine.step().ended}
    return results


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
    stats: list[StepStats] = []
    engine.on_step = stats.append
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
    runner = FakeRunner(num_slots=1)
    engine = make_engine(runner)
    stats: list[StepStats] = []
    engine.on_step = stats.append
    hog, successor = engine.add(Job([1000], OPTIONS)), engine.add(Job([2], OPTIONS))
    engine.step()
    assert engine.cancel(hog)
    assert stats[-1].num_rows_used == 0
    assert set(drain(engine)) == {successor}
    assert not engine.cancel(hog)


def test_the_limit_of_each_row_is_its_own() -> None:
    engine = make_engine(FakeRunner(num_slots=4))
    ids = {engine.add(Job([30], DecodingOptions(limit))): limit for limit in (1, 5, 9)}
    assert {i: len(tokens) for i, tokens in drain(engine).items()} == ids
