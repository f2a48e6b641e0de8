"""One step of continuous batching: schedule, encode, decode, pick, update. Single-threaded; someone
else owns the loop.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from server.engine.constraints import constrain
from server.engine.hypothesis import Hypothesis
from server.engine.pace import Pace
from server.engine.rows import Copy
from server.engine.scheduler import Schedule, Scheduler
from server.engine.sequence import Job, Sequence, SequenceStatus, make_search
from server.runtime.kv_cache import FloatArray
from server.runtime.search import GREEDY, AnyPick, Candidate, pick

MAX_STALE_DEADLINES = 256
"""Deadlines of sequences that have ended, over as many again as there are sequences, until a
clean-up: whoever sets a deadline of a year must not fill the memory.
"""


class Runner(Protocol):
    """What the engine needs of a ModelRunner."""

    @property
    def num_slots(self) -> int:
        """See ModelRunner."""

    def encode(self, sources: list[list[int]], slots: list[int]) -> None:
        """See ModelRunner."""

    def decode_step(self, tokens: list[int]) -> FloatArray:
        """See ModelRunner."""

    def attention(self, slot: int) -> FloatArray:
        """See ModelRunner."""

    def copy(self, source: int, target: int, is_sibling: bool) -> None:
        """See ModelRunner."""


@dataclass(frozen=True)
class StepStats:
    """What a step did, for the metrics."""

    num_rows: int
    """Rows decoded; 0 when there was nothing to do."""
    num_encoded: int
    num_running: int
    """Sequences that hold rows afterwards."""
    num_waiting: int
    num_rows_used: int
    seconds: float = 0.0
    """How long it took."""


@dataclass(frozen=True)
class EngineLimits:
    """Bounds that the engine keeps."""

    max_encode_tokens: int = 512
    """Source tokens encoded before one step."""
    ageing_s: float = 5.0
    """How long a sequence may wait before it is let past more urgent classes, now and then."""


@dataclass
class StepResult:
    """What a step brought."""

    ended: list[Sequence] = field(default_factory=list)
    """Sequences that finished or whose deadline passed."""
    streamed: list[tuple[int, list[int]]] = field(default_factory=list)
    """(sequence id, new tokens) of streamed sequences; the tokens are certain."""


class Engine:
    """Owns the sequences and the runner. `add`, `cancel`, `step`, in any order, from one thread."""

    def __init__(
        self,
        runner: Runner,
        bos_id: int,
        eos_id: int,
        never: list[int],
        limits: EngineLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`never` are token ids that no translation may hold."""
        self._runner = runner
        self._bos_id, self._eos_id, self._never = bos_id, eos_id, never
        limits = limits or EngineLimits()
        self._clock = clock
        self._scheduler = Scheduler(runner.num_slots, limits.max_encode_tokens, limits.ageing_s)
        self._pace = Pace(runner.num_slots)
        self._sequences: dict[int, Sequence] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._next_id = 0
        self._result = StepResult()
        self._busy_since: float | None = None
        """When the last step ended, if it left work."""
        self.on_step: Callable[[StepStats], None] = lambda _stats: None

    @property
    def has_work(self) -> bool:
        """Whether `step` would do anything."""
        return self._scheduler.has_work or bool(self._result.ended)

    @property
    def num_rows(self) -> int:
        """Rows decoded at once, and the most that one sequence may ask for."""
        return self._runner.num_slots

    @property
    def row_s(self) -> float:
        """See Pace."""
        return self._pace.row_s

    def add(self, job: Job, sequence_id: int | None = None) -> int:
        """Queues `job`; returns its id. One that cannot end in time ends with the next step:
        expired where it never could, refused where others are before it.
        """
        if sequence_id is None:
            self._next_id = sequence_id = self._next_id + 1
        now = self._clock()
        search = make_search(job.options, self._eos_id)
        sequence = Sequence(sequence_id, job, search, arrival=now)
        if self._pace.is_hopeless(job, 0, now):
            self._expire(sequence)
            return sequence_id
        if self._pace.is_hopeless(job, self._scheduler.waiting.num_rows_before(job), now):
            sequence.status = SequenceStatus.REFUSED
            self._result.ended.append(sequence)
            return sequence_id
        self._sequences[sequence_id] = sequence
        self._scheduler.add(sequence)
        if job.deadline < float("inf"):
            self._push_deadline(job.deadline, sequence_id)
        return sequence_id

    def _push_deadline(self, deadline: float, sequence_id: int) -> None:
        if len(self._deadlines) > 2 * len(self._sequences) + MAX_STALE_DEADLINES:
            live = self._sequences
            self._deadlines = sorted(entry for entry in self._deadlines if entry[1] in live)
        heapq.heappush(self._deadlines, (deadline, sequence_id))

    def cancel(self, sequence_id: int) -> bool:
        """Ends a sequence and frees its rows; False where it has ended already."""
        sequence = self._sequences.pop(sequence_id, None)
        is_cancelled = sequence is not None and self._scheduler.take_out(
            sequence, SequenceStatus.CANCELLED
        )
        self._report(0, 0)
        return is_cancelled

    def step(self) -> StepResult:
        """Advances every running hypothesis by one token."""
        started = self._clock()
        self._check_deadlines(started)
        schedule = self._scheduler.schedule(
            started, lambda job: self._pace.is_hopeless(job, 0, started)
        )
        for sequence in schedule.late:
            del self._sequences[sequence.sequence_id]
            self._expire(sequence)
        if schedule.rows:
            num_rows = len(schedule.rows)
            for sequence in schedule.admitted:
                sequence.times.waited_s = started - sequence.arrival
            self._advance(self._compute(schedule))
            now = self._clock()
            self._pace.observe_step(now - (self._busy_since or started))
            self._busy_since = now if self._scheduler.has_work else None
            self._note_times(schedule.admitted, now)
            self._report(num_rows, len(schedule.admitted), now - started)
        result, self._result = self._result, StepResult()
        return result

    def _note_times(self, admitted: list[Sequence], now: float) -> None:
        for sequence in admitted:
            sequence.times.first_token_s = now - sequence.arrival
        for sequence in self._result.ended:
            sequence.times.total_s = now - sequence.arrival

    def _compute(self, schedule: Schedule) -> list[list[Candidate]]:
        """Candidates for each row."""
        self._copy(schedule.moves)
        if schedule.admitted:
            sources = [sequence.job.source for sequence in schedule.admitted]
            slots = [sequence.search.rows[0].slot for sequence in schedule.admitted]
            started = self._clock()
            self._runner.encode(sources, slots)
            seconds = self._clock() - started
            for sequence in schedule.admitted:
                sequence.times.encoding_s = seconds
        logits = self._runner.decode_step([self._last_token(row) for row in schedule.rows])
        logits[:, self._never] = -float("inf")
        picks: list[AnyPick] = [GREEDY] * len(schedule.rows)
        for sequence in self._scheduler.running.values():
            self._prepare(sequence, logits, picks)
        return pick(logits, picks)

    def _last_token(self, row: Hypothesis) -> int:
        return row.tokens[-1] if row.tokens else self._bos_id

    def _prepare(self, sequence: Sequence, logits: FloatArray, picks: list[AnyPick]) -> None:
        """Constrains the rows of `sequence`, and says how to pick from them."""
        options, search = sequence.job.options, sequence.search
        for row in search.rows:
            if options.is_constrained:
                constrain(logits[row.slot], row.tokens, options, self._eos_id)
            if options.is_aligned:
                row.attention.append(self._runner.attention(row.slot))
            picks[row.slot] = search.wants(row)

    def _advance(self, candidates: list[list[Candidate]]) -> None:
        for sequence in list(self._scheduler.running.values()):
            search, before = sequence.search, sequence.search.rows
            births = search.advance([candidates[row.slot] for row in before])
            if search.rows is not before or births:
                self._copy(self._scheduler.update(sequence, before, births))
            if sequence.job.is_streamed:
                self._stream(sequence)
            if search.is_done:
                self._finish(sequence)

    def _copy(self, copies: list[Copy]) -> None:
        for copy in copies:
            self._runner.copy(copy.source, copy.target, copy.is_sibling)

    def _stream(self, sequence: Sequence) -> None:
        if sequence.search.is_done:
            return  # the result has it all
        tokens = sequence.search.stable_tokens()
        if len(tokens) > sequence.num_streamed:
            self._result.streamed.append((sequence.sequence_id, tokens[sequence.num_streamed :]))
            sequence.num_streamed = len(tokens)

    def _finish(self, sequence: Sequence) -> None:
        sequence.hypotheses = sequence.search.results()
        del self._sequences[sequence.sequence_id]
        self._result.ended.append(sequence)
        num_steps = max(len(hypothesis.tokens) for hypothesis in sequence.hypotheses)
        self._pace.observe_end(len(sequence.job.source), num_steps)

    def _check_deadlines(self, now: float) -> None:
        while self._deadlines and self._deadlines[0][0] <= now:
            _, sequence_id = heapq.heappop(self._deadlines)
            sequence = self._sequences.pop(sequence_id, None)
            if sequence is not None:
                self._scheduler.take_out(sequence, SequenceStatus.EXPIRED)
                self._expire(sequence)
                self._report(0, 0)

    def _expire(self, sequence: Sequence) -> None:
        """Ends `sequence`, which has no rows any more, for want of time."""
        sequence.status = SequenceStatus.EXPIRED
        if sequence.job.takes_partial:
            sequence.search.stop()
            sequence.hypotheses = sequence.search.results()
            sequence.status = SequenceStatus.FINISHED
        self._result.ended.append(sequence)

    def _report(self, num_rows: int, num_encoded: int, seconds: float = 0.0) -> None:
        scheduler = self._scheduler
        stats = StepStats(
            num_rows,
            num_encoded,
            len(scheduler.running),
            len(scheduler.waiting),
            scheduler.num_rows_used,
            seconds,
        )
        self.on_step(stats)
