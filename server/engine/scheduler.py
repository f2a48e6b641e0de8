"""Decides which sequences run in the next step, and in which rows. No tensors, text or clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from server.engine.hypothesis import Hypothesis
from server.engine.rows import Copy, Rows
from server.engine.sequence import Job, Sequence, SequenceStatus
from server.engine.waiting import WaitingQueue


@dataclass(frozen=True)
class Schedule:
    """What the next step does, in this order: move, encode, decode."""

    moves: list[Copy]
    """Rows that close a gap which no newcomer fills."""
    admitted: list[Sequence]
    """Sequences to encode, each into the row of its first hypothesis."""
    rows: list[Hypothesis]
    """Hypotheses to decode; the i-th is in row i."""
    late: list[Sequence] = field(default_factory=list)
    """Sequences whose turn came too late; they have left."""


class Scheduler:
    """A sequence joins at any step and leaves at its own end.

    At its start all the rows that it may come to need are reserved, so that a beam can always
    spread.
    """

    def __init__(self, num_rows: int, max_encode_tokens: int, ageing_s: float) -> None:
        """`max_encode_tokens` bounds the source tokens encoded before one step, so that running
        rows never wait long.
        """
        self._rows = Rows(num_rows)
        self._num_reserved = 0
        self._max_encode_tokens = max_encode_tokens
        self.waiting = WaitingQueue(ageing_s)
        self.running: dict[int, Sequence] = {}
        """By sequence id."""

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return bool(self.running or len(self.waiting))

    @property
    def num_rows_used(self) -> int:
        """Rows that hold a hypothesis."""
        return self._rows.num_used

    def add(self, sequence: Sequence) -> None:
        """Queues `sequence`; it must not need more rows than there are."""
        assert sequence.job.options.num_rows <= self._rows.capacity
        self.waiting.add(sequence)

    def schedule(self, now: float, is_late: Callable[[Job], bool] = lambda _job: False) -> Schedule:
        """Admits what fits at time `now` and is not late, and makes the rows dense; newcomers fill
        gaps first, so that a full house copies nothing.
        """
        admitted, late = self._admit(now, is_late)
        moves = self._rows.close_gaps()
        return Schedule(moves, admitted, self._rows.dense(), late)

    def _admit(
        self, now: float, is_late: Callable[[Job], bool]
    ) -> tuple[list[Sequence], list[Sequence]]:
        """The next sequences, until one does not fit: it is waited for, or a wide beam would never
        find its rows free. And those whose turn came too late: a row is for who can still end.
        """
        admitted: list[Sequence] = []
        late: list[Sequence] = []
        budget = self._max_encode_tokens
        while (sequence := self.waiting.peek(now)) is not None:
            if is_late(sequence.job):
                self.take_out(sequence, SequenceStatus.EXPIRED)
                late.append(sequence)
                continue
            cost, num_rows = len(sequence.job.source), sequence.job.options.num_rows
            is_full = self._num_reserved + num_rows > self._rows.capacity
            if is_full or (admitted and cost > budget):
                break
            budget -= cost
            self.waiting.admit(sequence)
            self._start(sequence, num_rows)
            admitted.append(sequence)
        return admitted, late

    def _start(self, sequence: Sequence, num_rows: int) -> None:
        sequence.status = SequenceStatus.RUNNING
        sequence.num_reserved = num_rows
        self._num_reserved += num_rows
        self.running[sequence.sequence_id] = sequence
        for row in sequence.search.rows:
            self._rows.place(row)

    def update(
        self,
        sequence: Sequence,
        before: list[Hypothesis],
        births: list[tuple[Hypothesis, Hypothesis]],
    ) -> list[Copy]:
        """Takes the rows of `sequence` as its search left them, `before` having been its rows;
        returns what to copy. A sequence that is done leaves.
        """
        search = sequence.search
        copies = self._rows.regroup(before, search.rows, births)
        if search.is_done:
            self._leave(sequence, SequenceStatus.FINISHED)
        else:
            self._num_reserved += search.num_rows - sequence.num_reserved
            sequence.num_reserved = search.num_rows
        return copies

    def take_out(self, sequence: Sequence, status: SequenceStatus) -> bool:
        """Ends `sequence` wherever it stands, `status` saying why; False if it had ended
        already.
        """
        if sequence.status is SequenceStatus.WAITING:
            self.waiting.remove(sequence)
            sequence.status = status
        elif sequence.status is SequenceStatus.RUNNING:
            for row in sequence.search.rows:
                self._rows.remove(row)
            self._leave(sequence, status)
        else:
            return False
        return True

    def _leave(self, sequence: Sequence, status: SequenceStatus) -> None:
        del self.running[sequence.sequence_id]
        self._num_reserved -= sequence.num_reserved
        sequence.num_reserved = 0
        sequence.status = status
