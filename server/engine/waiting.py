"""Who is next: the urgent first, callers in turn, and nobody forever last. No clock, no rows."""

from __future__ import annotations

import heapq
from collections import OrderedDict

from server.engine.sequence import Job, Priority, Sequence

AGED_SHARE = 8
"""Of so many admissions, one goes to a sequence that has waited too long."""
MAX_STALE = 256
"""Turns or charges of callers that wait no more, over as many again as callers that do, until a
clean-up.
"""


class WaitingQueue:
    """Sequences that wait for rows.

    The most urgent class goes first; inside a class callers take turns, in proportion to what
    their sequences cost. A sequence that has waited for `ageing_s` is aged: one admission in
    AGED_SHARE is kept for the longest waiting of those, whatever its class, so that a lower class
    fills the gaps of a higher one, is not starved by it, and does not hold it up.
    """

    def __init__(self, ageing_s: float) -> None:
        self._ageing_s = ageing_s
        self._classes = {priority: _FairQueue() for priority in Priority}
        self._turn = 0

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._classes.values())

    def num_rows_before(self, job: Job) -> int:
        """Rows of the sequences that go before `job`, were it added now."""
        urgent = sum(self._classes[other].num_rows for other in Priority if other < job.priority)
        return urgent + self._classes[job.priority].num_rows_before(job)

    def add(self, sequence: Sequence) -> None:
        """Puts `sequence` behind those of its class and caller."""
        self._classes[sequence.job.priority].add(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Takes `sequence` out, uncharged."""
        self._classes[sequence.job.priority].remove(sequence)

    def peek(self, now: float) -> Sequence | None:
        """The next one at time `now`."""
        if self._turn == AGED_SHARE - 1 and (aged := self._longest_waiting(now)) is not None:
            return aged
        for queue in self._classes.values():
            if len(queue):
                return queue.peek()
        return None

    def _longest_waiting(self, now: float) -> Sequence | None:
        oldest = [queue.oldest() for queue in self._classes.values() if len(queue)]
        first = min(oldest, key=lambda sequence: sequence.arrival, default=None)
        return first if first and now - first.arrival >= self._ageing_s else None

    def admit(self, sequence: Sequence) -> None:
        """Takes out `sequence`, the one that `peek` showed, and charges its caller."""
        self._turn = (self._turn + 1) % AGED_SHARE
        self._classes[sequence.job.priority].admit(sequence)


class _FairQueue:
    """One class: start-time fair queuing between callers (Goyal et al. 1996), first come first
    served for each.
    """

    def __init__(self) -> None:
        self._by_arrival: OrderedDict[int, Sequence] = OrderedDict()
        self._by_caller: dict[str, OrderedDict[int, Sequence]] = {}
        self._rows_by_caller: dict[str, int] = {}
        self._tags: dict[str, float] = {}
        """Cost that each caller has been charged, on a scale where an idle one loses its credit."""
        self._turns: list[tuple[float, int, str]] = []
        """Heap of (tag, arrival order, caller); entries of callers that wait no more are stale."""
        self._virtual_time = 0.0
        self._num_turns = 0
        self.num_rows = 0

    def __len__(self) -> int:
        return len(self._by_arrival)

    def add(self, sequence: Sequence) -> None:
        caller = sequence.job.caller
        if caller not in self._by_caller:
            self._by_caller[caller] = OrderedDict()
            self._rows_by_caller[caller] = 0
            self._tags[caller] = max(self._tags.get(caller, 0.0), self._virtual_time)
            self._push_turn(caller)
        self._by_caller[caller][sequence.sequence_id] = sequence
        self._by_arrival[sequence.sequence_id] = sequence
        self._rows_by_caller[caller] += sequence.job.options.num_rows
        self.num_rows += sequence.job.options.num_rows

    def _push_turn(self, caller: str) -> None:
        if max(len(self._turns), len(self._tags)) > 2 * len(self._by_caller) + MAX_STALE:
            self._drop_stale()
        self._num_turns += 1
        heapq.heappush(self._turns, (self._tags[caller], self._num_turns, caller))

    def num_rows_before(self, job: Job) -> int:
        """Those of its caller, and about as many of each other one: they take turns."""
        own = self._rows_by_caller.get(job.caller, 0)
        num_others = len(self._by_caller) - (job.caller in self._by_caller)
        return min(self.num_rows, own + num_others * (own + job.options.num_rows))

    def oldest(self) -> Sequence:
        return next(iter(self._by_arrival.values()))

    def peek(self) -> Sequence:
        while True:
            tag, _, caller = self._turns[0]
            if self._is_turn(tag, caller):
                return next(iter(self._by_caller[caller].values()))
            heapq.heappop(self._turns)

    def admit(self, sequence: Sequence) -> None:
        caller = sequence.job.caller
        # Not the tag of `sequence`: an aged one goes out of turn, and newcomers must not pay.
        self._virtual_time = max(self._virtual_time, self._tags[self.peek().job.caller])
        self._tags[caller] += sequence.cost
        self.remove(sequence)
        if caller in self._by_caller:
            self._push_turn(caller)

    def remove(self, sequence: Sequence) -> None:
        caller = sequence.job.caller
        del self._by_arrival[sequence.sequence_id]
        del self._by_caller[caller][sequence.sequence_id]
        self._rows_by_caller[caller] -= sequence.job.options.num_rows
        self.num_rows -= sequence.job.options.num_rows
        if not self._by_caller[caller]:
            del self._by_caller[caller], self._rows_by_caller[caller]
        if not self._by_arrival:
            self._forget()

    def _drop_stale(self) -> None:
        """Forgets the turns of callers that wait no more, and what they were charged, but for
        those that have had most: callers who come and go must not fill the memory.
        """
        self._turns = sorted(
            {c: (t, n, c) for t, n, c in self._turns if self._is_turn(t, c)}.values()
        )
        gone = [
            caller
            for caller, tag in self._tags.items()
            if caller not in self._by_caller and tag > self._virtual_time
        ]
        known = {*self._by_caller, *heapq.nlargest(MAX_STALE // 2, gone, self._tags.__getitem__)}
        self._tags = {caller: tag for caller, tag in self._tags.items() if caller in known}

    def _is_turn(self, tag: float, caller: str) -> bool:
        return caller in self._by_caller and tag == self._tags[caller]

    def _forget(self) -> None:
        """Nobody waits: what callers were charged no longer matters, and must not pile up."""
        self._tags.clear()
        self._turns.clear()
        self._virtual_time = 0.0
