"""One step of continuous batching: schedule, encode, decode, pick, update. Single-threaded; someone
else owns the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from server.engine.scheduler import Schedule, Scheduler
from server.engine.sequence import DecodingOptions, Sequence
from server.runtime.kv_cache import FloatArray
from server.runtime.search import greedy


class Runner(Protocol):
    """What the engine needs of a ModelRunner."""

    @property
    def num_slots(self) -> int:
        """See ModelRunner."""

    def encode(self, sources: list[list[int]], slots: list[int]) -> None:
        """See ModelRunner."""

    def decode_step(self, tokens: list[int]) -> FloatArray:
        """See ModelRunner."""

    def move(self, source: int, target: int) -> None:
        """See ModelRunner."""


@dataclass(frozen=True)
class StepStats:
    """What a step did, for the metrics."""

    num_rows: int
    """Rows decoded; 0 when there was nothing to do."""
    num_encoded: int
    num_waiting: int
    num_slots_used: int


@dataclass(frozen=True)
class EngineLimits:
    """Bounds that the engine keeps."""

    max_encode_tokens: int = 512
    """Source tokens encoded before one step."""


class Engine:
    """Owns the sequences and the runner. `add`, `cancel`, `step`, in any order, from one thread."""

    def __init__(
        self,
        runner: Runner,
        bos_id: int,
        eos_id: int,
        never: list[int],
        limits: EngineLimits | None = None,
    ) -> None:
        """`never` are token ids that no translation may hold."""
        self._runner = runner
        self._bos_id, self._eos_id, self._never = bos_id, eos_id, never
        limits = limits or EngineLimits()
        self._scheduler = Scheduler(runner.num_slots, limits.max_encode_tokens)
        self._sequences: dict[int, Sequence] = {}
        self._next_id = 0
        self.on_step: Callable[[StepStats], None] = lambda _stats: None

    @property
    def has_work(self) -> bool:
        """Whether `step` would do anything."""
        return self._scheduler.has_work

    def next_sequence_id(self) -> int:
        """A fresh id; the only method that another thread may call."""
        self._next_id += 1
        return self._next_id

    def add(
        self, source: list[int], options: DecodingOptions, sequence_id: int | None = None
    ) -> int:
        """Queues a source (token ids); returns its id."""
        sequence_id = self.next_sequence_id() if sequence_id is None else sequence_id
        sequence = Sequence(sequence_id, source, options, self._bos_id, self._eos_id)
        self._sequences[sequence_id] = sequence
        self._scheduler.add(sequence)
        return sequence_id

    def cancel(self, sequence_id: int) -> bool:
        """Ends a sequence and frees its slot; False where it has ended already."""
        sequence = self._sequences.pop(sequence_id, None)
        is_cancelled = sequence is not None and self._scheduler.cancel(sequence)
        self._report(0, 0)
        return is_cancelled

    def step(self) -> list[Sequence]:
        """Advances every running sequence by one token; returns those that ended."""
        schedule = self._scheduler.schedule()
        if not schedule.running:
            return []
        tokens = self._compute(schedule)
        finished = self._scheduler.update(schedule.running, tokens)
        for sequence in finished:
            del self._sequences[sequence.sequence_id]
        self._report(len(schedule.running), len(schedule.admitted))
        return finished

    def _compute(self, schedule: Schedule) -> list[int]:
        for source, target in schedule.moves:
            self._runner.move(source, target)
        if schedule.admitted:
            sources = [sequence.source for sequence in schedule.admitted]
            self._runner.encode(sources, [sequence.slot for sequence in schedule.admitted])
        logits = self._runner.decode_step([sequence.last_token for sequence in schedule.running])
        return greedy(logits, self._never)

    def _report(self, num_rows: int, num_encoded: int) -> None:
        scheduler = self._scheduler
        self.on_step(
            StepStats(num_rows, num_encoded, len(scheduler.waiting), scheduler.num_slots_used)
        )
