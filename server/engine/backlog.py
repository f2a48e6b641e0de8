"""What is pending in all engines together, by class and caller: who would wait for how much."""

from __future__ import annotations

from collections import Counter

from server.engine.sequence import Job, Priority


class Backlog:
    """Rows of the sequences that have been handed over and have not ended."""

    def __init__(self) -> None:
        self._rows = {priority: Counter[str]() for priority in Priority}

    def add(self, job: Job) -> None:
        """Counts `job` in."""
        self._rows[job.priority][job.caller] += job.options.num_rows

    def remove(self, job: Job) -> None:
        """Counts `job`, which was counted in, out."""
        callers = self._rows[job.priority]
        callers[job.caller] -= job.options.num_rows
        if not callers[job.caller]:
            del callers[job.caller]

    def num_rows_before(self, priority: Priority, caller: str) -> int:
        """Rows that go before a newcomer's first: all of more urgent classes, in its own those of
        its caller and, for callers take turns, as many of each other one.
        """
        urgent = sum(self._rows[other].total() for other in Priority if other < priority)
        callers = self._rows[priority]
        own = callers[caller]
        others = sum(min(rows, own + 1) for name, rows in callers.items() if name != caller)
        return urgent + own + others
