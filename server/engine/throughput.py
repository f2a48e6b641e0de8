"""How fast sequences end, and so how long a queue takes to move."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

WINDOW = 64
"""Ends that the rate is taken over."""
LEAST_S, MOST_S = 0.05, 10.0
"""Of a wait that is told to anybody."""
UNKNOWN_S = 1.0
"""What is told before enough sequences have ended."""


class Throughput:
    """The rate of the last ends."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: deque[float] = deque(maxlen=WINDOW)

    def note_end(self) -> None:
        """A sequence has ended."""
        self._ends.append(self._clock())

    def wait_s(self, count: int) -> float:
        """About how long it takes until `count` more have ended."""
        if len(self._ends) < 2:
            return UNKNOWN_S
        elapsed = self._clock() - self._ends[0]
        return min(max(count * elapsed / len(self._ends), LEAST_S), MOST_S)
