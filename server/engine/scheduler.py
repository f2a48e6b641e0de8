"""Decides which sequences run in the next step. No tensors, no text, no clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from server.engine.sequence import Sequence, SequenceStatus
from server.engine.slots import SlotAllocator


@dataclass(frozen=True)
class Schedule:
    """What the next step does, in this order: move, encode, decode."""

    moves: list[tuple[int, int]]
    """(source, target) slots: rows that close a gap which no newcomer fills."""
    admitted: list[Sequence]
    """Sequences to encode, their slots set."""
    running: list[Sequence]
    """Sequences to decode, admitted ones included; the i-th is in slot i."""


class Scheduler:
    """First come, first served, into slots; a sequence joins at any step and leaves at its own
    end.
    """

    def __init__(self, num_slots: int, max_encode_tokens: int) -> None:
        """`max_encode_tokens` bounds the source tokens encoded before one step, so that running
        rows never wait long.
        """
        self._slots = SlotAllocator(num_slots)
        self._max_encode_tokens = max_encode_tokens
        self.waiting: deque[Sequence] = deque()
        self.running: dict[int, Sequence] = {}
        """By slot."""

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return bool(self.waiting or self.running)

    @property
    def num_slots_used(self) -> int:
        """Slots that hold a sequence."""
        return self._slots.num_used

    def add(self, sequence: Sequence) -> None:
        """Puts `sequence` at the end of the queue."""
        self.waiting.append(sequence)

    def schedule(self) -> Schedule:
        """Admits what fits and makes the rows dense; newcomers fill gaps first, so that a full
        house copies nothing.
        """
        admitted = self._admit()
        moves = self._close_gaps()
        return Schedule(moves, admitted, [self.running[slot] for slot in range(len(self.running))])

    def _admit(self) -> list[Sequence]:
        admitted: list[Sequence] = []
        budget = self._max_encode_tokens
        while self.waiting and self._slots.num_free:
            cost = len(self.waiting[0].source)
            if admitted and cost > budget:
                break
            budget -= cost
            sequence = self.waiting.popleft()
            sequence.slot = self._slots.allocate()
            sequence.status = SequenceStatus.RUNNING
            self.running[sequence.slot] = sequence
            admitted.append(sequence)
        return admitted

    def _close_gaps(self) -> list[tuple[int, int]]:
        """Moves the highest rows into gaps. Newcomers took the lowest gaps, so none of them is ever
        moved.
        """
        moves = []
        while self.running and (slot := max(self.running)) >= len(self.running):
            sequence = self.running.pop(slot)
            sequence.slot = self._slots.allocate()
            self._slots.release(slot)
            self.running[sequence.slot] = sequence
            moves.append((slot, sequence.slot))
        return moves

    def update(self, sequences: list[Sequence], tokens: list[int]) -> list[Sequence]:
        """Gives each of `sequences` its token; returns those that ended, their slots free again."""
        finished = []
        for sequence, token in zip(sequences, tokens, strict=True):
            sequence.append(token)
            if sequence.finish_reason is not None:
                self._leave(sequence, SequenceStatus.FINISHED)
                finished.append(sequence)
        return finished

    def cancel(self, sequence: Sequence) -> bool:
        """Takes `sequence` out, wherever it stands; False if it had ended already."""
        if sequence.status is SequenceStatus.WAITING:
            self.waiting.remove(sequence)
            sequence.status = SequenceStatus.CANCELLED
        elif sequence.status is SequenceStatus.RUNNING:
            self._leave(sequence, SequenceStatus.CANCELLED)
        else:
            return False
        return True

    def _leave(self, sequence: Sequence, status: SequenceStatus) -> None:
        del self.running[sequence.slot]
        self._slots.release(sequence.slot)
        sequence.slot = -1
        sequence.status = status
