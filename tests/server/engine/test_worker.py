from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from server.engine.engine import StepResult
from server.engine.options import DecodingOptions
from server.engine.sequence import Job, Sequence, make_search
from server.engine.worker import Worker
from tests.server.engine.fake_runner import EOS
from tests.server.engine.jobs import Clock

JOB = Job([1], DecodingOptions(1))
WAIT_S = 20.0
"""How long a test that fails waits for what does not come."""


class ScriptedEngine:
    """Each sequence takes one step, which waits for the gate; notes what it is told."""

    num_rows = 4

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.calls: list[tuple[str, int]] = []
        self.waiting: list[int] = []
        self.num_steps = 0
        self.is_in_step = threading.Event()
        self.gate = threading.Event()

    @property
    def has_work(self) -> bool:
        return bool(self.waiting)

    def add(self, job: Job, sequence_id: int) -> None:
        self.calls.append(("add", sequence_id))
        self.waiting.append(sequence_id)

    def cancel(self, sequence_id: int) -> None:
        self.calls.append(("cancel", sequence_id))
        self.waiting.remove(sequence_id)

    def step(self) -> StepResult:
        self.num_steps += 1
        if not self.waiting:
            return StepResult()
        self.is_in_step.set()
        assert self.gate.wait(WAIT_S)
        if self.fails:
            raise RuntimeError("broken, as this test wants")
        options = JOB.options
        return StepResult([Sequence(self.waiting.pop(0), JOB, make_search(options, EOS))])


class Results:
    """What a worker has brought."""

    def __init__(self, worker: Worker) -> None:
        self.ids: list[int] = []
        self.arrived = threading.Semaphore(0)
        worker.on_result = self.take

    def take(self, result: StepResult) -> None:
        self.ids += [sequence.sequence_id for sequence in result.ended]
        self.arrived.release()

    def wait(self, count: int) -> list[int]:
        for _ in range(count):
            assert self.arrived.acquire(timeout=WAIT_S)
        return self.ids


def stop(worker: Worker, engine: ScriptedEngine) -> None:
    engine.gate.set()
    worker.close()
    worker.join(WAIT_S)
    assert not worker._thread.is_alive()


def test_commands_come_in_order_and_before_the_next_step() -> None:
    worker = Worker(engine := ScriptedEngine(), 0)
    results = Results(worker)
    for sequence_id in (1, 2, 3):
        worker.add({sequence_id: JOB})
    worker.cancel([2, 3])
    worker.add({4: JOB})
    engine.gate.set()
    worker.start()
    assert results.wait(2) == [1, 4]
    adds, cancels = [("add", i) for i in (1, 2, 3)], [("cancel", 2), ("cancel", 3)]
    assert engine.calls == [*adds, *cancels, ("add", 4)]
    stop(worker, engine)


def test_what_comes_during_a_step_is_read_before_the_next() -> None:
    worker = Worker(engine := ScriptedEngine(), 0)
    results = Results(worker)
    worker.start()
    worker.add({1: JOB})
    assert engine.is_in_step.wait(WAIT_S)
    worker.add({2: JOB})
    worker.add({3: JOB})
    worker.cancel([2])
    engine.gate.set()
    assert results.wait(2) == [1, 3]
    stop(worker, engine)


def test_an_idle_worker_takes_no_steps() -> None:
    worker = Worker(engine := ScriptedEngine(), 0)
    results = Results(worker)
    engine.gate.set()
    worker.start()
    for sequence_id in range(5):
        worker.add({sequence_id: JOB})
        results.wait(1)
    stop(worker, engine)
    assert results.ids == [0, 1, 2, 3, 4]
    assert engine.num_steps <= 11  # 5 with work, and one each time that it is woken for nothing


def test_closing_lets_the_step_end_and_no_other_begin() -> None:
    worker = Worker(engine := ScriptedEngine(), 0)
    results = Results(worker)
    worker.add({1: JOB})
    worker.add({2: JOB})
    worker.start()
    assert engine.is_in_step.wait(WAIT_S)
    assert worker.is_alive
    worker.close()
    assert not worker.is_alive
    engine.gate.set()
    worker.join(WAIT_S)
    assert (results.ids, engine.waiting) == ([1], [2])
    assert not worker.is_healthy(stuck_after_s=WAIT_S)


def test_a_worker_that_never_started_is_joined_at_once() -> None:
    worker = Worker(ScriptedEngine(), 0)
    assert not worker.is_alive
    worker.close()
    worker.join(WAIT_S)


def test_health_tells_a_stuck_worker_from_an_idle_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("server.engine.worker.time", SimpleNamespace(monotonic=clock))
    worker = Worker(engine := ScriptedEngine(), 0)
    results = Results(worker)
    assert not worker.is_healthy(stuck_after_s=10.0)
    worker.start()
    clock.now = 1000.0
    assert worker.is_healthy(stuck_after_s=10.0)
    assert worker.silent_s == 0.0
    worker.add({1: JOB})
    assert engine.is_in_step.wait(WAIT_S)
    clock.now = 1009.0
    assert worker.is_healthy(stuck_after_s=10.0)
    clock.now = 1010.0
    assert not worker.is_healthy(stuck_after_s=10.0)
    assert worker.silent_s == 10.0
    engine.gate.set()
    results.wait(1)
    stop(worker, engine)


def test_whoever_hears_of_a_death_finds_the_worker_dead(caplog: pytest.LogCaptureFixture) -> None:
    """A job given to it then would wait for ever."""
    worker = Worker(engine := ScriptedEngine(fails=True), 7)
    seen: list[bool] = []
    worker.on_death = lambda: seen.append(worker.is_alive)
    worker.add({1: JOB})
    engine.gate.set()
    worker.start()
    worker.join(WAIT_S)
    assert seen == [False]
    assert not worker.is_healthy(stuck_after_s=WAIT_S)
    assert "broken, as this test wants" in caplog.text
